"""How much may be under way: what is sent is held back until whoever reads it has said that there is room. Pure."""

from collections import deque
from collections.abc import Iterator
from typing import Final

# Of one answer or body, at most so much is under way, and so much goes in one message.
WINDOW: Final = 128 * 1024
CHUNK: Final = 32 * 1024
# Of all answers that one process reads.
SHARED: Final = 32 * 1024 * 1024
LEAST: Final = 16 * 1024


def window_for(calls: int) -> int:
    """The window of one more call beside so many."""
    return max(LEAST, min(WINDOW, SHARED // (calls + 1)))


class Outflow:
    """Bytes on their way out. ``allowed``: so many may go in all. ``waiting``: bytes that have not gone."""

    __slots__ = ("_parts", "allowed", "sent", "waiting")

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.sent = self.waiting = 0
        self._parts: deque[bytes | memoryview] = deque()

    def add(self, data: bytes | memoryview) -> None:
        """More of it."""
        size = len(data)
        if size:
            self._parts.append(data)
            self.waiting += size

    def allow(self, total: int) -> None:
        """The reader has room for so much in all; what was allowed once is never taken back."""
        self.allowed = max(self.allowed, total)

    @property
    def ready(self) -> bool:
        """Whether something can go."""
        return self.waiting > 0 and self.sent < self.allowed

    def take(self, most: int = CHUNK) -> bytes:
        """The next piece that may go, b"" for none."""
        room = min(most, self.allowed - self.sent, self.waiting)
        if room <= 0:
            return b""
        self.sent += room
        parts = self._parts
        if room == self.waiting:
            self.waiting = 0
            if len(parts) == 1:
                return bytes(parts.popleft())
            whole = b"".join(parts)
            parts.clear()
            return whole
        self.waiting -= room
        return b"".join(self._cut(room))

    def _cut(self, room: int) -> Iterator[bytes | memoryview]:
        while room > 0:
            part = self._parts.popleft()
            if len(part) > room:
                self._parts.appendleft(memoryview(part)[room:])
                part = memoryview(part)[:room]
            room -= len(part)
            yield part


class Inflow:
    """Bytes that arrive, held while nobody reads. ``read``: so many were read in all."""

    __slots__ = ("_given", "_window", "arrived", "held", "read")

    def __init__(self, window: int) -> None:
        self._window = window
        self._given = window
        self.arrived = self.read = 0
        self.held: deque[bytes] = deque()

    def open(self, window: int) -> None:
        """So many may be sent to us at first, and while nothing is read."""
        self._window = self._given = window

    @property
    def total(self) -> int:
        """So many may be sent to us in all."""
        return self.read + self._window

    @property
    def overrun(self) -> bool:
        """Whether more came than was allowed."""
        return self.arrived > self._given

    def passed(self, count: int) -> None:
        """So many bytes arrived, and were read at once."""
        self.arrived += count
        self.read += count

    def came(self, data: bytes) -> None:
        """It arrived."""
        self.arrived += len(data)
        self.held.append(data)

    def took(self, count: int) -> None:
        """So many bytes were read."""
        self.read += count

    @property
    def owes(self) -> bool:
        """Whether the sender should be told that there is room again."""
        return self.total - self._given >= self._window // 2

    def told(self) -> int:
        """It is told now: of so much in all."""
        self._given = self.total
        return self._given
