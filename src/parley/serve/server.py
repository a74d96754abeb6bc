"""uvicorn as the shell: sockets, signals, graceful stop; one event loop, one gateway.

Stopping drains: /readyz answers 503 at once, new requests get 503, open streams have up to DRAIN_SECONDS,
then one error event (fault contract G1).
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import random
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn
from uvicorn.config import Config

from parley.failure import Failure
from parley.gateway import Gateway
from parley.gateway.families import STORE_ERRORS
from parley.gateway.measures import Measures
from parley.io.log import LineLog
from parley.io.upstreams import upstreams
from parley.ports import Upstream
from parley.serve.asgi import App, Shell
from parley.serve.books import Books
from parley.serve.chain import Chain
from parley.serve.configured import Configured
from parley.serve.descriptors import Descriptors, raised
from parley.serve.house import House
from parley.serve.keywatch import KeyWatch
from parley.serve.limiting import Limiting
from parley.serve.messaging import Messaging
from parley.serve.noding import Noding
from parley.serve.reload import Reload
from parley.serve.rereading import Source
from parley.serve.rpc.calls import Calls
from parley.serve.sockets import BACKLOG, bind
from parley.serve.watchdog import Watchdog
from parley.settings import Settings
from parley.store import Store
from parley.store.holding import Contexts
from parley.telemetry.last_resort import LastResort
from parley.telemetry.telling import Telling

if TYPE_CHECKING:
    from parley.serve.batching import Batching
    from parley.serve.worker import Member

DRAIN_SECONDS = 30.0
YOUNG_OBJECTS = 50_000
STDERR = 2


def serve(settings: Settings, *, ready: Callable[[], None], again: Source | None = None) -> int:
    """Serve until SIGTERM (exit code 0) or SIGINT (130). ``ready`` is called once the sockets listen; ``again`` reads
    the configuration once more. Raises OSError where an address cannot be had."""
    sockets = [bind(address) for address in settings.listen]
    keep_large_blocks()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(run(settings, sockets, ready, again=again))


async def run(
    settings: Settings,
    sockets: list[socket.socket],
    ready: Callable[[], None],
    *,
    again: Source | None = None,
    member: "Member | None" = None,
) -> int:
    """The same on the running loop; ``member`` is what this process is where several serve."""
    loop = asyncio.get_running_loop()
    log = LineLog(loop, STDERR, shared=member is not None)
    transports: dict[str, Upstream] = {}
    async with contextlib.AsyncExitStack() as parts:
        parts.callback(log.close)
        parts.callback(LastResort(loop, log.write).close)
        gateway = gateway_for(settings, loop, log.write, transports=transports)
        house = await _furnished(gateway, log, parts, several=member is not None)
        noding = house.nodes = Noding(house, transports, log.write, _start(member))
        await noding.first()
        parts.callback(noding.close)
        await noding.join(0 if member is None else member.place.index)
        parts.push_async_callback(noding.leave)
        telling = house.telling = Telling(gateway, transports, loop, log.write)
        parts.push_async_callback(telling.close)
        gateway.upstreams = telling.upstreams(settings)
        if again is not None:
            house.reload = Reload(house, transports, again, log.write)
        server = Server(house, log, ready)
        if member is not None:
            await member.join(server, house, transports)
            parts.callback(member.leave)
        calls = house.calls = Calls(house, log.write, shared=member is not None)
        parts.push_async_callback(calls.close)
        if settings.grpc:
            await calls.open(settings.grpc)
        messaging = house.messaging = Messaging(house, log.write, _share(member))
        parts.push_async_callback(messaging.close)
        messaging.adopt()
        batching = _batching(house, log)
        parts.push_async_callback(batching.close)
        batching.begin()
        await server.serve(sockets)
    return 130 if server.stopped_by == signal.SIGINT else 0


def _batching(house: House, log: LineLog) -> "Batching":
    from parley.serve.batching import Batching
    from parley.serve.filing import Filing

    assert house.store is not None
    filing = house.filing = Filing(house.store, house.gateway.settings.batches.files)
    made = house.batching = Batching(house, house.store, filing, log.write)
    return made


def _share(member: "Member | None") -> tuple[int, int]:
    return (0, 1) if member is None else (member.place.index, member.place.of)


def _start(member: "Member | None") -> str:
    """What all processes of this start have in common, and no other start has."""
    if member is None:
        return secrets.token_hex(8)
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/stat", "rb") as file:
            return f"{parent}-{file.read().rpartition(b')')[2].split()[19].decode()}"
    except (OSError, IndexError):
        return str(parent)


async def _furnished(gateway: Gateway, log: LineLog, parts: contextlib.AsyncExitStack, *, several: bool) -> House:
    """The house with everything that requests may need; what is to be closed in the end is left with ``parts``, the
    first to be closed last."""
    loop, settings = asyncio.get_running_loop(), gateway.settings
    parts.callback(_close_upstreams, gateway)
    store = gateway.memory = Store(
        settings.store,
        loop,
        retention=settings.retention,
        write=log.write,
        count=partial(gateway.metrics.count, STORE_ERRORS),
    )
    parts.push_async_callback(store.close)
    if settings.store or store.exists:
        store.wake()
    gateway.configs = Configured(store, gateway.now)
    gateway.contexts = Contexts(store, loop.call_later, lambda: gateway.settings.retention)
    gateway.keyring.configure(settings)
    keys = KeyWatch(gateway.keyring, store, loop)
    await keys.first()
    limiting = Limiting(gateway, store, several=several)
    parts.push_async_callback(limiting.close)
    limiting.look()
    keys.taken = limiting.look
    if gateway.keyring.closed:
        log.write(b'{"event":"keys.required"}')
    house = House(gateway, loop, store)
    house.limiting = limiting
    house.log_dropped = lambda: log.dropped
    books = house.books = Books(gateway, store, loop, log.write)
    parts.push_async_callback(books.close)
    chain = house.chain = Chain(gateway, loop, store, log.write)
    await chain.first()
    parts.push_async_callback(chain.close)
    parts.callback(keys.close)
    house.lag.begin()
    parts.callback(house.lag.close)
    watchdog = Watchdog(house.lag.late, STDERR)
    watchdog.begin()
    parts.callback(watchdog.close)
    return house


def _close_upstreams(gateway: Gateway) -> None:
    for upstream in gateway.upstreams.values():
        upstream.close()


def gateway_for(
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    write: Callable[[bytes], None],
    patience: float | None = None,
    transports: dict[str, Upstream] | None = None,
) -> Gateway:
    """A gateway on this loop with every upstream transport that the settings name, put into ``transports``.
    ``patience``: see upstreams."""
    from parley.io.clock import LoopClock

    transports = {} if transports is None else transports
    gateway = Gateway(settings, transports, LoopClock(loop), rand=random.random, wall=time.time, write=write)
    transports.update(upstreams(settings, loop, gateway.stale, write, patience))
    gateway.measures = Measures(gateway)
    return gateway


class Server(uvicorn.Server):
    """uvicorn's server with a drain before its shutdown, and exit codes of our own."""

    def __init__(self, house: House, log: LineLog, ready: Callable[[], None]) -> None:
        super().__init__(_config(house))
        self._house = house
        self._log = log
        self._ready = ready
        self.stopped_by: int | None = None
        self._quiet = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then put everything made so far out of the garbage collector's sight."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        # Requests leave no cycles behind; a young generation as large as all of them at once is looked at rarely.
        gc.set_threshold(YOUNG_OBJECTS, 20, 50)
        self._ready()
        if self._house.reload is not None:
            self._watch = asyncio.create_task(self._house.reload.watch())

    async def main_loop(self) -> None:
        """Serve, then drain while the sockets still answer."""
        await super().main_loop()
        if self._watch is not None:
            self._watch.cancel()
        if not self.force_exit:
            await self._drain()
        if self._watch is not None:
            await asyncio.wait([self._watch])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the server; a second SIGINT ends it at once. SIGHUP loads the configuration again."""
        loop = asyncio.get_running_loop()
        caught = (signal.SIGINT, signal.SIGTERM)
        for number in caught:
            loop.add_signal_handler(number, self.stop, number)
        reload = self._house.reload
        if reload is not None:
            loop.add_signal_handler(signal.SIGHUP, reload.ask, "SIGHUP")
        try:
            yield
        finally:
            for number in (*caught, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def stop(self, number: int) -> None:
        """Drain and end, as that signal would have us."""
        if self.stopped_by is not None and number == signal.SIGINT:
            self.force_exit = True
            self._quiet.set()
        self.stopped_by = self.stopped_by or number
        self.should_exit = True
        self._house.draining = True

    def leave(self) -> None:
        """Take no more connections, and end once the requests under way have."""
        for one in self.servers:
            one.close()
        self.stop(signal.SIGTERM)

    async def _drain(self) -> None:
        gateway = self._house.gateway
        self._house.draining = True
        self._say("drain.start", open=len(gateway.jobs))
        if self._house.calls is not None:
            self._house.calls.drain(DRAIN_SECONDS)
        if self._house.messaging is not None:
            self._house.messaging.drain()
        if self._house.batching is not None:
            self._house.batching.drain()
        if self._house.nodes is not None:
            self._house.nodes.drain()
        self._quiet.clear()
        gateway.when_idle = self._quiet.set
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS if gateway.jobs else 0):
                await self._quiet.wait()
        left = tuple(gateway.jobs)
        for job in left:
            job.cut(Failure("overloaded", "the gateway is shutting down", detail="drain"))
        self._say("drain.end", cut=len(left))

    def _say(self, event: str, **facts: Any) -> None:
        self._log.write(msgspec.json.encode({"event": event, **facts}))


def _config(house: House) -> Config:
    from parley.serve import other

    app: App = Shell(house, lambda: _pages(house))
    hot = other.usable()
    if not hot:
        logging.getLogger("parley").warning("this uvicorn lacks the hooks we need: serving through plain ASGI")
    return Config(
        app,
        http=partial(other.protocol, house, Descriptors(raised())) if hot else "h11",  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        interface="asgi3",
        backlog=BACKLOG,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=house.limits.header,
    )


def _pages(house: House) -> App:
    from parley.serve.app import application

    return application(house)


def keep_large_blocks() -> None:
    """Raise glibc's thresholds so that bodies of some 100 KB reuse heap memory instead of fresh mappings."""
    trim, mmap, megabytes = -1, -3, 64 * 1024 * 1024
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(trim, megabytes)
        libc.mallopt(mmap, megabytes // 2)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; None for Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
