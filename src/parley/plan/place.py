"""One provider as routing sees it: its endpoints and keys, and the lanes they make.

Place
  Site    one endpoint: breaker, load, pace
  Token   one key: models it was refused for
  Seat    one endpoint with one key: models it is rate-limited for
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from parley.plan.health import Breaker, Gauge
from parley.plan.order import Pool, Rand, order
from parley.plan.policy import Policy
from parley.settings import Provider, Target

# Models come from callers, so what a seat remembers of them is bounded.
REMEMBERED: Final = 64


class Lane(Struct, frozen=True, eq=False):
    """One concrete way to an answer: a target at endpoint ``endpoint`` of its provider with key ``key``.

    Both are indexes into the provider's ``endpoints`` and ``keys``; ``key`` is -1 where it has none. Compared by
    identity: a seat gives the same one again.
    """

    target: Target
    provider: Provider
    endpoint: int
    key: int


class Try(Struct, frozen=True):
    """Send the request there now. ``fresh``: the last try died with its connection, so take a new one."""

    lane: Lane
    fresh: bool = False


class Site(Gauge):
    """One endpoint of a provider."""

    __slots__ = ("breaker",)

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.breaker = Breaker(policy)


class Token:
    """One key of a provider, never its text. ``parked``: model -> until when the key is best left alone."""

    __slots__ = ("parked",)

    def __init__(self) -> None:
        self.parked: dict[str, float] = {}


class Seat:
    """One endpoint with one key, by their indexes (-1: no key). ``parked``: model -> end of its rate limit."""

    __slots__ = ("_first", "endpoint", "key", "parked", "site", "token")

    def __init__(self, site: Site, token: Token, endpoint: int, key: int) -> None:
        self.site = site
        self.token = token
        self.endpoint = endpoint
        self.key = key
        self.parked: dict[str, float] = {}
        self._first: dict[Target, Try] = {}

    def first(self, target: Target, provider: Provider) -> Try:
        """A try of this target here, on any connection."""
        step = self._first.get(target)
        if step is None or step.lane.provider is not provider:
            if len(self._first) >= REMEMBERED:
                self._first.clear()
            step = self._first[target] = Try(Lane(target, provider, self.endpoint, self.key))
        return step


class Place:
    """One provider's state. A changed provider keeps what is known of endpoints and keys it still has. ``start``: see
    Fleet."""

    __slots__ = (
        "_grid",
        "_policy",
        "_pool",
        "_sites",
        "_start",
        "_tokens",
        "_turn",
        "former",
        "in_flight",
        "limit",
        "provider",
        "seats",
    )

    def __init__(self, provider: Provider, policy: Policy, start: int = 0) -> None:
        self._policy = policy
        self._sites: dict[str, Site] = {}
        self._tokens: dict[str, Token] = {}
        self._grid: list[list[Seat]] = []
        self._start = self._turn = start
        self.in_flight = 0
        self.provider = provider
        self.adopt(provider)

    def adopt(self, provider: Provider) -> None:
        """Serve by this value from now on; requests under way end on what they hold."""
        known = {(seat.site, seat.token): seat.parked for row in self._grid for seat in row}
        urls, keys = provider.endpoints or ("",), provider.keys or ("",)
        policy = _patience(provider, self._policy)
        self._sites = {url: self._sites.get(url) or Site(policy) for url in urls}
        for site in self._sites.values():
            site.breaker.policy = policy
        self._tokens = {key: self._tokens.get(key) or Token() for key in keys}
        self._grid = [self._row(endpoint, url, keys, bool(provider.keys)) for endpoint, url in enumerate(urls)]
        self.seats = [seat for row in self._grid for seat in row]
        for seat in self.seats:
            seat.parked = known.get((seat.site, seat.token), seat.parked)
        self._pool = Pool(urls, [1] * len(urls), self.sites, self._start)
        self.limit = inf if provider.max_concurrency is None else provider.max_concurrency
        self.former, self.provider = self.provider, provider

    def _row(self, endpoint: int, url: str, keys: Sequence[str], keyed: bool) -> list[Seat]:
        site, tokens = self._sites[url], self._tokens
        return [Seat(site, tokens[key], endpoint, index if keyed else -1) for index, key in enumerate(keys)]

    @property
    def sites(self) -> Sequence[Site]:
        """Its endpoints in configured order."""
        return [row[0].site for row in self._grid]

    def ranked(self, rand: Rand, prefix: bytes) -> Sequence[Seat]:
        """Every seat once: endpoints as ``balance`` says, keys in turn.

        Neighbours differ in endpoint and key where they can: the next one shares least with the one that failed.
        """
        if len(self.seats) < 2:
            return self.seats
        rows = [self._grid[index] for index in order(self.provider.balance, self._pool, rand, prefix)]
        width = len(rows[0])
        first = self._turn % width
        self._turn = first + 1
        return [row[(first + step + shift) % width] for step in range(width) for shift, row in enumerate(rows)]


def _patience(provider: Provider, policy: Policy) -> Policy:
    """How patient the gateway is with this provider."""
    if provider.trips is None and provider.rests is None:
        return policy
    opens, rests = provider.trips, provider.rests
    return replace(
        policy,
        opens_after=policy.opens_after if opens is None else opens,
        open_for=policy.open_for if rests is None else rests,
    )
