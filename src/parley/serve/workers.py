"""Several processes that serve the same addresses, and the one that starts, replaces, tells and ends them.

The supervisor takes no requests. It reads the configuration, holds the sockets, and keeps what was counted by
processes that are no more. Source: fault contract G1 and G3.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from parley.config.problem import Problem
from parley.gateway.families import EXITS, REJECTED, WORKERS
from parley.io.log import LineLog
from parley.serve.metrics import Snapshot, merged
from parley.serve.reload import restarts, say_loaded, settled
from parley.serve.rereading import UNREAD, Reading, Rereading, Source, nothing, say, say_problems
from parley.serve.rpc.calls import free
from parley.serve.slot import Slot
from parley.serve.sockets import Listeners
from parley.serve.worker import Count, News, share
from parley.settings import Settings

STDERR: Final = 2
COUNT_SECONDS: Final = 0.5
TAKE_SECONDS: Final = 10.0
# The first of them may be waited for: they all listen at once.
TOGETHER_SECONDS: Final = 10.0
# A worker drains for 30 s at most, then ends what is left.
END_SECONDS: Final = 45.0
# With this status a worker ends that finds wrong how all of them were started.
UNFIT: Final = 2


def supervise(settings: Settings, workers: int, *, ready: Callable[[], None], again: Source) -> int:
    """Serve by so many processes until SIGTERM (exit code 0) or SIGINT (130). ``ready`` is called once they listen;
    ``again`` reads the configuration once more. Raises OSError where an address cannot be had."""
    with asyncio.Runner() as runner:
        return runner.run(_supervise(settings, workers, ready, again))


async def _supervise(settings: Settings, workers: int, ready: Callable[[], None], again: Source) -> int:
    log = LineLog(asyncio.get_running_loop(), STDERR, shared=True)
    try:
        return await Supervisor(settings, workers, log.write, again).run(ready)
    finally:
        log.close()


class Supervisor(Rereading):
    """One per program. ``write`` takes log lines."""

    def __init__(self, settings: Settings, workers: int, write: Callable[[bytes], None], again: Source) -> None:
        super().__init__(again, write)
        self._settings = settings
        self._taken: News | None = None
        self._refused: News | None = None
        self._counts: dict[tuple[str, ...], float] = {(EXITS,): 0.0}
        self._count(REJECTED, len({one.file for one in settings.rejected}))
        self._listeners = Listeners(settings.listen)
        if settings.grpc:
            free(settings.grpc)
        self._slots = [Slot(index, workers, self._listeners.take) for index in range(workers)]
        self._open = False
        self._stop = asyncio.Event()
        self._stopped_by: int | None = None
        self._unfit = 0

    async def run(self, ready: Callable[[], None]) -> int:
        """Until told to stop; the exit code."""
        async with self._signals():
            first, *others = self._slots
            tends = [asyncio.create_task(self._tend(first))]
            await _first(first.prepared, first.over)
            if not self._stop.is_set() and not first.over.is_set():
                tends += [asyncio.create_task(self._tend(slot)) for slot in others]
                await self._begin(ready)
                watch = asyncio.create_task(self.watch())
                await self._stop.wait()
                watch.cancel()
                await asyncio.wait([watch])
            await self._end(tends)
        self._listeners.close()
        if self._stopped_by is None:
            # What its first worker could not do we cannot do.
            return max(1, self._unfit, first.status)
        return 130 if self._stopped_by == signal.SIGINT else 0

    async def take(self, reading: Reading, why: str) -> Reading:
        """Have all workers serve by it where it is right: first one alone, so that a fault of ours harms no more."""
        if self._stop.is_set():
            return reading
        engines = unshared(reading.settings)
        if engines and not reading.problems:
            reading = replace(reading, problems=(engines,))
        say_problems(self._write, reading)
        if not reading.problems:
            reading.taken()
        news = News(replace(_plain(reading), settings=share(reading.settings, len(self._slots))), why, dict(os.environ))
        failed = await self._spread(news)
        if failed:
            say(self._write, "config.rejected", message=UNREAD.message, workers=[slot.index for slot in failed])
        if failed and failed[0] is self._slots[0]:
            reading = Reading(problems=(UNREAD,))
        self._note(reading, news, why)
        return reading

    async def _spread(self, news: News) -> list[Slot]:
        """Tell all workers; those that failed. Where the first does, the others are not told."""
        failed: list[Slot] = []
        for slot in self._slots:
            if not slot.prepared.is_set() or not await self._told(slot, news):
                continue
            failed.append(slot)
            if slot is self._slots[0]:
                break
            # The next one in its place begins with what is right.
            slot.kill(signal.SIGTERM)
        return failed

    def _note(self, reading: Reading, news: News, why: str) -> None:
        """What new workers shall know, and what is to be said."""
        if reading.problems:
            self._refused = news if news.reading.problems else None
            self._count(REJECTED)
            return
        self._settings = settled(self._settings, reading.settings)
        self._taken, self._refused = news, None
        self._count(REJECTED, len({one.file for one in self._settings.rejected}))
        say_loaded(self._write, self._settings, restarts(reading.settings, self._settings), why)

    async def _told(self, slot: Slot, news: News) -> bool:
        """Whether a worker failed to serve by what is right."""
        if slot.line is None:
            return False
        try:
            async with asyncio.timeout(TAKE_SECONDS):
                taken = await slot.line.ask("take", news)
        except ConnectionError:
            # It has gone; the next one begins with this.
            return False
        except (TimeoutError, RuntimeError):
            return True
        return bool(taken is not None and taken.problems and not news.reading.problems)

    # The workers

    async def _begin(self, ready: Callable[[], None]) -> None:
        """Let all listen at the same time, that the first does not get everything."""
        await _all(tuple(slot.known for slot in self._slots), self._stop)
        self._open = True
        for slot in self._slots:
            if slot.line is not None and slot.prepared.is_set():
                slot.line.tell("listen")
        await _all(tuple(slot.listens for slot in self._slots if slot.prepared.is_set()), self._stop)
        if not self._stop.is_set():
            ready()

    async def _tend(self, slot: Slot) -> None:
        """Keep a process in its place until we stop; where the first of all falls before it can serve, we end."""
        try:
            while not self._stop.is_set():
                status = await self._lived(slot)
                self._tell_count()
                if self._stop.is_set() or not (slot.index or self._open or slot.prepared.is_set()):
                    break
                if status == UNFIT and not slot.prepared.is_set():
                    self._unfit = status
                    self._end_all(signal.SIGTERM)
                    break
                await self._fell(slot, status)
        finally:
            slot.close()
            slot.over.set()

    async def _lived(self, slot: Slot) -> int:
        """Start a process and wait for its end; its status, negative for a signal."""
        try:
            await slot.start(partial(self._answer, slot))
        except OSError as error:
            say(self._write, "worker.start", worker=slot.index, error=error.strerror or str(error))
            return 1
        say(self._write, "worker.start", worker=slot.index, pid=slot.pid)
        return await slot.ended()

    async def _fell(self, slot: Slot, status: int) -> None:
        pause = slot.pause()
        how: dict[str, Any] = {"status": status} if status >= 0 else {"signal": signal.Signals(-status).name}
        say(
            self._write,
            "worker.exit",
            worker=slot.index,
            pid=slot.pid,
            **how,
            seconds=round(slot.lived, 3),
            pause=pause,
        )
        self._count(EXITS)
        if pause:
            # Until then its part of the connections goes to the others.
            slot.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()

    async def _answer(self, slot: Slot, word: str, value: Any) -> Any:
        if word == "begin":
            return share(self._settings, len(self._slots))
        if word == "counts":
            slot.counted(value)
        elif word == "sum":
            return await self._sum()
        elif word == "registered":
            await self._registered(slot)
        elif word == "load":
            return _plain(await self.load(value))
        elif word == "prepared":
            await self._prepared(slot)
        elif word == "listening":
            slot.listens.set()
            self._tell_count()
        return None

    async def _prepared(self, slot: Slot) -> None:
        for news in (self._taken, self._refused):
            if news is not None:
                await self._told(slot, news)
        slot.prepared.set()
        slot.known.set()
        if self._open and slot.line is not None:
            slot.line.tell("listen")

    def _tell_count(self) -> None:
        if not self._open:
            return
        count = Count(sum(slot.listens.is_set() for slot in self._slots), len(self._slots))
        for slot in self._slots:
            if slot.line is not None:
                slot.line.tell("crew", count)

    async def _registered(self, slot: Slot) -> None:
        """All but the one that has it already read what was registered. One that cannot now does so within a second."""
        lines = [one.line for one in self._slots if one is not slot and one.line is not None]
        await asyncio.gather(*(line.ask("nodes") for line in lines), return_exceptions=True)

    # Numbers

    async def _sum(self) -> Snapshot:
        """What all workers counted, those that are no more included."""
        await asyncio.gather(*(slot.count(COUNT_SECONDS) for slot in self._slots))
        up = float(sum(slot.listens.is_set() for slot in self._slots))
        found = merged(slot.total for slot in self._slots)
        return Snapshot({**found.values, **self._counts, (WORKERS,): up}, found.curves)

    def _count(self, name: str, more: int = 1) -> None:
        self._counts[(name,)] = self._counts.get((name,), 0.0) + more

    # The end

    @contextlib.asynccontextmanager
    async def _signals(self) -> AsyncIterator[None]:
        """SIGTERM and SIGINT end all workers; a second SIGINT ends them at once. SIGHUP loads the configuration."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self.ask, "SIGHUP")
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _told_to_stop(self, number: int) -> None:
        again = self._stopped_by is not None and number == signal.SIGINT
        self._stopped_by = self._stopped_by or number
        self._end_all(signal.SIGINT if again else signal.SIGTERM)

    def _end_all(self, number: signal.Signals) -> None:
        self._stop.set()
        for slot in self._slots:
            slot.kill(number)

    async def _end(self, tends: list[asyncio.Task[None]]) -> None:
        """Wait for the workers; those that do not end are ended."""
        _, slow = await asyncio.wait(tends, timeout=END_SECONDS)
        for slot in self._slots:
            slot.kill(signal.SIGKILL)
        if slow:
            await asyncio.wait(slow)
        for slot in self._slots:
            slot.close()
        for task in tends:
            task.result()


def unshared(settings: Settings) -> Problem | None:
    """What several processes cannot serve: models that one of them would load, since each would load its own."""
    engines = [one.label for one in settings.providers.values() if one.engine is not None]
    if not engines:
        return None
    message = f"{engines[0]} runs on this machine's local engine, and each worker would load it anew"
    hint = "serve it with a parley of its own and name that as a provider with base_url, or leave out --workers"
    return Problem("", 0, 0, message, hint)


def _plain(reading: Reading) -> Reading:
    """What can be sent to another process."""
    return replace(reading, taken=nothing)


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _all(events: tuple[asyncio.Event, ...], stop: asyncio.Event) -> None:
    """Wait for all of them, for the stop, or for as long as may be."""

    async def everything() -> bool:
        return all([await event.wait() for event in events])

    waits = [asyncio.ensure_future(everything()), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(waits, timeout=TOGETHER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
