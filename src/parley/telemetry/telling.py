"""What one gateway tells of its requests, as its settings want it: an Observer, there only while it is wanted."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from parley.gateway import Gateway
from parley.gateway.delivery import Delivery
from parley.gateway.ended import Ended
from parley.ports import Upstream
from parley.settings import Settings
from parley.telemetry.slow import slow_line
from parley.telemetry.tries import Seen, Tries

if TYPE_CHECKING:
    from parley.telemetry.tracing import Tracing

DROPPED: Final = "parley_otel_dropped_total"
END_SECONDS: Final = 5.0
# A collector that is away is told of so often at most.
TELL_SECONDS: Final = 60.0
VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Telling:
    """Of one gateway. ``made`` are its transports; ``write`` takes log lines."""

    def __init__(
        self,
        gateway: Gateway,
        made: Mapping[str, Upstream],
        loop: asyncio.AbstractEventLoop,
        write: Callable[[bytes], None],
    ) -> None:
        self._gateway = gateway
        self._made = made
        self._loop = loop
        self._write = write
        self._slow: float | None = None
        self._dropped = self._told = 0
        self._lock = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self.tracing: Tracing | None = self._traced(gateway.settings)
        self._tries = Tries(gateway.now, None if self.tracing is None else self.tracing.begins)

    def upstreams(self, settings: Settings) -> Mapping[str, Upstream]:
        """By what these settings send: the transports themselves, or watched."""
        self._slow = settings.slow
        wanted = self.tracing is not None or self._slow is not None
        others = tuple(one for one in self._gateway.observers if one is not self)
        self._gateway.observers = (*others, self) if wanted else others
        return Seen(self._made, self._tries) if wanted else self._made

    def ended(self, job: Delivery, ended: Ended) -> None:
        """One request is over."""
        tries = self._tries.taken(job, ended.kind)
        if self._slow is not None and ended.ms >= self._slow * 1000:
            self._write(slow_line(job, ended, tries))
        if self.tracing is not None:
            self.tracing.ended(job, ended, tries)

    async def close(self) -> None:
        """Tell what is left; not for long."""
        if self._timer is not None:
            self._timer.cancel()
        tracing, done = self.tracing, asyncio.Event()
        if tracing is None:
            return

        def end() -> None:
            try:
                tracing.close()
            finally:
                self._later(done.set)

        # Not one of the loop's own threads: those are waited for.
        threading.Thread(target=end, name="parley-otel-end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await done.wait()

    def _traced(self, settings: Settings) -> "Tracing | None":
        wanted = settings.telemetry
        if wanted.otlp is None and not _by_environment():
            return None
        try:
            from parley.telemetry.tracing import Tracing
        except ImportError:
            self._write(
                b'{"event":"telemetry.absent","message":"OpenTelemetry is not installed: pip install \'parley[otel]\'"}'
            )
            return None
        self._gateway.metrics.gauges[(DROPPED,)] = lambda: float(self._dropped)
        return Tracing(wanted, self._gateway.wall, self._lost)

    def _lost(self, count: int) -> None:
        """In any thread."""
        if count:
            with self._lock:
                self._dropped += count
            self._later(self._notice)

    def _notice(self) -> None:
        if self._timer is None:
            self._tell()

    def _tell(self) -> None:
        count, self._told = self._dropped - self._told, self._dropped
        self._timer = self._loop.call_later(TELL_SECONDS, self._tell) if count else None
        if count:
            self._write(msgspec.json.encode({"event": "otel_dropped", "count": count}))

    def _later(self, call: Callable[[], object]) -> None:
        # Once the loop is closed nobody listens any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)


def _by_environment() -> bool:
    """Whether the standard variables ask for it."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and any(os.environ.get(name) for name in VARIABLES)
