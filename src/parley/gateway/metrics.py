"""Counters, gauges and histograms by name and labels: values only, described in parley.gateway.families and rendered
elsewhere.

Labels are bounded by the configuration and the tables of kinds, never by what a caller sends.
"""

from collections.abc import Callable

from parley.failure import Failure
from parley.gateway.families import CACHE, FAMILIES, REJECTED, Key
from parley.plan import Lane

__all__ = ["CACHE", "REJECTED", "Metrics"]


class Metrics:
    """Counts of what happened since start, and how many streams are open.

    ``counts`` by name and label values. ``gauges`` are asked when somebody looks. ``curves`` are the histograms: how
    many values fell into each bucket, then the sum of all of them.
    """

    __slots__ = ("counts", "curves", "gauges", "streams")

    def __init__(self) -> None:
        self.counts: dict[Key, int] = {}
        self.gauges: dict[Key, Callable[[], float]] = {}
        self.curves: dict[Key, list[float]] = {}
        self.streams = 0

    def count(self, *key: str) -> None:
        """Add one to the counter ``key[0]`` with the label values that follow."""
        self.counts[key] = self.counts.get(key, 0) + 1

    def curve(self, *key: str) -> list[float]:
        """The histogram ``key[0]`` with the label values that follow."""
        found = self.curves.get(key)
        if found is None:
            found = self.curves[key] = [0.0] * (len(FAMILIES[key[0]].bounds) + 2)
        return found

    def count_retry(self, before: Lane, now: Lane, because: Failure) -> None:
        """Another try: at the same target a retry, at another a fallback."""
        if before.target == now.target:
            self.count("parley_retries_total", now.provider.label, because.log_kind)
        else:
            self.count("parley_fallbacks_total", before.target.name, now.target.name)
