"""What a job gives its caller, and how it ends. The tries are parley.gateway.job's.

Sources: product contract section 6; fault contract section 1.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from parley.failure import REJECTED, Failure
from parley.gateway import heads
from parley.gateway.admission import Asked
from parley.gateway.answering import error_event, reply_to, told
from parley.gateway.cached import Replayed
from parley.gateway.ended import Outcome, Phase, Ticket
from parley.gateway.hooked import Hooked
from parley.gateway.keyring import Entry
from parley.gateway.route import Route, Served
from parley.nodes import verdict
from parley.plan import Course, Lane
from parley.ports import Caller, Flight, Request, Timer
from parley.relay import Outgoing, Relay, Through
from parley.settings import Registration
from parley.wire import Reply
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.gateway import Gateway

MAX_HELD: Final = 256 * 1024
LEFT: Final = 499
_UNSENT: Final = Outgoing(())


class Delivery:
    """The half of a job that the listener knows: it calls ``left``, ``pause`` and ``resume`` for its caller.

    Defaults stand in the class: a request sets only what it uses. ``ticket`` is the gate's,
    ``opened`` the seconds until the first content of a stream went out.
    """

    model = ""
    key: Entry | None = None
    owner = ""
    lane: Lane | None = None
    course: Course | None = None
    relay: Relay | None = None
    route: Route | None = None
    committed = False
    over = False
    first_byte: float | None = None
    opened = 0.0
    bytes_out = 0
    status = 200
    message: Outgoing = _UNSENT
    streams = False
    replayed: Replayed | None = None
    asked: Asked
    ticket: Ticket | None
    hooked: Hooked | None
    _flight: Flight | None
    _timer: Timer | None
    _held: list[bytes] | None = None
    _held_size = 0
    _head = b""
    _type = b""
    _paused = False
    _served: Served

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        self.gateway = gateway
        self.inlet = inlet
        self.request = request
        self.started = self._call_at = self.last_sent = gateway.now()
        self._caller = caller
        # Not in the class: mypyc leaves out a default of None where the other type is a protocol.
        self._flight = self._timer = self.ticket = self.hooked = None

    @property
    def registration(self) -> Registration:
        """What answers it; known once it was admitted."""
        return self._served.registration

    def left(self) -> None:
        """The caller has gone: stop the upstream call, free everything, record it."""
        if self.over:
            return
        self._release()
        self.status = LEFT
        self._end("client_abort", "client_abort", "mid" if self.committed else "pre")

    def pause(self) -> None:
        """The caller reads slowly."""
        self._paused = True
        if self._flight is not None:
            self._flight.pause()

    def resume(self) -> None:
        """The caller has caught up."""
        self._paused = False
        if self._flight is not None:
            self._flight.resume()

    def cut(self, failure: Failure) -> None:
        """End it from outside (drain): an error answer before the commit point, an error event after it."""
        if self.over:
            return
        self._release()
        if self.committed:
            self._error_event(failure)
        else:
            self._refuse(failure)

    def heartbeat(self, now: float, every: float, comment: bytes) -> None:
        """Send a comment on a stream that has been quiet for so long."""
        quiet = self.committed and not self.over and now - self.last_sent >= every
        if quiet and self.inlet.beats and not isinstance(self.relay, Through):
            self.last_sent = now
            self._caller.send(comment)

    def through(self, wrap: Callable[[Caller], Caller]) -> None:
        """Let the answer pass through somebody on its way to the caller."""
        self._caller = wrap(self._caller)

    def replay(self, found: Replayed) -> None:
        """Answer with what was kept of an earlier answer; no try is made."""
        if self.over:
            return
        self.replayed = found
        self._release()
        self.last_sent = self.gateway.now()
        self.bytes_out = len(found.body)
        head = found.head + told(self)
        if found.stream:
            self._caller.open(200, head)
            self._caller.send(found.body)
            self._caller.finish()
        else:
            dressed = self.inlet.wire.dressed
            self._caller.answer(200, head, found.body if dressed is None else dressed(found.body))
        self._end("ok", "", "done")

    def reply(self) -> Reply:
        """What an encoder must know of the request."""
        return reply_to(self, self.name())

    @property
    def tried_at(self) -> float:
        """When its last try began, in monotonic seconds."""
        return self._call_at

    def name(self) -> str:
        """For an answer without an id of its own."""
        return self.request.id

    def _deliver(self, carrier: Relay, out: bytes) -> None:
        if self.committed:
            self.last_sent = self.gateway.now()
            self.bytes_out += len(out)
            self._caller.send(out)
            return
        if self._held is None:
            self._held = []
        self._held.append(out)
        self._held_size += len(out)
        if carrier.content or self._held_size > MAX_HELD:
            self._commit()

    def _commit(self) -> None:
        """From here on the caller has seen content: no other target may answer."""
        self.committed = True
        gateway, course = self.gateway, self.course
        assert course is not None
        gateway.metrics.streams += 1
        self.last_sent = gateway.now()
        self.opened = self.last_sent - self.started
        course.committed(self.last_sent, first_byte=self.last_sent - self._call_at)
        self._caller.open(200, (self._type or self.inlet.stream_head) + self._head + told(self))
        held, self._held = b"".join(self._held or ()), None
        self.bytes_out += len(held)
        self._caller.send(held)

    def _complete(self, carrier: Relay) -> None:
        """The success terminator has been passed on."""
        if not self.committed:
            self._commit()
        if carrier.trailing:
            self._drop_flight()
        self._succeeded()
        try:
            # Who is told that it is over must find it in the books, even if nothing runs here any more.
            self._end("ok", "", "done")
        finally:
            self._caller.finish()

    def _answer(self, out: bytes) -> None:
        dressed = self.inlet.wire.dressed
        if dressed is not None:
            out = dressed(out)
        self.bytes_out = len(out)
        self._succeeded()
        lines = heads.JSON_TYPE if self.request.bare else heads.JSON_TYPE + self._head + told(self)
        try:
            self._end("ok", "", "done")
        finally:
            self._caller.answer(200, lines, out)

    def _succeeded(self) -> None:
        assert self.course is not None
        self.over = True
        self.last_sent = self.gateway.now()
        self.course.succeeded(self.last_sent, first_byte=self.first_byte or 0.0)

    def _error_event(self, failure: Failure) -> None:
        self.over = True
        if isinstance(self.relay, Through):
            self._caller.cut()
        else:
            self._caller.send(error_event(self, failure))
            self._caller.finish(close=True)
        self._end("error", failure.log_kind, "mid")

    def _refuse(self, failure: Failure) -> None:
        """The one error answer, in the caller's own dialect."""
        self.over = True
        reason = REJECTED.get(failure.kind)
        if reason is not None:
            self.gateway.metrics.count("parley_rejected_total", reason)
        wire = self.inlet.wire
        if wire.names_model:
            failure = replace(failure, model=self.model)
        self.status, body = self.shaped(failure)
        tries = 0 if self.course is None else self.course.attempts
        kind = heads.JSON_TYPE if body.startswith(b"{") or body.startswith(b"[") else heads.TEXT_TYPE
        lines = kind + told(self) + heads.refusing(failure, self.status, tries)
        if self.key is not None and self.key.peer:
            lines += verdict.line(failure, body)
        self._caller.answer(self.status, lines, body)
        self._end("error", failure.log_kind, "pre")

    def shaped(self, failure: Failure) -> tuple[int, bytes]:
        """Status and body of an error answer in the caller's own dialect."""
        return self.inlet.wire.encode_error(failure, self.request.id)

    # The end

    def _drop_flight(self) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.cancel()

    def _release(self) -> None:
        """Free what a request that ends from outside holds: timer, call, its place in the course."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        self._drop_flight()
        if self.course is not None:
            self.course.abandoned(self.gateway.now())

    def _end(self, outcome: Outcome, kind: str, phase: Phase) -> None:
        self.gateway.metrics.streams -= self.committed
        self.gateway.ended(self, outcome, kind, phase)
