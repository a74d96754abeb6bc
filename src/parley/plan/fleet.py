"""The gateway-wide state of routing: one Fleet, owned by the gateway, shared by all its requests."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from parley.plan.budget import Budget
from parley.plan.course import Course
from parley.plan.health import CLOSED, HALF_OPEN, OPEN, Gauge
from parley.plan.order import Pool, Rand
from parley.plan.place import Place
from parley.plan.policy import Policy
from parley.settings import Provider, Registration

_DEFAULT: Final = Policy()


class Health(Struct, frozen=True):
    """One provider for metrics. States: 0 closed, 1 open, 2 half-open; ``state`` is that of its worst endpoint,
    open before half-open before closed.

    ``endpoints`` are the states in configured order, ``parked`` counts lanes resting by a rate limit or a refused key.
    """

    state: int
    endpoints: tuple[int, ...]
    in_flight: int
    parked: int


class Fleet:
    """Breakers, parked lanes, load, pace, turns and the retry budget.

    What it keeps is bounded by the configuration: per provider its endpoints and keys (each lane at most 16 parked
    models), per registration with several targets a turn, per such target a load and a pace. ``start``: how many
    turns are taken to have been had, so that several processes do not all begin with the first.
    """

    def __init__(self, policy: Policy = _DEFAULT) -> None:
        self.policy = policy
        self.start = 0
        self.budget = Budget(policy.retry_share, policy.retry_floor)
        self._places: dict[str, Place] = {}
        self._pools: dict[tuple[str, str], tuple[Registration, Pool]] = {}
        self._gauges: dict[tuple[str, str], Gauge] = {}
        self._current: Mapping[str, Provider] = {}

    def course(
        self,
        registration: Registration,
        providers: Mapping[str, Provider],
        now: float,
        rand: Rand,
        *,
        prefix: bytes = b"",
    ) -> Course:
        """Begin a request, to be ended by its course. ``rand`` gives numbers in [0, 1); ``prefix`` is what
        prefix_hash goes by, empty where the request has none (targets then take turns)."""
        self.budget.active += 1
        return Course(self, registration, providers, now, rand, prefix)

    def place(self, provider: Provider) -> Place:
        """The state of this provider, brought up to this value of it unless it is the one replaced last, or what
        holds now was said: a request begun before a change of configuration goes on by what holds now."""
        place = self._places.get(provider.name)
        if place is None:
            provider = self._current.get(provider.name, provider)
            place = self._places[provider.name] = Place(provider, self.policy, self.start)
        elif place.provider is not provider and place.former is not provider and provider.name not in self._current:
            place.adopt(provider)
        return place

    def renew(self, provider: Provider, told: Mapping[str, int]) -> None:
        """A provider's endpoints have changed while all else stays; ``told`` is how many requests are at work at
        some of them, as they say, ours and others'."""
        place = self._places.get(provider.name)
        if place is None:
            return
        if place.provider is not provider:
            place.adopt(provider)
        for url, site in zip(provider.endpoints, place.sites, strict=True):
            if url in told:
                site.beside = max(0, told[url] - site.in_flight)

    def pool(self, registration: Registration) -> Pool:
        """The targets of a registration that has several, with their turn, load and pace."""
        key = (registration.endpoint, registration.model)
        known = self._pools.get(key)
        if known is not None and known[0] is registration:
            return known[1]
        targets = registration.targets
        gauges = [self._gauges.setdefault((target.provider, target.model), Gauge()) for target in targets]
        pool = Pool([target.name for target in targets], [target.weight for target in targets], gauges, self.start)
        self._pools[key] = (registration, pool)
        return pool

    def retain(self, providers: Mapping[str, Provider], registrations: Iterable[Registration] = ()) -> None:
        """The configuration has changed: forget what is no longer in it.

        Endpoints and keys that stay keep their health, targets of ``registrations`` their load and pace; turns
        start anew. Requests under way end on the state they hold.
        """
        self._current = providers
        self._places = {name: place for name, place in self._places.items() if name in providers}
        for name, place in self._places.items():
            if place.provider is not providers[name]:
                place.adopt(providers[name])
        named = {(target.provider, target.model) for known in registrations for target in known.targets}
        self._gauges = {name: gauge for name, gauge in self._gauges.items() if name in named}
        self._pools = {}

    def snapshot(self, now: float) -> dict[str, Health]:
        """Every provider that was used, by name."""
        return {name: _health(place, now) for name, place in self._places.items()}


def _health(place: Place, now: float) -> Health:
    states = tuple(site.breaker.state(now) for site in place.sites)
    worst = next((state for state in (OPEN, HALF_OPEN) if state in states), CLOSED)
    parked = sum(
        1 for seat in place.seats if any(end > now for end in (*seat.parked.values(), *seat.token.parked.values()))
    )
    return Health(worst, states, place.in_flight, parked)
