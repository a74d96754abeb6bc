"""Anthropic Messages (POST /v1/messages), as a dialect and as a provider.

Parts: ``anthropic_request`` and ``anthropic_prompt`` (requests in and out), ``anthropic_decoder`` and
``anthropic_encoder`` (streams), ``anthropic_errors``, ``anthropic_blocks`` (what they share).
Source: provider contract section 2.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Raw, Struct, json
from msgspec.structs import replace

from parley.failure import ParleyError
from parley.ir import Block, ChatRequest, ChatResponse, Choice, Refusal, ToolCall, Usage
from parley.wire import Mark, Reply, Wire
from parley.wire.anthropic_blocks import (
    BAD_JSON,
    NAME,
    Json,
    answer_block,
    blocks_of,
    decode,
    encode,
    explained,
    merged,
    message_id,
    rest,
    stop_of,
    stop_reason,
    usage_from,
    usage_to,
    word,
)
from parley.wire.anthropic_decoder import MESSAGE, MessageDecoder, check_unknown
from parley.wire.anthropic_encoder import TERMINATOR, MessageEncoder
from parley.wire.anthropic_errors import bad, decode_error, encode_error, stream_failure
from parley.wire.anthropic_prompt import encode_request
from parley.wire.anthropic_request import KNOWN, decode_count, decode_request

# --- whole answers -----------------------------------------------------------------------------


def encode_response(response: ChatResponse, reply: Reply) -> bytes:
    """A message; only the first choice is written. Raises ``upstream_error`` for an answer that ended in error."""
    same = response.wire == NAME
    choice = response.choices[0] if response.choices else Choice(0, ())
    content = [value for block in choice.content if (value := answer_block(block, same=same)) is not None]
    details = _stop_details(choice.content) if same else None
    refused = details is None and any(isinstance(block, Refusal) for block in choice.content)
    message: Json = {
        "id": message_id(response.id, reply.id, same=same),
        "type": "message",
        "role": "assistant",
        "model": response.model or reply.model,
        "content": content,
        "stop_reason": stop_reason(choice.stop, choice.native, same=same, refused=refused),
        "stop_sequence": choice.stop_sequence,
        "usage": usage_to(response.usage, same=same),
    }
    if same:
        merged(message, {**choice.extra, **response.extra})
    if details is not None:
        message["stop_details"] = details
    return encode(message)


def _stop_details(content: tuple[Block, ...]) -> Any:
    refusals = (block for block in content if isinstance(block, Refusal))
    return next((block.extra["stop_details"] for block in refusals if "stop_details" in block.extra), None)


class _Input(Struct, frozen=True):
    input: Raw = Raw(b"")


class _Inputs(Struct, frozen=True):
    content: list[_Input]


_inputs = json.Decoder(_Inputs)


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), ``upstream_error``."""
    message = _message(body)
    native, sequence, usage = word(message, "stop_reason"), word(message, "stop_sequence"), message.get("usage")
    content, extra = _content(message["content"], body), {}
    refusal = explained(message.get("stop_details"))
    if refusal is not None:
        content = (*content, refusal)
    elif "stop_details" in message:
        extra = {"stop_details": message["stop_details"]}
    return ChatResponse(
        wire=NAME,
        id=word(message, "id") or "",
        model=word(message, "model") or "",
        choices=(Choice(0, content, stop_of(native), sequence, native, extra=extra),),
        usage=usage_from(usage) if type(usage) is dict else None,
        extra=rest(message, MESSAGE),
    )


def check_answer(body: bytes) -> None:
    """Raise unless the body is a message of this wire, as ``decode_response`` does."""
    _message(body)


def _message(body: bytes) -> Json:
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    try:
        value = decode(body)
    except BAD_JSON:
        bad("bad_json", "the provider's answer is not JSON")
    if type(value) is dict:
        if value.get("type") == "error":
            raise ParleyError(replace(stream_failure(value), wire=NAME, body=body))
        if value.get("type") == "message" and type(value.get("content")) is list:
            return value
    bad("bad_shape", "the provider's answer is not a message")


def _content(values: list[Any], body: bytes) -> tuple[Block, ...]:
    try:
        blocks = blocks_of(values)
    except ParleyError as error:
        bad("bad_shape", f"the provider's answer holds a block that is not valid: content{error.failure.param}")
    if not any(isinstance(block, ToolCall) for block in blocks):
        return blocks
    # The provider's own spelling of the arguments, which decoding and writing again would lose.
    texts = [bytes(item.input).decode() for item in _inputs.decode(body).content]
    return tuple(
        replace(block, arguments=text) if isinstance(block, ToolCall) else block
        for block, text in zip(blocks, texts, strict=True)
    )


class _Answer(Struct, frozen=True):
    usage: Json | None = None


_answer = json.Decoder(_Answer)


def usage_of(body: bytes) -> Usage | None:
    """Usage of a whole answer, None where it has none or cannot be read."""
    try:
        usage = _answer.decode(body).usage
    except BAD_JSON:
        return None
    return usage_from(usage) if usage else None


# --- verbatim streams --------------------------------------------------------------------------


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
    message: _Answer | None = None
    usage: Json | None = None


_glance = json.Decoder(_Glance)
_NOTHING = Mark()
_CONTENT = Mark(content=True)
_END = Mark(end=True)


def glance(event: str, data: bytes) -> Mark:
    """What one event tells. ``usage`` is only what this event reports; raises ``upstream_bad_response`` (bad_event)."""
    try:
        seen = _glance.decode(data)
    except BAD_JSON:
        check_unknown(event, data)
        return _NOTHING
    kind, delta = seen.type or event, seen.delta
    if kind == "content_block_delta":
        return _CONTENT if delta and (delta.text or delta.partial_json or delta.thinking) else _NOTHING
    if kind == "content_block_start":
        block = seen.content_block
        return _CONTENT if block and (block.type == "tool_use" or block.text) else _NOTHING
    return _rare(kind, seen, data)


def _rare(kind: str, seen: _Glance, data: bytes) -> Mark:
    if kind == "message_delta":
        finished = seen.delta is not None and seen.delta.stop_reason is not None
        return Mark(finished=finished, usage=usage_from(seen.usage) if seen.usage else None)
    if kind == "message_start":
        usage = seen.message.usage if seen.message else None
        return Mark(usage=usage_from(usage)) if usage else _NOTHING
    if kind == "error":
        return Mark(failure=replace(stream_failure(decode(data)), wire=NAME, body=data))
    return _END if kind == "message_stop" else _NOTHING


# --- counting ----------------------------------------------------------------------------------


def count_tokens(body: Json, measure: Callable[[ChatRequest], int]) -> bytes:
    """The answer of POST /v1/messages/count_tokens, for a provider that cannot be asked."""
    return encode({"input_tokens": measure(decode_count(body))})


WIRE = Wire(
    name=NAME,
    decode_request=decode_request,
    encode_response=encode_response,
    stream_encoder=MessageEncoder,
    encode_error=encode_error,
    encode_request=encode_request,
    decode_response=decode_response,
    stream_decoder=MessageDecoder,
    decode_error=decode_error,
    glance=glance,
    usage_of=usage_of,
    check_answer=check_answer,
    terminator=TERMINATOR,
    rename={
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "max_tokens": "max_tokens",
        "max_completion_tokens": "max_tokens",
        # A list here, where the other dialect also takes a string: whoever edits must wrap it.
        "stop": "stop_sequences",
        "stream": "stream",
    },
    known=KNOWN,
    count=count_tokens,
)
