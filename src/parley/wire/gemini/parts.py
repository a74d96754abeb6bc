"""Gemini's parts, read: those of a request's contents and those of an answer.

Calls may lack an id and results name their function: ``Ids`` gives every call one and finds the call of a result.
Source: provider contract 3.2, 3.6.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from parley.failure import ParleyError, at, invalid
from parley.ir import Block, Media, MediaKind, Opaque, Text, Thinking, ToolCall, ToolResult
from parley.wire.gemini.names import NAME, Json, encode, rest
from parley.wire.signature import FILLER, SIGNED, native, opened, sealed

_TEXT: Final = frozenset({"text", "thought"})
_THOUGHT: Final = frozenset({"text", "thought", "thoughtSignature"})
_CALL: Final = frozenset({"functionCall"})
_INLINE: Final = frozenset({"inlineData"})
_FILE: Final = frozenset({"fileData"})
_WORDS: Final = {str: "a string", dict: "an object", list: "a list", int: "an integer", bool: "true or false"}
_REDACTED: Final = "redacted:"
# Where files live that only this provider can read.
_HOME: Final = ("gs://", "https://generativelanguage.googleapis.com/")
_TOLD: Final = ("output", "result")
_NOT_SAID: Final = frozenset({"name", "id", "response", "parts"})
T = TypeVar("T")


def required(holder: Json, key: str, kind: type[T]) -> T:
    """The member of exactly that type; raises ``invalid_request`` naming it. Null counts as absent."""
    value: T | None = holder.get(key)
    if type(value) is kind:
        return value
    raise invalid(f"{key} is required" if value is None else f"{key} must be {_WORDS[kind]}", key)


def optional(holder: Json, key: str, kind: type[T]) -> T | None:
    """The member of exactly that type, None where absent or null; raises ``invalid_request`` naming it."""
    value: T | None = holder.get(key)
    if value is None or type(value) is kind:
        return value
    raise invalid(f"{key} must be {_WORDS[kind]}", key)


class Ids:
    """The calls of one conversation or answer, and which of them wait for a result."""

    __slots__ = ("_count", "_open", "_seen", "_unique")

    def __init__(self, *, unique: bool = False) -> None:
        self._count = 0
        self._open: list[tuple[str, str]] = []
        self._seen: set[str] = set()
        self._unique = unique

    def call(self, given: Any, name: str) -> str:
        """The id of a call: its own, else ``call_<n>``. Raises ``invalid_request`` for one that another call of the
        same answer has."""
        found = given if type(given) is str and given else self._next()
        if self._unique and found in self._seen:
            raise invalid("two calls have the same id", "id")
        self._seen.add(found)
        self._open.append((found, name))
        return found

    def _next(self) -> str:
        while True:
            self._count += 1
            found = f"call_{self._count}"
            if found not in self._seen:
                return found

    def result(self, given: Any, name: str) -> str:
        """The id of the call that this is the result of: the one named, else the first of that function."""
        for match in ((given, None), (None, name)):
            for call in self._open:
                if call[0] == match[0] or call[1] == match[1]:
                    self._open.remove(call)
                    return call[0]
        return given if type(given) is str and given else self._next()


def blocks_of(values: list[Any], ids: Ids) -> tuple[Block, ...]:
    """Every part; the field path of an error begins with "[index]"."""
    found: list[Block] = []
    for index, value in enumerate(values):
        try:
            block = block_of(value, ids)
        except ParleyError as error:
            raise at(error, f"[{index}]") from None
        if (closed := _resealed(block, found)) is not None:
            found.append(closed)
    return tuple(found)


def _resealed(block: Block, before: list[Block]) -> Block | None:
    """A signature that others gave closes the thought that was streamed before it, piece by piece: they want both as
    one. What Gemini signs it signs alone. None: the thought had ended before other parts, and is closed there."""
    if type(block) is not Thinking or block.text or block.signature is None or opened(block.signature) is not None:
        return block
    end = len(before)
    while end and not _unsealed(before[end - 1]):
        end -= 1
    start = end
    while start and _unsealed(before[start - 1]):
        start -= 1
    if start == end:
        return block
    text = "".join([part.text for part in before[start:end] if type(part) is Thinking])
    closed = replace(block, text=text)
    if end == len(before):
        del before[start:]
        return closed
    before[start:end] = [closed]
    return None


def _unsealed(block: Block) -> bool:
    return type(block) is Thinking and block.signature is None and block.redacted is None


def block_of(part: Any, ids: Ids) -> Block:
    """One part; a kind nobody knows is Opaque. Raises ``invalid_request`` naming the member."""
    if type(part) is not dict:
        raise invalid("a part must be an object")
    if part.get("text") is not None:
        return _text(part)
    for name, read in _READERS.items():
        if part.get(name) is not None:
            inner = required(part, name, dict)
            try:
                return read(part, inner, ids)
            except ParleyError as error:
                raise at(error, name) from None
    return _sealed_thought(part) if part.get("thought") is True else Opaque(NAME, part)


def _text(part: Json) -> Block:
    text = required(part, "text", str)
    if part.get("thought") is True:
        return _thought(part, text)
    return Text(text, rest(part, _TEXT))


def _sealed_thought(part: Json) -> Block:
    """A thought of which only the signature is told."""
    return _thought(part, "") if type(part.get("thoughtSignature")) is str else Opaque(NAME, part)


def _thought(part: Json, text: str) -> Block:
    signature = optional(part, "thoughtSignature", str)
    if signature is None:
        return Thinking(text, extra=rest(part, _THOUGHT))
    own = native(signature)
    if own is not None and own.startswith(_REDACTED):
        return Thinking(redacted=own[len(_REDACTED) :])
    return Thinking(text, sealed(signature) if own is None else own, extra=rest(part, _THOUGHT))


def redacted(data: str) -> str:
    """What ``foreign`` is to wrap for a thought that is told in no words."""
    return _REDACTED + data


def _call(part: Json, inner: Json, ids: Ids) -> Block:
    name = required(inner, "name", str)
    arguments = encode(optional(inner, "args", dict) or {}).decode()
    extra = rest(part, _CALL)
    if extra.get(SIGNED) == FILLER:
        del extra[SIGNED]
    return ToolCall(ids.call(inner.get("id"), name), name, arguments, extra)


def _result(part: Json, inner: Json, ids: Ids) -> Block:
    name = required(inner, "name", str)
    response = optional(inner, "response", dict) or {}
    shown = [block_of(item, ids) for item in optional(inner, "parts", list) or ()]
    text, is_error = _told(response)
    return ToolResult(ids.result(inner.get("id"), name), (Text(text), *shown), is_error, rest(inner, _NOT_SAID))


def _told(response: Json) -> tuple[str, bool]:
    """What a function answered, as text, and whether that is an error."""
    if len(response) == 1:
        name, value = next(iter(response.items()))
        if name in _TOLD or name == "error":
            return value if type(value) is str else encode(value).decode(), name == "error"
    return encode(response).decode(), False


def _inline(part: Json, inner: Json, ids: Ids) -> Block:
    media_type, title = optional(inner, "mimeType", str), optional(inner, "displayName", str)
    # Clients of this wire write base64 for URLs, everyone else the standard one.
    data = required(inner, "data", str).replace("-", "+").replace("_", "/")
    return Media(kind=kind_of(media_type), data=data, media_type=media_type, name=title, extra=rest(part, _INLINE))


def _file(part: Json, inner: Json, ids: Ids) -> Block:
    media_type, title = optional(inner, "mimeType", str), optional(inner, "displayName", str)
    kind, uri, extra = kind_of(media_type), required(inner, "fileUri", str), rest(part, _FILE)
    if uri.startswith(_HOME):
        return Media(kind=kind, file_id=uri, media_type=media_type, name=title, extra=extra)
    return Media(kind=kind, url=uri, media_type=media_type, name=title, extra=extra)


def kind_of(media_type: str | None) -> MediaKind:
    """What a media type is: a picture, sound, a video, or else a document."""
    family = (media_type or "").partition("/")[0]
    if family == "image":
        return "image"
    if family == "audio":
        return "audio"
    return "video" if family == "video" else "document"


_READERS: Final[Mapping[str, Callable[[Json, Json, Ids], Block]]] = {
    "functionCall": _call,
    "functionResponse": _result,
    "inlineData": _inline,
    "fileData": _file,
}
