"""An answer that is one object in the caller's dialect, with other texts in it. Pure."""

from collections.abc import Callable

from parley.hooks.view import Edited, Text


class Kept:
    """An answer that is held back until it is whole; then ``look`` sees its texts. ``size`` is how many bytes there are
    so far."""

    def __init__(self, look: Callable[[list[Text]], None]) -> None:
        self.size = 0
        self._look = look
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """See parley.hooks.stream.Change."""
        self._data.append(data)
        self.size += len(data)
        return b""

    def raw(self) -> bytes:
        """All of it, as it came."""
        return b"".join(self._data)


class WholeChange(Kept):
    """An answer that is one object."""

    def close(self) -> bytes:
        """See parley.hooks.stream.Change."""
        edited = Edited(self.raw())
        self._look(edited.texts)
        return edited.written()
