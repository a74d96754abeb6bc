"""One thread that owns the connection, fed by a bounded queue. Nothing here imports a database.

What somebody waits for keeps its order. Writes that nobody waits for keep theirs, and stand back: they are done in
small parts between the others, and before one that is about the same. Neighbouring writes share a transaction. While
the store is away (locked, full, gone, broken) reads fail at once and writes that nobody waits for are held, in
memory and within the queue's limits; the thread tries by itself until the store is back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from random import uniform
from typing import Any, Final, NamedTuple

import msgspec

from parley.failure import Failure, ParleyError
from parley.store.lasting import Lasting
from parley.store.port import Away, Link, Outcome, Task

MAX_TASKS: Final = 32768
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_BATCH: Final = 256
# As long as others should have to wait for a part of what nobody waits for.
PART_SECONDS: Final = 0.05
LEAST_PART: Final = 4
# Between two tries, growing; each is shortened by chance, so that many gateways do not come at once.
RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 60.0
# A statement that takes longer keeps nobody waiting any more; one that takes this much longer has its connection cut.
SLOW_SECONDS: Final = 5.0
STUCK_SECONDS: Final = 12.0
PROBE_SECONDS: Final = 0.25
AWAY: Final = Failure("overloaded", "the store is not available", detail="store", retry_after=RETRY_SECONDS)
_BROKEN: Final = Failure("internal", "the gateway failed to handle the request", detail="store")

__all__ = ["AWAY", "Away", "Link", "Reports", "Task", "Worker"]


class Reports(NamedTuple):
    """How the thread is heard: ``post`` runs a call on the loop's thread, ``say`` takes a log line there, ``failed``
    the kind of an error (Away.kind)."""

    post: Callable[[Callable[[], None]], None]
    say: Callable[[bytes], None]
    failed: Callable[[str], None]


class Worker:
    """``opening`` makes a Link. ``chore`` is asked now and then for work of the store's own. ``now`` is monotonic."""

    def __init__(
        self,
        opening: Callable[[], Link],
        reports: Reports,
        chore: Callable[[], Task | None],
        now: Callable[[], float],
    ) -> None:
        self._opening, self._reports, self._chore, self._now = opening, reports, chore, now
        self._tasks: deque[Task] = deque()
        # Writes that nobody waits for.
        self._held = Lasting()
        self._part = LEAST_PART
        self._size = 0
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._full = False
        self._link: Link | None = None
        self._since: float | None = None
        self._again = 0.0
        self._failures = 0
        # Why nothing can be done now, and why nothing can be written although it can be read.
        self.away: Away | None = None
        self.unwritable: Away | None = None
        self.dropped = 0

    def put(self, task: Task) -> None:
        """Queue it. Refused at once where the queue is full or closed, or where nobody should wait for the store."""
        if not task.lasting and self._in_vain(task):
            task.tell(AWAY)
            return
        with self._ready:
            # Writes that are held leave room for reads.
            refused = self._closing or self.waiting >= (MAX_TASKS if task.writes else 2 * MAX_TASKS)
            if not refused and (not task.size or not self.waiting or self._size + task.size <= MAX_BYTES):
                (self._held.add if task.lasting else self._tasks.append)(task)
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
    def waiting(self) -> int:
        """How much is queued or held."""
        return len(self._tasks) + len(self._held)

    @property
    def problem(self) -> str | None:
        """What is wrong now, in words for an operator."""
        if self.away is not None:
            return f"the store is not available: {self.away}"
        if self.unwritable is not None:
            return f"the store cannot be written: {self.unwritable}"
        return "the store does not keep up with what is to be written" if self._full else None

    def _in_vain(self, task: Task) -> bool:
        """Whether it would only wait: the store is away, or does not answer."""
        if self._closing or self._thread is None:
            return False
        since = self._since
        taken = 0.0 if since is None else time.monotonic() - since
        if taken > STUCK_SECONDS:
            self._abort()
        if self._blocked(writes=task.writes):
            return True
        if self.away is not None:
            return taken > PROBE_SECONDS
        # The first time what it needs is imported and its tables are made: that says nothing of the store.
        return taken > (SLOW_SECONDS if self._link is not None or self._failures else STUCK_SECONDS)

    def _blocked(self, *, writes: bool) -> bool:
        known = self.away is not None or (writes and self.unwritable is not None)
        return known and self._now() < self._again

    def _abort(self) -> None:
        """A server that is frozen lets nobody go by itself."""
        link = self._link
        if link is not None:
            link.abort()

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
            self._tell("store.closed" if self._closing else "store.full", waiting=self.waiting)
        task.tell(AWAY)

    # Everything below runs in the thread

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            chore = self._chore()
            if chore is not None:
                batch.append(chore)
            for writes, tasks in groupby(batch, key=lambda task: task.writes):
                for part in [list(tasks)] if writes else [[task] for task in tasks]:
                    self._serve(part, writes=writes)
            if not self._catch_up(self._part) and not batch:
                self._probe()
        self._again = 0.0
        while self._held and not self._blocked(writes=True):
            self._catch_up(MAX_BATCH)
        if self._held:
            self._count(len(self._held))
            self._tell("store.lost", count=len(self._held))
        self._drop_link()

    def _next(self) -> list[Task] | None:
        """The next tasks; none where there is something else to do, after a quiet time, or when it is time to look
        whether the store is back; None at the end."""
        with self._ready:
            while not self._tasks:
                if self._closing:
                    return None
                ripe = self._held and not self._blocked(writes=True)
                if ripe or not self._ready.wait(self._patience()):
                    return []
            batch = [self._tasks.popleft() for _ in range(min(MAX_BATCH, len(self._tasks)))]
            self._let_go(batch)
            return batch

    def _patience(self) -> float:
        if self.away is None and self.unwritable is None:
            return IDLE_SECONDS
        return min(max(self._again - self._now(), 0.01), RETRY_SECONDS)

    def _let_go(self, tasks: Iterable[Task]) -> None:
        self._size -= sum(task.size for task in tasks)
        self._full = self._full and self.waiting > 0

    def _serve(self, tasks: list[Task], *, writes: bool) -> None:
        """Those that somebody waits for, after all that is about the same."""
        if writes and self.unwritable is not None:
            # Whether it can be written again shows what could not be, and no smaller thing.
            self._catch_up(self._part)
        names = {name for task in tasks for name in task.about}
        if names and not self._written(names):
            for task in tasks:
                self._settle(task, AWAY)
            return
        self._attempt(tasks, writes=writes)

    def _written(self, names: set[str]) -> bool:
        """Whether nothing about these is held any more."""
        if self._blocked(writes=True):
            return not self._held.knows(names)
        with self._ready:
            left = self._held.bring(names)
        while left > 0:
            many = min(left, MAX_BATCH)
            self._catch_up(many)
            if self._blocked(writes=True):
                return False
            left -= many
        return True

    def _catch_up(self, many: int) -> bool:
        """Write some of what nobody waits for. Whether anything was done."""
        with self._ready:
            if not self._held or self._blocked(writes=True):
                return False
            part = self._held.first(many)
            self._let_go(part)
        begun = time.monotonic()
        done = self._attempt(part, writes=True)
        if done:
            self._pace(len(part), time.monotonic() - begun)
        return done

    def _pace(self, many: int, taken: float) -> None:
        """How much the next part is."""
        if taken > PART_SECONDS:
            self._part = max(LEAST_PART, min(self._part, many) // 2)
        elif many >= self._part:
            self._part = min(self._part * 2, MAX_BATCH)

    def _probe(self) -> None:
        """Look, where it is time to, whether the store is back."""
        if (self.away or self.unwritable) is not None and not self._blocked(writes=True):
            writes = self.away is None
            self._attempt([Task(_touch if writes else _glance, None, writes=writes)], writes=writes)

    def _attempt(self, tasks: list[Task], *, writes: bool) -> bool:
        """Whether they are done."""
        if self._blocked(writes=writes):
            self._hold(tasks)
            return False
        outcomes, problem = self._tried(tasks, writes=writes)
        if problem is None:
            self._found(writes=writes)
            for task, outcome in zip(tasks, outcomes, strict=True):
                self._settle(task, outcome)
        elif problem.ours:
            self._lose(tasks)
        else:
            self._hold(tasks)
        return problem is None

    def _tried(self, tasks: list[Task], *, writes: bool) -> tuple[list[Outcome], Away | None]:
        """Once more on another connection where one that was kept has gone, unless it may have been done."""
        for fresh in (self._link is None, True):
            done = False
            outcomes: list[Outcome] = []
            self._since = time.monotonic()
            try:
                link = self._connected()
                with link.transaction(writes=writes, patient=self.unwritable is None):
                    outcomes = [self._outcome(link, task) for task in tasks]
                    done = True
                return outcomes, None
            except Away as away:
                problem = away
            except Exception as error:
                # A mistake of ours: this batch is lost, the thread goes on.
                problem = Away(type(error).__name__, ours=True)
            finally:
                self._since = None
            if problem.kind != "locked":
                self._drop_link()
            if fresh or problem.kind != "away" or problem.reads or problem.ours or (writes and done):
                break
        self._fail(problem, writes=writes)
        return [], problem

    def _connected(self) -> Link:
        if self._link is not None and self._link.gone():
            self._drop_link()
            self._tell("store.replaced")
        if self._link is None:
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

    def _fail(self, problem: Away, *, writes: bool) -> None:
        """Remember why, and when to try again."""
        known = self.away is not None or (writes and self.unwritable is not None)
        pause = min(RETRY_SECONDS * 2.0 ** min(self._failures, 8), MAX_RETRY_SECONDS)
        self._failures += 1
        self._again = self._now() + pause * uniform(0.5, 1.0)  # noqa: S311 - it only spreads
        if writes and problem.reads:
            self.unwritable = problem
        else:
            self.away = problem
        self._reports.post(partial(self._reports.failed, problem.kind))
        if not known:
            event = "store.corrupt" if problem.kind == "corrupt" else "store.away"
            self._tell(event, kind=problem.kind, problem=str(problem), waiting=self.waiting)

    def _hold(self, tasks: list[Task]) -> None:
        """Keep what nobody waits for until the store is back; tell the others that it is away."""
        kept = [task for task in tasks if task.lasting]
        with self._ready:
            self._size += sum(task.size for task in kept)
            self._held.again(kept)
        for task in tasks:
            if not task.lasting:
                self._settle(task, AWAY)

    def _lose(self, tasks: list[Task]) -> None:
        self._count(sum(task.writes for task in tasks))
        for task in tasks:
            self._settle(task, AWAY)

    def _found(self, *, writes: bool) -> None:
        was = self.away or self.unwritable
        self.away = None
        if writes:
            self.unwritable = None
        if self.unwritable is None:
            self._failures = 0
            if was is not None:
                self._tell("store.back", dropped=self.dropped, waiting=self.waiting)

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _settle(self, task: Task, outcome: Outcome) -> None:
        if task.then is not None:
            self._reports.post(partial(task.then, outcome))

    def _tell(self, event: str, **facts: Any) -> None:
        line = msgspec.json.encode({"event": event, **facts})
        self._reports.post(lambda: self._reports.say(line))


def _glance(link: Link) -> None:
    """Nothing: that the store could be opened is what is asked."""
    link.one("SELECT 1")


def _touch(link: Link) -> None:
    """Change nothing, but write it: what is full or locked shows only then."""
    link.run("UPDATE parley_schema SET name = name WHERE number = 1")
