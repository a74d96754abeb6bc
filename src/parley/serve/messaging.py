"""Whether messages of brokers are served. What serves them is imported once there is a stream."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from parley.serve.house import House

if TYPE_CHECKING:
    from parley.serve.streams import Streams


class Messaging:
    """One per house. ``write`` takes log lines; ``share`` is which of how many processes this is."""

    def __init__(self, house: House, write: Callable[[bytes], None], share: tuple[int, int] = (0, 1)) -> None:
        self._house, self._write, self._share = house, write, share
        self._streams: Streams | None = None

    def adopt(self) -> None:
        """The configuration may name streams now, or others."""
        if self._streams is None and self._house.gateway.settings.streams:
            from parley.serve.streams import Streams

            self._streams = Streams(self._house, self._write, self._share)
        if self._streams is not None:
            self._streams.adopt()

    def problems(self) -> list[dict[str, Any]]:
        """Brokers that are away."""
        return [] if self._streams is None else self._streams.problems()

    def drain(self) -> None:
        """Take no more messages."""
        if self._streams is not None:
            self._streams.drain()

    async def close(self) -> None:
        """End everything; before what requests need is closed."""
        if self._streams is not None:
            await self._streams.close()
