"""Our connection to the servers of the network: made in the background, made again whenever it is lost.

The library makes it; messages of calls go past the library, see parley.io.nats.pipe. Where that cannot be done, what is
said goes into a queue that one task sends from, so that nobody who says something has to wait.
"""

import asyncio
import contextlib
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from parley.io.nats.pipe import Pipe, Straight, Take, piped, taken
from parley.nodes.joining import Joining, Tls

RECONNECT: Final = 1
PING: Final = 5
RTT_SECONDS: Final = 5.0
_BUFFER: Final = 16 * 1024 * 1024


class Link:
    """``up`` is called whenever there is a connection again. ``say`` takes a reason that it cannot be had."""

    def __init__(self, node: Joining, name: str, up: Callable[[], None], say: Callable[[str], None]) -> None:
        self.client = Client()
        self._node = node
        self._name = name
        self._up = up
        self._say = say
        self._routes: dict[bytes, Take] = {}
        self._pipe: Pipe | None = None
        # Whether nothing that was said before may still be on its way through the library; how much a message may hold.
        self._straight = False
        self._most = 0
        # When it was first noticed that there is no connection; 0.0 while there is one.
        self._missed_at = 0.0
        self._outbox: deque[tuple[bytes, bytes, bytes]] = deque()
        self._more = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        # Where we say something to ourselves, and what of it has not come back.
        self._own = ""
        self._sent = 0
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._closed = False
        self._begins = getattr(self.client, "_process_connect_init", None)
        if self._begins is not None:
            self.client._process_connect_init = self._begun  # type: ignore[method-assign]

    @property
    def connected(self) -> bool:
        """Whether something can be said now."""
        return self._is_straight() or bool(self.client.is_connected)

    def missed(self, now: float) -> float:
        """For how many seconds it is known that there is no connection."""
        if not self._missed_at:
            self._missed_at = now
        return now - self._missed_at

    @property
    def largest(self) -> int:
        """The largest message that the servers carry."""
        return self._most or int(self.client.max_payload)

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

    def publish(self, subject: bytes, data: bytes, reply: bytes = b"") -> None:
        """Say something: now where that can be done, and in any case in the order in which it is said here."""
        pipe = self._pipe
        if pipe is not None and self._is_straight() and len(data) <= self._most:
            pipe.say(subject, reply, data)
            return
        self._straight = False
        self._outbox.append((subject, data, reply))
        self._more.set()

    def flush(self) -> None:
        """Send at once what was said in this turn of the loop."""
        if self._pipe is not None:
            self._pipe.flush()

    def _is_straight(self) -> bool:
        return self._straight and self._pipe is not None and self._pipe.open

    async def subscribe(self, before: str, last: str, take: Take, queue: str = "") -> None:
        """Hear what is said where a subject begins with ``before`` and has one more word: ``last``, or any for "*".
        It goes on over lost connections. Nothing else may be heard of such a beginning."""

        async def heard(message: Msg) -> None:
            taken(take, message)

        self._routes[before.encode()] = take
        # What arrives is taken at once; how much is under way is bounded by the windows of the calls.
        made: Any = await self.client.subscribe(f"{before}.{last}", queue=queue, cb=heard, pending_bytes_limit=0)
        if hasattr(made, "_pending_queue"):
            # As for a pipe, where there is none.
            made._pending_queue = Straight(take, made)
        # The library has not said so yet, and nothing may come before it.
        self._straight = False

    async def _begun(self) -> None:
        """There is a connection, and nobody has asked to hear anything yet: the moment to stand before the library."""
        self._pipe, self._straight = None, False
        if self._begins is not None:
            await self._begins()
        self._most, self._missed_at = int(self.client.max_payload), 0.0
        self._pipe = piped(self.client, self._routes)

    async def rtt(self) -> float:
        """Seconds to the server and back. Raises TimeoutError, or an error of the library.

        By a message to ourselves: a ping of the library that is answered too late ends its reading."""
        loop = asyncio.get_running_loop()
        if not self._own:
            self._own = f"{self._node.bucket}.in.{secrets.token_hex(8)}.e"
            await self.subscribe(self._own, "*", self._returned)
        self._sent += 1
        token = b"%d" % self._sent
        back = self._waiting[token] = loop.create_future()
        began = loop.time()
        try:
            async with asyncio.timeout(RTT_SECONDS):
                self.publish(self._own.encode() + b"." + token, b"")
                await back
        finally:
            del self._waiting[token]
        return loop.time() - began

    def _returned(self, token: bytes, reply: bytes, data: bytes, status: bool) -> None:
        back = self._waiting.get(token)
        if back is not None and not back.done():
            back.set_result(None)

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
        """Say what waits: past the library as soon as nothing of ours is left in it."""
        outbox = self._outbox
        while outbox:
            subject, data, reply = outbox.popleft()
            if self._pipe is not None and self._is_clear() and len(data) <= self._most:
                self._pipe.say(subject, reply, data)
                continue
            try:
                await self.client.publish(subject.decode(), data, reply.decode())
            except (nats.errors.Error, OSError, RuntimeError) as error:
                # A frame that is lost is noticed by the one that waits for it.
                self._say(_words(error))
        self._straight = self._is_clear()

    def _is_clear(self) -> bool:
        pipe, client = self._pipe, self.client
        return pipe is not None and pipe.open and bool(client.is_connected) and not client.pending_data_size

    async def _failed(self, error: Exception) -> None:
        if not self._closed:
            self._say(_words(error))

    async def _again(self) -> None:
        self._up()


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
