"""Counters, gauges and histograms by name and labels: values only, described in parley.gateway.families and rendered
elsewhere.

Labels are bounded by the configuration and the tables of kinds, never by what a caller sends.
"""

from bisect import bisect_left
from collections.abc import Callable

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
    """One histogram. ``values``: how many fell into each bucket, then the sum of all of them."""

    __slots__ = ("_bounds", "_last", "_most", "values")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.values = [0.0] * (len(bounds) + 2)
        self._bounds = bounds
        self._most = len(bounds)
        self._last = 0

    def put(self, value: float) -> None:
        """Count one."""
        bounds, place, values = self._bounds, self._last, self.values
        # Most fall where the one before them did.
        if (place < self._most and value > bounds[place]) or (place > 0 and value <= bounds[place - 1]):
            place = self._last = bisect_left(bounds, value)
        values[place] += 1.0
        values[-1] += value


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
