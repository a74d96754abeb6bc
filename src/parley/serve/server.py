"""uvicorn as the shell: sockets, signals, graceful stop; one event loop, one gateway.

Stopping drains: /readyz answers 503 at once, new requests get 503, open streams have up to DRAIN_SECONDS,
then one error event (fault contract G1).
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import uvicorn
from uvicorn.config import Config

from parley.failure import Failure
from parley.gateway import Gateway
from parley.io.log import LineLog
from parley.io.upstreams import upstreams
from parley.ports import Upstream
from parley.serve.asgi import App, Shell
from parley.serve.house import House
from parley.serve.keywatch import KeyWatch
from parley.serve.reload import Reload, Source
from parley.settings import Settings
from parley.store import Store

DRAIN_SECONDS = 30.0
BACKLOG = 4096
YOUNG_OBJECTS = 50_000
STDERR = 2


def serve(settings: Settings, *, ready: Callable[[], None], again: Source | None = None) -> int:
    """Serve until SIGTERM (exit code 0) or SIGINT (130). ``ready`` is called once the sockets listen; ``again`` reads
    the configuration once more. Raises OSError where an address cannot be had."""
    sockets = [bind(address) for address in settings.listen]
    keep_large_blocks()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, sockets, ready, again))


async def _serve(
    settings: Settings, sockets: list[socket.socket], ready: Callable[[], None], again: Source | None
) -> int:
    loop = asyncio.get_running_loop()
    log = LineLog(loop, STDERR)
    transports: dict[str, Upstream] = {}
    gateway = gateway_for(settings, loop, log.write, transports=transports)
    store = gateway.memory = Store(settings.store, loop, retention=settings.retention, write=log.write)
    if settings.store or store.exists:
        store.wake()
    gateway.keyring.configure(settings)
    keys = KeyWatch(gateway.keyring, store, loop)
    await keys.first()
    if gateway.keyring.closed:
        log.write(b'{"event":"keys.required"}')
    house = House(gateway, loop, store)
    if again is not None:
        house.reload = Reload(house, transports, again, log.write)
    server = Server(house, log, ready)
    await server.serve(sockets)
    keys.close()
    await store.close()
    for upstream in gateway.upstreams.values():
        upstream.close()
    log.flush()
    return 130 if server.stopped_by == signal.SIGINT else 0


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
            loop.add_signal_handler(number, self._stop, number)
        reload = self._house.reload
        if reload is not None:
            loop.add_signal_handler(signal.SIGHUP, reload.ask, "SIGHUP")
        try:
            yield
        finally:
            for number in (*caught, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        if self.stopped_by is not None and number == signal.SIGINT:
            self.force_exit = True
            self._quiet.set()
        self.stopped_by = self.stopped_by or number
        self.should_exit = True
        self._house.draining = True

    async def _drain(self) -> None:
        gateway = self._house.gateway
        self._house.draining = True
        self._say("drain.start", open=len(gateway.jobs))
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
        http=partial(other.protocol, house) if hot else "h11",  # type: ignore[arg-type]
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


def bind(address: str) -> socket.socket:
    """A listening socket for HOST:PORT or [V6]:PORT. Raises OSError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made


def keep_large_blocks() -> None:
    """Raise glibc's thresholds so that bodies of some 100 KB reuse heap memory instead of fresh mappings."""
    trim, mmap, megabytes = -1, -3, 64 * 1024 * 1024
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(trim, megabytes)
        libc.mallopt(mmap, megabytes // 2)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
