"""One place for a worker: its sockets, which outlive it, the process that serves them now, and what it counted."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

import parley
from parley.serve.control import Answer, Line, line
from parley.serve.metrics import Snapshot, merged
from parley.serve.worker import VARIABLE, Place

# A process that lived for so long is replaced at once when it ends.
LONG_SECONDS: Final = 10.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0


class Slot:
    """``bind`` makes its sockets, anew where they had to be closed. Raises OSError."""

    def __init__(self, index: int, of: int, bind: Callable[[], list[socket.socket]]) -> None:
        self.index = index
        self._of = of
        self._bind = bind
        self._sockets = bind()
        self._begun = 0.0
        self._falls = 0
        self._now = self._gone = Snapshot()
        self._mute = asyncio.Event()
        self.line: Line | None = None
        self.process: asyncio.subprocess.Process | None = None
        # Its first process could begin, or could not.
        self.known = asyncio.Event()
        self.prepared = asyncio.Event()
        self.listens = asyncio.Event()
        self.over = asyncio.Event()

    async def start(self, answer: Answer) -> None:
        """Start a process. Raises OSError."""
        if not self._sockets:
            self._sockets = self._bind()
        own, theirs = socket.socketpair()
        own.setblocking(False)
        numbers = tuple(one.fileno() for one in self._sockets)
        place = Place(self.index, self._of, theirs.fileno(), numbers)
        self.prepared.clear()
        self.listens.clear()
        self._begun = time.monotonic()
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                *_command(),
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, VARIABLE: msgspec.json.encode(place).decode()},
                pass_fds=(theirs.fileno(), *numbers),
                # Of its own, so that the terminal's ctrl-C reaches only us: we pass it on once.
                process_group=0,
            )
        self._mute = asyncio.Event()
        self.line = await line(own, answer, self._mute.set)

    async def ended(self) -> int:
        """Wait for the end of the process; its status, negative for a signal."""
        assert self.process is not None
        status = await self.process.wait()
        if self.line is not None:
            # What it said last may not have been read yet.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._mute.wait()
            self.line.close()
        self.line = None
        self.known.set()
        self.listens.clear()
        self._gone = merged((self._gone, self._now.counters()))
        self._now = Snapshot()
        return status

    def pause(self) -> float:
        """Seconds to wait before the next process, growing where one after the other falls."""
        self._falls = 0 if self.lived > LONG_SECONDS else self._falls + 1
        return 0.0 if self._falls < 2 else min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._falls - 2))

    @property
    def pid(self) -> int:
        """Of its last process, 0 before there was one."""
        return 0 if self.process is None else self.process.pid

    @property
    def status(self) -> int:
        """With which its last process ended, negative for a signal."""
        return 0 if self.process is None else self.process.returncode or 0

    @property
    def lived(self) -> float:
        """Seconds since its process was started."""
        return time.monotonic() - self._begun

    @property
    def total(self) -> Snapshot:
        """What all its processes counted."""
        return merged((self._gone, self._now))

    def counted(self, now: Snapshot) -> None:
        """Its process says how far it is; gauges that it does not mention stay."""
        self._now = Snapshot({**self._now.values, **now.values}, now.curves or self._now.curves)

    async def count(self, seconds: float) -> None:
        """Ask its process how far it is; what is known stays where there is no answer in time."""
        if self.line is None or not self.listens.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                found = await self.line.ask("count")
        except (TimeoutError, ConnectionError, RuntimeError):
            return
        if isinstance(found, Snapshot):
            self._now = found

    def kill(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    def close(self) -> None:
        """Give the sockets back: who connects goes to other workers, if there are any."""
        for one in self._sockets:
            one.close()
        self._sockets = []


def _command() -> list[str]:
    """The program that we are, whatever folder we are in."""
    safe = ["-P"] if Path(parley.__file__).resolve().parents[1] != Path.cwd() else []
    return [sys.executable, *safe, "-m", "parley", "serve"]
