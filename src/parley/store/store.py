"""The store as others see it. All methods are called on the loop's thread; none of them waits for the file."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from parley.failure import Failure, ParleyError
from parley.ports import Kept, Recalled
from parley.store import place, responses
from parley.store.background import Background, Backgrounds
from parley.store.worker import Link, Task, Worker

T = TypeVar("T")
Work: TypeAlias = Callable[[Link], T]

RETENTION: Final = 30 * 86400.0
SWEEP_SECONDS: Final = 3600.0
BUSY_SECONDS: Final = 5.0
_OVERHEAD: Final = 1024


class Store:
    """Opened on first use. ``url`` is ``sqlite:///FILE``, None for the file under the user's data directory.

    ``retention`` in seconds, None = for ever; ``wall`` gives seconds since 1970, ``now`` monotonic seconds;
    ``write`` takes log lines. ``busy`` seconds are waited for another program's lock. Raises ValueError for a URL
    that is none.
    """

    def __init__(  # noqa: PLR0913 - all but the first two are for tests and have defaults
        self,
        url: str | None,
        loop: asyncio.AbstractEventLoop,
        *,
        retention: float | None = RETENTION,
        write: Callable[[bytes], None] = lambda line: None,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        busy: float = BUSY_SECONDS,
    ) -> None:
        self._given = None if url is None else place.path_of(url)
        self._folder, self._busy = url is None, busy
        self._loop, self._retention, self._wall = loop, retention, wall
        self._sweep_at = 0.0
        self._worker = Worker(self._open, self._post, write, self._chore, now)
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
        now = self._wall()
        self._worker.put(Task(lambda link: responses.recall(link, response_id, conversation, owner, now), then))

    def resolve(self, items: bytes, owner: str, then: Callable[[bytes | Failure], None]) -> None:
        """See parley.ports.Memory."""
        now = self._wall()
        self._worker.put(Task(lambda link: responses.resolve(link, items, owner, now), then, size=len(items)))

    def keep(self, kept: Kept) -> None:
        """See parley.ports.Memory."""
        now = self._wall()
        size = len(kept.input) + len(kept.response) + _OVERHEAD
        self._worker.put(Task(lambda link: responses.keep(link, kept, now), None, writes=True, size=size))

    # Work of others

    async def ask(self, work: Work[T]) -> T:
        """Read. Raises the ParleyError that the work raised, or that the store is not available."""
        return await self._done(work, writes=False)

    async def change(self, work: Work[T]) -> T:
        """Write; it is on disk when this returns. Raises as ``ask``."""
        return await self._done(work, writes=True)

    def ask_then(self, work: Work[Any], then: Callable[[Any], None]) -> None:
        """Read; ``then`` hears the result or a Failure."""
        self._worker.put(Task(work, then))

    def change_then(self, work: Work[Any], then: Callable[[Any], None]) -> None:
        """Write; ``then`` hears the result or a Failure."""
        self._worker.put(Task(work, then, writes=True, size=_OVERHEAD))

    # Responses made in the background

    def begin_background(self, kept: Kept, then: Callable[[Background | Failure], None]) -> None:
        """Store a queued response; ``then`` hears what shall be the Caller of its job."""
        self.backgrounds.begin(kept, then)

    async def cancel(self, owner: str, id: str) -> bytes:
        """Stop a background response; the object as it is then."""
        now = self._wall()
        body = await self.change(lambda link: responses.cancel(link, owner, id, now))
        self.backgrounds.stop(owner, id)
        return body

    async def remove_response(self, owner: str, id: str) -> None:
        """Delete a response, and stop it where it is still being made."""
        await self.change(lambda link: responses.remove(link, owner, id))
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
    def path(self) -> Path | None:
        """The file, None where there is none."""
        return place.path_of(place.default_url()) if self._folder else self._given

    @property
    def exists(self) -> bool:
        """Whether there is a file that holds something already; an empty one, a device or a folder is no store."""
        return self.path is not None and self.path.is_file() and self.path.stat().st_size > 0

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz reports: nothing, or one problem of kind "store"."""
        problem = self._worker.problem
        return [] if problem is None else [{"kind": "store", "message": problem, "dropped": self.dropped}]

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
        from parley.store.link import opened

        return opened(self.path, self._busy, folder=self._folder)

    def _post(self, call: Callable[[], None]) -> None:
        # The loop may have been closed by a process that is ending.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _chore(self) -> Task | None:
        now = self._wall()
        if self._retention is None or now < self._sweep_at:
            return None
        self._sweep_at, before = now + SWEEP_SECONDS, now - self._retention
        return Task(lambda link: responses.sweep(link, before), self._swept, writes=True)

    def _swept(self, outcome: Any) -> None:
        if isinstance(outcome, Failure):
            self._sweep_at = 0.0

    async def _done(self, work: Work[T], *, writes: bool) -> T:
        future: asyncio.Future[Any] = self._loop.create_future()

        def then(outcome: Any) -> None:
            if not future.done():
                future.set_result(outcome)

        self._worker.put(Task(work, then, writes=writes, size=_OVERHEAD if writes else 0))
        outcome = await future
        if isinstance(outcome, Failure):
            raise ParleyError(outcome)
        found: T = outcome
        return found
