"""Notices that the event loop does not turn, and says once where it is (fault contract G10).

A thread of its own, since a loop that is blocked can say nothing.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final

import msgspec

EVERY_SECONDS: Final = 0.4
# A loop that was blocked for two seconds has been late for longer than this when it is looked at.
STALL_SECONDS: Final = 1.25
MAX_FRAMES: Final = 24
# A line that a pipe takes as a whole.
MAX_BYTES: Final = 3800


class Watchdog:
    """Of the loop on this thread. ``late`` tells for how many seconds its next turn is due; lines go to
    ``descriptor``, since the log waits for the loop too."""

    def __init__(self, late: Callable[[], float], descriptor: int) -> None:
        self._late = late
        self._descriptor = descriptor
        self._loops = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parley-watchdog", daemon=True)

    def begin(self) -> None:
        """Look from now on."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _run(self) -> None:
        told = False
        before = time.monotonic()
        while not self._over.wait(EVERY_SECONDS):
            now = time.monotonic()
            late = self._late()
            # A process that was stopped as a whole finds its loop late, too.
            if late < STALL_SECONDS or now - before > EVERY_SECONDS + STALL_SECONDS / 2:
                told = False
            elif not told:
                told = True
                self._tell(late)
            before = now

    def _tell(self, late: float) -> None:
        frame = sys._current_frames().get(self._loops)
        facts: dict[str, Any] = {"event": "loop.stall", "seconds": round(late, 2), "stack": _stack(frame)}
        while len(line := msgspec.json.encode(facts)) > MAX_BYTES and facts["stack"]:
            facts["stack"] = facts["stack"][1:]
        with suppress(OSError):
            os.write(self._descriptor, line + b"\n")


def _stack(frame: FrameType | None) -> list[str]:
    """Where it is, the innermost last; no values."""
    found: list[str] = []
    while frame is not None and len(found) < MAX_FRAMES:
        code = frame.f_code
        found.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return found[::-1]
