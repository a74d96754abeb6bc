"""The usage object of Responses and why an answer ended, read and written."""

from typing import Any

from msgspec import Struct

from parley.ir import Stop, Usage
from parley.wire.grade import grade_of


class _Input(Struct, gc=False):
    cached_tokens: float | int | None = None
    cache_write_tokens: float | int | None = None


class _Output(Struct, gc=False):
    reasoning_tokens: float | int | None = None


class Counts(Struct, gc=False):
    """The numbers of a usage object and nothing else, for typed decoding."""

    input_tokens: float | int | None = None
    output_tokens: float | int | None = None
    input_tokens_details: _Input | None = None
    output_tokens_details: _Output | None = None


def counted(usage: Counts, tier: Any = None) -> Usage:
    """The numbers alone, which is all that a meter needs; ``tier`` is the grade of service that the answer tells."""
    cached = written = reasoning = None
    asked, made = usage.input_tokens_details, usage.output_tokens_details
    if asked is not None:
        cached, written = asked.cached_tokens, asked.cache_write_tokens
    if made is not None:
        reasoning = made.reasoning_tokens
    return Usage(
        _whole(usage.input_tokens) or 0,
        _whole(usage.output_tokens) or 0,
        _whole(cached),
        _whole(written),
        _whole(reasoning),
        tier=grade_of(tier),
    )


def _whole(count: float | int | None) -> int | None:
    """Some providers write floats."""
    return count if count is None or isinstance(count, int) else int(count)


def read_usage(value: Any, tier: Any = None) -> Usage | None:
    """Usage of an answer, None where it tells none; ``tier`` as for ``counted``."""
    if type(value) is not dict:
        return None
    return Usage(
        _count(value, "input_tokens") or 0,
        _count(value, "output_tokens") or 0,
        _count(value.get("input_tokens_details"), "cached_tokens"),
        _count(value.get("input_tokens_details"), "cache_write_tokens"),
        _count(value.get("output_tokens_details"), "reasoning_tokens"),
        tier=grade_of(tier),
    )


def _count(holder: Any, name: str) -> int | None:
    found = holder.get(name) if type(holder) is dict else None
    return int(found) if type(found) is int or type(found) is float else None


def usage_text(usage: Usage | None) -> bytes:
    """Tokens as JSON; the details are not optional here, so that an unknown one is 0."""
    if usage is None:
        return b"null"
    asked, made = usage.input, usage.output
    counts = (asked, usage.cached or 0, usage.cache_write or 0, made, usage.reasoning or 0, asked + made)
    return (
        b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},'
        b'"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}' % counts
    )


_REASONS: dict[str, Stop] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "refusal",
    "steered": "pause",
}


def stop_of(response: dict[str, Any], *, cut: bool = False) -> tuple[Stop, str | None]:
    """Why an answer ended, and this wire's own word for an end that was not the model's."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if type(details) is dict else None
    if cut or response.get("status") == "incomplete" or reason is not None:
        word = reason if type(reason) is str else None
        return _REASONS.get(word or "", "length"), word
    output = response.get("output")
    items = output if type(output) is list else []
    called = any(type(item) is dict and item.get("type") == "function_call" for item in items)
    return "tool_use" if called else "end", None


def incomplete_reason(stop: Stop, *, refused: bool) -> str | None:
    """Why an answer is incomplete, None where it is complete; a refusal told in words is."""
    if stop == "length":
        return "max_output_tokens"
    return "content_filter" if stop == "refusal" and not refused else None
