"""One look over the lanes a request has left: which are free, which come later, which are shut or full."""

from collections.abc import Sequence
from math import inf

from parley.failure import Failure
from parley.plan.budget import Budget
from parley.plan.retry import Trail, Way


class Survey:
    """The lanes by what can be done with them now; each list is in order of preference.

    free   never tried in this request and nothing against it
    later  (from when, way): rate-limited, resting after a failed try, or a key refused lately
    shut   its breaker lets nothing through
    full   its provider is at max_concurrency
    Barred lanes, and those whose retry the budget refuses, are in none.
    """

    __slots__ = ("free", "full", "later", "now", "shut")

    def __init__(self, ways: Sequence[Way], trail: Trail | None, now: float, budget: Budget) -> None:
        self.free: list[Way] = []
        self.later: list[tuple[float, Way]] = []
        self.shut: list[tuple[float, bool, Way]] = []
        self.full: list[Way] = []
        self.now = now
        allows = budget.allows
        for way in ways:
            if trail is None:
                self._place(way, -inf)
            elif allows or way[3] not in trail.places:
                self._place(way, trail.ready(way[0], way[4]))

    def _place(self, way: Way, ready: float) -> None:
        _, target, _, place, seat = way
        if ready == inf:
            return
        parked = seat.parked.get(target.model, -inf)
        at = max(ready, parked)
        refused = seat.token.parked.get(target.model, -inf) > self.now
        if place.in_flight >= place.limit:
            self.full.append(way)
        elif not seat.site.breaker.admits(self.now):
            self.shut.append((max(seat.site.breaker.probe_in(self.now), parked - self.now), ready == -inf, way))
        elif ready == -inf and parked <= self.now and not refused:
            self.free.append(way)
        else:
            self.later.append((max(at, self.now), way))

    def soonest(self) -> tuple[float, Way] | None:
        """The later lane that is ready first, the preferred one of equals."""
        return min(self.later, key=_first, default=None)

    def probe(self) -> Way | None:
        """A shut lane not yet tried in this request that may be probed now, for want of anything better."""
        return next((way for wait, untried, way in self.shut if untried and wait <= 0), None)

    def refusal(self, pause: float) -> Failure:
        """Why no lane can be used, and in how many seconds to come back (``pause`` where nobody knows)."""
        if self.full:
            text = f"{_names(self.full)} is at its limit of concurrent requests"
            return Failure("overloaded", text, detail="concurrency", retry_after=1.0)
        soonest = self.soonest()
        if soonest is not None:
            text = f"{_names([way for _, way in self.later])} is limiting our rate"
            return Failure("upstream_rate_limited", text, detail="rate_limited", retry_after=soonest[0] - self.now)
        if self.shut:
            wait, _, way = min(self.shut, key=_first)
            return gone(way, wait or pause)
        if self.free:
            return Failure("upstream_timeout", f"{_names(self.free)} came free too late", detail="deadline")
        return Failure("no_upstream", "no provider is available for this model", retry_after=pause)


def usable(way: Way, now: float) -> bool:
    """Whether this very lane could take a try now: room at its provider, and its breaker lets one through."""
    _, _, _, place, seat = way
    breaker = seat.site.breaker
    return place.in_flight < place.limit and (breaker.admits(now) or breaker.probe_in(now) <= 0)


def gone(way: Way, wait: float) -> Failure:
    """Nobody is there any more at this provider; its next probe is in ``wait`` seconds."""
    text = f"{_names([way])} has failed too often and is left alone for a while"
    return Failure("no_upstream", text, detail="breaker_open", retry_after=wait)


def _first(entry: tuple[float, *tuple[object, ...]]) -> float:
    return entry[0]


def _names(ways: Sequence[Way]) -> str:
    names = list(dict.fromkeys(way[2].label for way in ways))
    return f"provider {names[0]}" if len(names) == 1 else f"each of the providers {', '.join(names)}"
