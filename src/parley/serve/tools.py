"""What all messages of a stream share, and where their outcomes are counted."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from parley.gateway.families import MESSAGES
from parley.gateway.metrics import Counter, Metrics
from parley.streams.course import Outcome
from parley.streams.flow import Flow
from parley.streams.port import Topic
from parley.streams.setup import Stream
from parley.streams.window import Window

if TYPE_CHECKING:
    from parley.serve.handling import Asker
    from parley.serve.recall import Recall


class Tools:
    """What all messages of a stream share. ``count`` takes outcomes, ``say`` log lines; ``largest`` is the most bytes
    of a message; ``topic`` and ``buried`` are where answers and dead letters go."""

    def __init__(self, stream: Stream, asker: "Asker", largest: int, *, rand: Callable[[], float]) -> None:
        self.stream, self.asker, self.largest, self.rand = stream, asker, largest, rand
        # What each message asks for, where it is found at the least cost.
        self.timeout, self.identity, self.order = stream.timeout, stream.identity, stream.order
        # Messages are known by their own ids alone.
        self.own = not stream.identity
        self.window = Window(stream.window, own=self.own)
        self.flow = Flow(stream.max_handlers, stream.error_max_backoff)
        # What is known beyond this process, where that is configured.
        self.recall: Recall | None = None
        self.stopping = asyncio.Event()
        self.topic: Topic
        self.buried: Topic | None = None
        self.count: Callable[[Outcome], None] = lambda outcome: None
        self.say: Callable[..., None] = lambda event, **facts: None
        # Who waits for the end of what is in work already, by identity; the tails of lines, by ordering key.
        self.waits: dict[str, list[asyncio.Future[None]]] = {}
        self.lines: dict[str, asyncio.Future[None]] = {}

    def now(self) -> float:
        """Monotonic seconds."""
        return asyncio.get_running_loop().time()

    def release(self, identity: str) -> None:
        """It is not in work any more: who waits for its end goes on."""
        self.window.forget(identity)
        for waiting in self.waits.pop(identity, ()):
            if not waiting.done():
                waiting.set_result(None)

    async def sleep(self, seconds: float) -> bool:
        """Wait, unless we are told to end: whether the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        return not self.stopping.is_set()


class Outcomes:
    """Counts what came of the messages of one kind of broker."""

    def __init__(self, metrics: Metrics, scheme: str) -> None:
        self._metrics, self._scheme = metrics, scheme
        self._held: dict[str, Counter] = {}

    def count(self, outcome: Outcome) -> None:
        """One more."""
        held = self._held.get(outcome)
        if held is None:
            held = self._held[outcome] = self._metrics.counter(MESSAGES, self._scheme, outcome)
        held.value += 1
