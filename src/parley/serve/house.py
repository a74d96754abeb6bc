"""What the listener's parts share: the gateway, the table of hot paths, the edge's limits."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec.structs import asdict

from parley.failure import ParleyError
from parley.gateway import Gateway
from parley.io.cork import Cork
from parley.ports import Headers
from parley.serve.edge import Door, Refusal
from parley.serve.lag import Lag
from parley.wire import Wire, load
from parley.wire.inlets import Inlet, Inlets, dialect_of, upload_paths

if TYPE_CHECKING:
    from parley.serve.batching import Batching
    from parley.serve.books import Books
    from parley.serve.chain import Chain
    from parley.serve.filing import Filing, Upload
    from parley.serve.limiting import Limiting
    from parley.serve.messaging import Messaging
    from parley.serve.metrics import Snapshot
    from parley.serve.noding import Noding
    from parley.serve.rereading import Reloads
    from parley.serve.rpc.calls import Calls
    from parley.store import Store
    from parley.telemetry.telling import Telling

SWEEP_SECONDS: Final = 0.25
_LOST: Final = {"kind": "keys", "message": "the store has lost its keys: those known before hold until a restart"}


# Where the body of an upload is found in its scope.
UPLOAD: Final = "parley.upload"
_UPLOADS: Final = upload_paths()


class Watched(Protocol):
    """A connection with a time limit that the sweep looks at."""

    def overdue(self, now: float) -> None:
        """Act if the limit has passed."""

    def forget(self) -> None:
        """What was let in before may not be any more: check the next request in full."""


class Crew(Protocol):
    """All processes that serve the same addresses, as one of them sees them."""

    async def metrics(self) -> "Snapshot":
        """The numbers of all as one. Raises ConnectionError, TimeoutError or RuntimeError."""

    async def registered(self) -> None:
        """Have the others read what workers have registered. Raises as ``metrics``."""

    def problems(self) -> list[dict[str, Any]]:
        """What is amiss with the others."""


def _none() -> int:
    return 0


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
        self.cork = Cork(loop)
        self.draining = False
        self.now = loop.time()
        self.watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._dates: Headers = []
        self._date_lines = b""
        # Loads the configuration again; what it has to say of the last time.
        self.reload: Reloads | None = None
        # The other processes that serve the same addresses, where there are any.
        self.crew: Crew | None = None
        self.lag = Lag(loop)
        self.log_dropped: Callable[[], int] = _none
        self.notices: list[dict[str, Any]] = []
        # Makes the gate once there is something to be limited.
        self.limiting: Limiting | None = None
        # What is told of requests beside the log.
        self.telling: Telling | None = None
        # Prices and the ledger.
        self.books: Books | None = None
        # Who serves gRPC.
        self.calls: Calls | None = None
        # This gateway as a node.
        self.nodes: Noding | None = None
        # The response cache.
        self.chain: Chain | None = None
        # Files of callers, and batches that are made of them.
        self.filing: Filing | None = None
        self.batching: Batching | None = None
        # Messages of brokers.
        self.messaging: Messaging | None = None

    def adopt(self) -> None:
        """The gateway has other settings: they hold from the next request on."""
        self.limits = limits = self.gateway.settings.limits
        self.max_header, self.max_body, self.max_upload = limits.header, limits.body, limits.upload
        self.header_time, self.body_time = limits.header_time, limits.body_time
        self.door = Door(self.gateway.settings)
        for connection in tuple(self.watched):
            connection.forget()
        if self.limiting is not None:
            self.limiting.look()
        if self.store is not None:
            self.store.adopt(self.gateway.settings.retention)
        for part in (self.books, self.chain, self.nodes, self.messaging, self.calls):
            if part is not None:
                part.adopt()

    def most(self, inlet: Inlet | None, path: bytes) -> int:
        """The most bytes that a body may have."""
        form = path in _UPLOADS if inlet is None else inlet.form
        return self.limits.upload if form else self.limits.body

    def upload(self, method: bytes, url: bytes, headers: Headers, source: str) -> "Upload | None":
        """What takes a body as it comes; None where it has to be whole. Of a caller who is not let in nothing is
        kept."""
        if method != b"POST" or self.filing is None or url.partition(b"?")[0] not in _UPLOADS:
            return None
        from parley.serve.filing import Upload

        allowed = True
        if self.gateway.keyring.closed:
            try:
                self.gateway.keyring.enter(headers, url, dialect_of(url).partition("_")[0], source)
            except ParleyError:
                allowed = False
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        return Upload(self.filing if allowed else None, kind)

    def problems(self) -> list[dict[str, Any]]:
        """What does not work although requests are served: kind, message, and where it is."""
        rejected = [{"kind": "config", **asdict(found)} for found in self.gateway.settings.rejected]
        lost = [dict(_LOST)] if self.gateway.keyring.lost else []
        lost += self.crew.problems() if self.crew is not None else []
        lost += self.limiting.problems() if self.limiting is not None else []
        lost += self.books.problems() if self.books is not None else []
        lost += self.chain.problems() if self.chain is not None else []
        lost += self.nodes.problems() if self.nodes is not None else []
        lost += self.messaging.problems() if self.messaging is not None else []
        lost += self.calls.problems() if self.calls is not None else []
        return self.notices + rejected + lost + (self.store.problems() if self.store is not None else [])

    def dated(self, dates: Headers) -> bytes:
        """The header lines of those that uvicorn makes anew every second."""
        if dates is not self._dates:
            self._dates = dates
            self._date_lines = b"".join([b"%b: %b\r\n" % header for header in dates])
        return self._date_lines

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
