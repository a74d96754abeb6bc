"""What a usage costs by the prices of one model, in picodollars.

Every token is paid once: what was read from a cache, written to it, heard or seen is taken off the plain tokens
before those are priced. A part that has no price of its own has the price of what it is part of.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import astuple

from parley.ir import Usage

if TYPE_CHECKING:
    from parley.prices.tariff import Tariff

_HOUR_MS: Final = 3_600_000
# Parts of a usage from the one to the other are rare; of text there are none.
_RARE: Final = Usage.__struct_fields__.index("audio_input")
_TIER: Final = Usage.__struct_fields__.index("tier")
_NONE: Final = (None,) * (_TIER - _RARE)
_INPUT: Final = Usage.__struct_fields__.index("input")
_OUTPUT: Final = Usage.__struct_fields__.index("output")
_CACHED: Final = Usage.__struct_fields__.index("cached")
_WRITTEN: Final = Usage.__struct_fields__.index("cache_write")
_REASONING: Final = Usage.__struct_fields__.index("reasoning")


def cost_of(tariff: "Tariff", usage: Usage) -> int | None:
    """What that usage costs; None where something was used that has no price here."""
    if tariff.tiers and usage.tier is not None:
        tariff = _graded(tariff, usage.tier)
    if tariff.above:
        tariff = _holding(tariff, usage.input)
    used: tuple[Any, ...] = astuple(usage)
    if used[_RARE:_TIER] == _NONE:
        return _usual(tariff, used)
    taken, made, counted = _taken(tariff, usage), _made(tariff, usage), _counted(tariff, usage)
    if taken is not None and made is not None:
        return taken + made + counted
    # What is paid by the piece or by the hour is not paid by the token too.
    return counted + (taken or 0) + (made or 0) if counted else None


def estimate_of(tariff: "Tariff", input_tokens: int, output_tokens: int) -> int:
    """What so many plain tokens cost."""
    if tariff.above:
        tariff = _holding(tariff, input_tokens)
    return (tariff.input or 0) * input_tokens + (tariff.output or 0) * output_tokens + (tariff.request or 0)


def _usual(tariff: "Tariff", used: tuple[Any, ...]) -> int | None:
    """Of text alone: most answers. What was used is taken apart once: to ask for each part of it costs more."""
    read: int = used[_INPUT]
    made: int = used[_OUTPUT]
    cached: int = used[_CACHED] or 0
    written: int = used[_WRITTEN] or 0
    thought: int = used[_REASONING] or 0
    whole, each = tariff.input, tariff.output
    cost: int = tariff.request or 0
    if not cost and ((whole is None and read) or (each is None and made)):
        return None
    if whole is not None:
        if cached or written:
            cached = min(cached, read)
            written = min(written, read - cached)
            cost += cached * _own(tariff.cached, whole) + written * _own(tariff.cache_write, whole)
        cost += (read - cached - written) * whole
    if each is not None:
        cost += made * each
        if thought:
            cost += min(thought, made) * (_own(tariff.reasoning, each) - each)
    return cost


def _graded(tariff: "Tariff", tier: str) -> "Tariff":
    return next((one for name, one in tariff.tiers if name == tier), tariff)


def _holding(tariff: "Tariff", input_tokens: int) -> "Tariff":
    for start, beyond in reversed(tariff.above):
        if input_tokens > start:
            return beyond
    return tariff


def _taken(tariff: "Tariff", usage: Usage) -> int | None:
    """The input."""
    whole = tariff.input
    if whole is not None and (usage.audio_input or usage.image_input or usage.video_input or usage.cache_write_1h):
        return usage.input * whole + sum((price - whole) * count for count, price in _apart(tariff, usage, whole))
    return _read(tariff, usage)


def _read(tariff: "Tariff", usage: Usage) -> int | None:
    """The input where it is text alone."""
    read, whole = usage.input, tariff.input
    if whole is None:
        return None if read else 0
    cached = min(usage.cached or 0, read)
    written = min(usage.cache_write or 0, read - cached)
    cost = (read - cached - written) * whole
    return cost + cached * _own(tariff.cached, whole) + written * _own(tariff.cache_write, whole)


def _apart(tariff: "Tariff", usage: Usage, whole: int) -> Iterable[tuple[int, int]]:
    """The parts of the input that have another price: how many, and that price. No token is in two of them.

    Where a provider does not say what was cached, it was text as far as there was text.
    """
    left = usage.input
    cached = min(usage.cached or 0, left)
    written = min(usage.cache_write or 0, left - cached)
    kept = min(usage.cache_write_1h or 0, written)
    sound, seen = min(usage.audio_input or 0, left), min(usage.image_input or 0, left)
    stored = cached + written
    plain = max(0, left - sound - seen)
    heard_again = _cached_part(usage.audio_cached, sound, stored - plain)
    seen_again = _cached_part(usage.image_cached, seen, stored - plain - heard_again)
    read_again = _own(tariff.cached, whole)
    per_write = _own(tariff.cache_write, whole)
    yield cached - min(cached, heard_again + seen_again), read_again
    yield min(cached, heard_again), _own(tariff.audio_cached, read_again)
    yield min(max(0, cached - heard_again), seen_again), _own(tariff.image_cached, read_again)
    yield written - kept, per_write
    yield kept, _own(tariff.cache_write_1h, per_write)
    yield sound - heard_again, _own(tariff.audio_input, whole)
    yield seen - seen_again, _own(tariff.image_input, whole)
    yield min(usage.video_input or 0, max(0, plain - stored)), _own(tariff.video_input, whole)


def _made(tariff: "Tariff", usage: Usage) -> int | None:
    """The output."""
    made, whole = usage.output, tariff.output
    if whole is None:
        return None if made else 0
    heard = min(usage.audio_output or 0, made)
    seen = min(usage.image_output or 0, made - heard)
    thought = min(usage.reasoning or 0, made - heard - seen)
    cost = heard * _own(tariff.audio_output, whole) + seen * _own(tariff.image_output, whole)
    return cost + thought * _own(tariff.reasoning, whole) + (made - heard - seen - thought) * whole


def _counted(tariff: "Tariff", usage: Usage) -> int:
    """What is charged apart from tokens."""
    cost = tariff.request or 0
    if usage.images and tariff.image:
        cost += usage.images * tariff.image
    if usage.searches and tariff.search:
        cost += usage.searches * tariff.search
    if usage.characters and tariff.character:
        cost += usage.characters * tariff.character
    if usage.seconds and tariff.hour:
        cost += round(usage.seconds * 1000) * tariff.hour // _HOUR_MS
    return cost


def _own(price: int | None, whole: int) -> int:
    return whole if price is None else price


def _cached_part(told: int | None, part: int, beyond: int) -> int:
    """How many tokens of a part came from the cache: as told, else what no text was left for."""
    return min(part, max(0, beyond) if told is None else told)
