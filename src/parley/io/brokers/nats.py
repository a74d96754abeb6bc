"""NATS: JetStream, at least once, and plain subjects, at most once. Source: messaging contract section 8.9."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import nats
from nats.aio.msg import Msg
from nats.errors import Error, MaxPayloadError
from nats.errors import TimeoutError as NoAnswerError
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats.js.errors import NotFoundError

from parley.streams.address import Address
from parley.streams.port import NEVER, BrokerError, Received, TooLargeError

_LEASE: Final = 30.0
_WAIT: Final = 1.0
_ANSWER: Final = 5.0
_ID: Final = "Nats-Msg-Id"
# What the client may hold of a plain subject before it lets messages go.
_PENDING: Final = 512 * 1024


async def connected(address: Address) -> Any:
    """A connection that comes back by itself; without one at first BrokerError."""

    async def quiet(error: Exception) -> None:
        """Whoever asks hears of it."""

    try:
        # It would try for ever: whoever opens it does that, and says so.
        async with asyncio.timeout(_ANSWER):
            return await nats.connect(
                address.server.split(","), connect_timeout=2, max_reconnect_attempts=-1, reconnect_time_wait=0.2,
                allow_reconnect=True, error_cb=quiet, ping_interval=10, max_outstanding_pings=2, name="parley",
                pending_size=0,
            )  # fmt: skip
    except (Error, OSError, TimeoutError, ValueError) as error:
        raise _told(error) from None


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers. ``prefetch``: what is asked for at a time, no more."""
    client = await connected(address)
    try:
        if address.option("jetstream"):
            return await JetStreamSubscription.opened(client, address)
        queue = await client.subscribe(address.name, queue=address.option("queue"), pending_msgs_limit=_PENDING)
    except (Error, OSError, TimeoutError) as error:
        await _closed(client)
        raise _told(error) from None
    return SubjectSubscription(client, queue)


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""
    client = await connected(address)
    if not address.option("jetstream"):
        return SubjectTopic(client, address.name)
    try:
        if address.flag("create"):
            await _made(client.jetstream(), address)
    except (Error, OSError, TimeoutError) as error:
        await _closed(client)
        raise _told(error) from None
    return JetStreamTopic(client, address)


class JetStreamSubscription:
    """A pull consumer with explicit acks."""

    nacks = True

    def __init__(self, client: Any, pull: Any, address: Address, lease: float) -> None:
        self._client, self._pull, self.lease = client, pull, lease
        self._stream, self._durable = address.option("jetstream"), address.option("durable", "parley")

    @classmethod
    async def opened(cls, client: Any, address: Address) -> "JetStreamSubscription":
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
        pull = await context.pull_subscribe_bind(durable, stream)
        return cls(client, pull, address, found.config.ack_wait or wait)

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        try:
            found = await self._pull.fetch(count, timeout=_WAIT)
        except (NoAnswerError, TimeoutError):
            if self._client.is_connected:
                return ()
            raise BrokerError("the connection is lost") from None
        except (Error, OSError) as error:
            raise _told(error) from None
        return [self._received(message) for message in found]

    def _received(self, message: Msg) -> Received:
        told, headers = message.metadata, message.headers or {}
        return Received(
            id=headers.get(_ID) or f"{told.stream}:{told.sequence.stream}",
            body=message.data,
            deliveries=told.num_delivered,
            at=told.timestamp.timestamp(),
            attributes=headers,
            handle=message,
        )

    async def ack(self, message: Received) -> None:
        """See port."""
        await self._say(message.handle.ack())

    async def nack(self, message: Received, delay: float) -> None:
        """See port."""
        await self._say(message.handle.nak(delay=delay or None))

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port."""
        for message in messages:
            await self._say(message.handle.in_progress())

    async def _say(self, doing: Any) -> None:
        if not self._client.is_connected:
            doing.close()
            raise BrokerError("the connection is lost")
        try:
            await doing
        except (Error, OSError) as error:
            raise _told(error) from None

    async def backlog(self) -> int | None:
        """See port."""
        try:
            found = await self._client.jetstream().consumer_info(self._stream, self._durable)
        except (Error, OSError, TimeoutError) as error:
            raise _told(error) from None
        waiting: int | None = found.num_pending
        return waiting

    async def close(self) -> None:
        """See port."""
        await _closed(self._client)


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
        return Received(id=named, body=message.data, lasting=given is not None, attributes=headers, handle=message)

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
        await _closed(self._client)


class JetStreamTopic:
    """Confirmed by the stream that the subject belongs to."""

    def __init__(self, client: Any, address: Address) -> None:
        self._client, self._subject, self._stream = client, address.name, address.option("jetstream")
        self._context = client.jetstream(timeout=_ANSWER)

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        _fits(self._client, body)
        try:
            await self._context.publish(self._subject, body, stream=self._stream, headers=dict(attributes))
        except MaxPayloadError as error:
            raise TooLargeError(str(error)) from None
        except (Error, OSError, TimeoutError) as error:
            raise _told(error) from None

    async def close(self) -> None:
        """See port."""
        await _closed(self._client)


class SubjectTopic:
    """Confirmed by the server, which may have nobody to give it to."""

    def __init__(self, client: Any, subject: str) -> None:
        self._client, self._subject = client, subject
        self._flushing: asyncio.Future[None] | None = None

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        _fits(self._client, body)
        if not self._client.is_connected:
            raise BrokerError("the connection is lost")
        try:
            await self._client.publish(self._subject, body, headers=dict(attributes))
            await self._client.flush(_ANSWER)
        except MaxPayloadError as error:
            raise TooLargeError(str(error)) from None
        except (Error, OSError, TimeoutError) as error:
            raise _told(error) from None

    async def close(self) -> None:
        """See port."""
        await _closed(self._client)


def _fits(client: Any, body: bytes) -> None:
    if client.max_payload and len(body) > client.max_payload:
        raise TooLargeError(f"{len(body)} bytes, and {client.max_payload} are taken")


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


async def _closed(client: Any) -> None:
    """What was written goes out before."""
    with contextlib.suppress(Exception):
        if client.is_connected:
            await client.flush(1)
    with contextlib.suppress(Exception):
        await client.close()


def _told(error: BaseException) -> BrokerError:
    """Never the address, which may hold a password."""
    described = getattr(error, "description", None)
    return BrokerError(f"NATS: {described or type(error).__name__}")
