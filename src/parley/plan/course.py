"""The course of one request: which lane is tried next, when to wait, when to stop. Pure; called by the gateway."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from parley.failure import Failure
from parley.plan.health import FAILED_PACE, SPOKEN, counts, forget, park
from parley.plan.order import Pool, Rand, order
from parley.plan.place import Try
from parley.plan.retry import CONNECT, STALE, Trail, Way, may_move
from parley.plan.survey import Survey, gone, usable
from parley.settings import Provider, Registration

if TYPE_CHECKING:
    from parley.plan.fleet import Fleet

_SLACK: Final = 1e-6  # a timer may fire this early; waiting again for it would only cost a turn of the loop


class Wait(Struct, frozen=True):
    """Ask again after this many seconds; it never reaches past the deadline."""

    seconds: float


class GiveUp(Struct, frozen=True):
    """Answer the caller with this failure: the last real one, or why no lane could be tried at all."""

    failure: Failure


Step: TypeAlias = Try | Wait | GiveUp


class Course:
    """Asked with ``next``, told how each try ended, until it gives up or is ended.

    A try ends with exactly one of ``failed`` (before the commit point), ``succeeded``, ``broke`` (after it) or
    ``abandoned``; all but the first end the course. ``attempts`` counts tries; ``deadline`` (monotonic
    seconds, known after the first ``next``) bounds all of them. Wrong order raises RuntimeError.
    """

    __slots__ = (
        "_committed",
        "_fleet",
        "_order",
        "_over",
        "_pool",
        "_prefix",
        "_probe",
        "_providers",
        "_rand",
        "_reach",
        "_registration",
        "_retry",
        "_trail",
        "_verdict",
        "_way",
        "_ways",
        "_wide",
        "attempts",
        "deadline",
    )

    def __init__(
        self,
        fleet: "Fleet",
        registration: Registration,
        providers: Mapping[str, Provider],
        now: float,
        rand: Rand,
        prefix: bytes,
    ) -> None:
        self.attempts = self._wide = 0
        self.deadline = now
        self._fleet = fleet
        self._registration = registration
        self._providers = providers
        self._rand = rand
        self._prefix = prefix
        self._pool: Pool | None = None
        self._order: Sequence[int] = ()
        self._ways: list[Way] = []
        self._reach = 0
        self._trail: Trail | None = None
        self._verdict: GiveUp | None = None
        self._way: Way | None = None
        self._probe = self._retry = self._committed = self._over = False

    def next(self, now: float) -> Step:
        """What to do now. A GiveUp ends the course and is given again when asked again."""
        if self._way is not None or self._over:
            return self._repeated()
        if self._trail is not None:
            return self._moved(now, self._trail)
        ways = self._ways or self._opened()
        if ways:
            way = ways[0]
            _, _, _, place, seat = way
            free = place.in_flight < place.limit and seat.site.breaker.until is None
            if free and not seat.parked and not seat.token.parked:
                return self._take(way)
        return self._search(now)

    def committed(self, now: float, *, first_byte: float) -> None:
        """The first content goes out to the caller: from here on nothing is retried. Optional before
        ``succeeded`` and ``broke``, but a long stream should keep neither breaker, pace nor budget waiting."""
        if self._way is None:
            raise RuntimeError("no try is under way")
        if self._committed:
            return
        self._committed = True
        self._way[4].site.breaker.answered(self._probe)
        self._probe = False
        self._settle_retry()
        self._observe(self._way, first_byte)

    def succeeded(self, now: float, *, first_byte: float) -> None:
        """The last try answered, or its stream ended well; ``first_byte`` is seconds from its start to content."""
        way = self._released()
        way[4].site.breaker.succeeded(self._probe)
        if not self._committed:
            self._observe(way, first_byte)
        if way[4].parked:
            forget(way[4].parked, now)
        if way[4].token.parked:
            way[4].token.parked.pop(way[1].model, None)
        self._end()

    def failed(self, failure: Failure, now: float) -> None:
        """The last try failed before the commit point; after it this is ``broke``."""
        if self._committed:
            return self.broke(failure, now)
        way = self._released()
        trail = self._trail
        if trail is None:
            trail = self._trail = Trail(failure, way)
        trail.last, trail.way, trail.unfit = failure, way, False
        if failure.detail == STALE and not trail.stale:
            return self._repeat(way, trail)
        trail.down = self._probe and failure.kind in CONNECT and (trail.down or self.attempts == 1)
        self._judge(way, failure, now)
        ready = now + self._rest(way, failure, now)
        trail.final = not may_move(failure, self._registration.retries.on)
        if not trail.final:
            trail.note(way, failure, ready)
        return None

    def passed(self, failure: Failure) -> None:
        """This target cannot take the request, so nothing was sent: another may. No try, and nothing about health."""
        way = self._released()
        way[4].site.breaker.released(self._probe)
        self._probe = False
        self.attempts -= 1
        if self._trail is None:
            self._trail = Trail(replace(failure, detail=""), way)
            self._trail.unfit = True
        # All of a target's ways are known with the first.
        self._trail.barred.update((found[0], found[4].site) for found in self._ways if found[0] == way[0])

    def broke(self, failure: Failure, now: float) -> None:
        """The last try failed after the commit point: it counts for health and is never retried."""
        way = self._released()
        self._judge(way, failure, now)
        self._verdict = GiveUp(failure)
        self._end()

    def abandoned(self, now: float) -> None:
        """The caller left, during a try or between two: slots are freed, health is untouched."""
        if self._over:
            return
        if self._way is not None:
            self._released()[4].site.breaker.released(self._probe)
        self._end()

    def widen(self, more: int) -> int:
        """Room for up to ``more`` further calls of this try, as far as its provider has it: gives for how many."""
        if self._way is None:
            raise RuntimeError("no try is under way")
        place, site = self._way[3], self._way[4].site
        room = int(max(0, min(more, place.limit - place.in_flight)))
        place.in_flight += room
        site.in_flight += room
        self._wide += room
        return room

    def _opened(self) -> list[Way]:
        """The ways of the first known target; its ``timeouts.total`` sets the deadline of the whole request."""
        targets = self._registration.targets
        if len(targets) == 1:
            self._order = (0,)
        elif targets:
            self._pool = self._fleet.pool(self._registration)
            self._order = order(self._registration.strategy, self._pool, self._rand, self._prefix)
        while not self._ways and self._reach < len(self._order):
            self._extend()
        if self._ways:
            total, cap = self._ways[0][2].timeouts.total, self._fleet.policy.total
            self.deadline += total if cap is None else min(total, cap)
        return self._ways

    def _extend(self) -> None:
        """Add the ways of the next target in order."""
        index = self._order[self._reach]
        self._reach += 1
        target = self._registration.targets[index]
        provider = self._providers.get(target.provider)
        if provider is not None:
            place = self._fleet.place(provider)
            for seat in place.ranked(self._rand, self._prefix):
                self._ways.append((index, target, place.provider, place, seat))

    def _moved(self, now: float, trail: Trail) -> Step:
        again, trail.again = trail.again, None
        if again is not None and now < self.deadline and usable(again, now):
            return self._take(again)
        if trail.final or self.attempts >= self._registration.retries.attempts:
            return self._give_up(trail.last)
        return self._search(now)

    def _search(self, now: float) -> Step:
        while self._reach < len(self._order):
            self._extend()
        view = Survey(self._ways, self._trail, now, self._fleet.budget)
        return (self._step(view, now) if now < self.deadline else None) or self._give_up(self._reason(view))

    def _step(self, view: Survey, now: float) -> Step | None:
        if view.free:
            return self._take(self._spread(view.free))
        soonest = view.soonest()
        if soonest is not None and soonest[0] <= now + _SLACK:
            return self._take(soonest[1])
        if soonest is not None and soonest[0] < self.deadline:
            return Wait(soonest[0] - now)
        probe = view.probe()
        return None if probe is None else self._take(probe)

    def _spread(self, free: list[Way]) -> Way:
        """The preferred free way, but one try is kept for every target that has had none yet."""
        trail = self._trail
        if trail is None or free[0][0] not in trail.targets:
            return free[0]
        fresh = next((way for way in free if way[0] not in trail.targets), free[0])
        left = self._registration.retries.attempts - self.attempts
        return fresh if left <= len({way[0] for way in self._ways} - trail.targets) else free[0]

    def _take(self, way: Way) -> Try:
        index, target, provider, place, seat = way
        place.in_flight += 1
        site = seat.site
        site.in_flight += 1
        if self._pool is not None:
            self._pool.gauges[index].in_flight += 1
        if site.breaker.until is not None:
            self._probe = site.breaker.probing = True
        self.attempts += 1
        self._way = way
        trail = self._trail
        if trail is None:
            return seat.first(target, provider)
        if place in trail.places:
            self._retry = True
            self._fleet.budget.retries += 1
        step = seat.first(target, provider)
        return Try(step.lane, True) if trail.fresh(site) else step

    def _released(self) -> Way:
        """End the open try: its slots are free again."""
        way = self._way
        if way is None:
            raise RuntimeError("no try is under way")
        self._way = None
        way[3].in_flight -= 1 + self._wide
        way[4].site.in_flight -= 1 + self._wide
        self._wide = 0
        if self._pool is not None:
            self._pool.gauges[way[0]].in_flight -= 1
        if self._retry:
            self._settle_retry()
        return way

    def _settle_retry(self) -> None:
        """A retry is one until it has ended or answers: a long stream does not use up the budget."""
        self._fleet.budget.retries -= self._retry
        self._retry = False

    def _observe(self, way: Way, seconds: float) -> None:
        way[4].site.observe(seconds)
        if self._pool is not None:
            self._pool.gauges[way[0]].observe(seconds)

    def _judge(self, way: Way, failure: Failure, now: float) -> None:
        """Tell health how the try ended."""
        breaker, probe, self._probe = way[4].site.breaker, self._probe, False
        if counts(failure):
            breaker.failed(now, probe)
        elif failure.final or failure.kind in SPOKEN:
            breaker.answered(probe)
        else:
            breaker.released(probe)
        if failure.code.retry != "never" and not failure.final:
            self._observe(way, FAILED_PACE)

    def _repeat(self, way: Way, trail: Trail) -> None:
        """A kept connection had gone stale: nobody saw the request, so its repeat is free."""
        way[4].site.breaker.released(self._probe)
        self._probe = False
        self.attempts -= 1
        trail.stale, trail.again = True, way

    def _rest(self, way: Way, failure: Failure, now: float) -> float:
        """Seconds this request stays away from the way; a refused key and a rate limit keep others away too."""
        policy, model, seat = self._fleet.policy, way[1].model, way[4]
        delay = policy.delay(self.attempts, self._rand())
        if failure.kind == "upstream_auth":
            park(seat.token.parked, model, now, now + policy.key_park)
        if failure.kind == "upstream_rate_limited" and failure.retry_after is not None:
            delay = policy.park(failure.retry_after, delay)
            park(seat.parked, model, now, now + delay)
        return delay

    def _reason(self, view: Survey) -> Failure:
        """The last real failure, else why nothing could be tried. A target that cannot take the request says nothing
        of one that could and is busy."""
        trail = self._trail
        if trail is not None and not (trail.unfit and (view.full or view.shut)):
            return trail.last
        return view.refusal(self._fleet.policy.probe_pause)

    def _give_up(self, failure: Failure) -> GiveUp:
        self._end()
        trail = self._trail
        if trail is not None and trail.down:
            failure = gone(trail.way, self._fleet.policy.probe_pause)
        most = self._fleet.policy.longest_park
        if failure.retry_after is not None and failure.retry_after > most and failure.code.blame == "upstream":
            # Nobody is told to stay away longer than we do (fault contract U12).
            failure = replace(failure, retry_after=most)
        self._verdict = GiveUp(failure)
        return self._verdict

    def _end(self) -> None:
        self._over = True
        self._fleet.budget.active -= 1

    def _repeated(self) -> GiveUp:
        if self._verdict is not None:
            return self._verdict
        raise RuntimeError("the course has ended" if self._over else "the last try has not ended")
