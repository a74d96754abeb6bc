"""What is the same for every request of one dialect down one lane, made once: the hot path only looks it up."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from parley.failure import Failure, ParleyError
from parley.gateway import heads
from parley.nodes.directory import NOWHERE
from parley.operations import OPERATIONS
from parley.plan import Lane
from parley.ports import Destination, Upstream
from parley.relay import Passage, carried, passage
from parley.settings import UNFIT, Provider, Registration
from parley.wire import SPOKEN
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.gateway.tally import Tally

# A registration has few lanes; a flood of them can only mean many keys and endpoints. Beyond this, begin anew.
REMEMBERED: Final = 1024
_SSE: Final = b"text/event-stream"
# Transports at whose other end stands no provider.
OURS: Final = frozenset({"echo", "local"})


class Route:
    """``to`` is None where the provider cannot be asked for the operation (then tokens are estimated); ``to_stream``
    is where streams are asked for, None for the same place.

    The asks are the constant header lines of a request for one object or for events; the request's id follows.
    ``checked``: nobody but us judges the request, so it is checked against the published document.
    """

    __slots__ = (
        "_head",
        "answering",
        "ask_events",
        "ask_json",
        "asked",
        "checked",
        "lines",
        "logged",
        "named",
        "needs",
        "passes",
        "same",
        "stream_type",
        "tally",
        "to",
        "to_stream",
        "upstream",
        "verbatim",
        "way",
    )

    def __init__(
        self,
        way: Passage,
        upstream: Upstream,
        to: Destination | None,
        head: heads.LaneHead,
        to_stream: Destination | None = None,
    ) -> None:
        self.to_stream = to_stream
        self.asked = way.operation
        self.way = way
        self.verbatim = way.verbatim
        self.stream_type = way.outlet.stream_type
        self.same = way.inlet is way.outlet
        self.checked = way.provider.transport in OURS
        self.upstream = upstream
        self.to = to
        self._head = head
        free = way.outlet.free_form
        self.lines = head.lines
        kinds = way.outlet.answers
        self.ask_json = head.lines + heads.asking(events=False, anything=free, kind=kinds[0] if kinds else b"")
        streamed = way.outlet.stream_type
        self.ask_events = head.lines + heads.asking(
            events=True, anything=free, kind=b"" if streamed == _SSE else streamed
        )
        self.named = head.named
        self.needs = tuple(pair for pair in way.outlet.needs if pair[0] not in head.named)
        # Headers of callers that are for such providers alone.
        self.passes = frozenset(str(way.quirks.options.get("passes", "")).encode().split())
        # What its log lines have in common; known with the first.
        self.logged = ""
        # Where they are counted; likewise.
        self.tally: Tally | None = None
        self.answering = heads.answering(way.target.name)

    def without(self) -> "Route":
        """The same where nobody can be asked."""
        return Route(self.way, self.upstream, None, self._head)

    def through(self, upstream: Upstream, way: Passage) -> "Route":
        """The same with calls carried by another, and with requests that take another way."""
        return Route(way, upstream, self.to, self._head, self.to_stream)


class Served:
    """A registration with the routes that its requests have taken so far. ``set`` is what sets their members, where
    that is not the registration itself."""

    __slots__ = ("_routes", "_set", "_upstreams", "registration")

    def __init__(
        self, registration: Registration, upstreams: Mapping[str, Upstream], set: Registration | None = None
    ) -> None:
        self.registration = registration
        self._set = set or registration
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

    def setting(self, members: Registration) -> "Served":
        """The same with members set by another registration; whose turn it is stays what it was."""
        return Served(self.registration, self._upstreams, members)

    def instead(self, inlet: Inlet, lane: Lane) -> bool:
        """The provider answered that it has no such operation: whether another of its operations, or our own estimate,
        carries such requests from now on."""
        before = self.route(inlet, lane)
        if inlet.counts:
            self._routes[(inlet.number, lane)] = before.without()
            return before.to is not None
        asked = before.asked
        # Every provider that makes text has chat: there the answer speaks of the model.
        carriers = OPERATIONS[inlet.operation].carriers if inlet.operation in OPERATIONS and asked != "chat" else ()
        rest = carriers[carriers.index(asked) + 1 :] if asked in carriers else ()
        other = next((name for name in rest if name in lane.provider.paths), None)
        if other is not None:
            self._routes[(inlet.number, lane)] = self._made(inlet, lane, other)
        return other is not None

    def _made(self, inlet: Inlet, lane: Lane, instead: str = "") -> Route:
        provider, target = lane.provider, lane.target
        registration = self._set
        if inlet.counts:
            # What is set for answers does not belong into questions about the request.
            registration = Registration(model=registration.model, targets=registration.targets)
        asked = instead or carried(provider, "chat" if inlet.counts else inlet.operation) or "chat"
        if not (instead or inlet.counts):
            asked = _in_own_form(provider, asked, inlet.wire.name)
        if asked not in provider.paths:
            # It was changed after this request had begun.
            raise ParleyError(Failure("no_upstream", f"provider {provider.label} does not serve this any more"))
        if provider.endpoints[lane.endpoint : lane.endpoint + 1] == NOWHERE:
            # No place of it is in rotation: another target may be there.
            raise ParleyError(Failure("no_upstream", "no worker of this model is in rotation", detail=UNFIT))
        way = passage(inlet.wire, registration, provider, target, asked, "chat" if inlet.counts else inlet.operation)
        counts = inlet.counts and way.verbatim and inlet.operation in provider.paths
        head = heads.lane_head(provider, target, lane.endpoint, lane.key, inlet.operation if counts else asked)
        to = _destination(provider, head.origin, head.path)
        events = f"{asked}_stream"
        to_stream = None
        if events in provider.paths:
            path = heads.lane_head(provider, target, lane.endpoint, lane.key, events).path
            to_stream = _destination(provider, head.origin, path)
        goes = counts or not inlet.counts
        return Route(way, self._upstreams[provider.transport], to if goes else None, head, to_stream)


def _in_own_form(provider: Provider, asked: str, wire: str) -> str:
    """A provider's operation that speaks the caller's very wire, where it has one; else the one that carries it."""
    spoken = SPOKEN[provider.wire]
    if spoken.get(asked) == wire:
        return asked
    # A multipart operation shares its wire with one that is not, but never its requests.
    forms = {name for name, operation in OPERATIONS.items() if operation.form}
    return next(
        (name for name, found in spoken.items() if found == wire and name in provider.paths and name not in forms),
        asked,
    )


def _destination(provider: Provider, origin: str, path: bytes) -> Destination:
    return Destination(
        method=b"POST",
        origin=origin,
        path=path,
        connect=provider.timeouts.connect,
        first_byte=provider.timeouts.first_byte,
        idle=provider.timeouts.idle,
        signing=provider.signing,
    )
