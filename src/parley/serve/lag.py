"""How late the event loop runs: the time between when a timer was due and when it was called."""

import asyncio
import time
from typing import Final

EVERY_SECONDS: Final = 0.25
WINDOW_SECONDS: Final = 15.0


class Lag:
    """Of one loop, from the call of ``begin`` to that of ``close``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = 0.0
        self._turned = 0.0
        self._before = self._now = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._turned = self._loop.time()
        self._next()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def late(self) -> float:
        """For how many seconds its next turn is due now; negative: it is not. May be asked by any thread: the loop's
        own clock may stand still while it is blocked."""
        return time.monotonic() - self._due if self._timer is not None else 0.0

    def worst(self) -> float:
        """The longest in this window and the one before it, in seconds; what is due now included."""
        late = self._loop.time() - self._due if self._timer is not None else 0.0
        return max(self._before, self._now, late)

    def _next(self) -> None:
        self._due = self._loop.time() + EVERY_SECONDS
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self._now = max(self._now, now - self._due)
        if now - self._turned > WINDOW_SECONDS:
            self._turned, self._before, self._now = now, self._now, 0.0
        self._next()
