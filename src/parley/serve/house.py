"""What the listener's parts share: the gateway, the table of hot paths, the edge's limits."""

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec.structs import asdict

from parley.gateway import Gateway
from parley.serve.edge import Door, Refusal
from parley.wire import Wire, load
from parley.wire.inlets import Inlets, dialect_of

if TYPE_CHECKING:
    from parley.serve.reload import Reload
    from parley.store import Store

SWEEP_SECONDS: Final = 0.25
_LOST: Final = {"kind": "keys", "message": "the store has lost its keys: those known before hold until a restart"}


class Watched(Protocol):
    """A connection with a time limit that the sweep looks at."""

    def overdue(self, now: float) -> None:
        """Act if the limit has passed."""

    def forget(self) -> None:
        """What was let in before may not be any more: check the next request in full."""


class House:
    """One per event loop. ``watched`` are its connections; ``now`` is monotonic time as of the last sweep."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop, store: "Store | None" = None) -> None:
        self.gateway = gateway
        self.store = store
        self.limits = limits = gateway.settings.limits
        # What every request asks for, where it is found at the least cost.
        self.max_header, self.max_body, self.max_upload = limits.header, limits.body, limits.upload
        self.header_time, self.body_time = limits.header_time, limits.body_time
        self.door = Door(gateway.settings)
        self.inlets = Inlets()
        self.loop = loop
        self.draining = False
        self.now = loop.time()
        self.watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        # Loads the configuration again; what it has to say of the last time.
        self.reload: Reload | None = None
        self.notices: list[dict[str, Any]] = []

    def adopt(self) -> None:
        """The gateway has other settings: they hold from the next request on."""
        self.limits = limits = self.gateway.settings.limits
        self.max_header, self.max_body, self.max_upload = limits.header, limits.body, limits.upload
        self.header_time, self.body_time = limits.header_time, limits.body_time
        self.door = Door(self.gateway.settings)
        for connection in tuple(self.watched):
            connection.forget()
        if self.store is not None:
            self.store.adopt(self.gateway.settings.retention)

    def problems(self) -> list[dict[str, Any]]:
        """What does not work although requests are served: kind, message, and where it is."""
        rejected = [{"kind": "config", **asdict(found)} for found in self.gateway.settings.rejected]
        lost = [dict(_LOST)] if self.gateway.keyring.lost else []
        return self.notices + rejected + lost + (self.store.problems() if self.store is not None else [])

    def watch(self, connection: Watched) -> None:
        """Look at it until ``unwatch``."""
        self.watched.add(connection)
        if self._timer is None:
            self.now = self.loop.time()
            self._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def unwatch(self, connection: Watched) -> None:
        """It is gone."""
        self.watched.discard(connection)

    def refused(self, path: bytes, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """Count and log a refusal; its status and body in the dialect the path speaks."""
        self.gateway.metrics.count("parley_rejected_total", refusal.reason)
        inlet = self.inlets.find(path)
        if inlet is not None:
            self.gateway.turned_away(inlet.dialect, request_id, refusal.reason, refusal.status)
        return self.wire_of(path).encode_error(refusal.failure(), request_id)

    def wire_of(self, path: bytes) -> Wire:
        """The dialect whose error shape a path's callers read."""
        return load(self.inlets.wire_at(path) or dialect_of(path))

    def _sweep(self) -> None:
        self.now = now = self.loop.time()
        for connection in tuple(self.watched):
            connection.overdue(now)
        self._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep) if self.watched else None
