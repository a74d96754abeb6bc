"""The prices of one model, and what a usage costs by them.

Every token is paid once: what was read from a cache, written to it, heard or seen is taken off the plain tokens
before those are priced. A part that has no price of its own has the price of what it is part of.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from parley.ir import Usage

_HOUR_MS: Final = 3_600_000


class Tariff(Struct, frozen=True, kw_only=True):
    """Picodollars per token, unless said otherwise. None for ``input`` and ``output``: not known; for a part of them:
    as the whole.

    ``cache_write_1h`` is what is written to be kept for an hour, a part of ``cache_write``. ``image`` is per picture
    made, ``request`` per request, ``search`` per search by the provider, ``hour`` per hour of sound, ``character``
    per character of text; None: not charged apart. ``above`` are the tariffs that hold for every token once the input
    is longer than so many, shortest first; ``tiers`` those of other grades of service, by the provider's own word.
    ``source`` says whose prices they are.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_cached: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_cached: int | None = None
    image_output: int | None = None
    video_input: int | None = None
    image: int | None = None
    request: int | None = None
    search: int | None = None
    hour: int | None = None
    character: int | None = None
    above: tuple[tuple[int, "Tariff"], ...] = ()
    tiers: tuple[tuple[str, "Tariff"], ...] = ()
    source: str = ""

    def cost(self, usage: Usage) -> int | None:
        """What that usage costs, in picodollars; None where something was used that has no price here."""
        tariff = self._graded(usage.tier) if self.tiers and usage.tier is not None else self
        tariff = tariff._holding(usage.input) if tariff.above else tariff
        taken, made, counted = tariff._taken(usage), tariff._made(usage), tariff._counted(usage)
        if taken is not None and made is not None:
            return taken + made + counted
        # What is paid by the piece or by the hour is not paid by the token too.
        return counted + (taken or 0) + (made or 0) if counted else None

    def estimate(self, input_tokens: int, output_tokens: int) -> int:
        """What so many plain tokens cost, in picodollars."""
        tariff = self._holding(input_tokens)
        return (tariff.input or 0) * input_tokens + (tariff.output or 0) * output_tokens + (tariff.request or 0)

    def _graded(self, tier: str) -> "Tariff":
        return next((tariff for name, tariff in self.tiers if name == tier), self)

    def _holding(self, input_tokens: int) -> "Tariff":
        for start, tariff in reversed(self.above):
            if input_tokens > start:
                return tariff
        return self

    def _taken(self, usage: Usage) -> int | None:
        """The input."""
        read, whole = usage.input, self.input
        if whole is None:
            return None if read else 0
        if usage.audio_input or usage.image_input or usage.video_input or usage.cache_write_1h:
            return read * whole + sum((price - whole) * count for count, price in self._apart(usage, whole))
        cached = min(usage.cached or 0, read)
        written = min(usage.cache_write or 0, read - cached)
        cost = (read - cached - written) * whole
        return cost + cached * _own(self.cached, whole) + written * _own(self.cache_write, whole)

    def _apart(self, usage: Usage, whole: int) -> Iterable[tuple[int, int]]:
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
        read_again = _own(self.cached, whole)
        per_write = _own(self.cache_write, whole)
        yield cached - min(cached, heard_again + seen_again), read_again
        yield min(cached, heard_again), _own(self.audio_cached, read_again)
        yield min(max(0, cached - heard_again), seen_again), _own(self.image_cached, read_again)
        yield written - kept, per_write
        yield kept, _own(self.cache_write_1h, per_write)
        yield sound - heard_again, _own(self.audio_input, whole)
        yield seen - seen_again, _own(self.image_input, whole)
        yield min(usage.video_input or 0, max(0, plain - stored)), _own(self.video_input, whole)

    def _made(self, usage: Usage) -> int | None:
        """The output."""
        made, whole = usage.output, self.output
        if whole is None:
            return None if made else 0
        if usage.reasoning is None and usage.audio_output is None and usage.image_output is None:
            return made * whole
        heard = min(usage.audio_output or 0, made)
        seen = min(usage.image_output or 0, made - heard)
        thought = min(usage.reasoning or 0, made - heard - seen)
        cost = heard * _own(self.audio_output, whole) + seen * _own(self.image_output, whole)
        return cost + thought * _own(self.reasoning, whole) + (made - heard - seen - thought) * whole

    def _counted(self, usage: Usage) -> int:
        """What is charged apart from tokens."""
        cost = self.request or 0
        if usage.images and self.image:
            cost += usage.images * self.image
        if usage.searches and self.search:
            cost += usage.searches * self.search
        if usage.characters and self.character:
            cost += usage.characters * self.character
        if usage.seconds and self.hour:
            cost += round(usage.seconds * 1000) * self.hour // _HOUR_MS
        return cost


def _own(price: int | None, whole: int) -> int:
    return whole if price is None else price


def _cached_part(told: int | None, part: int, beyond: int) -> int:
    """How many tokens of a part came from the cache: as told, else what no text was left for."""
    return min(part, max(0, beyond) if told is None else told)
