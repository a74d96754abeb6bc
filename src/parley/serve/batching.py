"""Batches worked on by this gateway: it looks for what is to be done, alone or beside others on the same store.

A batch is checked and finished by one gateway at a time; its lines are done in chunks, each by the gateway that holds
the chunk's lease. Source: messaging contract section 8; OpenAI surface contract section 9.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from parley.batches.check import Check
from parley.batches.line import Fault
from parley.batches.work import Policy
from parley.failure import ParleyError
from parley.gateway.families import BATCH_IN_FLIGHT, BATCHES, BATCHES_OPEN
from parley.serve import sign
from parley.serve.batch_end import ended
from parley.serve.batch_run import Run, Standing
from parley.serve.filing import Filing
from parley.serve.house import House
from parley.store import Store, batch_work
from parley.store.batches import UNDER_WAY, Batch

LEASE_SECONDS: Final = 30.0
BEAT_SECONDS: Final = 5.0
# Between two looks for what other gateways have left.
LOOK_SECONDS: Final = 2.0
TIDY_SECONDS: Final = 600.0
PIECE: Final = 512 * 1024
# Between two pieces of a check, so that requests are not kept waiting.
BREATH_SECONDS: Final = 0.002
MOST_AT_ONCE: Final = 8
CLOSE_SECONDS: Final = 5.0


class Batching:
    """One per house. ``write`` takes log lines. It does nothing until there is a store that may hold batches."""

    def __init__(self, house: House, store: Store, filing: Filing, write: Callable[[bytes], None]) -> None:
        settings = house.gateway.settings.batches
        self._house, self._store, self._filing, self._write = house, store, filing, write
        self.me = sign.name()
        self.room = asyncio.Semaphore(settings.parallel)
        self.policy = Policy(settings.attempts)
        self.standing = Standing(house, settings.priority)
        self._stirred, self._ended = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._beats: asyncio.Task[None] | None = None
        self._working: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._draining = False
        self._tidied = 0.0
        self._asleep = True
        # Lines that are asked now.
        self.asking = 0
        self._keep = settings.keep

    def begin(self) -> None:
        """Look from now on."""
        self._house.gateway.metrics.gauges[(BATCH_IN_FLIGHT,)] = lambda: float(self.asking)
        self._task = asyncio.ensure_future(self._look())
        self._beats = asyncio.ensure_future(self._beat())

    def stir(self) -> None:
        """There is something to do."""
        self._asleep = False
        self._stirred.set()

    def drain(self) -> None:
        """Begin nothing more."""
        self._draining = True
        self._stirred.set()
        for run in self._runs.values():
            run.stop()

    async def close(self) -> None:
        """End everything; what is not done is free for others at once."""
        self.drain()
        tasks = [task for task in (self._task, *self._working.values()) if task is not None]
        if tasks:
            # Answers that were paid for are written down.
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        self._ended.set()
        tasks += [self._beats] if self._beats is not None else []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if not self._asleep:
            with suppress(ParleyError):
                await self._store.change(lambda link: batch_work.let_go(link, self.me))

    # What is to be done

    async def _look(self) -> None:
        while not self._draining:
            self._stirred.clear()
            with suppress(ParleyError, OSError):
                if not self._asleep or self._store.exists:
                    await self._turn()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stirred.wait()

    async def _turn(self) -> None:
        """Begin with everything that is not over and that nobody else has in hand."""
        found = await self._store.ask(batch_work.under_way)
        self._tell(found)
        if found:
            self._asleep = False
            await self._bury()
        for batch in found:
            if batch.id in self._runs and self._stops(batch):
                self._runs[batch.id].stop()
            if batch.id not in self._working and len(self._working) < MOST_AT_ONCE and not self._draining:
                task = self._working[batch.id] = asyncio.ensure_future(self._serve(batch))
                task.add_done_callback(partial(self._served, batch.id))
        now = self._store.wall()
        if now >= self._tidied + min(TIDY_SECONDS, self._keep):
            self._tidied = now
            await self._filing.tidy()
            # Requests go first.
            while not await self._store.change(batch_work.tidy):  # noqa: ASYNC110
                await asyncio.sleep(BREATH_SECONDS)
            while not await self._store.change(lambda link: batch_work.forget(link, now - self._keep)):  # noqa: ASYNC110
                await asyncio.sleep(BREATH_SECONDS)

    def _tell(self, found: list[Batch]) -> None:
        """How many there are, by what they are at."""
        gauges = self._house.gateway.metrics.gauges
        for status in UNDER_WAY:
            count = float(sum(batch.status == status for batch in found))
            gauges[(BATCHES_OPEN, status)] = lambda count=count: count  # type: ignore[misc]

    def _stops(self, batch: Batch) -> bool:
        return batch.status != "in_progress" or batch.expires_at <= self._store.wall()

    async def _bury(self) -> None:
        """Processes of this machine that have ended hold nothing any more."""
        for holder in await self._store.ask(batch_work.holders):
            if holder != self.me and sign.ended(holder):
                await self._store.change(lambda link, holder=holder: batch_work.let_go(link, holder))  # type: ignore[misc]

    def _served(self, id: str, task: asyncio.Task[None]) -> None:
        self._working.pop(id, None)
        self._runs.pop(id, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._say("batch.error", batch=id, error=type(error).__name__, message=str(error)[:300])

    async def _beat(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._ended.wait()
            if self._working:
                until = self._until()
                with suppress(ParleyError):
                    await self._store.change(lambda link, until=until: batch_work.renew(link, self.me, until))  # type: ignore[misc]

    def _until(self) -> float:
        return self._store.wall() + LEASE_SECONDS

    # One batch

    async def _serve(self, batch: Batch) -> None:
        if batch.status == "validating" and not await self._check(batch):
            return
        again = await self._store.ask(lambda link: batch_work.now_of(link, batch.id))
        if again is not None and again.status == "in_progress" and not self._stops(again):
            run = self._runs[batch.id] = Run(self, again)
            if not self._draining:
                await run.run()
            self._runs.pop(batch.id, None)
        if not self._draining:
            await self._finish(batch.id)

    async def _check(self, batch: Batch) -> bool:
        """Whether the input is right; if so, work may begin."""
        now, until = self._store.wall(), self._until()
        if not await self._store.change(lambda link: batch_work.hold(link, batch.id, self.me, now, until)):
            return False
        await self._store.change(lambda link: batch_work.recheck(link, batch.id))
        check = Check(batch.endpoint, self._house.gateway.settings.limits.body)
        try:
            await self._read(batch, check)
        except ParleyError as error:
            if error.failure.kind != "internal":
                await self._store.change(lambda link: batch_work.let_go_of(link, batch.id, self.me))
                raise
            check.faults.append(Fault("input_file_unreadable", error.failure.message))
        found, wall = check.told(), self._store.wall()
        if found:
            await self._store.change(lambda link: batch_work.fail(link, batch.id, self.me, found, wall))
            self._house.gateway.metrics.count(BATCHES, "failed")
            self._say("batch.failed", batch=batch.id, faults=len(check.faults) + check.more)
            return False
        total, model = check.requests, check.model
        began = await self._store.change(lambda link: batch_work.begin(link, batch.id, self.me, total, model, wall))
        if not began:
            await self._store.change(lambda link: batch_work.let_go_of(link, batch.id, self.me))
            self.stir()
            return False
        self._say("batch.began", batch=batch.id, requests=total)
        return True

    async def _read(self, batch: Batch, check: Check) -> None:
        place = number = 0
        while piece := await self._filing.read(batch.input_file, place, PIECE):
            place += len(piece)
            found = await asyncio.to_thread(check.feed, piece)
            number = await self._add(batch.id, number, found, check)
            await asyncio.sleep(BREATH_SECONDS)
        await self._add(batch.id, number, check.close(), check)

    async def _add(self, id: str, number: int, found: list[Any], check: Check) -> int:
        if found and check.sound:
            await self._store.change(lambda link: batch_work.chunks(link, id, number, found))
        return number + len(found)

    async def _finish(self, id: str) -> None:
        now, until = self._store.wall(), self._until()
        batch = await self._store.change(lambda link: batch_work.finish(link, id, self.me, now, until))
        if batch is None:
            return
        made = await ended(self._store, self._filing, batch, self._keep)
        wall = self._store.wall()
        if await self._store.change(lambda link: batch_work.end(link, batch, self.me, made, wall)):
            self._house.gateway.metrics.count(BATCHES, batch_work.ending(batch))
            self._say("batch.ended", batch=id, completed=batch.completed, failed=batch.failed, total=batch.total)
            self._tidied = 0.0
            self._stirred.set()

    def _say(self, event: str, **facts: Any) -> None:
        self._write(msgspec.json.encode({"event": event, **facts}))

    # What a run needs of us

    @property
    def house(self) -> House:
        """Where requests go."""
        return self._house

    @property
    def store(self) -> Store:
        """Where results go."""
        return self._store

    @property
    def filing(self) -> Filing:
        """Where the input is."""
        return self._filing

    def until(self) -> float:
        """When a lease that is taken now ends."""
        return self._until()

    def rand(self) -> float:
        """Chance."""
        return random.random()  # noqa: S311 - it only spreads
