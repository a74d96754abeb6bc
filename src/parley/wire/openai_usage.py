"""The usage object of OpenAI's text endpoints (chat, legacy completions), read and written. Shared by their wires.

Counts may be floats, and parts of it missing; what has no place in the canonical form stays in ``extra``.
"""

from typing import Any

from msgspec import Struct

from parley.ir import Usage
from parley.wire.grade import grade_of


class _Input(Struct, gc=False):
    cached_tokens: float | int | None = None
    cache_write_tokens: float | int | None = None
    audio_tokens: float | int | None = None


class _Output(Struct, gc=False):
    reasoning_tokens: float | int | None = None
    audio_tokens: float | int | None = None


class Counts(Struct, gc=False):
    """The numbers of a usage object and nothing else, for typed decoding."""

    prompt_tokens: float | int | None = None
    completion_tokens: float | int | None = None
    prompt_tokens_details: _Input | None = None
    completion_tokens_details: _Output | None = None


def counted(usage: Counts, tier: Any = None) -> Usage:
    """The numbers alone, which is all that a meter needs; ``tier`` is the grade of service that the answer tells."""
    cached = written = reasoning = heard = spoken = None
    asked, made = usage.prompt_tokens_details, usage.completion_tokens_details
    if asked is not None:
        cached, written, heard = asked.cached_tokens, asked.cache_write_tokens, asked.audio_tokens
    if made is not None:
        reasoning, spoken = made.reasoning_tokens, made.audio_tokens
    return Usage(
        _whole(usage.prompt_tokens) or 0,
        _whole(usage.completion_tokens) or 0,
        _whole(cached),
        _whole(written),
        _whole(reasoning),
        audio_input=_whole(heard),
        audio_output=_whole(spoken),
        tier=grade_of(tier),
    )


def _whole(count: float | int | None) -> int | None:
    """Some providers write floats."""
    return count if count is None or isinstance(count, int) else int(count)


def usage_object(usage: Usage, same: bool) -> dict[str, Any]:
    """Tokens; the parts only where they are known."""
    counts: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    extra = dict(usage.extra) if same else {}
    given = {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write}
    for name, parts in (
        ("prompt_tokens_details", given),
        ("completion_tokens_details", {"reasoning_tokens": usage.reasoning}),
    ):
        known = {part: count for part, count in parts.items() if count is not None} | extra.pop(name, {})
        if known:
            counts[name] = known
    return {**counts, **extra}


def read_usage(value: dict[str, Any], tier: Any = None) -> Usage:
    """Usage from its object, which is used up: what has no member of its own stays in ``extra``. ``tier`` is the grade
    of service that the answer tells.

    A total that is just the sum is not kept.
    """
    heard = spoken = cached = written = reasoning = None
    prompt, output = _count(value, "prompt_tokens") or 0, _count(value, "completion_tokens") or 0
    if value.get("total_tokens") == prompt + output:
        del value["total_tokens"]
    if "prompt_tokens_details" in value:
        heard = _sound(value, "prompt_tokens_details")
        cached, written = _details(value, "prompt_tokens_details", ("cached_tokens", "cache_write_tokens"))
    if "completion_tokens_details" in value:
        spoken = _sound(value, "completion_tokens_details")
        (reasoning,) = _details(value, "completion_tokens_details", ("reasoning_tokens",))
    return Usage(
        prompt,
        output,
        cached,
        written,
        reasoning,
        extra=value,
        audio_input=heard,
        audio_output=spoken,
        tier=grade_of(tier),
    )


def _sound(value: dict[str, Any], name: str) -> int | None:
    """It stays in ``extra`` too, for its own wire."""
    inner = value.get(name)
    found = inner.get("audio_tokens") if isinstance(inner, dict) else None
    return _whole(found) if isinstance(found, int | float) else None


def _details(value: dict[str, Any], name: str, parts: tuple[str, ...]) -> list[int | None]:
    inner = value.get(name)
    if not isinstance(inner, dict):
        value.pop(name, None)
        return [None] * len(parts)
    counts = [_count(inner, part) for part in parts]
    if not inner:
        del value[name]
    return counts


def _count(value: dict[str, Any], name: str) -> int | None:
    found = value.pop(name, None)
    return _whole(found) if isinstance(found, int | float) else None
