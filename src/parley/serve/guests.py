"""A hook that was made, what it does, and threads for those that take their time."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeAlias

from msgspec import Struct

from parley.failure import Failure, ParleyError
from parley.gateway.job import Job
from parley.gateway.keyring import SHOWN
from parley.hooks.view import Facts, Refusal, Refused
from parley.ports import Clock, Headers, Timer
from parley.settings import Hook

Then: TypeAlias = Callable[[Any, BaseException | None], None]
THREADS: Final = 4
MOST_WAITING: Final = 256
BUSY: Final = Failure("overloaded", "too many requests wait for a hook", detail="hook", retry_after=1.0)
FAILED: Final = Failure("internal", "a hook failed", detail="hook")
LATE: Final = Failure("internal", "a hook took too long", detail="hook")
_CREDENTIALS: Final = SHOWN | {b"cookie", b"proxy-authorization"}
_KINDS: Final = {400: "invalid_request", 401: "unauthorized"}


class Guest(Struct, frozen=True, eq=False):
    """A hook that was made, by what was said of it."""

    said: Hook
    hook: Any

    def meets(self, model: str) -> bool:
        """Whether it looks at requests for that model."""
        return not self.said.models or any(fnmatchcase(model, pattern) for pattern in self.said.models)

    def has(self, name: str) -> bool:
        """Whether it does that at all."""
        return callable(getattr(self.hook, name, None))

    @property
    def answers(self) -> bool:
        """Whether it looks at answers."""
        return self.has("answer") or self.has("pieces")

    def slow(self, size: int) -> bool:
        """Whether so many bytes are for a thread."""
        slow = self.said.slow if self.said.slow is not None else getattr(self.hook, "slow", False)
        return slow if isinstance(slow, bool) else size >= int(slow)

    def failed(self, error: BaseException) -> Failure | None:
        """What to refuse with; None where the request goes on as if it had not been asked. Raises nothing."""
        if isinstance(error, Refused):
            return refused(error.refusal)
        # Of the error only the type: its words may be the caller's.
        logging.getLogger("parley").error("the hook %s failed: %s", self.said.use, type(error).__name__)
        if self.said.on_failure == "pass":
            return None
        return LATE if isinstance(error, TimeoutError) else FAILED


class Threads:
    """Where slow hooks run: a few threads, made as they are needed, that keep no process from its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop, self._clock = loop, clock
        self._tasks: SimpleQueue[tuple[Callable[[], Any], _Errand] | None] = SimpleQueue()
        self._threads = 0
        self._waiting = 0

    def do(self, work: Callable[[], Any], seconds: float, then: Then) -> None:
        """Do it in a thread; ``then`` hears its result or its error, once, on the loop. Raises ``overloaded``."""
        if self._waiting >= MOST_WAITING:
            raise ParleyError(BUSY)
        if self._threads < min(THREADS, self._waiting + 1):
            self._threads += 1
            Thread(target=self._run, name="parley-hook", daemon=True).start()
        self._waiting += 1
        errand = _Errand(then)
        errand.timer = self._clock.later(seconds, lambda: errand.tell(None, TimeoutError()))
        self._tasks.put((work, errand))

    def close(self) -> None:
        """Take no more. What is waiting is still done."""
        for _ in range(self._threads):
            self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            work, errand = task
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:
                error = raised
            # The loop may have been closed by a process that is ending.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._done, errand, result, error)

    def _done(self, errand: "_Errand", result: Any, error: BaseException | None) -> None:
        self._waiting -= 1
        errand.tell(result, error)


class _Errand:
    """Somebody waits for a thread; he is told once."""

    def __init__(self, then: Then) -> None:
        self._then: Then | None = then
        self.timer: Timer | None = None

    def tell(self, result: Any, error: BaseException | None) -> None:
        """What came of it, or that it took too long."""
        then, self._then = self._then, None
        if self.timer is not None:
            self.timer.cancel()
        if then is not None:
            then(result, error)


def refused(refusal: Refusal) -> Failure:
    """As the caller is told."""
    status = refusal.status if 400 <= refusal.status < 500 else 403
    return Failure(_KINDS.get(status, "forbidden"), refusal.message, status=status, detail="hook")


def facts_of(job: Job) -> Facts:
    """What views tell of a request."""
    key = None if job.key is None else job.key.holder
    headers = shown_headers(job.request.headers, credentials=False)
    return Facts(job.inlet.dialect, job.inlet.operation, job.model, job.streams, key, headers)


def shown_headers(headers: Headers, *, credentials: bool) -> dict[str, str]:
    """A caller's headers as a hook sees them, names in lower case."""
    shown = [pair for pair in headers if credentials or pair[0] not in _CREDENTIALS]
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in shown}
