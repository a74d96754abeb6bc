"""Anthropic Messages: content blocks, usage and stop reasons, as requests, answers and streams share them."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from parley.failure import Failure, ParleyError, at, invalid
from parley.ir import (
    Block,
    DeltaKind,
    Extra,
    Media,
    MediaKind,
    Opaque,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from parley.wire.grade import grade_of

NAME = "anthropic"
BAD_JSON = (msgspec.DecodeError, ValueError, RecursionError)

Json: TypeAlias = dict[str, Any]
Readers: TypeAlias = Mapping[str, Callable[[Json], Block]]
T = TypeVar("T")

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode
_object = msgspec.json.Decoder(dict[str, Any])

STOPS: Mapping[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "pause_turn": "pause",
}
STOP_REASONS: Mapping[Stop, str] = {
    "end": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_WORDS: Mapping[type, str] = {
    str: "a string",
    dict: "an object",
    list: "a list",
    int: "an integer",
    bool: "a boolean",
}


def required(holder: Json, key: str, kind: type[T]) -> T:
    """The member of exactly that type; raises ``invalid_request`` naming it. Null counts as absent."""
    value: T | None = holder.get(key)
    if type(value) is kind:
        return value
    raise invalid("is required" if value is None else f"must be {_WORDS[kind]}", key)


def optional(holder: Json, key: str, kind: type[T]) -> T | None:
    """The member of exactly that type, None where absent or null; raises ``invalid_request`` naming it."""
    value: T | None = holder.get(key)
    if value is None or type(value) is kind:
        return value
    raise invalid(f"must be {_WORDS[kind]}", key)


def word(holder: Json, key: str) -> str | None:
    """The member where it is a string, else None: for what an answer may leave out."""
    value = holder.get(key)
    return value if type(value) is str else None


def rest(holder: Json, known: frozenset[str]) -> Extra:
    """The members nobody knows, as they came."""
    if holder.keys() <= known:
        return {}
    return {key: value for key, value in holder.items() if key not in known}


# --- reading -----------------------------------------------------------------------------------


def block_of(value: Any, readers: Readers | None = None) -> Block:
    """One content block; a type nobody knows is Opaque. Raises ``invalid_request`` naming the member."""
    if type(value) is not dict:
        raise invalid("must be an object")
    reader = (READERS if readers is None else readers).get(required(value, "type", str))
    return Opaque(NAME, value) if reader is None else reader(value)


def blocks_of(values: list[Any], readers: Readers | None = None) -> tuple[Block, ...]:
    """A list of content blocks; the field path of an error begins with "[index]"."""
    found = []
    for index, value in enumerate(values):
        try:
            found.append(block_of(value, readers))
        except ParleyError as error:
            raise at(error, f"[{index}]") from None
    return tuple(found)


def content_of(holder: Json, key: str, readers: Readers | None = None) -> tuple[Block, ...] | None:
    """Content given as a string or as blocks; None where absent or null."""
    value = holder.get(key)
    if type(value) is str:
        return (Text(value),)
    if type(value) is list:
        try:
            return blocks_of(value, readers)
        except ParleyError as error:
            raise at(error, key) from None
    if value is None:
        return None
    raise invalid("must be a string or a list of blocks", key)


_PLAIN = "text/plain"
_TEXT_SOURCE = frozenset({"type", "media_type", "data"})
_TEXT = frozenset({"type", "text"})
_IMAGE = frozenset({"type", "source"})
_DOCUMENT = frozenset({"type", "source", "title"})
_TOOL_USE = frozenset({"type", "id", "name", "input"})
_TOOL_RESULT = frozenset({"type", "tool_use_id", "content", "is_error"})
_THINKING = frozenset({"type", "thinking", "signature"})
_REDACTED = frozenset({"type", "data"})
_SOURCES: Mapping[str, tuple[str, ...]] = {"base64": ("data", "media_type"), "url": ("url",), "file": ("file_id",)}


def _text(value: Json) -> Block:
    return Text(required(value, "text", str), rest(value, _TEXT))


def _image(value: Json) -> Block:
    return _media(value, "image", None, _IMAGE)


def _document(value: Json) -> Block:
    return _media(value, "document", optional(value, "title", str), _DOCUMENT)


def _media(value: Json, kind: MediaKind, name: str | None, known: frozenset[str]) -> Block:
    source = required(value, "source", dict)
    try:
        said = required(source, "type", str)
        if kind == "document" and said in ("text", "content"):
            return _words_of(value, source, name)
        fields = _SOURCES.get(said)
        if fields is None:
            return Opaque(NAME, value)
        found = {field: required(source, field, str) for field in fields}
    except ParleyError as error:
        raise at(error, "source") from None
    extra = rest(value, known)
    more = rest(source, frozenset({"type", *fields}))
    return Media(kind=kind, name=name, extra={**extra, "source": more} if more else extra, **found)


def _words_of(value: Json, source: Json, name: str | None) -> Block:
    """A document of text alone. A source that is more than plain text stays whole in ``extra`` for its own wire; one
    with pictures is nothing that other wires have."""
    if source["type"] == "text":
        words = required(source, "data", str)
        plain = source.get("media_type", _PLAIN) == _PLAIN and source.keys() <= _TEXT_SOURCE
    else:
        plain = False
        blocks = content_of(source, "content", RESULT_READERS)
        if blocks is None:
            raise invalid("is required", "content")
        texts = [block.text for block in blocks if type(block) is Text]
        if len(texts) != len(blocks):
            return Opaque(NAME, value)
        words = "\n".join(texts)
    extra = rest(value, _DOCUMENT)
    data = b64encode(words.encode()).decode()
    extra = extra if plain else {**extra, "source": source}
    return Media(kind="document", data=data, media_type=_PLAIN, name=name, extra=extra)


def _tool_use(value: Json) -> Block:
    arguments = encode(required(value, "input", dict)).decode()
    return ToolCall(required(value, "id", str), required(value, "name", str), arguments, rest(value, _TOOL_USE))


def _tool_result(value: Json) -> Block:
    return ToolResult(
        required(value, "tool_use_id", str),
        content_of(value, "content", RESULT_READERS) or (),
        optional(value, "is_error", bool) or False,
        rest(value, _TOOL_RESULT),
    )


def _thinking(value: Json) -> Block:
    return Thinking(required(value, "thinking", str), optional(value, "signature", str), None, rest(value, _THINKING))


def _redacted(value: Json) -> Block:
    return Thinking(redacted=required(value, "data", str), extra=rest(value, _REDACTED))


RESULT_READERS: Readers = {"text": _text, "image": _image, "document": _document}
READERS: Readers = {
    **RESULT_READERS,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


# --- writing -----------------------------------------------------------------------------------


def answer_block(block: Block, *, same: bool) -> Json | None:
    """A block of an answer, or of a stream's block start; None for what this wire cannot say.

    ``same``: the block came from this wire, so its ``extra`` goes out.
    """
    match block:
        case Text(text, extra):
            return _with({"type": "text", "text": text}, extra, same)
        case Thinking(redacted=str(data), extra=extra):
            return _with({"type": "redacted_thinking", "data": data}, extra, same)
        case Thinking(text, signature, _, extra):
            return _with({"type": "thinking", "thinking": text, "signature": signature or ""}, extra, same)
        case ToolCall(id, name, arguments, extra):
            call = {"type": "tool_use", "id": id, "name": name, "input": input_of(arguments)}
            return _with(call, extra, same)
        case Refusal(text, extra):
            return None if same and "stop_details" in extra else {"type": "text", "text": text}
        case Opaque(wire, value):
            return value if wire == NAME else None
    return None


def _with(value: Json, extra: Extra, same: bool) -> Json:
    if same and extra:
        value.update(extra)
    return value


def input_of(arguments: str) -> Any:
    """Arguments as the ``input`` object, the text itself where it is one; other text is wrapped as ``_raw``."""
    if arguments in ("", "{}") or arguments.isspace():
        return {}
    return Raw(arguments.encode()) if is_object(arguments) else {"_raw": arguments}


def is_object(text: str) -> bool:
    """Whether the text is one whole JSON object."""
    try:
        _object.decode(text)
    except BAD_JSON:
        return False
    return True


def shell_of(block: Block) -> tuple[Block, list[tuple[DeltaKind, str]]]:
    """A block without its growing parts, and those parts."""
    parts: list[tuple[DeltaKind, str]] = []
    shell: Block = block
    match block:
        case Text(text):
            shell, parts = replace(block, text=""), [("text", text)]
        case Refusal(text):
            shell, parts = replace(block, text=""), [("refusal", text)]
        case Thinking(text, signature, None):
            shell = replace(block, text="", signature="")
            parts = [("thinking", text), ("signature", signature or "")]
        case ToolCall():
            shell = replace(block, arguments="")
    return shell, [(kind, text) for kind, text in parts if text]


# --- usage -------------------------------------------------------------------------------------

_USAGE = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "output_tokens_details",
    }
)


def usage_from(value: Json) -> Usage:
    """Canonical usage: the three input counts of this wire are parts of one sum."""
    written, read = _count(value, "cache_creation_input_tokens"), _count(value, "cache_read_input_tokens")
    details = value.get("output_tokens_details")
    extra = rest(value, _USAGE)
    if type(details) is dict and len(details) > ("thinking_tokens" in details):
        extra["output_tokens_details"] = rest(details, frozenset({"thinking_tokens"}))
    return Usage(
        input=(_count(value, "input_tokens") or 0) + (written or 0) + (read or 0),
        output=_count(value, "output_tokens") or 0,
        cached=read,
        cache_write=written,
        reasoning=_count(details, "thinking_tokens") if type(details) is dict else None,
        extra=extra,
        cache_write_1h=_inner(value, "cache_creation", "ephemeral_1h_input_tokens"),
        searches=_inner(value, "server_tool_use", "web_search_requests"),
        tier=grade_of(value.get("service_tier"), value.get("speed")),
    )


def _inner(value: Json, holder: str, key: str) -> int | None:
    """It stays in ``extra`` too, for its own wire."""
    found = value.get(holder)
    return _count(found, key) if type(found) is dict else None


def _count(value: Json, key: str) -> int | None:
    """A token count; some servers write it as 5.0. Anything else counts as not reported."""
    found = value.get(key)
    return int(found) if type(found) is int or type(found) is float else None


def usage_to(usage: Usage | None, *, same: bool) -> Json:
    """Usage in this wire's words; counts nobody reported are absent, the two required ones 0."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    fresh = usage.input - (usage.cached or 0) - (usage.cache_write or 0)
    value: Json = {"input_tokens": max(fresh, 0), "output_tokens": usage.output}
    if usage.cached is not None:
        value["cache_read_input_tokens"] = usage.cached
    if usage.cache_write is not None:
        value["cache_creation_input_tokens"] = usage.cache_write
    if usage.reasoning is not None:
        value["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return merged(value, usage.extra) if same else value


def merged(value: Json, extra: Extra) -> Json:
    """``value`` with members of ``extra`` added, objects within objects."""
    for key, more in extra.items():
        found = value.get(key)
        value[key] = merged(dict(found), more) if type(found) is dict and type(more) is dict else more
    return value


# --- ends --------------------------------------------------------------------------------------


def stop_of(reason: str | None) -> Stop:
    """The canonical stop; a reason nobody knows is an ordinary end (its own word is kept beside)."""
    return STOPS.get(reason or "", "end")


def stop_reason(stop: Stop, native: str | None, *, same: bool, refused: bool) -> str:
    """This wire's word. Raises ``upstream_error`` where the provider itself said that the answer failed."""
    if stop == "error":
        raise ParleyError(
            Failure("upstream_error", "the provider ended the answer with an error", detail="stream_error")
        )
    if same and native:
        return native
    return "refusal" if refused else STOP_REASONS[stop]


def explained(details: Any) -> Refusal | None:
    """The refusal that ``stop_details`` explains in words; it carries the details for its own wire."""
    text = details.get("explanation") if type(details) is dict else None
    return Refusal(text, {"stop_details": details}) if type(text) is str and text else None


def message_id(reported: str, fallback: str, *, same: bool) -> str:
    """An id as this wire's callers know it; one reported by this wire stays as it is."""
    found = reported or fallback
    return found if found.startswith("msg_") or (same and reported) else f"msg_{found}"
