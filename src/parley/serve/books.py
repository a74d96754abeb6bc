"""Prices and the ledger of one gateway, as its settings want them, and the place of the ledger's journal."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, Final

from parley.gateway import Gateway
from parley.prices import Tariffs
from parley.settings import Bodies, Settings
from parley.store import Store

if TYPE_CHECKING:
    from parley.gateway.hooked import Copies
    from parley.ledger import Ledger
    from parley.store.ledger import Row
    from parley.store.port import Link

# How often a gateway without a ledger looks whether there is a store now.
LOOK_SECONDS: Final = 2.0


class Books:
    """Belongs to one loop; ``write`` takes log lines. ``close`` it before the store."""

    def __init__(
        self, gateway: Gateway, store: Store, loop: asyncio.AbstractEventLoop, write: Callable[[bytes], None]
    ) -> None:
        self._gateway, self._store, self._loop, self._write = gateway, store, loop, write
        self.ledger: Ledger | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.adopt()

    def adopt(self) -> None:
        """The gateway has other settings."""
        gateway, settings = self._gateway, self._gateway.settings
        gateway.tariffs = Tariffs(settings.prices, wall=gateway.wall)
        gateway.copies = self._copies(settings.ledger.bodies)
        self._look()
        if self.ledger is not None:
            self.ledger.retention, self.ledger.served = settings.ledger.retention, served(settings)

    def _copies(self, wanted: Bodies) -> "Copies | None":
        if not wanted.keys:
            return None
        from parley.serve.copies import CopyMaker

        return CopyMaker(self._gateway, self._store, wanted)

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz reports."""
        return [] if self.ledger is None else self.ledger.problems()

    async def close(self) -> None:
        """Write down what is left."""
        if self._timer is not None:
            self._timer.cancel()
        self._end()
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        settings = self._gateway.settings
        wanted = recorded(settings, self._store)
        if wanted and self.ledger is None:
            self._begin(settings)
        elif not wanted:
            self._end()
            if settings.ledger.requests == "auto":
                self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _begin(self, settings: Settings) -> None:
        from parley.ledger import Ledger

        metrics = self._gateway.metrics

        def count(name: str, more: int) -> None:
            metrics.counter(name).value += more

        def taken(link: "Link", rows: "Sequence[Row]") -> None:
            quotas = self._gateway.settings.quotas
            # Where they are counted elsewhere the store knows nothing of budgets.
            if quotas.counters in ("", "memory", "store"):
                from parley.ledger.spent import spent_again

                spent_again(link, rows, quotas, self._store.wall())

        folder, retention = journal_folder(self._store), settings.ledger.retention
        made = self.ledger = Ledger(
            self._store, folder, retention=retention, count=count, write=self._write, taken=taken
        )
        made.served = served(settings)
        self._gateway.observers = (*self._gateway.observers, made)
        self._gateway.billed = True
        made.start()

    def _end(self) -> None:
        ledger, self.ledger = self.ledger, None
        if ledger is not None:
            gateway = self._gateway
            gateway.billed = False
            gateway.observers = tuple(one for one in gateway.observers if one is not ledger)
            task = self._loop.create_task(ledger.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


def recorded(settings: Settings, store: Store) -> bool:
    """Whether requests are written down."""
    if settings.ledger.requests != "auto":
        return settings.ledger.requests == "on"
    try:
        return settings.store is not None or store.exists
    except OSError:
        return True


def served(settings: Settings) -> frozenset[str]:
    """Names of models that the configuration knows, those of targets too: there are never more of them than it says,
    whatever callers write."""
    models = settings.registrations.values()
    return frozenset({one.model for one in models} | {target.name for one in models for target in one.targets})


def journal_folder(store: Store) -> Path:
    """Beside the store's file; for a server in the user's data directory, for each one another; of a store in memory
    nobody shall find anything later."""
    place = store.place
    if place.path is not None:
        return place.path.with_name(f"{place.path.name}-ledger")
    if not place.shared:
        return Path(gettempdir()) / f"parley-ledger-{token_hex(8)}"
    from platformdirs import user_data_path

    name = sha256(str(place).encode()).hexdigest()[:16]
    return user_data_path("parley", appauthor=False) / "ledger" / name
