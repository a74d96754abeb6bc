"""One request from admission to its record, driven by callbacks; it is the Sink of its upstream calls.

Until the commit point (first real content) everything is held, so that a failed try leaves no trace and
another target may answer. After it a failure becomes one error event and the end of the connection.
Sources: product contract section 6; fault contract section 1.
"""

from math import ceil
from typing import TYPE_CHECKING

from parley import jsontext
from parley.failure import Failure, ParleyError, invalid
from parley.gateway import heads
from parley.gateway.record import Phase, Record
from parley.plan import Course, GiveUp, Lane, Wait
from parley.ports import Call, Caller, Flight, Headers, Request, Timer
from parley.relay import Asis, Outgoing, Passage, Relay, outgoing, relay
from parley.settings import Registration
from parley.tokens import estimate, words
from parley.wire import Reply
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.gateway import Gateway

MAX_HELD = 256 * 1024
MAX_ERROR = 64 * 1024
_STREAM = {b"true": True, b"false": False, b"null": False}
_LEFT = 499


class Job:
    """See the module. The listener calls ``left``, ``pause`` and ``resume`` for its caller."""

    __slots__ = (
        "_bytes_out", "_call_at", "_caller", "_committed", "_course", "_dropped", "_errors", "_first_byte", "_flight",
        "_gateway", "_head", "_held", "_held_size", "_include_usage", "_inlet", "_lane", "_last_sent", "_members",
        "_model", "_over", "_paused", "_registration", "_relay", "_request", "_started", "_status", "_stream", "_timer",
        "_way",
    )  # fmt: skip

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        self._gateway = gateway
        self._inlet = inlet
        self._request = request
        self._caller = caller
        self._started = self._call_at = self._last_sent = gateway.clock.now()
        self._first_byte: float | None = None
        self._model = ""
        self._stream = self._committed = self._over = self._paused = self._include_usage = False
        self._course: Course | None = None
        self._lane: Lane | None = None
        self._flight: Flight | None = None
        self._timer: Timer | None = None
        self._relay: Relay | None = None
        self._errors: tuple[int, Headers, bytearray] | None = None
        self._held: list[bytes] = []
        self._held_size = self._bytes_out = 0
        self._dropped: tuple[str, ...] = ()
        self._head = b""
        self._status = 200

    def run(self) -> None:
        """Admit the request and start the first try."""
        try:
            self._admit()
        except ParleyError as error:
            self._refuse(error.failure)
            return
        self._advance()

    # The caller's side

    def left(self) -> None:
        """The caller has gone: stop the upstream call, free everything, record it."""
        if self._over:
            return
        self._release()
        if self._course is not None:
            self._course.abandoned(self._gateway.clock.now())
        self._status = _LEFT
        self._end("client_abort", "client_abort", "mid" if self._committed else "pre")

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
        if self._over:
            return
        self._release()
        if self._course is not None:
            self._course.abandoned(self._gateway.clock.now())
        if self._committed:
            self._error_event(failure)
        else:
            self._refuse(failure)

    def heartbeat(self, now: float, every: float, comment: bytes) -> None:
        """Send a comment on a stream that has been quiet for so long."""
        if self._committed and not self._over and now - self._last_sent >= every:
            self._last_sent = now
            self._caller.send(comment)

    # The upstream's side (Sink)

    def head(self, status: int, headers: Headers) -> None:
        """The provider has begun to answer."""
        self._first_byte = self._gateway.clock.now() - self._call_at
        if status == 200:
            self._accept(headers)
        elif status < 300:
            self._broken(
                Failure("upstream_bad_response", f"the provider answered with status {status}", detail="bad_shape")
            )
        elif status < 400:
            message = "the provider answered with a redirect, which is not followed"
            self._broken(Failure("upstream_redirect", message, detail="redirect_refused"))
        else:
            self._errors = (status, headers, bytearray())

    def body(self, data: bytes) -> None:
        """More of the answer."""
        if self._errors is not None:
            kept = self._errors[2]
            kept += data[: MAX_ERROR - len(kept)]
            return
        carrier = self._relay
        if carrier is None or self._over:
            return
        out = carrier.feed(data)
        if out:
            self._deliver(carrier, out)
        if carrier.failure is not None:
            self._broken(carrier.failure)
        elif carrier.ended:
            self._complete(carrier)

    def done(self) -> None:
        """The answer is whole."""
        self._flight = None
        if self._over:
            return
        if self._errors is not None:
            status, headers, kept = self._errors
            assert self._way is not None
            self.failed(self._way.outlet.decode_error(status, headers, bytes(kept)))
            return
        carrier = self._relay
        assert carrier is not None
        out = carrier.close()
        if carrier.failure is not None:
            self._broken(carrier.failure)
        elif self._stream:
            self._deliver(carrier, out)
            self._complete(carrier)
        else:
            self._answer(carrier, out)

    def failed(self, failure: Failure) -> None:
        """The try has failed: another one before the commit point, an error event after it."""
        self._flight = None
        if self._over:
            return
        gateway, lane, course = self._gateway, self._lane, self._course
        assert lane is not None
        assert course is not None
        phase = "mid" if self._committed else "pre"
        gateway.metrics.count("parley_upstream_errors_total", lane.provider.name, failure.log_kind, phase)
        if self._committed:
            course.broke(failure, gateway.clock.now())
            self._error_event(failure)
            return
        course.failed(failure, gateway.clock.now())
        self._held.clear()
        self._held_size = 0
        self._advance(failure)

    # Admission

    def _admit(self) -> None:
        gateway, request = self._gateway, self._request
        self._members = members = jsontext.members(request.body)
        model = jsontext.text(members["model"]) if "model" in members else None
        if not model:
            raise invalid("model is required and must be a string", "model")
        self._model = model
        self._stream = self._wants_stream(members)
        listed = "messages" in members and bytes(memoryview(members["messages"])[:1]) == b"["
        if not listed:
            raise invalid("messages is required and must be a list", "messages")
        registration = gateway.find("chat", model)
        if registration is None:
            raise ParleyError(_no_such_model(gateway, model))
        self._registration: Registration = registration
        self._check_room()
        prefix = bytes(memoryview(members["messages"])[:4096]) if registration.strategy == "prefix_hash" else b""
        self._course = gateway.fleet.course(
            registration, gateway.settings.providers, self._started, gateway.rand, prefix=prefix
        )

    def _wants_stream(self, members: jsontext.Members) -> bool:
        raw = members.get("stream")
        if raw is None or self._inlet.operation != "chat":
            return False
        wanted = _STREAM.get(bytes(memoryview(raw)))
        if wanted is None:
            raise invalid("stream must be true or false", "stream")
        return wanted

    def _check_room(self) -> None:
        if self._stream and self._gateway.metrics.streams >= self._gateway.settings.limits.streams:
            self._gateway.metrics.count("parley_shed_total", "concurrency")
            raise ParleyError(Failure("overloaded", "too many open streams", retry_after=1.0))

    # Tries

    def _advance(self, because: Failure | None = None) -> None:
        """Do what the course says next: try, wait, or give up."""
        self._timer = None
        if self._over:
            return
        course = self._course
        assert course is not None
        step = course.next(self._gateway.clock.now())
        if type(step) is GiveUp:
            self._refuse(step.failure)
        elif type(step) is Wait:
            self._timer = self._gateway.clock.later(step.seconds, lambda: self._advance(because))
        else:
            before, self._lane = self._lane, step.lane  # type: ignore[union-attr]
            if before is not None and because is not None:
                self._count_retry(before, self._lane, because)
            self._try(self._lane)

    def _count_retry(self, before: Lane, lane: Lane, because: Failure) -> None:
        if before.target == lane.target:
            self._gateway.metrics.count("parley_retries_total", lane.provider.name, because.log_kind)
        else:
            self._gateway.metrics.count("parley_fallbacks_total", before.target.name, lane.target.name)

    def _try(self, lane: Lane) -> None:
        gateway, request = self._gateway, self._request
        self._relay = self._errors = None
        try:
            if self._inlet.operation == "count_tokens":
                self._count_tokens(lane)
                return
            self._way: Passage = gateway.passage(self._inlet, self._registration, lane)
            message = outgoing(self._way, request.body, self._members)
        except ParleyError as error:
            assert self._course is not None
            self._course.abandoned(gateway.clock.now())
            self._refuse(error.failure)
            return
        self._send(lane, "chat", message)

    def _send(self, lane: Lane, operation: str, message: Outgoing) -> None:
        gateway, way = self._gateway, self._way
        self._dropped = message.dropped
        self._include_usage = message.include_usage
        head = gateway.lane_head(lane, operation)
        lines = heads.upward(head, self._request.headers, verbatim=way.verbatim, stream=self._stream)
        if message.headers:
            lines += heads.added(message.headers, head)
        limits = lane.provider.timeouts
        now = self._call_at = gateway.clock.now()
        call = Call(
            method=b"POST",
            origin=head.origin,
            target=head.path,
            head=lines + b"x-request-id: " + self._request.id.encode() + b"\r\n",
            body=message.body,
            connect=limits.connect,
            first_byte=limits.first_byte,
            idle=limits.idle,
            total=max(0.001, limits.total - (now - self._started)),
        )
        self._flight = gateway.upstreams[lane.provider.transport].send(call, self)
        if self._paused:
            self._flight.pause()

    def _count_tokens(self, lane: Lane) -> None:
        """Ask the provider where it can count on this wire, else estimate and say so."""
        bare = Registration(model=self._model, targets=(lane.target,), endpoint="count_tokens")
        self._way = self._gateway.passage(self._inlet, bare, lane)
        if self._way.verbatim and "count_tokens" in lane.provider.paths:
            self._send(lane, "count_tokens", outgoing(self._way, self._request.body, self._members))
            return
        count = self._inlet.wire.count
        assert count is not None
        exact = lane.provider.quirks.options.get("count") == "words"
        answer = count(jsontext.whole(self._request.body), words if exact else estimate)
        self._head = b"" if exact else b"x-parley-usage: estimated\r\n"
        self._first_byte = 0.0
        self._whole_answer(answer)

    # Answers

    def _accept(self, headers: Headers) -> None:
        kind = next((value for name, value in headers if name == b"content-type"), b"application/json").lower()
        events = kind.startswith(b"text/event-stream")
        if not events and b"json" not in kind:
            message = "the provider answered with something that is neither JSON nor an event stream"
            self._broken(Failure("upstream_bad_response", message, detail="bad_content_type"))
            return
        way = self._way
        self._head = heads.downward(headers) if way.inlet is way.outlet else b""
        if self._inlet.operation != "chat":
            self._relay = Asis()
        else:
            self._relay = relay(way, self._reply(), streams=self._stream, events=events)

    def _reply(self) -> Reply:
        assert self._lane is not None
        return Reply(
            model=self._lane.target.model,
            id=self._request.id,
            created=int(self._gateway.wall()),
            include_usage=self._include_usage,
        )

    def _deliver(self, carrier: Relay, out: bytes) -> None:
        if self._committed:
            self._last_sent = self._gateway.clock.now()
            self._bytes_out += len(out)
            self._caller.send(out)
            return
        self._held.append(out)
        self._held_size += len(out)
        if carrier.content or self._held_size > MAX_HELD:
            self._commit()

    def _commit(self) -> None:
        """From here on the caller has seen content: no other target may answer."""
        self._committed = True
        self._gateway.metrics.streams += 1
        self._last_sent = self._gateway.clock.now()
        self._caller.open(200, heads.STREAM_TYPE + self._head + self._told())
        held, self._held = b"".join(self._held), []
        self._bytes_out += len(held)
        if held:
            self._caller.send(held)

    def _complete(self, carrier: Relay) -> None:
        """The success terminator has been passed on."""
        if not self._committed:
            self._commit()
        assert self._course is not None
        self._course.succeeded(self._gateway.clock.now(), first_byte=self._first_byte or 0.0)
        self._over = True
        self._caller.finish()
        self._end("ok", "", "done")

    def _answer(self, carrier: Relay, out: bytes) -> None:
        self._bytes_out = len(out)
        self._whole_answer(out)

    def _whole_answer(self, out: bytes) -> None:
        assert self._course is not None
        self._course.succeeded(self._gateway.clock.now(), first_byte=self._first_byte or 0.0)
        self._over = True
        self._caller.answer(200, heads.JSON_TYPE + self._head + self._told(), out)
        self._end("ok", "", "done")

    def _broken(self, failure: Failure) -> None:
        """A failure that we saw, not the connection: stop the call, then as any other."""
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.cancel()
        self.failed(failure)

    def _error_event(self, failure: Failure) -> None:
        self._over = True
        self._caller.send(self._inlet.wire.stream_encoder(self._reply()).fail(failure))
        self._caller.finish(close=True)
        self._end("error", failure.log_kind, "mid")

    def _refuse(self, failure: Failure) -> None:
        """The one error answer, in the caller's own dialect."""
        self._over = True
        self._status, body = self._inlet.wire.encode_error(failure, self._request.id)
        lines = heads.JSON_TYPE + self._told()
        attempts = self._course.attempts if self._course is not None else 0
        if self._status == 501 or (attempts and failure.code.blame == "upstream"):
            lines += b"x-should-retry: false\r\n"
        if failure.retry_after is not None:
            lines += b"retry-after: %d\r\n" % max(1, ceil(failure.retry_after))
        self._caller.answer(self._status, lines, body)
        self._end("error", failure.log_kind, "pre")

    def _told(self) -> bytes:
        if self._lane is None or self._course is None:
            return b"x-request-id: %b\r\n" % self._request.id.encode()
        return heads.told(self._request.id, self._lane.target.name, self._course.attempts, self._dropped)

    # The end

    def _release(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._flight is not None:
            self._flight.cancel()

    def _end(self, outcome: "str", kind: str, phase: Phase) -> None:
        self._over = True
        if self._committed:
            self._gateway.metrics.streams -= 1
        usage = self._relay.usage if self._relay is not None else None
        lane, course = self._lane, self._course
        now = self._gateway.clock.now()
        record = Record(
            request_id=self._request.id,
            dialect=self._inlet.dialect,
            model=self._model,
            provider=lane.provider.name if lane is not None else "",
            attempts=course.attempts if course is not None else 0,
            phase=phase,
            outcome=outcome,  # type: ignore[arg-type]
            kind=kind,
            status=self._status,
            ms=round((now - self._started) * 1000, 3),
            ttfb_ms=None if self._first_byte is None else round(self._first_byte * 1000, 3),
            in_tok=usage.input if usage is not None else len(self._request.body) // 4,
            out_tok=usage.output if usage is not None else self._bytes_out // 4,
            usage="estimated" if usage is None or usage.estimated else "exact",
        )
        self._gateway.ended(self, record)


def _no_such_model(gateway: "Gateway", model: str) -> Failure:
    """Names what there is, so that a typing error is seen at once."""
    known = sorted({name for _, name in gateway.settings.registrations})
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    providers = ", ".join(sorted(gateway.settings.providers)[:20])
    message = f"no model {model[:200]!r}; there is: {shown or 'none'}; or provider/model with one of: {providers}"
    return Failure("model_not_found", message, param="model")
