"""Legacy completions answers, read from a provider and written for a caller; what streams share with them.

A choice is one text. Refusals are text too, for want of a place; reasoning travels as ``reasoning_content`` beside
it, as in chat. A tool call has no place at all and is a provider's fault: none was offered.
"""

from typing import Any

from msgspec import json

from parley.failure import ParleyError
from parley.ir import Block, ChatResponse, Choice, Refusal, Stop, Text, Thinking, ToolCall
from parley.wire import Reply
from parley.wire.openai_completions.request import WIRE_NAME
from parley.wire.openai_error import BAD_JSON, bad_response, stream_failure, told_error
from parley.wire.openai_usage import read_usage, usage_object

STOPS: dict[str, Stop] = {"stop": "end", "length": "length", "content_filter": "refusal"}
REASONS: dict[Stop, str] = {"length": "length", "refusal": "content_filter"}


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error
    object means (detail stream_error) where a provider answers one with status 200."""
    data = _object(body)
    if error := told_error(data):
        raise ParleyError(stream_failure(error))
    choices, usage = data.pop("choices", None), data.pop("usage", None)
    if not isinstance(choices, list):
        raise _bad_shape()
    for name in ("object", "error"):
        data.pop(name, None)
    return ChatResponse(
        wire=WIRE_NAME,
        choices=tuple(_choice(place, choice) for place, choice in enumerate(choices)),
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        **identity(data),
        extra=data,
    )


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        data = json.decode(body)
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
    if not isinstance(data, dict):
        raise _bad_shape()
    return data


def _bad_shape() -> ParleyError:
    return bad_response("bad_shape", "the provider's answer is not a completion")


def identity(data: dict[str, Any]) -> dict[str, Any]:
    """Id, model and time, taken out of ``data``; "" and 0 where there are none."""
    id_, model, created = data.pop("id", None), data.pop("model", None), data.pop("created", None)
    return {
        "id": id_ if isinstance(id_, str) else "",
        "model": model if isinstance(model, str) else "",
        "created": int(created) if isinstance(created, int | float) else 0,
    }


def _choice(place: int, choice: Any) -> Choice:
    if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
        raise _bad_shape()
    text, reason, logprobs = choice.pop("text"), choice.pop("finish_reason", None), choice.pop("logprobs", None)
    thought, index = choice.pop("reasoning_content", None), choice.pop("index", place)
    content: tuple[Block, ...] = (Thinking(thought),) if thought and isinstance(thought, str) else ()
    return Choice(
        index if isinstance(index, int) else place,
        (*content, Text(text)),
        STOPS.get(reason, "end") if isinstance(reason, str) else "end",
        native=reason if isinstance(reason, str) else None,
        logprobs=logprobs,
        extra=choice,
    )


def encode_response(response: ChatResponse, reply: Reply) -> bytes:
    """A whole answer for the caller. Extras and native stop words only where it came on this wire."""
    same = response.wire == WIRE_NAME
    body: dict[str, Any] = {
        "id": response.id or reply.id,
        "object": "text_completion",
        "created": response.created or reply.created,
        "model": response.model or reply.model,
        "choices": [_choice_object(choice, same) for choice in response.choices],
    }
    if response.usage is not None:
        body["usage"] = usage_object(response.usage, same)
    return json.encode({**body, **response.extra} if same else body)


def _choice_object(choice: Choice, same: bool) -> dict[str, Any]:
    refuse_calls(*choice.content)
    made: dict[str, Any] = {
        "text": "".join(block.text for block in choice.content if isinstance(block, Text | Refusal)),
        "index": choice.index,
        "logprobs": choice.logprobs if same else None,
        "finish_reason": reason_of(choice.stop, choice.native, same),
    }
    if thought := "".join(block.text for block in choice.content if isinstance(block, Thinking)):
        made["reasoning_content"] = thought
    return {**made, **choice.extra} if same else made


def refuse_calls(*blocks: Block) -> None:
    """Raise ``upstream_bad_response`` (bad_shape) where one of them is a tool call."""
    if any(isinstance(block, ToolCall) for block in blocks):
        raise bad_response("bad_shape", "the model answered with a tool call, though it was offered no tool")


def reason_of(stop: Stop, native: str | None, same: bool) -> str:
    """The provider's own word on its own wire, else one of the three that there are."""
    return native if same and native else REASONS.get(stop, "stop")
