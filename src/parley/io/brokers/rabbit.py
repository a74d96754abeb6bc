"""RabbitMQ (AMQP 0.9.1). Answers are confirmed by the server, and one that no queue takes counts as not sent."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)
from pamqp.exceptions import AMQPError as BrokenFrameError

from parley.streams.address import Address
from parley.streams.port import NEVER, BrokerError, Received

T = TypeVar("T")

_WAIT: Final = 1.0
_ANSWER: Final = 10.0
_QUORUM: Final = {"x-queue-type": "quorum"}
_COUNT: Final = "x-delivery-count"
# Whoever asks hears of lost connections; its own words about them are no lines of our log.
for _name in ("aiormq", "aio_pika"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)
_DENIED: Final = (AuthenticationError, ProbableAuthenticationError, ChannelAccessRefused, ConnectionNotAllowed)
_FAILED: Final = (AMQPError, BrokenFrameError, OSError, TimeoutError, RuntimeError)


async def _connected(address: Address) -> Any:
    return await _done(aio_pika.connect(address.server, timeout=5, client_properties={"connection_name": "parley"}))


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers."""
    connection = await _connected(address)
    try:
        channel = await _done(connection.channel())
        await _done(channel.set_qos(prefetch_count=min(prefetch, int(address.option("prefetch_count") or prefetch))))
        if address.flag("create"):
            queue = await _done(channel.declare_queue(address.name, durable=True, arguments=_QUORUM))
        else:
            queue = await _done(channel.get_queue(address.name))
        made = RabbitSubscription(connection, channel, queue)
        await _done(queue.consume(made.arrived))
    except BrokerError:
        await _closed(connection)
        raise
    return made


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""
    made = RabbitTopic(address)
    try:
        await made.exchange()
    except BrokerError:
        await made.close()
        raise
    return made


class RabbitSubscription:
    """A message that is given back waits here for its delay, as the server knows none."""

    nacks = True
    lease = NEVER

    def __init__(self, connection: Any, channel: Any, queue: Any) -> None:
        self._connection, self._channel, self._queue = connection, channel, queue
        self._arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._held: set[asyncio.Task[None]] = set()
        connection.close_callbacks.add(self._lost)
        channel.close_callbacks.add(self._lost)

    async def arrived(self, message: AbstractIncomingMessage) -> None:
        """The server has sent one."""
        self._arrived.put_nowait(message)

    def _lost(self, *told: object) -> None:
        self._arrived.put_nowait(None)

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        found = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT):
                found.append(await self._arrived.get())
        while len(found) < count and not self._arrived.empty():
            found.append(self._arrived.get_nowait())
        if None in found or self._channel.is_closed:
            raise BrokerError("RabbitMQ: the connection is lost")
        return [_received(self._queue.name, message) for message in found if message is not None]

    async def ack(self, message: Received) -> None:
        """See port."""
        await _done(message.handle.ack())

    async def nack(self, message: Received, delay: float) -> None:
        """See port."""
        if delay <= 0:
            return await _done(message.handle.reject(requeue=True))
        task = asyncio.ensure_future(self._later(message, delay))
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    async def _later(self, message: Received, delay: float) -> None:
        await asyncio.sleep(delay)
        with contextlib.suppress(BrokerError):
            await _done(message.handle.reject(requeue=True))

    async def extend(self, messages: Sequence[Received]) -> None:
        """There is no lease while the connection lasts."""

    async def backlog(self) -> int | None:
        """See port."""

        async def counted() -> int:
            channel = await self._connection.channel()
            try:
                queue = await channel.declare_queue(self._queue.name, passive=True)
                waiting: int = queue.declaration_result.message_count
                return waiting
            finally:
                await channel.close()

        return await _done(counted())

    async def close(self) -> None:
        """See port. What was not acked goes back by itself."""
        for task in tuple(self._held):
            task.cancel()
        await _closed(self._connection)


class RabbitTopic:
    """An exchange; connected again when the connection was lost."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Any = None
        self._channel: Any = None
        self._exchange: Any = None
        self._lock = asyncio.Lock()

    async def exchange(self) -> Any:
        """The exchange, on a connection that is open."""
        async with self._lock:
            if self._channel is None or self._channel.is_closed:
                if self._connection is not None:
                    await _closed(self._connection)
                self._connection = await _connected(self._address)
                self._channel = await _done(self._connection.channel(publisher_confirms=True, on_return_raises=True))
                self._exchange = await self._found()
            return self._exchange

    async def _found(self) -> Any:
        name, channel = self._address.name, self._channel
        if not name:
            return channel.default_exchange
        if not self._address.flag("create"):
            return await _done(channel.get_exchange(name))
        kind = aio_pika.ExchangeType.FANOUT
        exchange = await _done(channel.declare_exchange(name, kind, durable=True))
        queue = await _done(channel.declare_queue(name, durable=True, arguments=_QUORUM))
        await _done(queue.bind(exchange))
        return exchange

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        exchange = await self.exchange()
        message = aio_pika.Message(
            body,
            headers=dict(attributes),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        key = self._address.option("routing_key")
        await _done(exchange.publish(message, key, mandatory=True, timeout=_ANSWER))

    async def close(self) -> None:
        """See port."""
        if self._connection is not None:
            await _closed(self._connection)


def _received(queue: str, message: AbstractIncomingMessage) -> Received:
    headers = message.headers or {}
    count = headers.get(_COUNT)
    came = 1 + int(count) if isinstance(count, int) else 1 + bool(message.redelivered)
    given = message.message_id
    received = Received(
        id=given or f"{queue}:{message.delivery_tag}",
        body=message.body,
        deliveries=came,
        at=message.timestamp.timestamp() if message.timestamp else None,
        attributes={name: str(value) for name, value in headers.items()},
        handle=message,
    )
    received.lasting = bool(given)
    return received


async def _done(doing: Awaitable[T]) -> T:
    try:
        return await doing
    except _FAILED as error:
        # Their words may hold the address with its password.
        raise BrokerError(f"RabbitMQ: {type(error).__name__}", denied=isinstance(error, _DENIED)) from None


async def _closed(connection: Any) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(2):
            await connection.close()
