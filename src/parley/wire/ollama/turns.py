"""Requests to /api/chat, read from a caller: a plain dict in, the canonical request out.

Tool results of this API name a tool, not a call: each is paired with the first call still open, of that name where
one is told. Calls without an id get one. Source: provider contract 4.1, 4.3.
"""

from typing import Any, Final

from msgspec import json

from parley.failure import ParleyError, at, invalid
from parley.ir import (
    Block,
    ChatRequest,
    Extra,
    Media,
    Message,
    Opaque,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from parley.wire.data_url import split_data_url
from parley.wire.fields import each, nested, optional, required
from parley.wire.ollama.errors import NAME
from parley.wire.ollama.options import SHARED, shared_fields

KNOWN: Final = SHARED | {"messages", "tools"}
_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
# How the base64 text of a picture begins: this API does not say what it is.
_SIGNS: Final = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """The request in ``body``, which is left as it is. Raises ``invalid_request`` with the field's path."""
    rest = body.copy()
    aside: Extra = {}
    fields = shared_fields(rest, aside)
    turns = _Turns()
    messages = each(optional(rest, "messages", list) or [], "messages", turns.message)
    tools = each(optional(rest, "tools", list) or [], "tools", _tool)
    return ChatRequest(wire=NAME, messages=messages, tools=tools, extra=rest, aside=aside, **fields)


class _Turns:
    """The conversation so far: how many calls there were, and which still have no result."""

    __slots__ = ("_count", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._open: list[ToolCall] = []

    def message(self, given: dict[str, Any]) -> Message:
        """One turn."""
        value = given.copy()
        said = required(value, "role", str)
        role = _ROLES.get(said)
        if role is None:
            raise invalid("role must be system, user, assistant or tool", "role")
        if role == "tool":
            return Message(role, (self._result(value),), None, value)
        return Message(role, self._assistant(value) if role == "assistant" else spoken(value, "content"), None, value)

    def _assistant(self, value: Extra) -> tuple[Block, ...]:
        sealed = optional(value, "thinking_blocks", list)
        thought = optional(value, "thinking", str)
        calls = optional(value, "tool_calls", list)
        thoughts: tuple[Block, ...] = (Thinking(thought),) if thought else ()
        if sealed:
            thoughts = each(sealed, "thinking_blocks", thinking_of)
        said = spoken(value, "content", alone=not (thoughts or calls))
        if not calls:
            return (*thoughts, *said)
        self._open = []
        return (*thoughts, *said, *each(calls, "tool_calls", self._call))

    def _call(self, given: dict[str, Any]) -> Block:
        value = given.copy()
        value.pop("type", None)
        call_id = optional(value, "id", str)
        function = required(value, "function", dict).copy()
        try:
            name, arguments = required(function, "name", str), arguments_text(function.pop("arguments", None))
        except ParleyError as error:
            raise at(error, "function") from None
        function.pop("index", None)
        self._count += 1
        call = ToolCall(call_id or f"call_{self._count}", name, arguments, _with_function(value, function))
        self._open.append(call)
        return call

    def _result(self, value: Extra) -> Block:
        call_id, name = optional(value, "tool_call_id", str), optional(value, "tool_name", str)
        call = self._answered(call_id, name)
        if call is not None:
            self._open.remove(call)
            call_id = call.id
        if name and (call is None or call.name != name):
            value["tool_name"] = name
        if not call_id:
            self._count += 1
            call_id = f"call_{self._count}"
        return ToolResult(call_id, spoken(value, "content"))

    def _answered(self, call_id: str | None, name: str | None) -> ToolCall | None:
        """The call that a result belongs to: by id, by name, by order."""
        if call_id:
            return next((call for call in self._open if call.id == call_id), None)
        named = next((call for call in self._open if call.name == name), None)
        return named or (self._open[0] if self._open else None)


def _with_function(value: Extra, function: Extra) -> Extra:
    return {**value, "function": function} if function else value


def spoken(value: Extra, name: str, *, alone: bool = True) -> tuple[Block, ...]:
    """Pictures and text of a turn, taken out of it; an empty text counts only where nothing stands beside it."""
    text, images = optional(value, name, str) or "", optional(value, "images", list) or ()
    pictures = tuple(_picture(image, f"images[{index}]") for index, image in enumerate(images))
    return (*pictures, Text(text)) if text or (alone and not pictures) else pictures


def _picture(value: Any, path: str) -> Block:
    """One picture: bare base64."""
    if not isinstance(value, str) or not value:
        raise invalid(f"{path} must be a base64 text", path)
    media_type, data = split_data_url(value)
    if data is None:
        if "://" in value[:16]:
            raise invalid(f"{path} must be base64: an image cannot be given by URL", path)
        data = value
    sign = next((found for start, found in _SIGNS.items() if data.startswith(start)), None)
    return Media(kind="image", data=data, media_type=media_type or sign)


def arguments_text(value: Any) -> str:
    """Arguments as JSON text, members in their order; text stays as it is. Raises for anything but an object."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise invalid("arguments must be an object", "arguments")
    return json.encode(value).decode()


def thinking_of(given: dict[str, Any]) -> Thinking:
    """One item of ``thinking_blocks``, this gateway's extension: another provider's thinking with its signature."""
    value = given.copy()
    kind = required(value, "type", str)
    if kind == "thinking":
        return Thinking(required(value, "thinking", str), optional(value, "signature", str), None, value)
    if kind == "redacted_thinking":
        return Thinking("", None, required(value, "data", str), value)
    raise invalid("type must be thinking or redacted_thinking", "type")


def _tool(given: dict[str, Any]) -> Tool | Opaque:
    value = given.copy()
    kind = optional(value, "type", str) or "function"
    if kind != "function":
        return Opaque(NAME, given)
    tool = nested(value, "function", _function)
    if not value:
        return tool
    return Tool(tool.name, tool.description, tool.parameters, tool.strict, {**value, **tool.extra})


def _function(value: dict[str, Any]) -> Tool:
    rest = value.copy()
    return Tool(
        required(rest, "name", str),
        optional(rest, "description", str),
        optional(rest, "parameters", dict),
        optional(rest, "strict", bool),
        _with_function({}, rest),
    )
