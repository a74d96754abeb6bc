"""Where answers are kept, by their keys. Pure: the time is given."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from parley.failure import Failure

# What is kept under a key, None where nothing is, or why nobody knows.
Found: TypeAlias = bytes | Failure | None
# What an entry takes beside its bytes: key, place in the table, time.
OVERHEAD: Final = 256


class Shelf(Protocol):
    """Keeps bytes for a time. No call waits; ``then`` is called once, on the loop's thread, perhaps before return."""

    def get(self, key: bytes, then: Callable[[Found], None]) -> None:
        """What is kept under that key."""

    def put(self, key: bytes, value: bytes, ttl: float, then: Callable[[Failure | None], None]) -> None:
        """Keep it for ``ttl`` seconds."""

    def problem(self) -> str | None:
        """What is wrong with it now, in words for an operator."""


class MemoryShelf:
    """In this process, at most ``size`` bytes: what was not asked for longest goes first. ``now`` is monotonic."""

    def __init__(self, size: int, now: Callable[[], float]) -> None:
        self._size = size
        self._now = now
        self._used = 0
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def get(self, key: bytes, then: Callable[[Found], None]) -> None:
        """See Shelf."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] <= self._now():
            self._drop(key)
            entry = None
        if entry is not None:
            self._entries.move_to_end(key)
        then(None if entry is None else entry[1])

    def put(self, key: bytes, value: bytes, ttl: float, then: Callable[[Failure | None], None]) -> None:
        """See Shelf."""
        self._drop(key)
        if len(value) + OVERHEAD <= self._size:
            self._entries[key] = (self._now() + ttl, value)
            self._used += len(value) + OVERHEAD
            self._shrink()
        then(None)

    def resize(self, size: int) -> None:
        """From now on at most so many bytes."""
        self._size = size
        self._shrink()

    @property
    def used(self) -> int:
        """Bytes taken."""
        return self._used

    def __len__(self) -> int:
        return len(self._entries)

    def problem(self) -> str | None:
        """There is none."""
        return None

    def _shrink(self) -> None:
        while self._used > self._size:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= len(entry[1]) + OVERHEAD
