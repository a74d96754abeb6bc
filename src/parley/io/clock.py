"""The event loop as a Clock."""

import asyncio
import time
from collections.abc import Callable

from parley.ports import Timer


class LoopClock:
    """Monotonic time and timers of the running loop."""

    __slots__ = ("_loop", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # The loop's own time stands still within a turn and may count whole milliseconds only.
        self.now = time.monotonic

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Run ``call`` after ``delay`` seconds."""
        return self._loop.call_later(delay, call)
