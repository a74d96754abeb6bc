"""Anthropic Messages as a provider: the canonical form to a request body.

What this wire cannot say is refused by name or listed in ``dropped``, never left out in silence.
Source: provider contract 2.1, 2.2, 2.6.
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from parley.failure import invalid
from parley.ir import (
    Block,
    ChatRequest,
    Extra,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire import Cleared, Encoded
from parley.wire.anthropic.blocks import NAME, Json, input_of, merged
from parley.wire.cleared import without
from parley.wire.fields import thought_at
from parley.wire.signature import MARKS, marked

CLASSIC = "2023-06-01"
CURRENT = "2026-10-21"
DEFAULT_MAX_TOKENS = 4096
LEAST_BUDGET = 1024

_SYSTEM = ("system", "developer")
_SAMPLING = ("temperature", "top_p", "top_k")
_UNSUPPORTED = ("seed", "logit_bias", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty")
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")
_ODD = re.compile(r"[^a-zA-Z0-9-]")
_ESCAPED = "esc_"
# In the bytes of a request: a signature that is empty, or that somebody else gave.
_UNSIGNED = re.compile(rb'"signature"\s*:\s*"(?:"|%b)' % "|".join(MARKS).encode())
_MEDIA_TYPES = {"image/jpg": "image/jpeg"}
# The first base64 characters of the four image formats this wire takes.
_SIGNS = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /v1/messages.

    Options: ``max_tokens`` where the caller gave none (4096), ``version`` pins the API version,
    ``system_role`` the model takes role ``system`` after the first turn, ``signed_thinking`` an empty
    signature is refused, so such thinking is left out, ``own_thinking`` also of requests that else pass as they came.
    Raises ``invalid_request`` for n > 1, for sound, video, file ids and content of another wire's own, and for a
    conversation without content.
    """
    if request.n is not None and request.n != 1:
        raise invalid("n: this provider gives one answer per request", "n")
    limit = request.max_tokens if request.max_tokens is not None else int(options.get("max_tokens", DEFAULT_MAX_TOKENS))
    prompt = _Prompt(request, options)
    body: Json = {"model": request.model, "max_tokens": limit, **prompt.conversation()}
    _put_tools(prompt, body)
    _put_reasoning(prompt, body)
    _put_output(prompt, body)
    if request.stop is not None:
        body["stop_sequences"] = list(request.stop)
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    version = _put_sampling(prompt, body)
    prompt.drop(*(name for name in _UNSUPPORTED if getattr(request, name) is not None))
    if request.extra:
        if prompt.same:
            merged(body, request.extra)
        else:
            prompt.drop(*request.extra)
    return Encoded(body, tuple(prompt.dropped), (("anthropic-version", version),))


def cleared(body: bytes, members: dict[str, Raw], options: Mapping[str, Any]) -> Cleared | None:
    """``messages`` without thoughts that this provider did not sign; see ``Wire.cleared``."""
    if _UNSIGNED.search(body) is None:
        return None
    signed = bool(options.get("own_thinking"))

    def foreign(block: Mapping[str, Any]) -> bool:
        signature = block.get("signature")
        return block.get("type") == "thinking" and (marked(signature) or (signed and not signature))

    return without(members, "messages", "content", foreign)


def call_id(id: str) -> str:
    """A tool call's id in the characters this wire takes: different ids stay different, equal ones equal."""
    if _PLAIN_ID.fullmatch(id) and not id.startswith(_ESCAPED):
        return id
    return _ESCAPED + _ODD.sub(lambda odd: f"_{ord(odd[0]):x}_", id)


class _Prompt:
    """A request under way: its turns, what had to be dropped, and whether the classic API version is needed."""

    __slots__ = ("classic", "dropped", "options", "request", "role", "same")

    def __init__(self, request: ChatRequest, options: Mapping[str, Any]) -> None:
        self.request, self.options = request, options
        self.same = request.wire == NAME
        self.dropped: list[str] = []
        self.classic = False
        self.role = "user"

    def drop(self, *names: str) -> None:
        self.dropped += names

    def turn(self, i: int) -> str:
        """The caller's own path of a message."""
        return self.request.messages[i].place or f"messages[{i}]"

    def path(self, i: int, j: int) -> str:
        """The path of a block in it."""
        return f"{self.turn(i)}.content[{j}]"

    def keep(self, value: Json, extra: Extra, path: Callable[[], str]) -> Json:
        """``value`` with the extra members of its own wire; those of another wire are dropped."""
        if extra:
            if self.same:
                value.update(extra)
            else:
                self.drop(*(f"{path()}.{key}" for key in extra))
        return value

    def conversation(self) -> Json:
        """``system`` and ``messages``. Instructions alone become the user's turn: this wire needs one."""
        messages = self.request.messages
        first = 0
        while first < len(messages) and messages[first].role in _SYSTEM:
            first += 1
        system = [block for i in range(first) for block in self._instructions(i, messages[i])]
        turns: list[Json] = []
        for i in range(first, len(messages)):
            self._add(turns, i, messages[i])
        for turn in turns:
            content = turn["content"]
            if turn["role"] == "user" and len(content) > 1:
                content.sort(key=_after_results)
            turn["content"] = _shortest(content)
        if not turns:
            if not system:
                raise invalid("messages: no message has any content", "messages")
            return {"messages": [{"role": "user", "content": _shortest(system)}]}
        return {"system": _shortest(system), "messages": turns} if system else {"messages": turns}

    def _instructions(self, i: int, message: Message) -> list[Json]:
        for j, block in enumerate(message.content):
            if type(block) is not Text and type(block) is not Refusal and type(block) is not Opaque:
                raise invalid("system messages hold only text with this provider", self.path(i, j))
        return self._blocks(i, message)

    def _add(self, turns: list[Json], i: int, message: Message) -> None:
        """Adds a turn; turns of one role in a row are one turn, tool results of a turn come first."""
        self.role = self._role(message)
        content = self._instructions(i, message) if self.role == "system" else self._blocks(i, message)
        if not content:
            return
        if turns and turns[-1]["role"] == self.role:
            turns[-1]["content"] += content
        else:
            turns.append({"role": self.role, "content": content})
        if self.same:
            turns[-1].update(message.extra)

    def _role(self, message: Message) -> str:
        if message.role == "assistant":
            return "assistant"
        return "system" if message.role in _SYSTEM and self.options.get("system_role") else "user"

    def _blocks(self, i: int, message: Message) -> list[Json]:
        if message.name is not None:
            self.drop(f"{self.turn(i)}.name")
        if message.extra and not self.same:
            self.drop(*(f"{self.turn(i)}.{key}" for key in message.extra))
        found = []
        for j, block in enumerate(message.content):
            value = _WRITERS[type(block)](self, block, i, j)
            if value is not None:
                found.append(value)
        return found


def _after_results(block: Json) -> bool:
    return block.get("type") != "tool_result"


def _shortest(content: list[Json]) -> str | list[Json]:
    """A single plain text as a string, anything else as blocks."""
    if len(content) != 1:
        return content
    only = content[0]
    return only["text"] if len(only) == 2 and only.get("type") == "text" else content


# --- blocks ------------------------------------------------------------------------------------


def _text(prompt: _Prompt, block: Any, i: int, j: int) -> Json | None:
    if not block.text:
        return None
    value = {"type": "text", "text": block.text}
    if not block.extra:
        return value
    prompt.classic |= prompt.same and prompt.role == "user" and bool(block.extra.get("citations"))
    return prompt.keep(value, block.extra, lambda: prompt.path(i, j))


def _thinking(prompt: _Prompt, block: Any, i: int, j: int) -> Json | None:
    foreign = marked(block.signature)
    unsigned = foreign or block.signature is None or (not block.signature and prompt.options.get("signed_thinking"))
    if block.redacted is not None:
        value = {"type": "redacted_thinking", "data": block.redacted}
    elif unsigned:
        prompt.drop(
            prompt.path(i, j) if prompt.same else thought_at(prompt.request.wire, prompt.turn(i), prompt.path(i, j))
        )
        return None
    else:
        value = {"type": "thinking", "thinking": block.text, "signature": block.signature}
    return prompt.keep(value, block.extra, lambda: prompt.path(i, j))


def _tool_call(prompt: _Prompt, block: Any, i: int, j: int) -> Json:
    value = {"type": "tool_use", "id": call_id(block.id), "name": block.name, "input": input_of(block.arguments)}
    return prompt.keep(value, block.extra, lambda: prompt.path(i, j))


def _tool_result(prompt: _Prompt, block: Any, i: int, j: int) -> Json:
    # A tool's own message holds what its result holds.
    own = prompt.request.messages[i].role == "tool"
    written = (_WRITERS[type(inner)](prompt, inner, i, k if own else j) for k, inner in enumerate(block.content))
    content = [value for value in written if value is not None]
    value: Json = {"type": "tool_result", "tool_use_id": call_id(block.call_id)}
    if content:
        value["content"] = _shortest(content)
    if block.is_error:
        value["is_error"] = True
    return prompt.keep(value, block.extra, lambda: prompt.path(i, j))


def _opaque(prompt: _Prompt, block: Any, i: int, j: int) -> Json | None:
    if block.wire == NAME:
        found: Json = block.value
        return found
    path = prompt.path(i, j)
    if prompt.role != "assistant":
        kind = block.value.get("type")
        raise invalid(f"{path}: this provider takes no content of type {kind!r}", path)
    prompt.drop(path)
    return None


def _media(prompt: _Prompt, block: Any, i: int, j: int) -> Json:
    path = prompt.path(i, j)
    if block.kind not in ("image", "document"):
        raise invalid(f"{path}: this provider takes no {block.kind}", path)
    value: Json = {"type": block.kind, "source": _source(prompt, block, path)}
    if block.detail is not None:
        prompt.drop(f"{path}.detail")
    if block.kind == "document":
        prompt.classic |= prompt.role == "assistant"
        if block.name is not None:
            value["title"] = block.name
    elif block.name is not None:
        prompt.drop(f"{path}.name")
    extra = block.extra
    if prompt.same and "source" in extra:
        # A source with a type is whole.
        source = extra["source"] if "type" in extra["source"] else {**value["source"], **extra["source"]}
        extra = {**extra, "source": source}
    return prompt.keep(value, extra, lambda: path)


def _source(prompt: _Prompt, block: Media, path: str) -> Json:
    if block.file_id is not None:
        if not prompt.same:
            raise invalid(f"{path}: a file_id is known only to the provider that gave it", path)
        return {"type": "file", "file_id": block.file_id}
    data, media_type = block.data, block.media_type
    if block.url is not None:
        if not block.url.startswith("data:"):
            return {"type": "url", "url": block.url}
        head, _, data = block.url[5:].partition(",")
        if not head.endswith(";base64"):
            raise invalid(f"{path}: a data URL must be base64", path)
        media_type = head[:-7].partition(";")[0] or media_type
    data = data or ""
    media_type = _media_type(block, media_type, data, path)
    if media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _plain(data, path)}
    return {"type": "base64", "media_type": media_type, "data": data}


def _media_type(block: Media, stated: str | None, data: str, path: str) -> str:
    if stated:
        found = stated.lower()
        return _MEDIA_TYPES.get(found, found)
    if block.kind == "document":
        return "application/pdf"
    for sign, found in _SIGNS.items():
        if data.startswith(sign):
            return found
    raise invalid(f"{path}: the media type is missing", path)


def _plain(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        raise invalid(f"{path}: the text is not base64 of UTF-8", path) from None


_WRITERS: Mapping[type[Block], Callable[[_Prompt, Any, int, int], Json | None]] = {
    Text: _text,
    Refusal: _text,
    Thinking: _thinking,
    ToolCall: _tool_call,
    ToolResult: _tool_result,
    Opaque: _opaque,
    Media: _media,
}


# --- parameters --------------------------------------------------------------------------------


def _put_tools(prompt: _Prompt, body: Json) -> None:
    request = prompt.request
    tools = [tool for i, each in enumerate(request.tools) if (tool := _tool(prompt, each, i)) is not None]
    if not tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, name) is not None:
                prompt.drop(name)
        return
    body["tools"] = tools
    choice = request.tool_choice
    if request.parallel_tool_calls is False:
        choice = choice or ToolChoice("auto")
    if choice is not None:
        value: Json = {"type": _CHOICES[choice.mode]}
        if choice.name is not None:
            value["name"] = choice.name
        if request.parallel_tool_calls is False and choice.mode != "none":
            value["disable_parallel_tool_use"] = True
        body["tool_choice"] = value


def _tool(prompt: _Prompt, tool: Tool | Opaque, i: int) -> Json | None:
    if isinstance(tool, Opaque):
        if tool.wire == NAME:
            return tool.value
        prompt.drop(f"tools[{i}]")
        return None
    value: Json = {"name": tool.name}
    if tool.description is not None:
        value["description"] = tool.description
    value["input_schema"] = _schema(tool.parameters)
    if tool.strict is not None:
        value["strict"] = tool.strict
    return prompt.keep(value, tool.extra, lambda: f"tools[{i}]")


def _schema(parameters: Json | None) -> Json:
    if not parameters:
        return {"type": "object", "properties": {}}
    return parameters if "type" in parameters else {"type": "object", **parameters}


def _put_output(prompt: _Prompt, body: Json) -> None:
    output = prompt.request.output
    if output is None or output.kind == "text":
        return
    if output.kind == "json":
        prompt.drop("response_format")
        return
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": output.schema or {}}
    if output.description is not None:
        prompt.drop("response_format.json_schema.description")
    if output.strict is False:
        prompt.drop("response_format.json_schema.strict")


def _put_reasoning(prompt: _Prompt, body: Json) -> None:
    reasoning = prompt.request.reasoning
    if reasoning is None:
        return
    thinking = _own_thinking(reasoning) if prompt.same else _thinking_of(reasoning, body["max_tokens"])
    if thinking is not None:
        body["thinking"] = thinking
    effort = reasoning.effort
    if effort is not None and effort != "none":
        body["output_config"] = {"effort": "low" if effort == "minimal" else effort}
    if not prompt.same:
        prompt.drop(*(f"reasoning.{key}" for key in reasoning.extra))


def _own_thinking(reasoning: Reasoning) -> Json | None:
    """``thinking`` as this dialect's caller wrote it."""
    value: Json = {} if reasoning.mode is None else {"type": reasoning.mode}
    if reasoning.budget is not None:
        value["budget_tokens"] = reasoning.budget
    value.update(reasoning.extra)
    return value or None


def _thinking_of(reasoning: Reasoning, limit: int) -> Json | None:
    """``thinking`` for another dialect's wish; a budget this wire would refuse leaves the amount to the model."""
    if reasoning.mode == "disabled" or reasoning.effort == "none" or reasoning.budget == 0:
        return {"type": "disabled"}
    if reasoning.budget is not None and LEAST_BUDGET <= reasoning.budget < limit:
        return {"type": "enabled", "budget_tokens": reasoning.budget}
    return None if reasoning.mode is None and reasoning.budget is None else {"type": "adaptive"}


def _put_sampling(prompt: _Prompt, body: Json) -> str:
    """Sampling fields, and the API version that takes them: the current one answers 400 to any of them."""
    request, pinned = prompt.request, prompt.options.get("version")
    sampling = {name: value for name in _SAMPLING if (value := getattr(request, name)) is not None}
    if sampling and pinned is not None and str(pinned) >= CURRENT:
        prompt.drop(*sampling)
    else:
        body.update(sampling)
    if pinned is not None:
        return str(pinned)
    return CLASSIC if sampling or prompt.classic else CURRENT
