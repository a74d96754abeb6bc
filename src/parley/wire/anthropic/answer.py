"""Anthropic Messages: whole answers, read from a provider and written for a caller.

Source: provider contract 2.3.
"""

from typing import Any

from msgspec import Raw, Struct, json
from msgspec.structs import replace

from parley.failure import ParleyError
from parley.ir import Block, ChatResponse, Choice, Refusal, ToolCall
from parley.wire import Reply
from parley.wire.anthropic.blocks import (
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
from parley.wire.anthropic.decoder import MESSAGE
from parley.wire.anthropic.errors import bad, stream_failure
from parley.wire.signature import apart


def encode_response(response: ChatResponse, reply: Reply) -> bytes:
    """A message; only the first choice is written. Raises ``upstream_error`` for an answer that ended in error."""
    same = response.wire == NAME
    choice = response.choices[0] if response.choices else Choice(0, ())
    content = [value for block in choice.content for value in _told(block, same=same)]
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


def _told(block: Block, *, same: bool) -> list[Json]:
    """A block as this wire says it; a call that another wire signed comes after an empty thought with the signature."""
    value = answer_block(block, same=same)
    if value is None:
        return []
    thought = None if same else apart(block)
    return [value] if thought is None else [{"type": "thinking", "thinking": "", "signature": thought.signature}, value]


def _stop_details(content: tuple[Block, ...]) -> Any:
    refusals = (block for block in content if isinstance(block, Refusal))
    return next((block.extra["stop_details"] for block in refusals if "stop_details" in block.extra), None)


class _Input(Struct, frozen=True):
    input: Raw = Raw(b"")


class _Inputs(Struct, frozen=True):
    content: list[_Input]


_inputs = json.Decoder(_Inputs)


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    message = message_of(body)
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


def message_of(body: bytes) -> Json:
    """The object of an answer, proven to be a message. Raises as ``decode_response``."""
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    try:
        value = decode(body)
    except BAD_JSON:
        bad("bad_json", "the provider's answer is not JSON")
    if type(value) is dict:
        kind = value.get("type")
        if kind == "error" or (kind != "message" and value.get("error")):
            raise ParleyError(stream_failure(value, body))
        if kind == "message" and type(value.get("content")) is list:
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
