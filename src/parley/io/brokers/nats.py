"""NATS: JetStream, at least once, and plain subjects, at most once. Source: messaging contract section 8.9."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, MaxPayloadError
from nats.errors import TimeoutError as NoAnswerError
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats.js.errors import NotFoundError

from parley.io.brokers.nats_lines import Lines, head_of
from parley.io.brokers.nats_stream import Connect, Connection, JetStreamSubscription, JetStreamTopic, closed
from parley.streams.address import Address
from parley.streams.port import NEVER, BrokerError, Received, TooLargeError

_LEASE: Final = 30.0
_WAIT: Final = 1.0
_ANSWER: Final = 5.0
_ID: Final = "Nats-Msg-Id"
_DENIED: Final = "authorization violation"
# What the client may hold of a plain subject before it lets messages go.
_PENDING: Final = 512 * 1024


async def connected(address: Address, lost: list[Callable[[], None]]) -> Any:
    """A connection that comes back by itself; without one at first BrokerError. ``lost`` are called when it goes."""
    client: Any = Client()
    denied = asyncio.Event()

    async def quiet(error: Exception) -> None:
        """Whoever asks hears of it."""
        if _DENIED in str(error).lower():
            denied.set()

    async def gone() -> None:
        for call in lost:
            call()

    connecting = asyncio.ensure_future(
        client.connect(
            address.server.split(","), connect_timeout=2, max_reconnect_attempts=-1, reconnect_time_wait=0.2,
            allow_reconnect=True, error_cb=quiet, ping_interval=10, max_outstanding_pings=2, name="parley",
            pending_size=0, disconnected_cb=gone,
        )
    )  # fmt: skip
    refused = asyncio.ensure_future(denied.wait())
    try:
        # It would try for ever: whoever opens it does that, and says so.
        await asyncio.wait((connecting, refused), timeout=_ANSWER, return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            raise BrokerError("NATS: authorization violation", denied=True) if denied.is_set() else TimeoutError
        await connecting
    except (Error, OSError, TimeoutError, ValueError) as error:
        raise _told(error) from None
    finally:
        refused.cancel()
        if not client.is_connected:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            await closed(client)
    return client


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers. ``prefetch``: what is asked for at a time, no more."""
    lost: list[Callable[[], None]] = []
    client = await connected(address, lost)
    try:
        if address.option("jetstream"):
            return await _opened(client, lost, address)
        queue = await client.subscribe(address.name, queue=address.option("queue"), pending_msgs_limit=_PENDING)
    except (Error, OSError, TimeoutError) as error:
        await closed(client)
        raise _told(error) from None
    return SubjectSubscription(client, queue)


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""

    async def connect() -> Any:
        return await connected(address, [])

    client = await connect()
    if not address.option("jetstream"):
        return SubjectTopic(client, connect, address.name)
    try:
        if address.flag("create"):
            await _made(client.jetstream(), address)
        opened = JetStreamTopic(client, connect, address.name, address.option("jetstream"))
        await opened.open()
    except (Error, OSError, TimeoutError) as error:
        await closed(client)
        raise _told(error) from None
    return opened


async def _opened(client: Any, lost: list[Callable[[], None]], address: Address) -> JetStreamSubscription:
    """Its consumer is made where ``create`` asks for it, and else has to be there."""
    context = client.jetstream()
    stream, durable = address.option("jetstream"), address.option("durable", "parley")
    wait = address.seconds("ack_wait", _LEASE)
    try:
        found = await context.consumer_info(stream, durable)
    except NotFoundError:
        if not address.flag("create"):
            raise
        await _made(context, address)
        config = ConsumerConfig(
            durable_name=durable, ack_policy=AckPolicy.EXPLICIT, ack_wait=wait, filter_subject=address.name
        )
        found = await context.add_consumer(stream, config)
    opened = JetStreamSubscription(client, Lines(client), (stream, durable), found.config.ack_wait or wait)
    await opened.open()
    lost.append(opened.lose)
    return opened


class SubjectSubscription:
    """A plain subject: nothing comes twice, and what is lost is lost."""

    nacks = False
    lease = NEVER

    def __init__(self, client: Any, queue: Any) -> None:
        self._client, self._queue = client, queue
        self._count = 0

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        try:
            found = [await self._queue.next_msg(timeout=_WAIT)]
            while len(found) < count and self._queue.pending_msgs:
                found.append(await self._queue.next_msg(timeout=_WAIT))
        except NoAnswerError:
            return ()
        except (Error, OSError) as error:
            raise _told(error) from None
        return [self._received(message) for message in found]

    def _received(self, message: Msg) -> Received:
        headers = message.headers or {}
        self._count += 1
        given = headers.get(_ID)
        named = given or f"{message.subject}:{self._count}"
        received = Received(id=named, body=message.data, attributes=headers, handle=message)
        received.lasting = given is not None
        return received

    async def ack(self, message: Received) -> None:
        """Nobody waits for it."""

    async def nack(self, message: Received, delay: float) -> None:
        """Not available."""
        raise BrokerError("a plain subject takes nothing back")

    async def extend(self, messages: Sequence[Received]) -> None:
        """There is no lease."""

    async def backlog(self) -> int | None:
        """What has arrived and waits here."""
        waiting: int = self._queue.pending_msgs
        return waiting

    async def close(self) -> None:
        """See port."""
        await closed(self._client)


class SubjectTopic:
    """Confirmed by the server, which may have nobody to give it to."""

    def __init__(self, client: Any, connect: Connect, subject: str) -> None:
        self._connection, self._subject = Connection(client, connect, self._ready), subject

    async def _ready(self, client: Any) -> None:
        """There is nothing to be made."""

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        self._connection.check()
        client = self._connection.client
        size, most = len(body) + len(head_of(dict(attributes))), client.max_payload
        if most and size > most:
            raise TooLargeError(f"{size} bytes, and {most} are taken")
        try:
            await client.publish(self._subject, body, headers=dict(attributes))
            await client.flush(_ANSWER)
        except MaxPayloadError as error:
            raise TooLargeError(str(error)) from None
        except (Error, OSError, TimeoutError) as error:
            raise _told(error) from None

    async def close(self) -> None:
        """See port."""
        await self._connection.close()


async def _made(context: Any, address: Address) -> None:
    """The stream, with this subject among its own."""
    name = address.option("jetstream")
    try:
        config = (await context.stream_info(name)).config
    except NotFoundError:
        await context.add_stream(StreamConfig(name=name, subjects=[address.name]))
        return
    if address.name not in (config.subjects or []):
        config.subjects = [*(config.subjects or []), address.name]
        await context.update_stream(config)


def _told(error: BaseException) -> BrokerError:
    """Never the address, which may hold a password."""
    described = getattr(error, "description", None)
    return BrokerError(f"NATS: {described or type(error).__name__}")
