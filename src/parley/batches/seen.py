"""Which texts there were already, of very many: 16 bytes and a little for each, whatever their length.

Two texts are taken for one where 128 bits of their digests are the same, which does not happen by chance.
"""

from array import array
from hashlib import blake2b
from typing import Final

_FIRST: Final = 1 << 10
# More than this many of three slots are never taken.
_FULL: Final = 2


class Seen:
    """An open table of digests."""

    def __init__(self) -> None:
        self._size = _FIRST
        self._slots = array("Q", bytes(16 * _FIRST))
        self.count = 0

    def __contains__(self, text: str) -> bool:
        high, low = _digest(text)
        return self._slots[self._place(high, low) + 1] != 0

    def add(self, text: str) -> bool:
        """Whether it is new."""
        high, low = _digest(text)
        place = self._place(high, low)
        if self._slots[place + 1]:
            return False
        self._slots[place], self._slots[place + 1] = high, low
        self.count += 1
        if self.count * 3 > self._size * _FULL:
            self._grow()
        return True

    def _place(self, high: int, low: int) -> int:
        """Where it is, or would be. The second half of a slot that is free is 0."""
        slots, mask = self._slots, self._size - 1
        index = high & mask
        while slots[2 * index + 1] and (slots[2 * index] != high or slots[2 * index + 1] != low):
            index = (index + 1) & mask
        return 2 * index

    def _grow(self) -> None:
        before = self._slots
        self._size *= 2
        self._slots = array("Q", bytes(16 * self._size))
        for index in range(0, len(before), 2):
            if before[index + 1]:
                place = self._place(before[index], before[index + 1])
                self._slots[place], self._slots[place + 1] = before[index], before[index + 1]


def _digest(text: str) -> tuple[int, int]:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:]) or 1
