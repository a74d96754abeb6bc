"""Responses requests, written for a provider.

What this wire cannot say is refused by name or listed, never left out in silence. A turn that a caller of this wire
sent goes out as the very items it came in. Nothing of another wire's caller is stored by the provider unless an
option says so, and a function of theirs is strict only where they say so (here it would be unasked).
"""

from collections.abc import Mapping
from typing import Any

from parley.failure import invalid
from parley.ir import ChatRequest, Message, Opaque, OutputFormat, Text, Tool, ToolChoice
from parley.wire import Encoded
from parley.wire.effort import effort_of
from parley.wire.openai_responses.request import ENCRYPTED, LOGPROBS
from parley.wire.openai_responses.sealed import NAME
from parley.wire.openai_responses.turns import Prompt

_SCALARS = ("temperature", "top_p", "top_logprobs", "parallel_tool_calls", "user")
_UNSUPPORTED = ("stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "top_k")


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /responses. Options: ``store`` (whether the provider keeps what other wires' callers say).

    Raises ``invalid_request`` for n > 1, for video, file ids and content of another wire's own.
    """
    if request.n is not None and request.n != 1:
        raise invalid("n: this provider gives one answer per request", "n")
    prompt = Prompt(request)
    body: dict[str, Any] = {"model": request.model, **_input(prompt)}
    for name in _SCALARS:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    _put_tools(prompt, body)
    _put_reasoning(prompt, body)
    _composed(body, request)
    prompt.dropped += [name for name in _UNSUPPORTED if getattr(request, name) is not None]
    _put_rest(prompt, body, options)
    return Encoded(body, tuple(prompt.dropped))


def _composed(body: dict[str, Any], request: ChatRequest) -> None:
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.output is not None:
        body["text"] = {"format": _format(request.output)}
    if request.stream:
        body["stream"] = True


def _input(prompt: Prompt) -> dict[str, Any]:
    """``input``, and of what precedes it the stored prompt and the instructions where they are one plain text."""
    request = prompt.request
    head: dict[str, Any] = {}
    items: list[dict[str, Any]] = []
    for index, message in enumerate(request.messages):
        lone = message.content[0] if len(message.content) == 1 else None
        if index < request.ahead and isinstance(lone, Opaque) and lone.wire == NAME and message.place == "prompt":
            head["prompt"] = lone.value["prompt"]
        elif index < request.ahead and isinstance(lone, Text) and not lone.extra and "instructions" not in head:
            head["instructions"] = lone.text
        else:
            items += _items(prompt, message, index)
    if items or not (prompt.same and ("prompt" in head or request.aside)):
        head["input"] = items
    return head


def _items(prompt: Prompt, message: Message, index: int) -> list[dict[str, Any]]:
    origin = message.origin
    if prompt.same and origin is not None and origin.content is message.content:
        return list(origin.items)
    return prompt.items(message, index)


def _put_tools(prompt: Prompt, body: dict[str, Any]) -> None:
    made = []
    for index, tool in enumerate(prompt.request.tools):
        if isinstance(tool, Tool):
            made.append(_function(prompt, tool, f"tools[{index}]"))
        elif tool.wire == NAME:
            made.append(tool.value)
        else:
            prompt.dropped.append(f"tools[{index}]")
    if made:
        body["tools"] = made


def _function(prompt: Prompt, tool: Tool, path: str) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description is not None:
        made["description"] = tool.description
    if tool.parameters is not None or not prompt.same:
        made["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None or not prompt.same:
        made["strict"] = tool.strict or False
    return prompt.keep(made, tool.extra, path)


def _choice(choice: ToolChoice) -> Any:
    return choice.mode if choice.mode != "named" else {"type": "function", "name": choice.name}


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.kind != "schema":
        return {"type": "json_object" if output.kind == "json" else "text"}
    made: dict[str, Any] = {"type": "json_schema", "name": output.name or "answer", "schema": output.schema or {}}
    for name in ("description", "strict"):
        value = getattr(output, name)
        if value is not None:
            made[name] = value
    return made


def _put_reasoning(prompt: Prompt, body: dict[str, Any]) -> None:
    reasoning = prompt.request.reasoning
    if reasoning is None:
        return
    made: dict[str, Any] = {}
    effort = effort_of(reasoning)
    if effort is not None:
        made["effort"] = effort
    prompt.keep(made, reasoning.extra, "reasoning")
    if made:
        body["reasoning"] = made
    if not prompt.same and effort not in (None, "none"):
        # Without it, reasoning of this turn could not come back in the next: nothing is stored.
        body["include"] = [ENCRYPTED]


def _put_rest(prompt: Prompt, body: dict[str, Any], options: Mapping[str, Any]) -> None:
    """What the caller's wire left over: for this wire what it said, with what may have been changed since."""
    request = prompt.request
    if not prompt.same:
        body["store"] = bool(options.get("store", False))
        if request.logprobs:
            body["include"] = [*body.get("include", ()), LOGPROBS]
        prompt.dropped += request.extra
        return
    rest = {name: value for name, value in request.extra.items() if "." not in name}
    for name, value in {**rest, **request.aside}.items():
        known = body.get(name)
        if type(known) is dict and type(value) is dict:
            body[name] = {**value, **known}
        elif name not in body or name in ("tools", "tool_choice"):
            body[name] = value
