"""A caller's body read by the rules of protojson: both spellings of names, null as absent, numbers as text.

What comes out has one spelling and no nulls. Source: conversation contract sections 1.2 and 2.2.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.wire.dapr import scalars

MAX_BODY: Final = 4 * 1024 * 1024
MALFORMED: Final = "malformed"
_DEEPEST: Final = 100


class Field(Struct, frozen=True):
    """One member: its JSON name, how it is read, the group of which only one may be there; ``unused``: it means
    nothing to anybody, so that two requests which differ in it alone are the same."""

    name: str
    read: "Callable[[Any, str, int], Any]"
    oneof: str = ""
    unused: bool = False


def prepared(body: bytes, message: str) -> bytes:
    """The body as plain JSON. Raises ``invalid_json``/``invalid_request`` of detail MALFORMED, ``body_too_large``."""
    if len(body) > MAX_BODY:
        raise ParleyError(Failure("body_too_large", "http: request body too large", status=400))
    if not body.strip():
        return b"{}"
    made = _message(message)(parsed(body), "", 0)
    if made.get("temperature", 1) <= 0:
        # As if it were not there.
        del made["temperature"]
    return msgspec.json.encode(made)


def parsed(body: bytes) -> dict[str, Any]:
    """The object that a body is. Raises ``invalid_request`` of detail MALFORMED, also for members given twice."""
    try:
        return jsontext.whole(body)
    except ParleyError as error:
        raise malformed(error.failure.message) from None


def malformed(message: str, path: str = "") -> ParleyError:
    """What a body that does not fit is answered with."""
    said = f"{path}: {message}" if path else message
    return ParleyError(Failure("invalid_request", said, param=path or None, detail=MALFORMED))


def _message(message: str) -> Callable[[Any, str, int], Any]:
    def read(value: Any, path: str, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise malformed("expected an object", path)
        if depth > _DEEPEST:
            raise malformed("nested too deep", path)
        made: dict[str, Any] = {}
        groups: dict[str, str] = {}
        for spelled, item in value.items():
            field = MESSAGES[message].get(spelled)
            if field is None or item is None:
                continue
            place = f"{path}.{spelled}" if path else spelled
            if field.name in made:
                raise malformed("given twice", place)
            if field.oneof and groups.setdefault(field.oneof, field.name) != field.name:
                raise malformed(f"only one of {groups[field.oneof]} and {field.name} may be given", place)
            made[field.name] = field.read(item, place, depth + 1)
        return {name: item for name, item in made.items() if not MESSAGES[message][name].unused}

    return read


def _list(item: Callable[[Any, str, int], Any]) -> Callable[[Any, str, int], Any]:
    def read(value: Any, path: str, depth: int) -> list[Any]:
        if not isinstance(value, list):
            raise malformed("expected an array", path)
        return [item(one, f"{path}[{index}]", depth) for index, one in enumerate(value)]

    return read


def _map(item: Callable[[Any, str, int], Any]) -> Callable[[Any, str, int], Any]:
    def read(value: Any, path: str, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise malformed("expected an object", path)
        return {name: item(one, f"{path}.{name}", depth) for name, one in value.items()}

    return read


def _text(value: Any, path: str, depth: int) -> str:
    if not isinstance(value, str):
        raise malformed("expected a string", path)
    return value


def _flag(value: Any, path: str, depth: int) -> bool:
    if not isinstance(value, bool):
        raise malformed("expected true or false", path)
    return value


def _double(value: Any, path: str, depth: int) -> float:
    found = scalars.number(value)
    if found is None:
        raise malformed("expected a number", path)
    if math.isfinite(found):
        return found
    if found == math.inf:
        raise malformed("expected a finite number", path)
    # Not above 0, as a temperature has to be.
    return 0.0


def _int64(value: Any, path: str, depth: int) -> int:
    found = scalars.integer(value, 64)
    if found is None:
        raise malformed("expected a 64-bit integer", path)
    return found


def _duration(value: Any, path: str, depth: int) -> str:
    found = scalars.duration(value)
    if found is None:
        raise malformed('expected a duration such as "86400s"', path)
    return found


def _struct(value: Any, path: str, depth: int) -> dict[str, Any]:
    """An object whose numbers are doubles on the wire: whole ones are integers again."""
    if not isinstance(value, dict):
        raise malformed("expected an object", path)
    whole: dict[str, Any] = _whole(value)
    return whole


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _any(value: Any, path: str, depth: int) -> Any:
    """A google.protobuf.Any, which names its type."""
    if not scalars.is_typed(value):
        raise malformed('expected an Any whose "@type" is known, with a value of that type', path)
    return value


def _fields(*rows: Field) -> dict[str, Field]:
    """Under both spellings of each name."""
    return {spelled: row for row in rows for spelled in (_proto(row.name), row.name)}


def _proto(name: str) -> str:
    """promptCacheRetention -> prompt_cache_retention."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f"_{found[1].lower()}", name)


_CONTENT: Final = Field("content", _list(_message("content")))
_SAID: Final = _fields(Field("name", _text, unused=True), _CONTENT)
MESSAGES: Final[Mapping[str, Mapping[str, Field]]] = {
    "alpha1": {
        **_fields(
            Field("name", _text, unused=True),
            Field("inputs", _list(_message("input1"))),
            Field("parameters", _map(_any)),
            Field("metadata", _map(_text)),
            Field("temperature", _double),
        ),
        "contextID": Field("contextID", _text),
        "scrubPII": Field("scrubPII", _flag),
    },
    "input1": {**_fields(Field("content", _text), Field("role", _text)), "scrubPII": Field("scrubPII", _flag)},
    "alpha2": _fields(
        Field("name", _text, unused=True),
        Field("contextId", _text),
        Field("inputs", _list(_message("input2"))),
        Field("parameters", _map(_any)),
        Field("metadata", _map(_text)),
        Field("scrubPii", _flag),
        Field("temperature", _double),
        Field("tools", _list(_message("tool"))),
        Field("toolChoice", _text),
        Field("responseFormat", _struct),
        Field("promptCacheRetention", _duration),
        Field("maxTokens", _int64),
    ),
    "input2": _fields(Field("messages", _list(_message("message"))), Field("scrubPii", _flag)),
    "message": _fields(
        Field("ofDeveloper", _message("said"), "message"),
        Field("ofSystem", _message("said"), "message"),
        Field("ofUser", _message("said"), "message"),
        Field("ofAssistant", _message("assistant"), "message"),
        Field("ofTool", _message("result"), "message"),
    ),
    "said": _SAID,
    "assistant": {**_SAID, **_fields(Field("toolCalls", _list(_message("call"))))},
    "result": _fields(Field("name", _text), _CONTENT, Field("toolId", _text)),
    "content": _fields(Field("text", _text)),
    "call": _fields(Field("id", _text), Field("function", _message("called"), "tool")),
    "called": _fields(Field("name", _text), Field("arguments", _text)),
    "tool": _fields(Field("function", _message("function"), "tool")),
    "function": _fields(Field("name", _text), Field("description", _text), Field("parameters", _struct)),
}
