"""The ledger as a gateway has it: it hears of requests that have ended and sees to it that each is written once.

A request costs the loop one small write to a file. From the file rows go into the store in pieces, by the store's own
thread. While the store is away the file grows; nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from parley.failure import Failure
from parley.gateway.ended import Ended
from parley.ledger.journal import File, Journal, frame
from parley.ledger.rows import packed, row_of
from parley.ledger.turn import Turn, applied, entered, synced
from parley.store import Store
from parley.store import ledger as stored
from parley.store.ledger import Row
from parley.store.port import Link

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery

DROPPED: Final = "parley_ledger_dropped_total"
# Rows that are held where the file cannot be written, and bytes of files that are not in the store yet.
MAX_PENDING: Final = 20_000
MAX_WAITING: Final = 256 * 1024 * 1024
PAUSE_SECONDS: Final = 0.25
# Where so many bytes wait nothing is waited for: what waits longer has left the processor's own memory, and costs more.
SOON: Final = 128 * 1024
RETRY_SECONDS: Final = 1.0
ADOPT_SECONDS: Final = 60.0
SWEEP_SECONDS: Final = 3600.0
FIRST_SWEEP_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 10.0
# A disk that made the loop wait for so long is written to by a thread for a while.
SLOW_SECONDS: Final = 0.1
BESIDE_SECONDS: Final = 60.0
_FAULTS: Final = 3


class Ledger:
    """Belongs to one loop. ``folder`` is the journal's, ``count`` adds a number to a counter, ``write`` takes log
    lines; ``retention`` in seconds; ``taken`` hears in the store's thread of rows that another process had left, in the
    transaction that writes them; ``served`` are the names of models that are served. ``start`` it, and ``close`` it
    before the store."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        retention: float,
        count: Callable[[str, int], None],
        write: Callable[[bytes], None],
        taken: Callable[[Link, Sequence[Row]], None] | None = None,
    ) -> None:
        self._store, self._count, self._write = store, count, write
        self._journal = Journal(folder)
        self._taken = taken
        self._left: set[str] = set()
        self.retention = retention
        self.served: frozenset[str] = frozenset()
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._last: File | None = None
        self._waiting = 0
        self._files: deque[File] = deque()
        self._finished: list[str] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._writing: asyncio.Future[File] | None = None
        self._applying = self._closed = self._beside = self._losing = False
        self._faults = 0
        self._problem = ""
        self._idle = asyncio.Event()

    def start(self) -> None:
        """Take over what others left behind, now and from time to time."""
        self._adopt()
        self._later("sweep", FIRST_SWEEP_SECONDS, self._sweep)

    # The observer's side

    def ended(self, job: "Delivery | None", ended: Ended) -> None:
        """Write it down, but for strangers: whoever shows no key that is good leaves a line in the log alone.

        It is in the file before the end of the answer leaves this process, unless the disk is in trouble.
        """
        if ended.status == 401 and ended.key is None:
            return
        values = row_of(ended)
        row = frame(packed(values))
        if self._pending or self._beside or self._writing is not None or self._waiting > MAX_WAITING:
            self._hold(row)
            return
        begun = monotonic()
        try:
            file = self._journal.append(row)
        except OSError as error:
            self._unwritten([row], error)
            return
        file.keep(values, len(row))
        before, self._waiting = self._waiting, self._waiting + len(row)
        if monotonic() - begun > SLOW_SECONDS:
            self._step_aside(begun)
        if file is not self._last:
            self._files.append(file)
            self._last = file
        if not self._applying:
            self._arrange(before)

    def _arrange(self, before: int) -> None:
        """When rows go into the store; so many bytes waited before the last of them."""
        if before < SOON <= self._waiting:
            self._drop_timer("apply")
            self._later("apply", 0.0, self._apply)
        elif "apply" not in self._timers:
            self._later("apply", PAUSE_SECONDS, self._apply)

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz reports of the files."""
        if not self._problem:
            return []
        message = f"the ledger's journal cannot be written: {self._problem}"
        return [{"kind": "ledger", "message": message, "waiting": len(self._pending)}]

    # Where the disk is slow, full or broken: held here, written by a thread

    def _hold(self, row: bytes) -> None:
        if self._waiting > MAX_WAITING or len(self._pending) >= MAX_PENDING:
            self._lose(1)
            return
        self._pending.append(row)
        if not self._problem:
            self._flush()

    def _step_aside(self, begun: float) -> None:
        self._beside = True
        self._say("ledger.slow", ms=round((monotonic() - begun) * 1000))
        self._later("return", BESIDE_SECONDS, self._return)

    def _return(self) -> None:
        self._beside = False

    def _flush(self) -> None:
        if self._pending and self._writing is None:
            rows, self._pending = self._pending, []
            self._writing = self._loop.run_in_executor(None, self._journal.append, b"".join(rows))
            self._writing.add_done_callback(partial(self._appended, rows))

    def _appended(self, rows: list[bytes], done: "asyncio.Future[File]") -> None:
        self._writing = None
        error = done.exception()
        if error is not None:
            self._unwritten(rows, error)
            return
        self._waiting += sum(map(len, rows))
        if self._problem:
            self._problem = ""
            self._say("ledger.back")
        if done.result() is not self._last:
            self._last = done.result()
            self._files.append(self._last)
        if not self._applying:
            self._later("apply", PAUSE_SECONDS, self._apply)
        self._flush()

    def _unwritten(self, rows: list[bytes], error: BaseException) -> None:
        """Hold them, and try again; what does not find room is counted."""
        lost = max(0, len(rows) + len(self._pending) - MAX_PENDING)
        self._pending = rows[: len(rows) - lost] + self._pending
        words = getattr(error, "strerror", None) or type(error).__name__
        if not self._problem:
            self._say("ledger.unwritable", error=words)
        self._problem = words
        if lost:
            self._lose(lost)
        self._later("flush", RETRY_SECONDS, self._flush)

    def _lose(self, many: int) -> None:
        self._count(DROPPED, many)
        if not self._losing:
            self._losing = True
            self._say("ledger.dropped", message="requests are not written down: see the metric " + DROPPED)

    # Into the store

    def _apply(self) -> None:
        """One piece of the oldest file."""
        self._drop_timer("apply")
        self._tidy()
        if self._applying:
            return
        if not self._files or not self._files[0].waiting:
            self._idle.set()
            return
        self._applying = True
        self._idle.clear()
        file, turn = self._files[0], Turn(tuple(self._finished), self.served)
        skip = self._faults >= _FAULTS
        fresh = None if skip else file.fresh()
        if fresh is not None:
            self._store.change_then(partial(entered, file, fresh, turn), partial(self._heard, file, turn.finished))
            return
        taken = self._taken if file.name in self._left else None
        work = partial(applied, file, file.size, turn, skip, taken)
        self._store.change_then(work, partial(self._heard, file, turn.finished))

    def _heard(self, file: File, finished: tuple[str, ...], outcome: Any) -> None:
        self._applying = False
        if isinstance(outcome, Failure):
            self._failed(outcome)
            return
        self._faults = 0
        self._finished = [name for name in self._finished if name not in finished]
        end, lost, damaged = outcome
        before = file.waiting
        file.reach(end)
        self._waiting += file.waiting - before
        self._losing = self._losing and bool(self._waiting)
        if lost:
            self._say("ledger.refused", rows=lost)
            self._lose(lost)
        if damaged:
            self._set_aside(file, end)
        self._go_on()

    def _go_on(self) -> None:
        """At once where much is left, else after a pause in which more may come."""
        self._tidy()
        waiting = self._waiting
        if waiting >= SOON or len(self._files) > 1 or (waiting and self._closed):
            self._loop.call_soon(self._apply)
        elif waiting:
            self._later("apply", PAUSE_SECONDS, self._apply)
        else:
            self._idle.set()

    def _failed(self, failure: Failure) -> None:
        """The store is away, or cannot take this piece whatever we do."""
        self._faults = self._faults + 1 if failure.kind == "internal" else 0
        self._idle.set()
        if self._journal.active is not None and not self._closed:
            self._loop.run_in_executor(None, synced, self._journal.active)
        self._later("apply", RETRY_SECONDS, self._apply)

    def _set_aside(self, file: File, end: int) -> None:
        """Nobody can tell how many rows are in what cannot be read: at least one."""
        self._files.remove(file)
        self._waiting -= file.waiting
        if self._journal.active is file:
            self._journal.active = self._last = None
        file.set_aside()
        self._count(DROPPED, 1)
        self._say("ledger.damaged", file=str(file.path), place=end)

    def _tidy(self) -> None:
        """Files that are in the store as a whole, and are not written any more, go."""
        while self._files and not self._files[0].waiting and self._files[0] is not self._journal.active:
            file = self._files.popleft()
            file.remove()
            self._left.discard(file.name)
            self._finished.append(file.name)

    # What others left behind, and what is too old

    def _adopt(self) -> None:
        done = self._loop.run_in_executor(None, self._journal.left)
        done.add_done_callback(self._adopted)
        self._later("adopt", ADOPT_SECONDS, self._adopt)

    def _adopted(self, done: "asyncio.Future[list[File]]") -> None:
        left = [] if done.exception() is not None else done.result()
        if self._closed:
            for file in left:
                file.close()
            return
        if left:
            self._say("ledger.replay", files=len(left), bytes=sum(file.size for file in left))
            self._files.extendleft(reversed(left))
            self._left.update(file.name for file in left)
            self._waiting += sum(file.waiting for file in left)
            self._apply()

    def _sweep(self) -> None:
        before = self._store.wall() - self.retention
        self._store.change_then(lambda link: stored.sweep(link, before), self._swept)

    def _swept(self, outcome: Any) -> None:
        if isinstance(outcome, Failure):
            self._later("sweep", ADOPT_SECONDS, self._sweep)
        else:
            self._later("sweep", SWEEP_SECONDS if outcome else PAUSE_SECONDS, self._sweep)

    # The end

    async def close(self) -> None:
        """Bring everything into the store if it is there; what is left stays in the files for the next one."""
        for name in list(self._timers):
            self._drop_timer(name)
        self._closed = True
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=CLOSE_SECONDS)
        self._last_words()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._emptied()
        except TimeoutError:
            pass
        self._journal.active = None
        self._tidy()
        if not self._applying:
            # Else the store's thread may still read the first of them.
            for file in self._files:
                file.close()
            self._files.clear()

    def _last_words(self) -> None:
        rows, self._pending = self._pending, []
        if rows:
            try:
                file = self._journal.append(b"".join(rows))
            except OSError:
                self._lose(len(rows))
                return
            self._waiting += sum(map(len, rows))
            if file is not self._last:
                self._files.append(file)

    async def _emptied(self) -> None:
        """Until nothing waits, or the store cannot be had."""
        before = -1
        while self._waiting and self._waiting != before:
            before = self._waiting
            self._idle.clear()
            self._apply()
            await self._idle.wait()

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if not self._closed and name not in self._timers:
            self._timers[name] = self._loop.call_later(seconds, self._due, name, call)

    def _due(self, name: str, call: Callable[[], None]) -> None:
        self._drop_timer(name)
        call()

    def _drop_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _say(self, event: str, **facts: Any) -> None:
        self._write(msgspec.json.encode({"event": event, **facts}))
