"""Whether there is a gate, and what it counts with: made once something is limited. Nobody pays for what is off."""

import asyncio
import secrets
from typing import Any

from parley.gateway import Gateway
from parley.gateway.gate import Counters, Gate
from parley.gateway.toll import Meters
from parley.limits import Admission, Quotas
from parley.store import Store

MEMORY = "memory"
STORE = "store"
CLOSE_SECONDS = 3.0


class Limiting:
    """Of one process. ``several``: it is one of those that serve together."""

    def __init__(self, gateway: Gateway, store: Store | None, *, several: bool = False) -> None:
        self._gateway = gateway
        self._store = store
        self._several = several
        self._gate: Gate | None = None
        self._shared: Any = None
        self._counting = ""

    def look(self) -> None:
        """Limits, or keys with limits, may have come. A gate that was made stays: requests have reserved from it."""
        gateway = self._gateway
        settings = gateway.settings
        wanted = settings.quotas != Quotas() or settings.admission != Admission() or gateway.keyring.limited
        if self._gate is None and wanted:
            gateway.gate = self._gate = self._made()

    def _made(self) -> Gate:
        place = self._counting = self._place()
        counters = self._counters(place)
        meters = Meters(secrets.token_hex(6), told=counters is not None, leases=place != MEMORY)
        return Gate(self._gateway, meters, counters)

    def _place(self) -> str:
        """Where is counted: as was said, else together where others may count too."""
        said = self._gateway.settings.quotas.counters
        if said:
            return said
        together = self._store is not None and (self._several or bool(self._store.place.server))
        return STORE if together else MEMORY

    def _counters(self, place: str) -> Counters | None:
        if place not in (MEMORY, STORE):
            from parley.io.redis_counters import RedisCounters

            self._shared = RedisCounters(place)
            return self._shared  # type: ignore[no-any-return]
        if self._store is None:
            return None
        from parley.store.counters import StoreCounters

        return StoreCounters(self._store)

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz reports."""
        found = []
        if self._gate is not None and self._counting != self._place():
            found.append({"kind": "restart", "message": "quotas.counters has changed; it takes a restart"})
        if self._gate is not None and self._gate.away:
            found.append({"kind": "limits", "message": "where limits are counted cannot be reached"})
        return found

    async def close(self) -> None:
        """Leases go back and what was spent is told; before the store is closed."""
        if self._gate is not None:
            told = asyncio.get_running_loop().create_future()
            self._gate.close(lambda: None if told.done() else told.set_result(None))
            await asyncio.wait([told], timeout=CLOSE_SECONDS)
        if self._shared is not None:
            await self._shared.close()
