"""One request to an engine: it waits until the engine serves, then it is a call of the pool like any other."""

from collections.abc import Callable

from parley.failure import Failure
from parley.io.local.runner import Runner
from parley.ports import Call, Clock, Flight, Headers, Sink, Upstream


class LocalFlight:
    """See the module. It is the Flight for the gateway and the Sink for the pool.

    ``patience``: seconds that it waits before it says that the model is still loading.
    """

    __slots__ = ("_call", "_clock", "_inner", "_paused", "_pool", "_runner", "_sink", "_started", "_timer", "_to")

    def __init__(
        self,
        runner: Runner,
        call: Call,
        sink: Sink,
        pool: Upstream,
        clock: Clock,
        to: Callable[[Call, str], Call],
    ) -> None:
        self._runner = runner
        self._call = call
        self._sink: Sink | None = sink
        self._pool = pool
        self._clock = clock
        self._to = to
        self._started = clock.now()
        self._inner: Flight | None = None
        self._paused = False
        self._timer = clock.later(0.0, _nothing)

    def start(self, patience: float) -> None:
        """Ask the engine."""
        self._timer = self._clock.later(min(patience, self._call.total), self._late)
        self._runner.take(self)

    # The gateway's side

    def cancel(self) -> None:
        """Stop; what was begun in the engine ends with its connection."""
        inner, self._inner = self._inner, None
        if self._over() is not None and inner is not None:
            inner.cancel()

    def pause(self) -> None:
        """Read no more."""
        self._paused = True
        if self._inner is not None:
            self._inner.pause()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._inner is not None:
            self._inner.resume()

    # The engine's side

    def go(self, origin: str) -> None:
        """It serves at ``origin``."""
        self._timer.cancel()
        call = self._to(self._call, origin)
        call.total = max(0.001, self._call.total - (self._clock.now() - self._started))
        self._inner = self._pool.send(call, self)
        if self._paused:
            self._inner.pause()

    def refuse(self, failure: Failure) -> None:
        """It will not serve. The gateway hears of it on a later turn, as of every failure."""
        self._clock.later(0.0, lambda: self.failed(failure))

    def _late(self) -> None:
        wait = self._runner.wait()
        message = f"the model is being loaded; ask again in {wait:.0f} s"
        self.failed(Failure("model_loading", message, retry_after=wait))

    # The pool's side

    def head(self, status: int, headers: Headers) -> None:
        """Pass it on."""
        if self._sink is not None:
            self._sink.head(status, headers)

    def body(self, data: bytes) -> None:
        """Pass it on."""
        if self._sink is not None:
            self._sink.body(data)

    def done(self) -> None:
        """The answer is whole."""
        self._inner = None
        sink = self._over()
        if sink is not None:
            sink.done()

    def failed(self, failure: Failure) -> None:
        """It broke, or never began."""
        self._inner = None
        sink = self._over()
        if sink is not None:
            sink.failed(failure)

    def _over(self) -> Sink | None:
        """Let go of the engine, once; the sink that has not heard the end yet."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._timer.cancel()
            self._runner.leave(self)
        return sink


def _nothing() -> None:
    """Stands where no limit runs yet."""
