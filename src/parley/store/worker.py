"""One thread that owns the connection, fed by a bounded queue. Nothing here imports a database.

The queue keeps its order, so that a read sees every earlier write. Neighbouring writes share a transaction. Where
the store is away (locked, full, gone, broken) work fails at once for RETRY_SECONDS, then it is tried again.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from parley.failure import Failure, ParleyError

MAX_TASKS: Final = 4096
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_BATCH: Final = 256
RETRY_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 60.0
AWAY: Final = Failure("overloaded", "the store is not available", detail="store", retry_after=RETRY_SECONDS)
_BROKEN: Final = Failure("internal", "the gateway failed to handle the request", detail="store")


class Away(Exception):  # noqa: N818 - it is what the store is
    """The store cannot be used now. The message is for operators and holds nothing that callers wrote."""


class Link(Protocol):
    """An open connection. Statements are SQL with named values (``:name``). Any method may raise Away."""

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """The rows of a query."""

    def one(self, statement: str, **values: Any) -> Any:
        """The first row, None where there is none."""

    def run(self, statement: str, **values: Any) -> int:
        """Change rows; how many."""

    def many(self, statement: str, values: Sequence[dict[str, Any]]) -> None:
        """The same change for each of some values."""

    def transaction(self, *, writes: bool) -> AbstractContextManager[None]:
        """All or nothing."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A part of a transaction that may fail by itself."""

    def gone(self) -> bool:
        """Whether the file was removed or replaced."""

    def close(self) -> None:
        """Let go of it."""


Outcome: TypeAlias = Any


class Task:
    """Work in the queue. ``then`` hears its result or a Failure; where nobody listens a loss is only counted."""

    __slots__ = ("size", "then", "work", "writes")

    def __init__(
        self,
        work: Callable[[Link], Any],
        then: Callable[[Outcome], None] | None,
        *,
        writes: bool = False,
        size: int = 0,
    ) -> None:
        self.work = work
        self.then = then
        self.writes = writes
        self.size = size


class Worker:
    """``opening`` makes a Link, ``post`` runs a call on the loop's thread, ``say`` writes a log line there.

    ``chore`` is asked now and then for work of the store's own. ``now`` is monotonic time.
    """

    def __init__(
        self,
        opening: Callable[[], Link],
        post: Callable[[Callable[[], None]], None],
        say: Callable[[bytes], None],
        chore: Callable[[], Task | None],
        now: Callable[[], float],
    ) -> None:
        self._opening, self._post, self._say, self._chore, self._now = opening, post, say, chore, now
        self._tasks: deque[Task] = deque()
        self._size = 0
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._full = False
        self._link: Link | None = None
        self._again = 0.0
        self.away: str | None = None
        self.dropped = 0

    def put(self, task: Task) -> None:
        """Queue it. Refused at once where the queue is full or closed."""
        with self._ready:
            refused = self._closing or len(self._tasks) >= MAX_TASKS
            if not refused and (not task.size or not self._tasks or self._size + task.size <= MAX_BYTES):
                self._tasks.append(task)
                self._size += task.size
                self._start()
                self._ready.notify()
                return
        self._refuse(task)

    def close(self) -> threading.Thread | None:
        """Take no more; the thread, which ends once everything queued is done."""
        with self._ready:
            self._closing = True
            self._ready.notify()
            return self._thread

    @property
    def problem(self) -> str | None:
        """What is wrong now, in words for an operator."""
        if self.away is not None:
            return f"the store is not available: {self.away}"
        return "the store does not keep up with what is to be written" if self._full else None

    def _count(self, lost: int) -> None:
        with self._ready:
            self.dropped += lost

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="parley-store", daemon=True)
            self._thread.start()

    def _refuse(self, task: Task) -> None:
        """On the caller's own thread, which is the loop's."""
        self._count(task.writes)
        if not self._full:
            self._full = True
            self._tell("store.closed" if self._closing else "store.full", waiting=len(self._tasks))
        if task.then is not None:
            task.then(AWAY)

    # Everything below runs in the thread

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            chore = self._chore()
            if chore is not None:
                batch.append(chore)
            for writes, tasks in groupby(batch, key=lambda task: task.writes):
                if writes:
                    self._attempt(list(tasks), writes=True)
                else:
                    for task in tasks:
                        self._attempt([task], writes=False)
        self._drop_link()

    def _next(self) -> list[Task] | None:
        """The next tasks; none after a quiet time; None at the end."""
        with self._ready:
            while not self._tasks:
                if self._closing:
                    return None
                if not self._ready.wait(IDLE_SECONDS):
                    return []
            batch = [self._tasks.popleft() for _ in range(min(MAX_BATCH, len(self._tasks)))]
            self._size -= sum(task.size for task in batch)
            self._full = self._full and bool(self._tasks)
            return batch

    def _attempt(self, tasks: list[Task], *, writes: bool) -> None:
        try:
            link = self._connected()
            with link.transaction(writes=writes):
                outcomes = [self._outcome(link, task) for task in tasks]
        except Away as away:
            self._lose(tasks, str(away))
            return
        except Exception as error:
            # A mistake of ours: this batch is lost, the thread goes on.
            self._lose(tasks, type(error).__name__)
            return
        self._found()
        self._settle(tasks, outcomes)

    def _connected(self) -> Link:
        if self._link is not None and self._link.gone():
            self._drop_link()
            self._tell("store.replaced")
        if self._link is None:
            if self.away is not None and self._now() < self._again:
                raise Away(self.away)
            self._link = self._opening()
        return self._link

    def _outcome(self, link: Link, task: Task) -> Outcome:
        try:
            if not task.writes:
                return task.work(link)
            with link.savepoint():
                return task.work(link)
        except Away:
            raise
        except ParleyError as error:
            return error.failure
        except Exception as error:
            self._count(task.writes)
            self._tell("store.error", error=type(error).__name__)
            return _BROKEN

    def _lose(self, tasks: list[Task], problem: str) -> None:
        known = self.away is not None
        if not known or self._now() >= self._again:
            self._again = self._now() + RETRY_SECONDS
        self._drop_link()
        self.away = problem
        # The store's own chores have no size, and nobody misses them.
        self._count(sum(task.writes and task.size > 0 for task in tasks))
        if not known:
            self._tell("store.away", problem=problem, dropped=self.dropped)
        self._settle(tasks, [AWAY] * len(tasks))

    def _found(self) -> None:
        if self.away is not None:
            self.away = None
            self._tell("store.back", dropped=self.dropped)

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _settle(self, tasks: list[Task], outcomes: list[Outcome]) -> None:
        for task, outcome in zip(tasks, outcomes, strict=True):
            if task.then is not None:
                self._post(partial(task.then, outcome))

    def _tell(self, event: str, **facts: Any) -> None:
        line = msgspec.json.encode({"event": event, **facts})
        self._post(lambda: self._say(line))
