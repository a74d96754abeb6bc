"""Messages of brokers that hand them over by themselves: begun as they come, as far as there is room."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from parley.serve.asker import HouseAsker
from parley.serve.handling import Handling
from parley.serve.swift import Swift
from parley.serve.tools import Tools
from parley.streams.port import BrokerError, Posted, Pushed, Received

# What has ended within such a moment is replaced at once: fewer calls to the broker.
_TOGETHER_SECONDS: Final = 0.001
# How often deadlines are looked at: that part of one, and no more seldom than this.
_LOOKS: Final = 50.0
_LOOK_SECONDS: Final = 1.0


class Pushing:
    """Of one subscription. ``work`` is what is worked on, tasks and Swifts; ``begin`` makes a task of a Handling,
    ``left`` hears that something has left."""

    def __init__(
        self,
        tools: Tools,
        ends: tuple[Pushed, Posted],
        work: dict[Any, Received],
        begin: Callable[[Handling], None],
        left: Callable[[], None],
    ) -> None:
        self._tools, self._work, self._handle, self._left = tools, work, begin, left
        self._subscription, self._posted = ends
        asker: Any = tools.asker
        self._asker: HouseAsker = asker
        self._held: deque[Received] = deque()
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[BrokerError] = self._loop.create_future()
        self._timer: Any = None
        self._open = True
        self.age = 0.0

    async def run(self) -> None:
        """Until we are told to end, or the subscription is lost (BrokerError)."""
        self._subscription.push(self._came, self._gone)
        self._refill()
        self._look()
        stopped = asyncio.ensure_future(self._tools.stopping.wait())
        try:
            await asyncio.wait((stopped, self._lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            self._open = False
            if self._timer is not None:
                self._timer.cancel()
            self._subscription.want(0)
            with contextlib.suppress(BrokerError):
                await self._subscription.rest()
            await self._returned()
        if self._lost.done():
            raise self._lost.result()

    @property
    def _takes(self) -> bool:
        return self._open and not self._tools.stopping.is_set()

    def freed(self) -> None:
        """There may be room again."""
        if self._timer is None and self._open:
            self._timer = self._loop.call_later(_TOGETHER_SECONDS, self._refill)

    def end(self, swift: Swift) -> None:
        """It is not waited for any more."""
        handling = swift.end()
        message = self._work.pop(swift, None)
        if handling is not None and message is not None:
            handling.give_back()
            self._handle(handling)

    async def _returned(self) -> None:
        """What was not begun."""
        while self._held:
            with contextlib.suppress(BrokerError):
                await self._subscription.nack(self._held.popleft(), 0.0)

    def look(self) -> None:
        """Answer those whose time is over."""
        now = self._loop.time()
        for one in tuple(self._work):
            if isinstance(one, Swift) and one.until <= now:
                one.late()

    def _look(self) -> None:
        """Until nothing is in work any more, also when no more is taken."""
        self.look()
        if self._open or self._work:
            every = min(_LOOK_SECONDS, self._tools.stream.timeout / _LOOKS)
            self._loop.call_later(max(0.01, every), self._look)

    def _gone(self, error: BrokerError) -> None:
        if not self._lost.done():
            self._lost.set_result(error)

    def _came(self, message: Received) -> None:
        now = self._loop.time()
        if self._takes and not self._held and self._tools.flow.room(len(self._work), now) > 0:
            self._begin(message, now)
        else:
            self._held.append(message)
            self.freed()

    def _begin(self, message: Received, now: float) -> None:
        tools = self._tools
        at = message.at
        if at is not None:
            self.age = max(0.0, time.time() - at)
        tools.flow.received(now)
        if message.deliveries <= 1 and not tools.order and tools.recall is None:
            swift = Swift(tools, self._subscription, message, self._ended)
            self._work[swift] = message
            if swift.start(self._posted, self._asker, self._loop, now):
                return
            del self._work[swift]
        self._handle(Handling(tools, self._subscription, message))

    def _ended(self, swift: Swift, handling: Any) -> None:
        self._work.pop(swift, None)
        if handling is not None:
            self._handle(handling)
        if not self._open:
            # Until then nobody waits for that.
            self._left()
        self.freed()

    @property
    def held(self) -> tuple[Received, ...]:
        """What came and was not begun."""
        return tuple(self._held)

    def _refill(self) -> None:
        """Begin what waits here, and ask for more."""
        self._timer = None
        if not self._takes:
            return
        flow, now = self._tools.flow, self._loop.time()
        room = flow.room(len(self._work), now)
        while self._held and room > 0:
            self._begin(self._held.popleft(), now)
            room = flow.room(len(self._work), now)
        self._subscription.want(max(0, room - len(self._held)))
        wait = flow.wait(now)
        if wait > 0:
            self._timer = self._loop.call_later(wait, self._refill)
