"""How far a log may be marked as read while its messages are worked on at the same time. Pure."""


class Offsets:
    """Of one partition: messages begin in order and end in any."""

    __slots__ = ("_done", "_out", "committed")

    def __init__(self) -> None:
        # In the order in which they were begun.
        self._out: dict[int, None] = {}
        self._done: set[int] = set()
        self.committed = -1

    def begun(self, offset: int) -> None:
        """That message is worked on."""
        self._out[offset] = None

    def ended(self, offset: int) -> int | None:
        """That message is done with: the offset from which to read after a crash, None where that has not moved."""
        if offset not in self._out:
            return None
        self._done.add(offset)
        moved: int | None = None
        for first in tuple(self._out):
            if first not in self._done:
                break
            del self._out[first]
            self._done.discard(first)
            moved = first + 1
        if moved is not None:
            self.committed = moved
        return moved
