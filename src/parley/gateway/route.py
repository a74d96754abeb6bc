"""What is the same for every request of one dialect down one lane, made once: the hot path only looks it up."""

from collections.abc import Mapping

from msgspec import Struct

from parley.gateway import heads
from parley.plan import Lane
from parley.ports import Destination, Upstream
from parley.relay import Passage, passage
from parley.settings import Registration
from parley.wire.inlets import Inlet

# A registration has few lanes; a flood of them can only mean many keys and endpoints. Beyond this, begin anew.
REMEMBERED = 1024


class Route(Struct, frozen=True, kw_only=True):
    """``to`` is None where the provider cannot be asked for the operation (then tokens are estimated).

    ``asks`` are the constant header lines of a request for one object and for events; the request's id follows.
    """

    way: Passage
    upstream: Upstream
    to: Destination | None
    asks: tuple[bytes, bytes]
    named: frozenset[bytes]
    answering: bytes


class Served:
    """A registration with the routes that its requests have taken so far."""

    __slots__ = ("_routes", "_upstreams", "registration")

    def __init__(self, registration: Registration, upstreams: Mapping[str, Upstream]) -> None:
        self.registration = registration
        self._upstreams = upstreams
        self._routes: dict[tuple[int, str, str, int, int], Route] = {}

    def route(self, inlet: Inlet, lane: Lane) -> Route:
        """The way of this dialect's requests down this lane. Raises ``invalid_request`` where defaults do not fit."""
        target = lane.target
        key = (inlet.number, target.provider, target.model, lane.endpoint, lane.key)
        found = self._routes.get(key)
        if found is None or found.way.provider is not lane.provider:
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
        return Route(
            way=way,
            upstream=self._upstreams[provider.transport],
            to=to if asked == inlet.operation and asked in provider.paths else None,
            asks=(head.lines + heads.asking(events=False), head.lines + heads.asking(events=True)),
            named=head.named,
            answering=heads.answering(target.name),
        )
