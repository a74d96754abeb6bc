"""Places for answers, by the names that the configuration has for them. Imported once one is named."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from parley.cache import MemoryShelf, Patient, Shelf
from parley.gateway import Gateway
from parley.serve.caching import MEMORY, STORE
from parley.store import Store
from parley.store.answers import StoreShelf

if TYPE_CHECKING:
    from parley.io.redis_shelf import RedisShelf


class Places:
    """Those that are in use, and those that were: what is in them is still good should they be named again."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._gateway, self._loop, self._store = gateway, loop, store
        self._memory: MemoryShelf | None = None
        self._stored: StoreShelf | None = None
        self._servers: list[RedisShelf] = []
        self._made: dict[str, Shelf] = {}

    def taken(self, names: Iterable[str], size: int) -> dict[str, Shelf]:
        """The places of these names, of at most ``size`` bytes each where it is us who keeps."""
        found = {name: self._made.get(name) or self._new(name, size) for name in names}
        self._made |= found
        if self._memory is not None:
            self._memory.resize(size if MEMORY in found else 0)
        if self._stored is not None:
            self._stored.size = size
        return found

    async def close(self) -> None:
        """Let go of the servers."""
        for server in self._servers:
            await server.close()

    def _new(self, name: str, size: int) -> Shelf:
        if name == MEMORY:
            self._memory = MemoryShelf(size, self._gateway.now)
            return self._memory
        if name == STORE:
            self._stored = StoreShelf(self._store, size, self._gateway.wall)
            return Patient(self._stored, self._gateway.clock, "the store")
        from parley.io.redis_shelf import RedisShelf

        server = RedisShelf(name, self._loop)
        self._servers.append(server)
        return Patient(server, self._gateway.clock, "Redis")
