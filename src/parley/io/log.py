"""Log lines to a descriptor, in batches, never waiting: a reader that stalls loses lines, not requests (G12)."""

import asyncio
import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

FLUSH_SECONDS: Final = 0.05
MAX_PENDING: Final = 4 * 1024 * 1024
# What a pipe takes at once or not at all, so that lines of several processes never mix. POSIX asks for 512 at least.
WHOLE: Final = getattr(select, "PIPE_BUF", 512)

Send: TypeAlias = Callable[[bytes], int]
Close: TypeAlias = Callable[[], None]


class LineLog:
    """Give it ``write`` one line at a time, without the line end. ``dropped`` counts lines lost to a full sink.

    ``shared``: other processes write to the same place, so no write may be cut short where that can be helped.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, *, shared: bool = False) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._send: Send | None = None
        self._close: Close | None = None
        if shared:
            self._send, self._close = _opened(descriptor)
        self._whole = shared
        self._lines: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0
        # How many of these somebody has been told of.
        self._told = 0

    def write(self, line: bytes) -> None:
        """Keep a line for the next batch."""
        if self._size > MAX_PENDING:
            self.dropped += 1
            return
        self._lines.append(line)
        self._size += len(line) + 1
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what the sink takes without waiting; the rest stays for the next time."""
        self._timer = None
        data = b"\n".join(self._lines) + b"\n" if self._lines else b""
        self._lines.clear()
        rest = data[self._written(data) :]
        self._size = len(rest)
        if rest:
            self._lines.append(rest.removesuffix(b"\n"))
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)
        elif self.dropped > self._told:
            lost, self._told = self.dropped - self._told, self.dropped
            self.write(b'{"event":"log_dropped","lines":%d}' % lost)

    def close(self) -> None:
        """Write what can be written, and no more."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
        if self._close is not None:
            self._close()

    def _written(self, data: bytes) -> int:
        if not data:
            return 0
        if self._send is not None:
            return self._put(data, self._send)
        blocking = os.get_blocking(self._descriptor)
        try:
            os.set_blocking(self._descriptor, False)
            return self._put(data, partial(os.write, self._descriptor))
        except OSError:
            return len(data)
        finally:
            # The descriptor may be shared with the shell's other programs: leave it as it was.
            os.set_blocking(self._descriptor, blocking)

    def _put(self, data: bytes, send: Send) -> int:
        """How much of it was taken, or will never be."""
        done = 0
        try:
            while done < len(data):
                end = _cut(data, done) if self._whole else len(data)
                taken = send(data[done:end])
                done += taken
                if done < end:
                    break
        except BlockingIOError:
            return done
        except OSError:
            return len(data)
        return done


def _cut(data: bytes, start: int) -> int:
    """Where to stop, so that whole lines go out in one piece; a longer line goes out alone."""
    if len(data) - start <= WHOLE:
        return len(data)
    end = data.rfind(b"\n", start, start + WHOLE)
    return (end if end >= 0 else data.index(b"\n", start)) + 1


def _opened(descriptor: int) -> tuple[Send, Close] | tuple[None, None]:
    """What writes there and never waits, without a change to what others write by, and what ends it; None where that
    cannot be had."""
    with suppress(OSError):
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            own = socket.socket(fileno=os.dup(descriptor))
            return _to_socket(own), own.close
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            number = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            return partial(os.write, number), partial(os.close, number)
    return None, None


def _to_socket(one: socket.socket) -> Send:
    def send(data: bytes) -> int:
        return one.send(data, socket.MSG_DONTWAIT)

    return send
