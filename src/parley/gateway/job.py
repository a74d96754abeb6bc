"""One request from admission to its record, driven by callbacks; it is the Sink of its upstream calls.

Until the commit point (first real content) everything is held, so that a failed try leaves no trace and
another target may answer. After it a failure becomes one error event and the end of the connection.
Sources: product contract section 6; fault contract section 1.
"""

from typing import Final

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.gateway import heads
from parley.gateway.admission import Asked, prefix_of, read_by
from parley.gateway.answering import carrier_for, counted_by_us, needless, sent_by
from parley.gateway.delivery import Delivery
from parley.gateway.fetched import Fetch
from parley.gateway.route import Route
from parley.plan import GiveUp, Try
from parley.ports import Call, Destination, Headers, Request
from parley.relay import Outgoing, Through
from parley.relay.inlined import Found
from parley.settings import NODE, UNFIT

MAX_ERROR: Final = 64 * 1024
LACKING: Final = (404, 405, 501)


class Job(Delivery):
    """See the module."""

    _errors: tuple[int, Headers, bytearray] | None = None
    found: Found | None = None

    def run(self) -> None:
        """Admit the request and start the first try."""
        hooks = self.gateway.hooks
        try:
            self._admit()
            if hooks is not None and hooks.request(self):
                return
        except ParleyError as error:
            self._release()
            self._refuse(error.failure)
            return
        self.heard()

    def heard(self) -> None:
        """The hooks have let it pass."""
        if not self.over:
            self._begin()

    def rewritten(self, body: bytes) -> None:
        """A hook has changed it: admit it as it is now. Raises ParleyError."""
        request = self.request
        self.request = Request(request.headers, body, request.id, request.target, request.source)
        self.request.prepared = request.prepared
        if self.course is not None:
            self.course.abandoned(self.gateway.now())
        self._admit()

    def admitted(self) -> None:
        """It may go on, now or after it has waited."""
        if self.over:
            return
        cache = self.gateway.cache
        if cache is None or not cache.find(self):
            self.proceed()

    def proceed(self) -> None:
        """No answer was kept: ask for one."""
        if not self.over:
            self._step(None, self.gateway.now())

    def released(self, out: bytes) -> None:
        """What a hook held back goes out, whole."""
        carrier = self.relay
        if self.over or carrier is None:
            return
        if self.streams:
            self._deliver(carrier, out)
            self._complete(carrier)
        else:
            self._answer(out)

    # The upstream's side (Sink)

    def head(self, status: int, headers: Headers) -> None:
        """The provider has begun to answer."""
        self.first_byte = self.gateway.now() - self._call_at
        if status == 200:
            self._accept(headers)
        elif status < 300:
            self._broken(Failure("upstream_bad_response", f"the provider answered with {status}", detail="bad_shape"))
        elif status < 400:
            message = "the provider answered with a redirect, which is not followed"
            self._broken(Failure("upstream_redirect", message, detail="redirect_refused"))
        else:
            self._errors = (status, headers, bytearray())

    def body(self, data: bytes) -> None:
        """More of the answer."""
        carrier = self.relay
        if self._errors is not None:
            kept = self._errors[2]
            kept += data[: MAX_ERROR - len(kept)]
        elif self.over:
            self._drop_flight()
        elif carrier is not None:
            out = carrier.feed(data)
            if self.over:
                return
            if out:
                self._deliver(carrier, out)
            if carrier.failure is not None:
                self._broken(carrier.failure)
            elif carrier.ended:
                self._complete(carrier)

    def done(self) -> None:
        """The answer is whole."""
        self._flight = None
        if self.over:
            return
        if self._errors is not None:
            status, headers, kept = self._errors
            assert self.route is not None
            way = self.route.way
            said = heads.covered(bytes(kept), way.provider)
            self._refused_by_provider(status, way.outlet.decode_error(status, headers, said))
            return
        if self.hooked is not None and self.hooked.later(self):
            return
        carrier = self.relay
        assert carrier is not None
        out = carrier.close()
        if self.over:
            return
        if carrier.failure is not None:
            self.failed(carrier.failure)
        elif self.streams:
            self._deliver(carrier, out)
            self._complete(carrier)
        else:
            self._answer(out)

    def failed(self, failure: Failure) -> None:
        """The try has failed: another one before the commit point, an error event after it."""
        self._flight = None
        if self.over:
            return
        gateway, lane, course = self.gateway, self.lane, self.course
        assert lane is not None
        assert course is not None
        if failure.detail == "stream_error" and not self.committed:
            failure = replace(failure, detail="stream_error_first")
        if failure.final and lane.provider.type != NODE:
            # Only a worker's code is its judgment of the request.
            failure = replace(failure, final=False)
        phase = "mid" if self.committed else "pre"
        gateway.metrics.count("parley_upstream_errors_total", lane.provider.label, failure.log_kind, phase)
        if self.committed:
            course.broke(failure, gateway.now())
            self._error_event(failure)
            return
        course.failed(failure, gateway.now())
        self._held = None
        self._held_size = 0
        self._advance(failure)

    # Admission

    def read(self) -> Asked:
        """What of the request must be known first. Raises ParleyError."""
        return read_by(self.inlet, self.request)

    def _admit(self) -> None:
        gateway, inlet = self.gateway, self.inlet
        read = self.asked = self.read()
        self.model = read.model
        served = self._served = gateway.served(inlet.operation, read.model, self.key)
        self.streams = read.streams and not inlet.counts
        if self.streams and gateway.metrics.streams >= gateway.settings.limits.streams:
            gateway.metrics.count("parley_shed_total", "concurrency")
            raise ParleyError(Failure("overloaded", "too many open streams", retry_after=1.0))
        registration, prefix = served.registration, b""
        if registration.strategy == "prefix_hash":
            prefix = prefix_of(inlet, read.members)
        providers = gateway.settings.providers
        self.course = gateway.fleet.course(registration, providers, self.started, gateway.rand, prefix=prefix)

    def _begin(self) -> None:
        """Through the gate, where there is one, to the first try."""
        gate, copies = self.gateway.gate, self.gateway.copies
        if copies is not None:
            copies.begin(self)
        if gate is None or self.ticket is not None:
            self.admitted()
            return
        try:
            waits = not gate.enter(self)
        except ParleyError as error:
            self._release()
            self._refuse(error.failure)
            return
        if not waits:
            self.admitted()

    # Tries

    def _advance(self, because: Failure | None) -> None:
        self._timer = None
        if not self.over:
            self._step(because, self.gateway.now())

    def _step(self, because: Failure | None, now: float) -> None:
        """Do what the course says next: try, wait, or give up."""
        assert self.course is not None
        step = self.course.next(now)
        if isinstance(step, Try):
            before, self.lane = self.lane, step.lane
            if before is not None and because is not None:
                self.gateway.metrics.count_retry(before, step.lane, because)
            self._try(step)
        elif isinstance(step, GiveUp):
            self._refuse(step.failure)
        else:
            self._timer = self.gateway.clock.later(step.seconds, lambda: self._advance(because))

    def _try(self, step: Try) -> None:
        self.relay = self._errors = None
        try:
            route = self.route = self._served.route(self.inlet, step.lane)
            if route.to is None:
                return self._estimate(route)
            if not route.same and (answer := needless(self)) is not None:
                return self._answer(answer)
            message = self.message = self.outgoing(route)
        except ParleyError as error:
            if error.failure.urls and (fetch := Fetch(self, step, error.failure)).begin():
                self._flight = fetch
                return None
            return self._unsent(error.failure)
        to = route.to_stream if self.streams and route.to_stream is not None else route.to
        self._send(route, to, message, fresh=step.fresh)

    def fetched(self, step: Try, failure: Failure | None) -> None:
        """What the request names by address is there, or cannot be had: the same try again, or another target."""
        self._flight = None
        if self.over:
            return
        if failure is None:
            self._try(step)
        else:
            self._unsent(failure)

    def _unsent(self, failure: Failure) -> None:
        """The request cannot go there: to a target that can take it, else it is refused."""
        assert self.course is not None
        if failure.detail != UNFIT:
            self._release()
            return self._refuse(failure)
        self.course.passed(failure)
        return self._step(None, self.gateway.now())

    def _send(self, route: Route, to: Destination, message: Outgoing, *, fresh: bool) -> None:
        request, course = self.request, self.course
        assert course is not None
        lines = route.ask_events if self.streams else route.ask_json
        if self.inlet.form:
            lines = route.lines + heads.asking_by_form(request.headers)
        head = b"%b%b\r\n" % (lines, request.id.encode())
        if route.verbatim:
            head += heads.passed_on(request.headers, route.named)
            if route.needs:
                head += heads.needed(request.headers, route.needs)
        else:
            head += heads.rebuilt(request.headers, message.headers, route.named, same=route.same)
        if route.passes:
            head += heads.chosen(request.headers, route.passes)
        now = self._call_at = self.gateway.now()
        call = Call(to, head, message.body, max(0.001, course.deadline - now), fresh)
        self._flight = route.upstream.send(call, self)
        if self._paused:
            self._flight.pause()

    def _estimate(self, route: Route) -> None:
        """Count tokens ourselves, and say so where it is a guess."""
        self._head, counted = counted_by_us(self, route)
        self._answer(counted)

    def _refused_by_provider(self, status: int, failure: Failure) -> None:
        """A provider that turns out not to have the operation is asked for another that can carry it, or we estimate;
        anything else is a failed try."""
        lane, lacks = self.lane, status in LACKING and failure.upstream_code != "model_not_found"
        assert lane is not None
        if lacks and self._served.instead(self.inlet, lane):
            self._try(Try(lane))
        else:
            self.failed(failure)

    # Answers

    def _accept(self, headers: Headers) -> None:
        route, kind = self.route, heads.content_type(headers)
        assert route is not None
        try:
            carrier = carrier_for(self, route, kind)
            if self.hooked is not None:
                carrier = self.hooked.carried(self, carrier)
            self.relay = carrier
        except ParleyError as error:
            self._broken(error.failure)
            return
        if route.same and not self.request.bare:
            self._head = heads.downward(headers)
        if isinstance(carrier, Through):
            self.streams, self._type = True, heads.typed(kind)

    def outgoing(self, route: Route) -> Outgoing:
        """The request for the target of that route. Raises the caller's own faults."""
        return sent_by(self, route)

    def _broken(self, failure: Failure) -> None:
        """A failure that we saw, not the connection: stop the call, then as any other."""
        self._drop_flight()
        self.failed(failure)
