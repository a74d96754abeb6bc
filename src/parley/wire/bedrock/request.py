"""Amazon Bedrock Converse as a provider: the canonical form to a request body.

What this wire cannot say is refused by name or listed in ``dropped``, never left out in silence. The model is named
in the path, and whether a stream is wanted too. Source: provider contract 10.
"""

import re
from collections.abc import Mapping
from typing import Any

from parley.failure import invalid
from parley.ir import ChatRequest, Opaque, Reasoning, Tool
from parley.wire import Encoded
from parley.wire.bedrock.content import SYSTEM, Writer, cache_point, has_tools, history_tools, is_result
from parley.wire.bedrock.words import Json, encode, is_claude

KNOWN = frozenset(
    {
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "guardrailConfig",
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "promptVariables",
        "requestMetadata",
        "performanceConfig",
        "serviceTier",
        "outputConfig",
    }
)
# Members of this wire that no other has: a caller of any dialect may set them beside its own.
_OWN = KNOWN - {"messages", "system", "toolConfig"}
_UNSUPPORTED = ("seed", "logit_bias", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "user")
_SAMPLING = (("max_tokens", "maxTokens"), ("temperature", "temperature"), ("top_p", "topP"))
_TIERS = ("default", "flex", "priority")
_TAG = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_LEAST_BUDGET = 1024
_MORE = "additionalModelRequestFields"
_FOUND = "additionalModelResponseFieldPaths"


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of a converse or converse-stream call.

    Options: ``max_tokens`` where the caller gave none (the model's own limit).
    Raises ``invalid_request`` for n > 1, for media that are no bytes or of a kind this wire lacks, for content of
    another wire's own, and for a conversation that is empty or does not begin with the user.
    """
    if request.n is not None and request.n != 1:
        raise invalid("n: this provider gives one answer per request", "n")
    writer = Writer(request)
    body = _conversation(writer)
    _put_sampling(request, options, body)
    _put_tools(writer, body)
    _put_output(writer, body)
    if request.reasoning is not None:
        _put_reasoning(writer, request.reasoning, body)
    writer.dropped += [name for name in _UNSUPPORTED if getattr(request, name) is not None]
    _put_extra(writer, body)
    return Encoded(body, tuple(writer.dropped))


def _conversation(writer: Writer) -> Json:
    """``system`` and ``messages``: leading instructions apart, turns of one role in a row as one, a turn's tool results
    first. Instructions alone become the user's turn: this wire needs one."""
    messages = writer.request.messages
    first = 0
    while first < len(messages) and messages[first].role in SYSTEM:
        first += 1
    system = [group for i in range(first) for group in writer.instructions(i)]
    turns: list[tuple[str, list[list[Json]]]] = []
    for i in range(first, len(messages)):
        role = "assistant" if messages[i].role == "assistant" else "user"
        groups = writer.instructions(i) if messages[i].role in SYSTEM else writer.groups(i)
        if groups and turns and turns[-1][0] == role:
            turns[-1][1].extend(groups)
        elif groups:
            if not turns and role == "assistant":
                path = writer.turn(i)
                raise invalid(f"{path}: a conversation with this provider begins with the user", path)
            turns.append((role, groups))
    if not turns:
        if not system:
            raise invalid("messages: no message has any content", "messages")
        return {"messages": [{"role": "user", "content": _flat(system)}]}
    said = [{"role": role, "content": _flat(_ordered(role, groups))} for role, groups in turns]
    return {"system": _flat(system), "messages": said} if system else {"messages": said}


def _ordered(role: str, groups: list[list[Json]]) -> list[list[Json]]:
    if role != "user" or len(groups) < 2:
        return groups
    return sorted(groups, key=lambda group: not is_result(group))


def _flat(groups: list[list[Json]]) -> list[Json]:
    return [value for group in groups for value in group]


def _put_sampling(request: ChatRequest, options: Mapping[str, Any], body: Json) -> None:
    config: Json = {}
    if "max_tokens" in options:
        config["maxTokens"] = options["max_tokens"]
    for name, other in _SAMPLING:
        value = getattr(request, name)
        if value is not None:
            config[other] = value
    if request.stop is not None:
        config["stopSequences"] = list(request.stop)
    if config:
        body["inferenceConfig"] = config
    if request.top_k is not None:
        body[_MORE] = {"top_k": request.top_k}
    if request.stop and "claude" in request.model:
        # Which of them was found is told only to those who ask.
        body[_FOUND] = ["/stop_sequence"]


# --- tools -------------------------------------------------------------------------------------


def _put_tools(writer: Writer, body: Json) -> None:
    request = writer.request
    choice = request.tool_choice
    tools = _tools(writer)
    if request.parallel_tool_calls is False:
        writer.drop("parallel_tool_calls")
    if not tools:
        if choice is not None and choice.mode != "none":
            writer.drop("tool_choice")
        # A conversation with calls is refused without any tool, so those that were called stand for them.
        tools = [_spec(name, None) for name in history_tools(request.messages)]
        if tools:
            body["toolConfig"] = {"tools": tools}
        return
    if choice is not None and choice.mode == "none":
        if has_tools(request.messages):
            # Nothing here forbids a call, and without the tools such a conversation is refused.
            writer.drop("tool_choice")
            body["toolConfig"] = {"tools": tools}
        return
    body["toolConfig"] = {"tools": tools}
    if choice is not None:
        words = {"auto": {"auto": {}}, "required": {"any": {}}, "named": {"tool": {"name": choice.name}}}
        body["toolConfig"]["toolChoice"] = words[choice.mode]


def _tools(writer: Writer) -> list[Json]:
    made: list[Json] = []
    for i, tool in enumerate(writer.request.tools):
        if isinstance(tool, Opaque):
            writer.drop(f"tools[{i}]")
        else:
            made += writer.with_extra(_tool(tool), tool.extra, lambda i=i: f"tools[{i}]")  # type: ignore[misc]
    return made


def _tool(tool: Tool) -> Json:
    value = _spec(tool.name, tool.parameters)
    spec = value["toolSpec"]
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return value


def _spec(name: str, parameters: Json | None) -> Json:
    schema = parameters or {"type": "object", "properties": {}}
    return {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object", **schema}}}}


# --- the form of the answer --------------------------------------------------------------------


def _put_output(writer: Writer, body: Json) -> None:
    output = writer.request.output
    if output is None or output.kind == "text":
        return
    if output.kind == "json":
        writer.drop("response_format")
        return
    schema: Json = {"schema": encode(output.schema or {}).decode()}
    for name in ("name", "description"):
        if getattr(output, name):
            schema[name] = getattr(output, name)
    body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    if output.strict is False:
        writer.drop("response_format.json_schema.strict")


def _put_reasoning(writer: Writer, reasoning: Reasoning, body: Json) -> None:
    effort = reasoning.effort
    if effort is not None and effort != "none":
        body.setdefault("outputConfig", {})["effort"] = "low" if effort == "minimal" else effort
    native = writer.request.wire == "anthropic"
    if not native:
        writer.drop(*(f"reasoning.{key}" for key in reasoning.extra))
    thinking = _own_thinking(reasoning) if native else _thinking(reasoning, writer.request.max_tokens)
    if thinking is None:
        return
    if is_claude(writer.request.model):
        body.setdefault(_MORE, {})["thinking"] = thinking
    else:
        writer.drop("reasoning_effort" if effort == "none" else "thinking")


def _own_thinking(reasoning: Reasoning) -> Json | None:
    """``thinking`` as its own dialect's caller wrote it: the model reads the same words."""
    value: Json = {} if reasoning.mode is None else {"type": reasoning.mode}
    if reasoning.budget is not None:
        value["budget_tokens"] = reasoning.budget
    return {**value, **reasoning.extra} or None


def _thinking(reasoning: Reasoning, limit: int | None) -> Json | None:
    """``thinking`` for another dialect's wish; a budget that would be refused leaves the amount to the model."""
    if reasoning.mode == "disabled" or reasoning.effort == "none" or reasoning.budget == 0:
        return {"type": "disabled"}
    if (
        reasoning.budget is not None
        and reasoning.budget >= _LEAST_BUDGET
        and (limit is None or reasoning.budget < limit)
    ):
        return {"type": "enabled", "budget_tokens": reasoning.budget}
    return None if reasoning.mode is None and reasoning.budget is None else {"type": "adaptive"}


# --- what is left of the caller's own wire -----------------------------------------------------


def _put_extra(writer: Writer, body: Json) -> None:
    for name, value in writer.request.extra.items():
        if name in _OWN:
            before = body.get(name)
            body[name] = {**before, **value} if type(before) is dict and type(value) is dict else value
        elif name == "service_tier" and _tier(value, body):
            continue
        elif name == "metadata" and _tags(value):
            body.setdefault("requestMetadata", {}).update(value)
        elif name == "cache_control" and _closing_point(value, body):
            continue
        else:
            writer.drop(name)


def _tier(value: Any, body: Json) -> bool:
    """Whether a service tier could be said; auto leaves it to the provider, as saying nothing does."""
    if value in _TIERS:
        body["serviceTier"] = {"type": value}
    return value in _TIERS or value in ("auto", None)


def _tags(value: Any) -> bool:
    """Whether metadata has the form of the tags that requests may bear here."""
    if type(value) is not dict or not 0 < len(value) <= 16:
        return False
    return all(type(word) is str and _TAG.fullmatch(word) for pair in value.items() for word in pair)


def _closing_point(control: Any, body: Json) -> bool:
    """Put the cache point of a whole request behind its last block; whether it asks for one."""
    point = cache_point(control)
    content = body["messages"][-1]["content"]
    if point is not None and "cachePoint" not in content[-1]:
        content.append(point)
    return point is not None
