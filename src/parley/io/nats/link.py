"""Our connection to the servers of the network: made in the background, made again whenever it is lost.

What is said goes into a queue that one task sends from, so that nobody who says something has to wait.
"""

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from parley.nodes.joining import Joining, Tls

RECONNECT: Final = 1
PING: Final = 5
_BUFFER: Final = 16 * 1024 * 1024

Take = Callable[[Msg], None]


class Link:
    """``up`` is called whenever there is a connection again. ``say`` takes a reason that it cannot be had."""

    def __init__(self, node: Joining, name: str, up: Callable[[], None], say: Callable[[str], None]) -> None:
        self.client = Client()
        self._node = node
        self._name = name
        self._up = up
        self._say = say
        self._outbox: deque[tuple[str, bytes, str]] = deque()
        self._more = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether something can be said now."""
        return bool(self.client.is_connected)

    @property
    def largest(self) -> int:
        """The largest message that the servers carry."""
        return int(self.client.max_payload)

    async def open(self) -> None:
        """Until there is a connection, however long it takes. Raises for files that cannot be read."""
        node = self._node
        await self.client.connect(
            list(node.network),
            name=f"parley {self._name}",
            tls=None if node.tls is None else _context(node.tls),
            tls_hostname=None if node.tls is None else node.tls.hostname,
            user=node.user,
            password=node.password,
            token=node.token,
            user_credentials=node.credentials,
            nkeys_seed=node.nkey,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT,
            connect_timeout=2,
            ping_interval=PING,
            max_outstanding_pings=2,
            pending_size=_BUFFER,
            flush_timeout=5,
            # All subjects are made of tokens that are escaped.
            skip_subject_validation=True,
            error_cb=self._failed,
            reconnected_cb=self._again,
        )
        self._sender = asyncio.get_running_loop().create_task(self._send())
        self._up()

    def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Say something, soon."""
        self._outbox.append((subject, data, reply))
        self._more.set()

    async def subscribe(self, subject: str, take: Take, queue: str = "") -> None:
        """Hear what is said there; it goes on over lost connections."""

        async def heard(message: Msg) -> None:
            take(message)

        # What arrives is taken at once; how much is under way is bounded by the windows of the calls.
        made: Any = await self.client.subscribe(subject, queue=queue, cb=heard, pending_bytes_limit=0)
        if hasattr(made, "_pending_queue"):
            # A call is many small messages: a queue and a task in between would cost more than the rest of them.
            made._pending_queue = _Straight(take, made)

    async def rtt(self) -> float:
        """Seconds to the server and back. Raises an error of the library."""
        return float(await self.client.rtt(timeout=5))

    async def close(self) -> None:
        """Say what is left, and go."""
        self._closed = True
        if self._sender is not None:
            if self.connected:
                await self._drained()
            await ended([self._sender])
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError, RuntimeError):
            if self.connected:
                await self.client.flush(timeout=1)
            await self.client.close()

    async def _send(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            await self._drained()

    async def _drained(self) -> None:
        outbox = self._outbox
        while outbox:
            subject, data, reply = outbox.popleft()
            try:
                await self.client.publish(subject, data, reply)
            except (nats.errors.Error, OSError, RuntimeError) as error:
                # A frame that is lost is noticed by the one that waits for it.
                self._say(_words(error))

    async def _failed(self, error: Exception) -> None:
        if not self._closed:
            self._say(_words(error))

    async def _again(self) -> None:
        self._up()


class _Straight:
    """Stands where the library has a queue: what is put into it has been taken."""

    def __init__(self, take: Take, subscription: Any) -> None:
        self._take = take
        self._subscription = subscription

    def put_nowait(self, message: Msg) -> None:
        self._subscription._pending_size -= len(message.data)
        try:
            self._take(message)
        except Exception:
            # Whatever it was, the connection must go on being read.
            logging.getLogger("parley").exception("a message of the network could not be handled")

    async def get(self) -> Msg:
        # The library's own task finds nothing here until it is cancelled.
        found: Msg = await asyncio.get_running_loop().create_future()
        return found

    def task_done(self) -> None:
        return

    def qsize(self) -> int:
        return 0

    def empty(self) -> bool:
        return True

    async def join(self) -> None:
        return


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until they are: the library forgets that it was asked to, now and then."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.2)


def is_local(urls: tuple[str, ...]) -> bool:
    """Whether every server is on this machine."""
    return all(_loops(urlsplit(url if "://" in url else f"nats://{url}").hostname or "") for url in urls)


def _loops(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _words(error: BaseException) -> str:
    """What went wrong, without addresses that may hold a password."""
    return f"{type(error).__name__}: {error}" if isinstance(error, nats.errors.Error) else type(error).__name__
