"""What one request learns from its failed tries, and where each kind of failure lets it go next.

Nothing here outlives the request. Sources: fault contract section 2 (U1-U21), decision 0003.
"""

from collections.abc import Callable
from math import inf

from parley.failure import NODE_ANSWERED, NODE_LOOP, Failure
from parley.plan.health import OWN_TIME
from parley.plan.place import Place, Seat, Site, Token
from parley.settings import Provider, Target

Way = tuple[int, Target, Provider, Place, Seat]  # a plain tuple: one is made per request on the hot path
Scope = Site | Token | tuple[int, Site] | tuple[int, Seat]

CONNECT = frozenset({"upstream_unreachable", "upstream_connect_timeout", "upstream_closed", "upstream_tls"})
STALE = "stale_conn"


def may_move(failure: Failure, on: frozenset[str]) -> bool:
    """Whether the request may be tried again after this, ``on`` being the registration's ``retries.on``.

    Failures to connect answer to "connect" only; all others to the status they would be answered with, or
    "5xx". A provider's 4xx moves only where its very status is listed.
    """
    kind, status = failure.code, failure.http_status
    if failure.final:
        return False
    if kind.code in CONNECT:
        return "connect" in on
    if kind.retry == "never" and kind.code != "upstream_rejected":
        return False
    if kind.retry == "key" and not on.isdisjoint(("401", "403")):
        return True
    return str(status) in on or (status >= 500 and "5xx" in on)


class Trail:
    """The failed tries of one request: the last failure, what is barred, what must rest until when."""

    __slots__ = ("again", "barred", "down", "final", "last", "places", "rest", "stale", "targets", "unfit", "way")

    def __init__(self, failure: Failure, way: Way) -> None:
        self.last = failure
        self.way = way
        self.final = False  # no further try, whatever is left
        self.down = False  # every try so far was a probe of an open breaker, and nobody was there
        self.unfit = False  # nothing was sent so far: each target that came first cannot take the request
        self.stale = False  # the one free repeat on a fresh connection is spent
        self.again: Way | None = None
        self.places: set[Place] = set()
        self.targets: set[int] = set()
        self.barred: set[Scope] = set()
        self.rest: dict[Scope, float] = {}

    def note(self, way: Way, failure: Failure, ready: float) -> None:
        """Remember a try that may move on; the same way rests until ``ready``."""
        index, _, _, place, seat = way
        self.places.add(place)
        self.targets.add(index)
        after = _AFTER.get(failure.detail) or _AFTER.get(failure.kind, _rest_here)
        after(self, index, seat, ready)

    def fresh(self, site: Site) -> bool:
        """Whether a try at ``site`` needs a new connection: the last one died with its own there."""
        return self.way[4].site is site and self.last.kind == "upstream_closed"

    def ready(self, index: int, seat: Seat) -> float:
        """When this way may be tried again: -inf where nothing spoke against it, inf for never."""
        site = seat.site
        scopes: tuple[Scope, ...] = (site, seat.token, (index, site), (index, seat))
        if not self.barred.isdisjoint(scopes):
            return inf
        return max(self.rest.get(scope, -inf) for scope in scopes)


def _bar_endpoint(trail: Trail, _index: int, seat: Seat, _ready: float) -> None:
    trail.barred.add(seat.site)


def _bar_endpoint_for_target(trail: Trail, index: int, seat: Seat, _ready: float) -> None:
    trail.barred.add((index, seat.site))


def _bar_key(trail: Trail, _index: int, seat: Seat, _ready: float) -> None:
    trail.barred.add(seat.token)


def _rest_endpoint(trail: Trail, _index: int, seat: Seat, ready: float) -> None:
    trail.rest[seat.site] = ready


def _once_more(trail: Trail, index: int, seat: Seat, ready: float) -> None:
    after = _bar_endpoint if seat.site in trail.rest else _rest_endpoint
    after(trail, index, seat, ready)


def _rest_lane(trail: Trail, index: int, seat: Seat, ready: float) -> None:
    trail.rest[index, seat] = ready


def _rest_here(trail: Trail, index: int, seat: Seat, ready: float) -> None:
    trail.rest[index, seat.site] = ready


# A timeout has already cost its whole limit once, so the same place is not asked twice.
_AFTER: dict[str, Callable[[Trail, int, Seat, float], None]] = {
    "upstream_tls": _bar_endpoint,
    "upstream_connect_timeout": _bar_endpoint,
    "upstream_redirect": _bar_endpoint,
    "upstream_bad_response": _bar_endpoint,
    "upstream_timeout": _bar_endpoint_for_target,
    "model_loading": _bar_endpoint_for_target,
    OWN_TIME: _bar_endpoint_for_target,
    # A node has made its own tries.
    NODE_ANSWERED: _bar_endpoint_for_target,
    NODE_LOOP: _bar_endpoint_for_target,
    "upstream_auth": _bar_key,
    "upstream_unreachable": _rest_endpoint,
    "upstream_closed": _once_more,
    "upstream_rate_limited": _rest_lane,
}
