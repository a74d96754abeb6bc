"""Simulated histories: a small world of providers that misbehave, callers that come and go, and a referee.

The referee keeps its own books, from what it sees at the interface, and judges every step by them. Time is
simulated; the same seed gives the same history.
"""

import heapq
from math import inf
from random import Random

from msgspec.structs import replace

from parley.failure import Failure
from parley.plan import Fleet, GiveUp, Try
from parley.settings import Registration, Retries, Target
from plan.parts import provider, registration

STRATEGIES = ("fallback", "round_robin", "weighted", "least_busy", "fastest", "prefix_hash")
FAULTS = (
    "upstream_unreachable", "upstream_connect_timeout", "upstream_timeout", "upstream_tls", "upstream_closed",
    "upstream_redirect", "upstream_error", "upstream_bad_response", "upstream_incomplete",
)  # fmt: skip
CONNECT = ("upstream_unreachable", "upstream_connect_timeout", "upstream_closed", "upstream_tls")
NEVER_AGAIN_THERE = ("upstream_connect_timeout", "upstream_tls", "upstream_redirect", "upstream_bad_response")
RETRY_AFTER = (None, 0.0, -5.0, 0.2, 2.0, 1e9)
EARLY = 1e-5


def fine(rng, _now):
    seconds = 0.02 + 0.3 * rng.random()
    return ("stream" if rng.random() < 0.4 else "answer"), seconds, None


def down(_rng, _now):
    return "fail", 0.001, Failure("upstream_unreachable", "nobody there")


def burst(rng, now):
    if now % 40.0 < 25.0:
        return "fail", 0.01, Failure("upstream_error", "burst", status=rng.choice((500, 502, 503, 504, 529)))
    return fine(rng, now)


def limited(rng, now):
    if rng.random() < 0.5:
        return "fail", 0.01, Failure("upstream_rate_limited", "slow down", retry_after=rng.choice(RETRY_AFTER))
    return fine(rng, now)


def cut(rng, now):
    if rng.random() < 0.6:
        return "cut", 0.2, Failure("upstream_incomplete", "cut")
    return fine(rng, now)


def stale(rng, now):
    if rng.random() < 0.5:
        return "fail", 0.0, Failure("upstream_closed", "gone", detail="stale_conn")
    return fine(rng, now)


def refusing(_rng, _now):
    return "fail", 0.02, Failure("upstream_auth", "refused")


def wild(rng, now):
    if rng.random() < 0.7:
        return "fail", rng.choice((0.001, 0.1, 2.0)), Failure(rng.choice(FAULTS), "wild")
    return fine(rng, now)


def strict(rng, now):
    if rng.random() < 0.7:
        return "fail", 0.02, Failure("upstream_rejected", "no", status=rng.choice((400, 404, 408, 413, 422)))
    return fine(rng, now)


MOODS = (fine, down, down, burst, limited, cut, stale, refusing, wild)


class Request:
    """One request and what the referee has noted about it."""

    def __init__(self, asked, course, now):
        self.asked, self.course, self.start = asked, course, now
        self.lane = self.failure = None
        self.serial = self.counted = self.ends = 0
        self.committed = self.succeeded = self.left = self.retry = self.again = self.stale = False
        self.final = self.probe = self.probes_only = False
        self.places, self.targets, self.barred, self.seen = set(), set(), set(), set()


class World:
    """Providers with moods, registrations, callers; ``play`` runs it to the end, asserting all the way."""

    def __init__(self, seed):
        rng = self.rng = Random(seed)
        self.fleet, self.now, self.trace = Fleet(), 1000.0 * rng.random(), []
        self.steady = rng.random() < 0.5
        self.heap, self.serial, self.requests = [], 0, []
        self.active = self.retries = 0
        self.changed = -inf
        self.flying, self.faults, self.last_fault = {}, {}, {}
        self.probing, self.parked, self.refused = set(), {}, {}
        self.providers = {name: self._provider(name) for name in "abcd"[: rng.randint(1, 4)]}
        moods = MOODS if self.steady else (*MOODS, strict)
        self.moods = {url: rng.choice(moods) for each in self.providers.values() for url in each.endpoints}
        if self.steady:
            self.providers["well"] = provider("well", endpoints=rng.randint(1, 2), keys=rng.randint(0, 2))
            self.moods.update(dict.fromkeys(self.providers["well"].endpoints, fine))
        self.models = [self._registration(number) for number in range(rng.randint(1, 2))]

    def _provider(self, name):
        rng = self.rng
        total = 600.0 if self.steady else rng.choice((0.05, 1.0, 5.0, 30.0))
        most = rng.choice((None, None, 0, 1, 3))
        shape = {"endpoints": rng.randint(1, 3), "keys": rng.randint(0, 3), "balance": rng.choice(STRATEGIES)}
        return provider(name, total=total, max_concurrency=most, **shape)

    def _registration(self, number):
        rng = self.rng
        names = [f"{name}/{model}" for name in self.providers if name != "well" for model in "mn"]
        names = rng.sample(names, rng.randint(1, min(3, len(names))))
        if self.steady:
            names.insert(rng.randint(0, len(names)), "well/m")
        elif rng.random() < 0.1:
            names.append("unknown/m")
        targets = [(name, rng.randint(0, 3)) for name in names]
        attempts = rng.randint(len(names), 5) if self.steady else rng.randint(1, 5)
        on = None if self.steady or rng.random() < 0.6 else rng.sample(("408", "429", "503", "5xx", "connect"), 3)
        return registration(*targets, strategy=rng.choice(STRATEGIES), attempts=attempts, on=on, model=f"r{number}")

    # -- events -------------------------------------------------------------------------------------------

    def at(self, when, call, *args):
        self.serial += 1
        heapq.heappush(self.heap, (when, self.serial, call, args))

    def play(self):
        rng, when = self.rng, self.now
        for number in range(rng.randint(3, 12)):
            when += rng.choice((0.0, 0.01, 0.2, 0.5, 1.2, 12.0))
            self.at(when, self.arrive, number)
        if rng.random() < 0.2:
            self.at(self.now + 1.0, self.reload)
        while self.heap:
            self.now, _, call, args = heapq.heappop(self.heap)
            call(*args)
        self.settle()
        return self

    def arrive(self, number):
        rng = self.rng
        asked = rng.choice(self.models)
        if not self.steady and rng.random() < 0.15:
            name = rng.choice(list(self.providers))
            asked = Registration(model=f"{name}/x{number}", targets=(Target(name, f"x{number}"),), retries=Retries(2))
        prefix = b"%d" % rng.randint(0, 3)
        course = self.fleet.course(asked, self.providers, self.now, rng.random, prefix=prefix)
        request = Request(asked, course, self.now)
        self.requests.append(request)
        self.active += 1
        self.step(request)
        if rng.random() < 0.15:
            self.at(self.now + 2.0 * rng.random(), self.leave, request)

    def reload(self):
        """One provider loses or gains an endpoint; the rest is read anew, equal but not the same."""
        name = self.rng.choice(list(self.providers))
        old = self.providers[name]
        shape = {"balance": old.balance, "max_concurrency": old.max_concurrency, "total": old.timeouts.total}
        new = provider(name, endpoints=len(old.endpoints) % 3 + 1, keys=len(old.keys), **shape)
        self.providers = {**self.providers, name: new}
        for url in new.endpoints:
            self.moods.setdefault(url, fine if name == "well" else wild)
        self.fleet.retain(self.providers, self.models)
        self.changed = self.now

    def leave(self, request):
        if not request.ends:
            request.left = True
            self.land(request)
            request.course.abandoned(self.now)
            self.end(request)

    def step(self, request):
        if request.ends:
            return
        states = self.states()
        step = request.course.next(self.now)
        if isinstance(step, Try):
            self.trace.append((self.now, step.lane.target.name, step.lane.endpoint, step.lane.key))
            self.check_try(request, step.lane, states)
            self.fly(request, step.lane, states)
        elif isinstance(step, GiveUp):
            self.trace.append((self.now, step.failure.kind))
            self.check_end(request, step.failure, states)
            self.end(request)
        else:
            self.trace.append((self.now, step.seconds))
            assert step.seconds > 0.0
            assert self.now + step.seconds <= request.course.deadline, "waits past the deadline"
            assert request.counted < request.asked.retries.attempts
            assert not self.open_lanes(request, states), "waits though a lane is free"
            self.at(self.now + step.seconds, self.step, request)

    def fly(self, request, lane, states):
        url = lane.provider.endpoints[lane.endpoint]
        request.lane, request.serial = lane, request.serial + 1
        request.probe = states.get(url, 0) != 0
        if request.probe:
            self.probing.add(url)
        name = lane.provider.name
        self.flying[name] = self.flying.get(name, 0) + 1
        request.retry = name in request.places
        self.retries += request.retry
        assert self.retries <= 0.2 * self.active + 3 or not request.retry or request.again, "retries beyond the budget"
        request.counted += not request.again
        request.again = False
        assert request.course.attempts == request.counted
        ending, seconds, failure = self.moods[url](self.rng, self.now)
        self.at(self.now + seconds, self.finish, request, request.serial, ending, failure)

    def finish(self, request, serial, ending, failure):
        if request.ends or request.serial != serial:
            return
        if ending in ("stream", "cut") and not request.committed:
            request.committed = True
            if self.rng.random() < 0.7:
                if request.probe:
                    self.probing.discard(self.url(request))
                    request.probe = False
                self.retries -= request.retry
                request.retry = False
                request.course.committed(self.now, first_byte=0.1)
            self.at(self.now + 3.0 * self.rng.random(), self.finish, request, serial, ending, failure)
            return
        lane = request.lane
        url = self.url(request)
        self.land(request)
        if failure is None:
            request.succeeded = True
            request.course.succeeded(self.now, first_byte=0.1)
            self.refused.pop((lane.target.model, lane.provider.name, lane.key), None)
            self.end(request)
        elif ending == "cut":
            self.note_fault(url)
            request.course.broke(failure, self.now)
            self.end(request)
            assert request.course.next(self.now) == GiveUp(failure), "something follows the commit point"
        else:
            self.note(request, lane, url, failure)
            request.course.failed(failure, self.now)
            self.step(request)

    # -- the referee's books ------------------------------------------------------------------------------

    def url(self, request):
        return request.lane.provider.endpoints[request.lane.endpoint]

    def land(self, request):
        if request.lane is not None:
            self.flying[request.lane.provider.name] -= 1
            self.retries -= request.retry
            if request.probe:
                self.probing.discard(self.url(request))
            request.lane, request.retry = None, False

    def end(self, request):
        request.ends += 1
        self.active -= 1

    def note_fault(self, url):
        self.faults[url] = self.faults.get(url, 0) + 1
        self.last_fault[url] = self.now

    def note(self, request, lane, url, failure):
        model, name = lane.target.model, lane.provider.name
        if failure.detail == "stale_conn" and not request.stale:
            request.stale = request.again = True
            request.failure = failure
            return
        missed = request.probe and failure.kind in CONNECT
        request.probes_only = missed and (request.probes_only or request.counted == 1)
        request.failure, request.final = failure, not movable(failure, request.asked.retries.on)
        request.places.add(name)
        request.targets.add(lane.target)
        request.seen.add((lane.target, url))
        if failure.kind in FAULTS:
            self.note_fault(url)
        if failure.kind in CONNECT:
            request.seen.add(url)
        if failure.kind in NEVER_AGAIN_THERE:
            request.barred.add(url)
        if failure.kind == "upstream_auth":
            request.barred.add((name, lane.key))
            self.refused[model, name, lane.key] = self.now + 60.0
        if failure.kind == "upstream_rate_limited" and failure.retry_after is not None and failure.retry_after > 0:
            spot = (model, url, lane.key)
            self.parked[spot] = max(self.parked.get(spot, 0.0), self.now + min(failure.retry_after, 60.0))

    def states(self):
        """Breaker state by endpoint; endpoints with fewer faults than open one cannot be anything but closed."""
        if not any(count >= 5 for count in self.faults.values()):
            return {}
        seen = self.fleet.snapshot(self.now)
        return {
            url: state
            for name, health in seen.items()
            for url, state in zip(self.providers[name].endpoints, health.endpoints, strict=False)
        }

    def open_lanes(self, request, states):
        """Lanes that nothing speaks against, by these books; those a change brought are not owed to older requests."""
        if request.start <= self.changed:
            return []
        budget = self.retries + 1 <= 0.2 * self.active + 3
        lanes = []
        for target in request.asked.targets:
            known = self.providers.get(target.provider)
            if known is None or (target.provider in request.places and not budget) or self.full(known):
                continue
            for url in known.endpoints:
                if states.get(url, 0) or {url, (target, url)} & (request.seen | request.barred):
                    continue
                lanes += [target for key in range(len(known.keys)) or (-1,) if self.at_rest(target, url, key, request)]
        return lanes

    def at_rest(self, target, url, key, request):
        refused = (target.provider, key) in request.barred
        parked = self.parked.get((target.model, url, key), 0.0) > self.now - EARLY
        return not (refused or parked or self.refused.get((target.model, target.provider, key), 0.0) > self.now - EARLY)

    def full(self, known):
        most = inf if known.max_concurrency is None else known.max_concurrency
        return self.flying.get(known.name, 0) >= most

    # -- the referee's judgement --------------------------------------------------------------------------

    def check_try(self, request, lane, states):
        url = lane.provider.endpoints[lane.endpoint]
        assert not request.ends
        assert not request.committed, "retried after the commit point"
        assert not request.final, "retried what must not be"
        assert request.counted < request.asked.retries.attempts or request.again, "too many attempts"
        assert lane.target in request.asked.targets
        assert -1 <= lane.key < len(lane.provider.keys)
        assert (lane.key == -1) == (not lane.provider.keys)
        assert not request.counted or self.now < request.course.deadline, "a try past the deadline"
        assert not self.full(lane.provider), "beyond max_concurrency"
        assert not {url, (lane.provider.name, lane.key)} & request.barred, "the same key or endpoint again"
        assert self.parked.get((lane.target.model, url, lane.key), 0.0) <= self.now + EARLY, "a parked lane"
        if states.get(url, 0):
            assert url not in self.probing, "two probes at once"
            assert states[url] == 2 or self.now >= self.last_fault[url] + 1.0 - EARLY, "an early probe too early"
            assert states[url] == 2 or not self.open_lanes(request, states), "an early probe though a lane is free"

    def check_end(self, request, failure, states):
        totals = {each.timeouts.total for each in self.providers.values()}
        assert any(abs(request.course.deadline - request.start - total) < EARLY for total in (0.0, *totals))
        spent = request.counted >= request.asked.retries.attempts or self.now >= request.course.deadline
        assert request.final or spent or not self.open_lanes(request, states), "gives up though a lane is free"
        if request.failure is None:
            assert failure.kind in ("overloaded", "upstream_rate_limited", "no_upstream", "upstream_timeout")
        elif request.probes_only:
            assert failure.kind == "no_upstream"
        else:
            bounded = replace(request.failure, retry_after=60.0)
            assert failure is request.failure or failure == bounded, "not the last real failure"
            assert (failure.retry_after or 0.0) <= 60.0, "told to wait longer than we would"

    def settle(self):
        """Everything has ended: exactly once each, nothing is held, nothing grew."""
        fleet = self.fleet
        assert all(request.ends == 1 for request in self.requests)
        assert (self.active, fleet.budget.active, fleet.budget.retries) == (0, 0, 0)
        seen = fleet.snapshot(self.now)
        assert all(health.in_flight == 0 for health in seen.values())
        assert all(site.in_flight == 0 for place in fleet._places.values() for site in place.sites)
        assert all(gauge.in_flight == 0 for gauge in fleet._gauges.values())
        assert set(fleet._places) <= set(self.providers)
        assert len(fleet._pools) <= len(self.models)
        assert set(fleet._gauges) <= {(each.provider, each.model) for known in self.models for each in known.targets}
        fleet.retain(self.providers, self.models)
        for name, health in fleet.snapshot(self.now).items():
            for url, state in zip(self.providers[name].endpoints, health.endpoints, strict=True):
                assert state == 0 or self.faults.get(url, 0) >= 5, "opened by what was no fault of the endpoint"
        if self.steady:
            unanswered = [each for each in self.requests if not (each.succeeded or each.left or each.committed)]
            assert not unanswered, "a healthy target was not found"


def movable(failure, on):
    """The rule of ``retries.on`` in other words than the code's."""
    status = str(failure.http_status)
    words = {"connect"} if failure.kind in CONNECT else {status, "5xx"} if status >= "500" else {status}
    return bool(words & on)
