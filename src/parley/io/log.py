"""Log lines to a descriptor, in batches, never waiting: a reader that stalls loses lines, not requests (G12)."""

import asyncio
import os

FLUSH_SECONDS = 0.05
MAX_PENDING = 4 * 1024 * 1024


class LineLog:
    """Give it ``write`` one line at a time, without the line end. ``dropped`` counts lines lost to a full sink."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0

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

    def _written(self, data: bytes) -> int:
        if not data:
            return 0
        blocking = os.get_blocking(self._descriptor)
        try:
            os.set_blocking(self._descriptor, False)
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)
        finally:
            # The descriptor may be shared with the shell's other programs: leave it as it was.
            os.set_blocking(self._descriptor, blocking)
