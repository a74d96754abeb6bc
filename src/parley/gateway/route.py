"""What is the same for every request of one dialect down one lane, made once: the hot path only looks it up."""

from collections.abc import Mapping
from typing import Final

from parley.gateway import heads
from parley.plan import Lane
from parley.ports import Destination, Upstream
from parley.relay import Passage, passage
from parley.settings import Registration
from parley.wire.inlets import Inlet

# A registration has few lanes; a flood of them can only mean many keys and endpoints. Beyond this, begin anew.
REMEMBERED: Final = 1024


class Route:
    """``to`` is None where the provider cannot be asked for the operation (then tokens are estimated).

    The asks are the constant header lines of a request for one object or for events; the request's id follows.
    """

    __slots__ = (
        "answering",
        "ask_events",
        "ask_json",
        "logged",
        "named",
        "needs",
        "same",
        "to",
        "upstream",
        "verbatim",
        "way",
    )

    def __init__(self, way: Passage, upstream: Upstream, to: Destination | None, head: heads.LaneHead) -> None:
        self.way = way
        self.verbatim = way.verbatim
        self.same = way.inlet is way.outlet
        self.upstream = upstream
        self.to = to
        self.ask_json = head.lines + heads.asking(events=False)
        self.ask_events = head.lines + heads.asking(events=True)
        self.named = head.named
        self.needs = tuple(pair for pair in way.outlet.needs if pair[0] not in head.named)
        # What its log lines have in common; known with the first.
        self.logged = ""
        self.answering = heads.answering(way.target.name)


class Served:
    """A registration with the routes that its requests have taken so far."""

    __slots__ = ("_routes", "_upstreams", "registration")

    def __init__(self, registration: Registration, upstreams: Mapping[str, Upstream]) -> None:
        self.registration = registration
        self._upstreams = upstreams
        self._routes: dict[tuple[int, Lane], Route] = {}

    def route(self, inlet: Inlet, lane: Lane) -> Route:
        """The way of this dialect's requests down this lane. Raises ``invalid_request`` where defaults do not fit."""
        key = (inlet.number, lane)
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) >= REMEMBERED:
                self._routes.clear()
            found = self._routes[key] = self._made(inlet, lane)
        return found

    def _made(self, inlet: Inlet, lane: Lane) -> Route:
        provider, target = lane.provider, lane.target
        registration = self.registration
        if inlet.operation != "chat":
            # What is set for answers does not belong into questions about the request.
            registration = Registration(model=registration.model, targets=registration.targets)
        way = passage(inlet.wire, registration, provider, target)
        asked = "chat" if inlet.operation == "chat" or not way.verbatim else inlet.operation
        head = heads.lane_head(provider, target, lane.endpoint, lane.key, asked if asked in provider.paths else "chat")
        to = Destination(
            method=b"POST",
            origin=head.origin,
            path=head.path,
            connect=provider.timeouts.connect,
            first_byte=provider.timeouts.first_byte,
            idle=provider.timeouts.idle,
        )
        asks = asked == inlet.operation and asked in provider.paths
        return Route(way, self._upstreams[provider.transport], to if asks else None, head)
