"""Anthropic Messages as the verbatim path sees them: a look into an answer or an event, no more.

Only the members that matter are decoded; everything else is skipped.
"""

from typing import Final

from msgspec import Raw, Struct, json

from parley.ir import Usage
from parley.wire import Mark
from parley.wire.anthropic.answer import message_of
from parley.wire.anthropic.blocks import BAD_JSON, Json, decode, usage_from
from parley.wire.anthropic.decoder import check_unknown, unnamed_failure
from parley.wire.anthropic.errors import stream_failure
from parley.wire.grade import grade_of


class _Details(Struct, gc=False):
    thinking_tokens: float | int | None = None


class _Written(Struct, gc=False):
    ephemeral_1h_input_tokens: float | int | None = None


class _Tools(Struct, gc=False):
    web_search_requests: float | int | None = None


class _Counts(Struct, gc=False):
    input_tokens: float | int | None = None
    output_tokens: float | int | None = None
    cache_creation_input_tokens: float | int | None = None
    cache_read_input_tokens: float | int | None = None
    output_tokens_details: _Details | None = None
    cache_creation: _Written | None = None
    server_tool_use: _Tools | None = None
    service_tier: str | None = None
    speed: str | None = None


class _Answer(Struct, gc=False):
    type: str = ""
    content: Raw = Raw()
    usage: _Counts | None = None


_answer: Final = json.Decoder(_Answer).decode


def check_answer(body: bytes) -> Usage | None:
    """The counts of a whole answer's usage, None where it has none.

    Raises as ``decode_response`` unless it is a message.
    """
    try:
        if not body.isascii():
            body.decode()  # members that are skipped are not checked by the decoder
        answer = _answer(body)
    except BAD_JSON:
        usage = message_of(body).get("usage")
        return usage_from(usage) if usage and type(usage) is dict else None
    if answer.type != "message" or not bytes(answer.content).startswith(b"["):
        message_of(body)
    return None if answer.usage is None else _counted(answer.usage)


def _counted(usage: _Counts) -> Usage:
    """The numbers alone, which is all that a meter needs."""
    written, read, made = usage.cache_creation_input_tokens, usage.cache_read_input_tokens, usage.output_tokens_details
    kept, tools = usage.cache_creation, usage.server_tool_use
    return Usage(
        int((usage.input_tokens or 0) + (written or 0) + (read or 0)),
        int(usage.output_tokens or 0),
        None if read is None else int(read),
        None if written is None else int(written),
        None if made is None or made.thinking_tokens is None else int(made.thinking_tokens),
        cache_write_1h=None if kept is None else _whole(kept.ephemeral_1h_input_tokens),
        searches=None if tools is None else _whole(tools.web_search_requests),
        tier=grade_of(usage.service_tier, usage.speed),
    )


def _whole(count: float | int | None) -> int | None:
    return None if count is None else int(count)


class _Started(Struct, frozen=True):
    usage: Json | None = None


class _GlanceDelta(Struct, frozen=True, gc=False):
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    stop_reason: str | None = None


class _GlanceBlock(Struct, frozen=True, gc=False):
    type: str = ""
    text: str = ""


class _Glance(Struct, frozen=True):
    type: str = ""
    delta: _GlanceDelta | None = None
    content_block: _GlanceBlock | None = None
    message: _Started | None = None
    usage: Json | None = None


_glance: Final = json.Decoder(_Glance).decode
_NOTHING: Final = Mark()
_CONTENT: Final = Mark(content=True)
_END: Final = Mark(end=True)


def glance(event: str, data: bytes) -> Mark:
    """What one event tells. ``usage`` is only what this event reports; raises ``upstream_bad_response`` (bad_event)."""
    try:
        seen = _glance(data)
    except BAD_JSON:
        check_unknown(event, data)
        return _NOTHING
    kind, delta = seen.type or event, seen.delta
    if kind == "content_block_delta":
        return _CONTENT if delta and (delta.text or delta.partial_json or delta.thinking) else _NOTHING
    if kind == "content_block_start":
        block = seen.content_block
        return _CONTENT if block and (block.type == "tool_use" or block.text) else _NOTHING
    return _rare(kind, seen, event, data)


def _rare(kind: str, seen: _Glance, event: str, data: bytes) -> Mark:
    if kind == "message_delta":
        finished = seen.delta is not None and seen.delta.stop_reason is not None
        return Mark(finished=finished, usage=usage_from(seen.usage) if seen.usage else None)
    if kind == "message_start":
        usage = seen.message.usage if seen.message else None
        return Mark(usage=usage_from(usage)) if usage else _NOTHING
    if kind == "error":
        return Mark(failure=stream_failure(decode(data), data))
    if kind == "message_stop":
        return _END
    failure = unnamed_failure(event, data)
    return _NOTHING if failure is None else Mark(failure=failure)
