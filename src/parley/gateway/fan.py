"""A request for several answers where the provider gives one: it is asked as often, and its answers become one.

All calls are one try: they go down the same lane, they fail together, and what they use is summed. No more of them
are under way at one time than the provider has room for.
"""

import re
from typing import TYPE_CHECKING, Final

from msgspec import Raw
from msgspec.structs import replace

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.gateway import heads
from parley.gateway.admission import Asked
from parley.gateway.answering import sent_instead
from parley.gateway.job import Job
from parley.gateway.route import Route
from parley.ports import Call, Caller, Destination, Flight, Headers, Request, Sink, Upstream
from parley.relay import Outgoing, Passage, bad_answer
from parley.relay.fan import Fan
from parley.settings import UNFIT, Settings
from parley.wire import unspoken
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.gateway import Gateway

MOST: Final = 16
_SEED: Final = "seed"
# The parameter's name in the configuration.
_PARAMETER: Final = "n"
_LARGEST_SEED: Final = 2**31 - 1
_KEY: Final = re.compile(rb"(^|\r\n)(idempotency-key: [^\r]*)", re.IGNORECASE)
_WORD: Final = re.compile("[A-Z]")


def fans(settings: Settings) -> bool:
    """Whether any registration wants it."""
    return any(registration.choices == "fan_out" for registration in settings.registrations.values())


class FanJob(Job):
    """See the module. Where one answer is asked for, or the provider gives several, it is a job like any other."""

    count = 1
    spread = False
    _route: Route | None
    _fan: Fan | None
    _varied: bool

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        super().__init__(gateway, inlet, request, caller)
        self._route = self._fan = None
        self._varied = False

    def outgoing(self, route: Route) -> Outgoing:
        """The request, for one answer where the provider gives no more. Raises ``invalid_request``: too many."""
        way = route.way
        self.count = self._wanted(way)
        drawn = self.streams and way.inlet.stream_decoder is unspoken
        self.spread = self.count > 1 and not gives_several(way) and not drawn
        if not self.spread:
            return super().outgoing(route)
        if self.count > MOST:
            name = ".".join(way.inlet.several)
            message = f"{name}: at most {MOST} where each answer is a request of its own"
            raise ParleyError(Failure("invalid_request", message, param=name, detail=UNFIT))
        spreading = self._route = route.through(Spread(self, route.upstream), _for_one(way))
        asked = self._one(0)
        self._varied = self._one(1).members != asked.members
        return sent_instead(self, spreading, asked)

    def body_of(self, number: int, usual: jsontext.Parts) -> jsontext.Parts:
        """What is sent for the answer of that number."""
        route = self._route
        return usual if route is None or not self._varied else sent_instead(self, route, self._one(number)).body

    def _wanted(self, way: Passage) -> int:
        """How many answers; one where the request says nothing that could be a number, which others judge."""
        if self.registration.choices != "fan_out":
            return 1
        overrides, defaults = self.registration.overrides, self.registration.defaults
        if _PARAMETER in overrides:
            value = overrides[_PARAMETER]
        else:
            value = _number(self.asked.members, way.inlet.several)
            value = defaults.get(_PARAMETER) if value is None else value
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1

    def _one(self, number: int) -> Asked:
        """The request for one answer. The same seed would give the same answer again and again."""
        path = self.inlet.wire.several
        members = _with(self.asked.members, path, 1)
        place = (*path[:-1], _SEED)
        seed = _number(members, place)
        if number and isinstance(seed, int):
            moved = seed + number if seed + number <= _LARGEST_SEED or seed > _LARGEST_SEED else seed - number
            members = _with(members, place, moved)
        return Asked(self.asked.model, self.asked.streams, members)

    def _send(self, route: Route, to: Destination, message: Outgoing, *, fresh: bool) -> None:
        spreading, self._route, self._fan = self._route, None, None
        if self.spread and spreading is not None:
            keeper = message.keeper
            fan = self._fan = Fan(spreading.way, self.reply(), self.count, streams=self.streams, keeper=keeper)
            self.relay = fan if self.hooked is None else self.hooked.carried(self, fan)
            self._route = spreading
            self._head = b""
            route = spreading
        super()._send(route, to, message, fresh=fresh)
        self._route = None

    # The upstream's side

    def began(self, branch: "Branch", status: int, headers: Headers) -> None:
        """A call is being answered; anything but a success ends all others."""
        fan = self._fan
        if self.over or fan is None:
            return
        if status != 200:
            branch.calls.keep(branch)
            self.head(status, headers)
            return
        if not fan.heard:
            self.first_byte = self.gateway.now() - self._call_at
        fan.turn = branch.number
        try:
            fan.begin(events=self._events(heads.content_type(headers)))
        except ParleyError as error:
            self._broken(error.failure)

    def _events(self, kind: bytes) -> bool:
        route = self.route
        assert route is not None
        events = kind.startswith(route.stream_type)
        if not (events or kind.find(b"json") >= 0 or kind.startswith(route.way.outlet.answers)):
            message = "the provider answered with something that is neither JSON nor an event stream"
            raise bad_answer("bad_content_type", message)
        return events

    def spoke(self, branch: "Branch", data: bytes) -> None:
        """More of one answer."""
        if self._fan is not None:
            self._fan.turn, self._fan.whole = branch.number, False
        self.body(data)

    def ended(self, branch: "Branch") -> None:
        """One answer is whole."""
        calls, fan = branch.calls, self._fan
        calls.ended(branch)
        if not calls.under_way:
            self._flight = None
        if self.over or fan is None:
            return
        if self._errors is None:
            fan.turn, fan.whole = branch.number, True
            self.body(b"")
        # That may have been a failure, and another try may be under way.
        if not (self.over or calls.under_way) and fan is self._fan and fan.failure is None:
            self.done()

    def lost(self, branch: "Branch", failure: Failure) -> None:
        """One call has failed, and with it the try."""
        branch.calls.cancel()
        self.failed(failure)

    def _refused_by_provider(self, status: int, failure: Failure) -> None:
        """After the commit point nothing else is tried."""
        if self.committed:
            self.failed(failure)
        else:
            super()._refused_by_provider(status, failure)


class Spread:
    """Sends a call as often as answers are wanted. An Upstream for one try."""

    __slots__ = ("_job", "_upstream")

    def __init__(self, job: FanJob, upstream: Upstream) -> None:
        self._job = job
        self._upstream = upstream

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start as many as there is room for; the rest follow."""
        return Calls(self._job, self._upstream, call)

    def close(self) -> None:
        """Nothing of its own is open."""


class Calls:
    """The calls of one try, as one Flight."""

    __slots__ = ("_branches", "_job", "_paused", "_upstream", "_waiting")

    def __init__(self, job: FanJob, upstream: Upstream, call: Call) -> None:
        self._job = job
        self._upstream = upstream
        self._paused = False
        self._branches: dict[int, Branch] = {}
        self._waiting = [_varied(job, call, number) for number in range(job.count - 1, -1, -1)]
        assert job.course is not None
        for _ in range(1 + job.course.widen(job.count - 1)):
            self._next()

    @property
    def under_way(self) -> bool:
        """Whether one is not answered yet."""
        return bool(self._branches or self._waiting)

    def cancel(self) -> None:
        """Stop them all."""
        branches, self._branches = self._branches, {}
        self._waiting = []
        for branch in branches.values():
            branch.stop()

    def keep(self, only: "Branch") -> None:
        """Stop all others."""
        self._waiting = []
        for number, branch in list(self._branches.items()):
            if branch is not only:
                del self._branches[number]
                branch.stop()

    def pause(self) -> None:
        """Read no more."""
        self._paused = True
        for branch in self._branches.values():
            branch.pause()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        for branch in list(self._branches.values()):
            branch.resume()

    def ended(self, branch: "Branch") -> None:
        """One is answered: another may begin in its place."""
        self._branches.pop(branch.number, None)
        if self._waiting:
            self._next()

    def _next(self) -> None:
        number, call = self._waiting.pop()
        branch = self._branches[number] = Branch(self._job, self, number)
        branch.flight = self._upstream.send(call, branch)
        if self._paused:
            branch.pause()


class Branch:
    """One call: the Sink of its answer."""

    __slots__ = ("_job", "calls", "flight", "number")

    def __init__(self, job: FanJob, calls: Calls, number: int) -> None:
        self._job = job
        self.calls = calls
        self.number = number
        self.flight: Flight | None = None

    def stop(self) -> None:
        """Nothing more is heard of it."""
        flight, self.flight = self.flight, None
        if flight is not None:
            flight.cancel()

    def pause(self) -> None:
        """Read no more."""
        if self.flight is not None:
            self.flight.pause()

    def resume(self) -> None:
        """Read on."""
        if self.flight is not None:
            self.flight.resume()

    def head(self, status: int, headers: Headers) -> None:
        """The provider has begun to answer."""
        self._job.began(self, status, headers)

    def body(self, data: bytes) -> None:
        """More of the answer."""
        self._job.spoke(self, data)

    def done(self) -> None:
        """The answer is whole."""
        self.flight = None
        self._job.ended(self)

    def failed(self, failure: Failure) -> None:
        """It broke."""
        self.flight = None
        self._job.lost(self, failure)


def gives_several(way: Passage) -> bool:
    """Whether a provider gives several answers to one request."""
    lacks = _PARAMETER in way.quirks.drop or _PARAMETER in way.provider.cannot
    return bool(way.outlet.several) and not lacks


def _for_one(way: Passage) -> Passage:
    """The way without what always asks for several."""
    if _PARAMETER not in way.overrides and _PARAMETER not in way.forced:
        return way
    overrides = {name: value for name, value in way.overrides.items() if name != _PARAMETER}
    forced = {name: value for name, value in way.forced.items() if name != _PARAMETER}
    return replace(way, overrides=overrides, forced=forced)


def _varied(job: FanJob, call: Call, number: int) -> tuple[int, Call]:
    """The call for the answer of that number. What a provider takes for a repeated call would be answered once."""
    if not number:
        return number, call
    head = _KEY.sub(rb"\1\2-%d" % number, call.head)
    return number, Call(call.to, head, job.body_of(number, call.body), call.total, call.fresh)


def _spellings(name: str) -> tuple[str, str]:
    """A member's name, and the same in snake case."""
    return name, _WORD.sub(lambda found: f"_{found[0].lower()}", name)


def _number(members: jsontext.Members, path: tuple[str, ...]) -> int | None:
    """The whole number at that path, None where there is none."""
    raw = next((members[name] for name in _spellings(path[0]) if name in members), None)
    if raw is None:
        return None
    text = bytes(memoryview(raw))
    if len(path) > 1:
        return _number(jsontext.members(text), path[1:]) if text.startswith(b"{") else None
    return int(text) if text.removeprefix(b"-").isdigit() else None


def _with(members: jsontext.Members, path: tuple[str, ...], value: int) -> jsontext.Members:
    """The members with that number there, in the spelling in which it stands."""
    name = next((name for name in _spellings(path[0]) if name in members), path[0])
    if len(path) == 1:
        return {**members, name: Raw(b"%d" % value)}
    inner = bytes(memoryview(members[name])) if name in members else b"{}"
    inner = inner if inner.startswith(b"{") else b"{}"
    return {**members, name: Raw(jsontext.encode(_with(jsontext.members(inner), path[1:], value)))}
