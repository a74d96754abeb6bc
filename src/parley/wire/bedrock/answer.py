"""Amazon Bedrock Converse: whole answers, read from the provider.

Source: provider contract 10.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw, Struct, json

from parley.failure import ParleyError
from parley.ir import Block, ChatResponse, Choice, Media, Opaque, Text, Thinking, ToolCall, Usage
from parley.wire.bedrock.errors import error_in
from parley.wire.bedrock.words import BAD_JSON, NAME, Json, bad, decode, matched, rest, stop_of, usage_of

_KNOWN = frozenset({"output", "stopReason", "usage"})


class _Said(Struct, frozen=True):
    content: list[dict[str, Raw]]


class _Output(Struct, frozen=True):
    message: _Said


class _Answer(Struct, frozen=True):
    output: _Output


class _ToolUse(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    input: Raw = Raw(b"{}")


_answer = json.Decoder(_Answer).decode
_tool_use = json.Decoder(_ToolUse).decode


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. It has neither id nor model: whoever asked knows them.

    Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), what an error object means, and
    ``upstream_error`` for output that the provider itself calls malformed.
    """
    value = _object(body)
    try:
        content = tuple(_block(parts) for parts in _answer(body).output.message.content)
    except BAD_JSON:
        bad("bad_shape", "the provider's answer holds no message")
    reason = value.get("stopReason")
    if type(reason) is not str:
        bad("bad_shape", "the provider's answer has no stop reason")
    called = any(isinstance(block, ToolCall) for block in content)
    sequence = matched(value.get("additionalModelResponseFields"))
    return ChatResponse(
        wire=NAME,
        id="",
        model="",
        choices=(Choice(0, content, stop_of(reason, called), sequence, reason),),
        usage=usage_of(value.get("usage")),
        extra=rest(value, _KNOWN),
    )


def check_answer(body: bytes) -> Usage | None:
    """The usage of a whole answer; raises as ``decode_response``."""
    return decode_response(body).usage


def _object(body: bytes) -> Json:
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    try:
        value = decode(body)
    except BAD_JSON:
        bad("bad_json", "the provider's answer is not JSON")
    failure = error_in(value)
    if failure is not None:
        raise ParleyError(failure)
    if type(value) is not dict or type(value.get("output")) is not dict:
        bad("bad_shape", "the provider's answer has no output")
    return value


def _block(parts: dict[str, Raw]) -> Block:
    """One block, a union by its only key."""
    for kind, raw in parts.items():
        if kind in _READERS:
            return _READERS[kind](raw)
    return Opaque(NAME, {kind: decode(raw) for kind, raw in parts.items()})


def _text(raw: Raw) -> Block:
    return Text(json.decode(raw, type=str))


def _call(raw: Raw) -> Block:
    call = _tool_use(raw)
    # The provider's own spelling of the arguments, which decoding and writing again would lose.
    return ToolCall(call.tool_use_id, call.name, bytes(call.input).decode())


def _reasoning(raw: Raw) -> Block:
    value = json.decode(raw, type=dict[str, Any])
    redacted = value.get("redactedContent")
    if type(redacted) is str:
        return Thinking(redacted=redacted)
    inner = value.get("reasoningText")
    if type(inner) is not dict or type(inner.get("text")) is not str:
        return Opaque(NAME, {"reasoningContent": value})
    signature = inner.get("signature")
    return Thinking(inner["text"], signature if type(signature) is str else None)


def _cited(raw: Raw) -> Block:
    value = json.decode(raw, type=dict[str, Any])
    parts = value.get("content")
    said = [part.get("text") for part in parts if type(part) is dict] if type(parts) is list else []
    return Text("".join(text for text in said if type(text) is str), {"citations": value.get("citations") or []})


def _image(raw: Raw) -> Block:
    value = json.decode(raw, type=dict[str, Any])
    form, source = value.get("format"), value.get("source")
    data = source.get("bytes") if type(source) is dict else None
    if type(data) is not str or type(form) is not str:
        return Opaque(NAME, {"image": value})
    return Media(kind="image", data=data, media_type=f"image/{form}")


_READERS: Mapping[str, Callable[[Raw], Block]] = {
    "text": _text,
    "toolUse": _call,
    "reasoningContent": _reasoning,
    "citationsContent": _cited,
    "image": _image,
}
