"""Kafka. Messages are read by a group; what was read is marked in order, once everything before it is done with.

Nothing is given back: what is not marked is read again after a crash. The client's calls wait, in a thread of its own.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from parley.streams.address import Address
from parley.streams.offsets import Offsets
from parley.streams.port import BrokerError, Received, TooLargeError

T = TypeVar("T")

# How often the client must be asked for something while everything is worked on, so that the group keeps its member.
_LEASE: Final = 60.0
_WAIT: Final = 1.0
_ANSWER: Final = 10.0
_POLL: Final = 0.05
_EARLIEST: Final = {"oldest": "earliest", "newest": "latest", "": "earliest"}
_ORDINARY: Final = (KafkaError._PARTITION_EOF, KafkaError._TIMED_OUT)


def _config(address: Address) -> dict[str, Any]:
    return {
        "bootstrap.servers": address.server,
        "client.id": "parley",
        "log_level": 0,
        "error_cb": lambda error: None,
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.max.ms": 1000,
    }


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers."""
    config = {
        **_config(address),
        "group.id": address.name,
        "enable.auto.commit": False,
        "auto.offset.reset": _EARLIEST.get(address.option("offset"), "earliest"),
        "session.timeout.ms": 10_000,
        "queued.max.messages.kbytes": 16_384,
    }
    made = KafkaSubscription(config)
    try:
        await made.open(list(address.options["topic"]))
    except BrokerError:
        await made.close()
        raise
    return made


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""
    made = KafkaTopic(address)
    await made.open()
    return made


class KafkaSubscription:
    """See the module. ``lease`` only keeps the group's member."""

    nacks = False
    lease = _LEASE

    def __init__(self, config: dict[str, Any]) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parley-kafka")
        self._config = config
        self._consumer: Any = None
        self._offsets: dict[tuple[str, int], Offsets] = {}
        self._stash: list[Message] = []

    async def open(self, topics: list[str]) -> None:
        """Join the group. Raises BrokerError."""

        def opened() -> None:
            self._consumer = Consumer(self._config)
            found = self._consumer.list_topics(timeout=_ANSWER).topics
            missing = [name for name in topics if name not in found or found[name].error]
            if missing:
                raise BrokerError(f"Kafka: there is no topic {missing[0]!r}")
            self._consumer.subscribe(topics, on_revoke=self._revoked)

        await self._call(opened)

    def _revoked(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """Others read on from what was marked."""
        for one in partitions:
            self._offsets.pop((one.topic, one.partition), None)
        self._stash = []

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""

        def taken() -> list[Message]:
            if self._stash:
                found, self._stash = self._stash[:count], self._stash[count:]
                return found
            return self._consumer.consume(count, _WAIT)  # type: ignore[no-any-return]

        return [self._received(message) for message in _good(await self._call(taken))]

    def _received(self, message: Any) -> Received:
        place = (message.topic(), message.partition())
        offset = message.offset()
        self._offsets.setdefault(place, Offsets()).begun(offset)
        kind, at = message.timestamp()
        return Received(
            id=f"{place[0]}/{place[1]}/{offset}",
            body=message.value() or b"",
            at=at / 1000 if kind else None,
            attributes={name: (value or b"").decode("utf-8", "replace") for name, value in message.headers() or ()},
            handle=(place, offset),
        )

    async def ack(self, message: Received) -> None:
        """See port."""
        place, offset = message.handle
        offsets = self._offsets.get(place)
        next_offset = offsets.ended(offset) if offsets is not None else None
        if next_offset is not None:
            topic, partition = place
            mark = [TopicPartition(topic, partition, next_offset)]
            await self._call(lambda: self._consumer.commit(offsets=mark, asynchronous=True))

    async def nack(self, message: Received, delay: float) -> None:
        """Not available."""
        raise BrokerError("Kafka takes nothing back")

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port: the member is alive."""

        def polled() -> None:
            held = self._consumer.assignment()
            self._consumer.pause(held)
            found = self._consumer.poll(0)
            if found is not None:
                self._stash.append(found)
            self._consumer.resume(held)

        await self._call(polled)

    async def backlog(self) -> int | None:
        """See port."""

        def counted() -> int:
            waiting = 0
            for one in self._consumer.position(self._consumer.assignment()):
                _, high = self._consumer.get_watermark_offsets(one, timeout=_ANSWER, cached=True)
                waiting += max(0, high - max(0, one.offset))
            return waiting

        return await self._call(counted)

    async def close(self) -> None:
        """See port."""
        if self._consumer is not None:
            with contextlib.suppress(BrokerError):
                await self._call(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _call(self, what: Callable[[], T]) -> T:
        return await _called(self._thread, what)


class KafkaTopic:
    """Confirmed by all replicas that are in sync."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parley-kafka")
        self._producer: Any = None
        self._waiting = 0
        self._polling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find the cluster. Raises BrokerError."""

        def opened() -> None:
            config = {**_config(self._address), "acks": "all", "enable.idempotence": True, "linger.ms": 2}
            self._producer = Producer({**config, "message.timeout.ms": int(_ANSWER * 1000)})
            self._producer.list_topics(timeout=_ANSWER)

        try:
            await _called(self._thread, opened)
        except BrokerError:
            self._thread.shutdown(wait=False)
            raise

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[KafkaError | None] = loop.create_future()

        def delivered(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(lambda: None if told.done() else told.set_result(error))

        key = attributes.get(self._address.option("key_name")) or order or None
        try:
            self._producer.produce(
                self._address.name, body, key, headers=list(attributes.items()), on_delivery=delivered
            )
        except (KafkaException, BufferError) as error:
            raise _told(error) from None
        self._waiting += 1
        if self._polling is None or self._polling.done():
            self._polling = asyncio.ensure_future(self._poll())
        try:
            failed = await told
        finally:
            self._waiting -= 1
        if failed is not None:
            raise _told(KafkaException(failed))

    async def _poll(self) -> None:
        """Confirmations come while somebody asks for them."""
        while self._waiting:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._producer.poll, _POLL)

    async def close(self) -> None:
        """See port."""
        if self._polling is not None:
            await asyncio.wait([self._polling], timeout=_ANSWER)
        with contextlib.suppress(RuntimeError):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._producer.flush, 1.0)
        self._thread.shutdown(wait=False)


def _good(messages: list[Message]) -> list[Message]:
    found = []
    for message in messages:
        error = message.error()
        if error is None:
            found.append(message)
        elif error.code() not in _ORDINARY:
            raise _told(KafkaException(error))
    return found


async def _called(thread: ThreadPoolExecutor, what: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, what)
    except (KafkaException, RuntimeError) as error:
        raise _told(error) from None


def _told(error: BaseException) -> BrokerError:
    first = error.args[0] if error.args else None
    if isinstance(first, KafkaError):
        if first.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return TooLargeError("Kafka: the message is larger than the broker takes")
        return BrokerError(f"Kafka: {first.name()}")
    return BrokerError(f"Kafka: {type(error).__name__}")
