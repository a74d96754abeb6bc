"""The response cache by what is configured: its places are made once each, and outlast changes of the configuration."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from parley.gateway import Gateway
from parley.settings import Caching, Registration, Settings
from parley.store import Store

if TYPE_CHECKING:
    from parley.serve.shelves import Places

OFF: Final = "off"
MEMORY: Final = "memory"
STORE: Final = "store"


class Caches:
    """One per gateway. ``store`` is where the place of that name is. Nothing is imported or opened before a
    configuration names it."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._gateway, self._loop, self._store = gateway, loop, store
        self._places: Places | None = None

    def adopt(self) -> None:
        """The gateway has settings that it did not have before."""
        settings = self._gateway.settings
        wanted = named(settings)
        if not wanted:
            self._gateway.cache = None
            return
        from parley.cache import Plan, ResponseCache
        from parley.serve.shelves import Places

        places = self._places = self._places or Places(self._gateway, self._loop, self._store)
        shelves = places.taken(wanted, settings.cache_size)
        most = settings.cache_size // 4

        def plan_of(registration: Registration) -> Plan | None:
            caching = registration.cache.over(settings.cache)
            shelf = shelves.get(caching.place or OFF)
            return None if shelf is None else Plan(shelf, caching.ttl or 0.0, most)

        self._gateway.cache = ResponseCache(self._gateway, plan_of, shelves.values())

    async def close(self) -> None:
        """Let go of connections."""
        if self._places is not None:
            await self._places.close()


def named(settings: Settings) -> tuple[str, ...]:
    """Every place that is named, each once; a model's own word counts before the general one."""
    found: Iterable[Caching] = (settings.cache, *(one.cache for one in settings.registrations.values()))
    return tuple(dict.fromkeys(one.place for one in found if one.place is not None and one.place != OFF))
