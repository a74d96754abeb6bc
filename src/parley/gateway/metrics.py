"""Counters, gauges and histograms by name and labels: values only, described in parley.gateway.families and rendered
elsewhere.

Labels are bounded by the configuration and the tables of kinds, never by what a caller sends.
"""

from bisect import bisect_left
from collections.abc import Callable
from math import inf

from parley.failure import Failure
from parley.gateway.families import CACHE, FAMILIES, REJECTED, REQUESTS, Key
from parley.plan import Lane

__all__ = ["CACHE", "REJECTED", "REQUESTS", "Counter", "Curve", "Metrics"]


class Counter:
    """One number that grows: who counts often keeps it at hand."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Curve:
    """One histogram."""

    __slots__ = ("_bounds", "_buckets", "_here", "_high", "_low", "_place", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._buckets = [0.0] * (len(bounds) + 1)
        # Most fall where the one before them did: how many did there, and what that bucket holds.
        self._place = self._here = 0
        self._low, self._high = -inf, bounds[0] if bounds else inf
        self._sum = 0.0

    @property
    def values(self) -> list[float]:
        """How many fell into each bucket, then the sum of all of them."""
        self._settle()
        return [*self._buckets, self._sum]

    def put(self, value: float) -> None:
        """Count one."""
        if value <= self._low or value > self._high:
            self._move(value)
        self._here += 1
        self._sum += value

    def _settle(self) -> None:
        self._buckets[self._place] += self._here
        self._here = 0

    def _move(self, value: float) -> None:
        self._settle()
        bounds = self._bounds
        place = self._place = bisect_left(bounds, value)
        self._low = bounds[place - 1] if place else -inf
        self._high = bounds[place] if place < len(bounds) else inf


class Metrics:
    """Counts of what happened since start, and how many streams are open.

    Counters by name and label values. ``gauges`` are asked when somebody looks. ``curves`` are the histograms.
    """

    __slots__ = ("_counters", "curves", "gauges", "streams")

    def __init__(self) -> None:
        self._counters: dict[Key, Counter] = {}
        self.gauges: dict[Key, Callable[[], float]] = {}
        self.curves: dict[Key, Curve] = {}
        self.streams = 0

    @property
    def counts(self) -> dict[Key, int]:
        """What was counted so far."""
        return {key: counter.value for key, counter in self._counters.items() if counter.value}

    def count(self, *key: str) -> None:
        """Add one to the counter ``key[0]`` with the label values that follow."""
        self.counter(*key).value += 1

    def counter(self, *key: str) -> Counter:
        """The counter ``key[0]`` with the label values that follow."""
        found = self._counters.get(key)
        if found is None:
            found = self._counters[key] = Counter()
        return found

    def curve(self, *key: str) -> Curve:
        """The histogram ``key[0]`` with the label values that follow."""
        found = self.curves.get(key)
        if found is None:
            found = self.curves[key] = Curve(FAMILIES[key[0]].bounds)
        return found

    def count_retry(self, before: Lane, now: Lane, because: Failure) -> None:
        """Another try: at the same target a retry, at another a fallback."""
        if before.target == now.target:
            self.count("parley_retries_total", now.provider.label, because.log_kind)
        else:
            self.count("parley_fallbacks_total", before.target.name, now.target.name)
