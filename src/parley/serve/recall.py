"""Answers to messages where several processes find them, and those that come after a crash.

What is in memory knows only what one process did. Source: messaging contract section 8.5.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from parley.cache.shelf import Shelf
from parley.failure import Failure
from parley.serve.house import House
from parley.store.answers import StoreShelf

STORE: Final = "store"
# Longer than it should take; then the request is run rather than waited for.
_PATIENCE: Final = 5.0
# The table is the response cache's too, which has its own limit.
_SIZE: Final = 1 << 40


class Recall:
    """Of one stream, by its name. ``failed`` hears why the place could not be asked."""

    def __init__(self, shelf: Shelf, name: str, seconds: float, failed: Callable[[str], None]) -> None:
        self._shelf, self._name, self._seconds, self._failed = shelf, name, seconds, failed

    async def find(self, identity: str) -> bytes | None:
        """The answer that was given to it."""
        key = self._key(identity)
        found = await self._done(lambda then: self._shelf.get(key, then))
        return bytes(found) if found is not None else None

    async def keep(self, identity: str, answer: bytes) -> None:
        """It is that one."""
        key = self._key(identity)
        await self._done(lambda then: self._shelf.put(key, answer, self._seconds, then))

    def _key(self, identity: str) -> bytes:
        return sha256(f"message\0{self._name}\0{identity}".encode("utf-8", "surrogatepass")).digest()

    async def _done(self, ask: Callable[[Callable[[Any], None]], None]) -> Any:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def heard(found: Any) -> None:
            if not ended.done():
                ended.set_result(found)

        ask(heard)
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await ended
        except TimeoutError:
            found = Failure("overloaded", "it does not answer in time", detail="messages")
        if isinstance(found, Failure):
            self._failed(found.message)
            return None
        return found


def shelf_of(house: House, place: str) -> Shelf | None:
    """What the configuration names; None for the memory of the process."""
    if place == STORE and house.store is not None:
        return StoreShelf(house.store, _SIZE, house.gateway.wall)
    if place.startswith("redis"):
        from parley.io.redis_shelf import RedisShelf

        return RedisShelf(place, house.loop)
    return None
