"""One stream at work: it is opened, read as fast as may be, and opened again where the broker was away.

Sources: messaging contract sections 4 and 8; fault contract P2 and P6.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Protocol

from parley.serve.handling import Handling
from parley.serve.tools import Tools
from parley.streams.backoff import jittered
from parley.streams.port import NEVER, BrokerError, Received, Subscription, Topic

LOOK_SECONDS: Final = 5.0
RECONNECT_MOST: Final = 10.0
# How often a lease is renewed before it would end, and at least.
_RENEWALS: Final = 3.0
_SHORTEST: Final = 0.05
_CLOSE_SECONDS: Final = 2.0


class Opened(Protocol):
    """Opens what a stream needs. All raise BrokerError."""

    async def subscription(self, prefetch: int) -> Subscription:
        """Where requests come from."""

    async def topic(self) -> Topic:
        """Where answers go."""

    async def buried(self) -> Topic | None:
        """Where dead letters go, if anywhere."""


class Consumer:
    """See the module. ``run`` until ``stop``, then ``drained``."""

    def __init__(self, tools: Tools, opened: Opened) -> None:
        self._tools, self._opened = tools, opened
        # Tasks, and what goes without one.
        self._work: dict[Any, Received] = {}
        self._freed = asyncio.Event()
        self._pushing: Any = None
        self._topics: list[Topic] = []
        self.problem = ""
        self.backlog: int | None = None
        self._age = 0.0

    @property
    def in_work(self) -> int:
        """How many messages are worked on."""
        return len(self._work)

    @property
    def age(self) -> float:
        """Seconds that the message that came last had waited."""
        return self._age if self._pushing is None else float(self._pushing.age)

    def stop(self) -> None:
        """Take no more; what is in work goes on, without further tries."""
        self._tools.stopping.set()
        self._freed.set()

    async def run(self) -> None:
        """Until it is told to stop and nothing is in work any more."""
        attempt = 0
        while not self._tools.stopping.is_set():
            try:
                await self._serve()
            except BrokerError as error:
                attempt = attempt + 1 if self.problem else 1
                self.problem, self.backlog = str(error), None
                self._tools.say("broker.reconnect", reason=str(error), attempt=attempt)
                await self._tools.sleep(0.1 + jittered(attempt, self._tools.rand, 1.0, RECONNECT_MOST))
        await self._finish()

    async def cut(self) -> None:
        """End what is in work now: it goes back to the broker."""
        for one in tuple(self._work):
            if isinstance(one, asyncio.Task):
                one.cancel()
            elif self._pushing is not None:
                self._pushing.end(one)
        tasks = [one for one in self._work if isinstance(one, asyncio.Task)]
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)

    async def _finish(self) -> None:
        await self._left()
        for topic in self._topics:
            await topic.close()

    async def _serve(self) -> None:
        """Open everything, and read until something breaks or we are told to end."""
        tools = self._tools
        if not self._topics:
            topic = await self._opened.topic()
            self._topics.append(topic)
            buried = await self._opened.buried()
            if buried is not None:
                self._topics.append(buried)
            tools.topic, tools.buried = topic, buried
        subscription = await self._opened.subscription(tools.stream.max_handlers)
        sides = [asyncio.ensure_future(self._renew(subscription)), asyncio.ensure_future(self._look(subscription))]
        try:
            await self._take(subscription)
            await self._left()
        finally:
            for side in sides:
                side.cancel()
            await asyncio.wait(sides)
            await subscription.close()

    async def _left(self) -> None:
        """What is in work needs its subscription until its end."""
        while self._work:
            self._freed.clear()
            await self._freed.wait()

    async def _take(self, subscription: Any) -> None:
        """Take messages in the way that goes."""
        tools = self._tools
        topic: Any = tools.topic
        if not (hasattr(subscription, "push") and hasattr(topic, "post") and hasattr(tools.asker, "begin")):
            return await self._read(subscription)
        from parley.serve.pushing import Pushing

        pushing = self._pushing = Pushing(tools, (subscription, topic), self._work, self._task, self._freed.set)
        self.problem = ""
        await pushing.run()

    async def _read(self, subscription: Subscription) -> None:
        tools = self._tools
        while not tools.stopping.is_set():
            now = tools.now()
            room = tools.flow.room(len(self._work), now)
            if room <= 0:
                await self._room(tools.flow.wait(now))
                continue
            for message in await self._received(subscription, room):
                self._begin(subscription, message)

    async def _received(self, subscription: Subscription, room: int) -> Sequence[Received]:
        """Some messages, or none. Told to end, it is waited for a moment only: what comes later comes again."""
        receiving = asyncio.ensure_future(subscription.receive(room))
        stopped = asyncio.ensure_future(self._tools.stopping.wait())
        try:
            await asyncio.wait((receiving, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                await asyncio.wait((receiving,), timeout=_CLOSE_SECONDS)
            messages = await receiving if receiving.done() else ()
        finally:
            stopped.cancel()
            if not receiving.done():
                receiving.cancel()
                with contextlib.suppress(asyncio.CancelledError, BrokerError):
                    await receiving
        self.problem = ""
        return messages

    def _begin(self, subscription: Subscription, message: Received) -> None:
        tools = self._tools
        if message.at is not None:
            self._age = max(0.0, time.time() - message.at)
        tools.flow.received(tools.now())
        self._task(Handling(tools, subscription, message))

    def _task(self, handling: Handling) -> None:
        task = asyncio.ensure_future(handling.run())
        self._work[task] = handling.message
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        message = self._work.pop(task)
        self._freed.set()
        if self._pushing is not None:
            self._pushing.freed()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Not acked: it comes again, and to the dead letters in the end.
            self._tools.flow.failed()
            self._tools.say("message.failed", message_id=message.id, reason=f"{type(error).__name__}: {error}")

    async def _room(self, wait: float) -> None:
        """Until something has ended, or the time is over."""
        self._freed.clear()
        if self._tools.stopping.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait or None):
                await self._freed.wait()

    async def _renew(self, subscription: Subscription) -> None:
        """Nobody else gets what is worked on here."""
        if subscription.lease == NEVER:
            return
        every = max(_SHORTEST, subscription.lease / _RENEWALS)
        while True:
            await asyncio.sleep(every)
            held = () if self._pushing is None else self._pushing.held
            messages = (*self._work.values(), *held)
            if messages and await self._tried(subscription.extend(messages), "broker.extend_failed"):
                for _ in messages:
                    self._tools.count("extended")

    async def _look(self, subscription: Subscription) -> None:
        while True:
            await self._tried(self._counted(subscription), "broker.backlog_failed")
            await asyncio.sleep(LOOK_SECONDS)

    async def _counted(self, subscription: Subscription) -> None:
        self.backlog = await subscription.backlog()

    async def _tried(self, doing: Awaitable[None], event: str) -> bool:
        try:
            await doing
        except BrokerError as error:
            self._tools.say(event, reason=str(error))
            return False
        return True
