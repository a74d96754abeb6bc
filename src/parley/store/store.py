"""The store as others see it. All methods are called on the loop's thread; none of them waits for the file."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from parley.failure import Failure, ParleyError
from parley.ports import Kept, Recalled
from parley.store import answers, contexts, responses
from parley.store.background import Background, Backgrounds
from parley.store.place import Place, place_of
from parley.store.port import Link, Task
from parley.store.vigil import Vigil
from parley.store.worker import Reports, Worker

T = TypeVar("T")
Work: TypeAlias = Callable[[Link], T]

RETENTION: Final = 30 * 86400.0
SWEEP_SECONDS: Final = 3600.0
# After a sweep that failed, or that did not remove everything at once.
SWEEP_AGAIN_SECONDS: Final = 5.0
BUSY_SECONDS: Final = 5.0
_OVERHEAD: Final = 1024


def all_of(owner: str) -> str:
    """Names all that an owner has stored; see Task.about."""
    return f"all of {owner}"


class Store:
    """Opened on first use. ``url`` is as parley.store.place.place_of takes it, None for the file under the user's data
    directory.

    ``retention`` in seconds, None = for ever; ``wall`` gives seconds since 1970, ``now`` monotonic seconds;
    ``write`` takes log lines, ``count`` the kind of each error (the label of parley_store_errors_total). ``busy``
    seconds are waited for another program's lock. Raises ValueError for a URL that is none.
    """

    def __init__(  # noqa: PLR0913 - all but the first two are for tests and have defaults
        self,
        url: str | None,
        loop: asyncio.AbstractEventLoop,
        *,
        retention: float | None = RETENTION,
        write: Callable[[bytes], None] = lambda line: None,
        count: Callable[[str], None] = lambda kind: None,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        busy: float = BUSY_SECONDS,
    ) -> None:
        self._place = None if url is None else place_of(url)
        self._busy = busy
        self._loop, self._retention, self._wall, self._now = loop, retention, wall, now
        self._sweep_at = 0.0
        self._worker = Worker(self._open, Reports(self._post, write, count), self._chore, now)
        self._vigil = Vigil(now)
        self._write = write
        self.backgrounds = Backgrounds(self.change_then, loop.call_later, wall)

    def adopt(self, retention: float | None) -> None:
        """Keep for so many seconds from now on."""
        self._retention = retention

    # The Memory port

    def recall(
        self,
        response_id: str | None,
        conversation: str | None,
        owner: str,
        then: Callable[[Recalled | Failure], None],
    ) -> None:
        """See parley.ports.Memory."""
        if response_id is None and conversation is None:
            then(Recalled())
            return
        about = tuple(name for name in (response_id, conversation) if name)
        self._worker.put(Task(lambda link: responses.recall(link, response_id, conversation, owner), then, about=about))

    def resolve(self, items: bytes, owner: str, then: Callable[[bytes | Failure], None]) -> None:
        """See parley.ports.Memory."""
        work: Work[bytes] = lambda link: responses.resolve(link, items, owner)  # noqa: E731
        self._worker.put(Task(work, then, size=len(items), about=(all_of(owner),)))

    def keep(self, kept: Kept) -> None:
        """See parley.ports.Memory."""
        now = self._wall()
        size = len(kept.input) + len(kept.response) + _OVERHEAD
        work: Work[None] = lambda link: responses.keep(link, kept, now)  # noqa: E731
        owner = all_of(kept.owner)
        self._worker.put(Task(work, None, writes=True, size=size, about=responses.names(kept), owner=owner))

    # Work of others

    # Of writes that nobody waits for, these see all that are about the same (``about``: ids, or ``all_of`` an owner);
    # others may be done later.

    async def ask(self, work: Work[T], about: tuple[str, ...] = ()) -> T:
        """Read. Raises the ParleyError that the work raised, or that the store is not available."""
        return await self._done(work, about, writes=False)

    async def change(self, work: Work[T], about: tuple[str, ...] = ()) -> T:
        """Write; it is on disk when this returns. Raises as ``ask``."""
        return await self._done(work, about, writes=True)

    def ask_then(self, work: Work[Any], then: Callable[[Any], None]) -> None:
        """Read; ``then`` hears the result or a Failure."""
        self._worker.put(Task(work, then))

    def change_then(self, work: Work[Any], then: Callable[[Any], None], about: tuple[str, ...] = ()) -> None:
        """Write; ``then`` hears the result or a Failure."""
        self._worker.put(Task(work, then, writes=True, size=_OVERHEAD, about=about))

    def leave(self, work: Work[Any], size: int, about: tuple[str, ...]) -> None:
        """Write when there is time; it is held while the store is away. ``size`` is what the work holds, in bytes."""
        self._worker.put(Task(work, None, writes=True, size=_OVERHEAD + size, about=about))

    # Responses made in the background

    def begin_background(self, kept: Kept, then: Callable[[Background | Failure], None]) -> None:
        """Store a queued response; ``then`` hears what shall be the Caller of its job."""
        self.backgrounds.begin(kept, then)

    async def cancel(self, owner: str, id: str) -> bytes:
        """Stop a background response; the object as it is then."""
        now = self._wall()
        body = await self.change(lambda link: responses.cancel(link, owner, id, now), (id,))
        self.backgrounds.stop(owner, id)
        return body

    async def remove_response(self, owner: str, id: str) -> None:
        """Delete a response, and stop it where it is still being made."""
        await self.change(lambda link: responses.remove(link, owner, id), (id,))
        self.backgrounds.stop(owner, id)

    # Its own state

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall()

    @property
    def dropped(self) -> int:
        """Writes that were lost since the start."""
        return self._worker.dropped

    @cached_property
    def place(self) -> Place:
        """Where it is."""
        return self._place or place_of(None)

    @property
    def exists(self) -> bool:
        """Whether there may be something in it already; an empty file, a device or a folder is no store."""
        return self.place.exists

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz reports: nothing, or one problem of kind "store". ``waiting``: how much is to be done once it is
        back; ``dropped``: writes that found no place to wait."""
        problem, waiting = self._worker.problem, self._worker.waiting
        if problem is None:
            return []
        return [{"kind": "store", "message": problem, "dropped": self.dropped, "waiting": waiting}]

    def wake(self) -> None:
        """Open it now: what is wrong with it shows at once, and what is too old is removed."""
        self._worker.put(Task(lambda link: None, None))

    async def close(self) -> None:
        """Write everything that is queued and let go of the file."""
        self.backgrounds.close()
        thread = self._worker.close()
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _open(self) -> Link:
        from parley.store.link import linked

        return linked(self.place, self._busy)

    def _post(self, call: Callable[[], None]) -> None:
        # The loop may have been closed by a process that is ending.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _chore(self) -> Task | None:
        """In the worker's thread: what is too old is removed, what was left behind is ended."""
        if self._vigil.due():
            wall = self._wall()
            return Task(lambda link: self._vigil.keep(link, wall), self._ended, writes=True)
        now = self._now()
        if now < self._sweep_at:
            return None
        self._sweep_at, wall, kept = now + SWEEP_SECONDS, self._wall(), self._retention

        def work(link: Link) -> bool:
            # Answers end by themselves, however long all else is kept.
            done = answers.expire(link, wall)
            return (
                done if kept is None else responses.sweep(link, wall - kept) & contexts.sweep(link, wall - kept) & done
            )

        return Task(work, self._swept, writes=True)

    def _swept(self, outcome: Any) -> None:
        if outcome is not True:
            self._sweep_at = self._now() + SWEEP_AGAIN_SECONDS

    def _ended(self, outcome: Any) -> None:
        if isinstance(outcome, int) and outcome:
            self._write(msgspec.json.encode({"event": "recovery", "rows": outcome}))

    async def _done(self, work: Work[T], about: tuple[str, ...], *, writes: bool) -> T:
        future: asyncio.Future[Any] = self._loop.create_future()

        def then(outcome: Any) -> None:
            if not future.done():
                future.set_result(outcome)

        self._worker.put(Task(work, then, writes=writes, size=_OVERHEAD if writes else 0, about=about))
        outcome = await future
        if isinstance(outcome, Failure):
            raise ParleyError(outcome)
        found: T = outcome
        return found
