"""An answer that is one object in the caller's dialect, with other texts in it. Pure."""

from collections.abc import Callable

from parley.hooks.view import Edited, Text


class WholeChange:
    """Held back until it is whole; then ``look`` sees its texts. See parley.hooks.stream.Change."""

    def __init__(self, look: Callable[[list[Text]], None]) -> None:
        self._look = look
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """See Change."""
        self._data.append(data)
        return b""

    @property
    def size(self) -> int:
        """How many bytes there are so far."""
        return sum(map(len, self._data))

    def raw(self) -> bytes:
        """All of it, as it came."""
        return b"".join(self._data)

    def close(self) -> bytes:
        """See Change."""
        edited = Edited(self.raw())
        self._look(edited.texts)
        return edited.written()
