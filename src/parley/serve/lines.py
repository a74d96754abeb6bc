"""Lines of batches asked one beside the other: what parley.batches.work decides is done here, with tasks and timers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, TypeAlias

from parley.batches.line import Line
from parley.batches.work import Queue, Verdict, Work
from parley.serve.rpc.asking import Answered
from parley.streams.flow import Flow

# Where nothing else wakes us.
LOOK_SECONDS = 1.0
Settled: TypeAlias = Callable[[Work, Answered, Verdict], Awaitable[None]]


class Hands(NamedTuple):
    """Who does it: ``ask`` a line, ``settle`` every answer (also those that are tried again), fetch ``more`` lines
    (None: there will never be any), ``room`` is entered for each try."""

    ask: Callable[[Line], Awaitable[Answered]]
    settle: Settled
    more: Callable[[], Awaitable[Sequence[Line] | None]]
    room: AbstractAsyncContextManager[None]


class Lines:
    """One run. ``now`` gives the seconds that the queue counts in. What breaks a task breaks the run."""

    def __init__(self, queue: Queue, flow: Flow, hands: Hands, now: Callable[[], float]) -> None:
        self._queue, self._flow, self._hands, self._now = queue, flow, hands, now
        self._tasks: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._exhausted = False
        self._stopped = False

    @property
    def inside(self) -> int:
        """How many are being asked."""
        return len(self._tasks)

    @property
    def retrying(self) -> int:
        """How many wait for another try."""
        return self._queue.retrying

    def stop(self) -> None:
        """Begin no more of them; those under way are answered."""
        self._stopped = True
        self._stirred.set()

    async def run(self) -> None:
        """Until everything is answered for good, or it was stopped and nothing is under way any more."""
        try:
            while not self._over():
                self._stirred.clear()
                if not self._stopped:
                    await self._fetch()
                    self._start()
                if self._over():
                    break
                await self._wait()
        finally:
            await self._end()

    def _over(self) -> bool:
        if self._tasks:
            return False
        return self._stopped or (self._exhausted and not len(self._queue))

    async def _fetch(self) -> None:
        while not self._exhausted and not self._stopped and self._queue.fresh < self._flow.width:
            found = await self._hands.more()
            if found is None:
                self._exhausted = True
            else:
                self._queue.add(found)

    def _start(self) -> None:
        now = self._now()
        for _ in range(self._flow.room(len(self._tasks), now)):
            work = self._queue.next(now)
            if work is None:
                return
            task = asyncio.ensure_future(self._one(work))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _one(self, work: Work) -> None:
        async with self._hands.room:
            answer = await self._hands.ask(work.line)
        now = self._now()
        verdict = self._queue.answered(work, answer.status, answer.headers, answer.body, now)
        self._flow.answered(answer.status, now, verdict.pause)
        await self._hands.settle(work, answer, verdict)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._stirred.set()

    async def _wait(self) -> None:
        """Until a task ends, something is due, or somebody stops it."""
        self._harvest()
        now = self._now()
        due = self._queue.due()
        soon = [LOOK_SECONDS, *([due - now] if due is not None else []), *filter(None, [self._flow.wait(now)])]
        try:
            async with asyncio.timeout(max(0.001, min(soon))):
                await self._stirred.wait()
        except TimeoutError:
            pass
        self._harvest()

    def _harvest(self) -> None:
        ended = {task for task in self._tasks if task.done()}
        self._tasks -= ended
        for task in ended:
            task.result()

    async def _end(self) -> None:
        """Nothing of ours goes on behind it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
