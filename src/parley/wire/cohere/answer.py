"""Cohere v2 chat: whole answers, and what streams share with them.

The plan a model makes before it calls tools is reasoning. Citations are kept in ``extra`` of their choice, for this
wire alone. An answer names no model, and counts may be floats. Source: provider contract section 9.
"""

from collections.abc import Iterator
from math import fsum
from typing import Any, Final

from msgspec import json

from parley.failure import ParleyError
from parley.ir import Block, ChatResponse, Choice, Extra, Opaque, Stop, Text, Thinking, ToolCall, Usage
from parley.wire.cohere.errors import NAME, broken, stream_failure
from parley.wire.openai_error import BAD_JSON, bad_response

STOPS: Final[dict[str, Stop]] = {
    "COMPLETE": "end",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_use",
    "ERROR_TOXIC": "refusal",
}


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an answer that
    ended in an error means (detail stream_error)."""
    data = object_of(body)
    message = data.pop("message", None)
    if isinstance(message, str) or data.get("error"):
        raise stream_failure({**data, "message": message})
    if not isinstance(message, dict):
        raise bad_shape()
    reason, error = data.pop("finish_reason", None), data.pop("error", None)
    stop = stop_of(reason, error)
    content = tuple(_blocks(message))
    usage = data.pop("usage", None)
    id_ = data.pop("id", None)
    logprobs = data.pop("logprobs", None)
    message.pop("role", None)
    return ChatResponse(
        wire=NAME,
        id=id_ if isinstance(id_, str) else "",
        model="",
        choices=(
            Choice(
                0,
                content,
                called(stop, content),
                native=reason if isinstance(reason, str) else None,
                logprobs=logprobs_of(logprobs),
                extra={name: value for name, value in message.items() if value is not None},
            ),
        ),
        usage=usage_of(usage),
        extra=data,
    )


def object_of(body: bytes) -> dict[str, Any]:
    """The object of an answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape)."""
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        data = json.decode(body)
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
    if not isinstance(data, dict):
        raise bad_shape()
    return data


def bad_shape() -> ParleyError:
    """The error for an answer that is not this wire's."""
    return bad_response("bad_shape", "the provider's answer is not a chat message")


def stop_of(reason: Any, error: Any) -> Stop:
    """Why it stopped. Raises for an answer that broke off (``ERROR``, ``TIMEOUT``)."""
    failed = broken(reason if isinstance(reason, str) else "", error)
    if failed is not None:
        raise failed
    return STOPS.get(reason, "end") if isinstance(reason, str) else "end"


def called(stop: Stop, content: tuple[Block, ...]) -> Stop:
    """A forced call may end as if it were none."""
    return "tool_use" if stop == "end" and any(isinstance(block, ToolCall) for block in content) else stop


def _blocks(message: dict[str, Any]) -> Iterator[Block]:
    plan, content, calls = (message.pop(name, None) for name in ("tool_plan", "content", "tool_calls"))
    if isinstance(plan, str) and plan:
        yield Thinking(plan)
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for found in (content, calls):
        if found is not None and not isinstance(found, list):
            raise bad_shape()
    yield from map(item_of, content or ())
    yield from (call_of(call, f"call_{place + 1}") for place, call in enumerate(calls or ()))


def item_of(item: Any) -> Block:
    """One item of a message's content."""
    if not isinstance(item, dict):
        raise bad_shape()
    kind = item.get("type")
    words = item.get(kind) if kind in ("text", "thinking") else None
    if words is None:
        return Opaque(NAME, item)
    if not isinstance(words, str):
        raise bad_shape()
    rest = {name: value for name, value in item.items() if name not in ("type", kind)}
    return Text(words, rest) if kind == "text" else Thinking(words, extra=rest)


def call_of(call: Any, instead: str) -> ToolCall:
    """One call; ``instead`` is its id where it has none."""
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        raise bad_shape()
    id_, name = call.get("id"), call["function"].get("name")
    if not isinstance(name, str) or not name:
        raise bad_shape()
    return ToolCall(id_ if isinstance(id_, str) and id_ else instead, name, arguments_of(call["function"]))


def arguments_of(function: Any) -> str:
    """Arguments as JSON text, or a piece of it."""
    value = function.get("arguments") if isinstance(function, dict) else None
    if isinstance(value, str):
        return value
    return "" if value is None else json.encode(value).decode()


def usage_of(value: Any) -> Usage | None:
    """Tokens; where only those that are paid for are told, these."""
    if not isinstance(value, dict):
        return None
    counts = value.get("tokens") or value.get("billed_units")
    if not isinstance(counts, dict):
        return None
    read, made = _whole(counts.get("input_tokens")), _whole(counts.get("output_tokens"))
    if read is None and made is None:
        return None
    extra: Extra = {"billed_units": value["billed_units"]} if value.get("billed_units") else {}
    return Usage(read or 0, made or 0, _whole(value.get("cached_tokens")), extra=extra)


def _whole(count: Any) -> int | None:
    return int(count) if type(count) is int or type(count) is float else None


def logprobs_of(values: Any) -> dict[str, Any] | None:
    """Log probabilities as callers know them: a piece of text of several tokens is one entry with their sum."""
    if values is None:
        return None
    entries = [_entry(value) for value in (values if isinstance(values, list) else [values])]
    return {"content": [entry for entry in entries if entry is not None], "refusal": None}


def _entry(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    text, found = value.get("text") or "", value.get("logprobs")
    if not isinstance(text, str) or not isinstance(found, list) or not all(type(one) in (int, float) for one in found):
        return None
    return {"token": text, "logprob": fsum(found), "bytes": list(text.encode()), "top_logprobs": []}
