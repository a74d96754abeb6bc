"""Google Pub/Sub, by its unary calls: pull, acknowledge, modify the deadline, publish."""

import contextlib
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

import grpc
from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError, InvalidArgument, RetryError
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import PubsubMessage

from parley.streams.address import Address
from parley.streams.port import BrokerError, Received, TooLargeError

T = TypeVar("T")

_LEASE: Final = 10.0
_WAIT: Final = 2.0
_ANSWER: Final = 10.0
_LARGEST: Final = 10_000_000
_LONGEST: Final = 600


def _channel(address: Address) -> Any:
    """To a server without TLS and credentials, which is what emulators are; None: to Google."""
    return grpc.aio.insecure_channel(address.server) if address.server else None


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers. ``prefetch``: what is asked for at a time, no more."""
    try:
        channel = _channel(address)
        client = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel) if channel else None)
        found = await _done(client.get_subscription(subscription=address.name, timeout=_ANSWER))
    except (GoogleAuthError, ValueError) as error:
        raise _told(error) from None
    return PubSubSubscription(client, address, float(found.ack_deadline_seconds or _LEASE))


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""
    try:
        channel = _channel(address)
        client = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel) if channel else None)
    except (GoogleAuthError, ValueError) as error:
        raise _told(error) from None
    return PubSubTopic(client, address.name)


class PubSubSubscription:
    """``lease`` is the subscription's deadline for acks."""

    def __init__(self, client: Any, address: Address, lease: float) -> None:
        self._client, self._name, self.lease = client, address.name, lease
        self.nacks = not address.flag("nacklazy")
        self._most = int(address.option("max_recv_batch_size") or 1000)

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        most = min(count, self._most)
        try:
            found = await self._client.pull(subscription=self._name, max_messages=most, timeout=_WAIT, retry=None)
        except DeadlineExceeded:
            return ()
        except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
            raise _told(error) from None
        return [_received(one) for one in found.received_messages]

    async def ack(self, message: Received) -> None:
        """See port."""
        await _done(self._client.acknowledge(subscription=self._name, ack_ids=[message.handle], timeout=_ANSWER))

    async def nack(self, message: Received, delay: float) -> None:
        """See port."""
        await self._deadline([message], int(delay))

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port."""
        await self._deadline(messages, int(self.lease))

    async def _deadline(self, messages: Sequence[Received], seconds: int) -> None:
        ids = [message.handle for message in messages]
        await _done(
            self._client.modify_ack_deadline(
                subscription=self._name,
                ack_ids=ids,
                ack_deadline_seconds=min(seconds, _LONGEST),
                timeout=_ANSWER,
            )
        )

    async def backlog(self) -> int | None:
        """The service tells it to its monitoring alone."""
        return None

    async def close(self) -> None:
        """See port."""
        with contextlib.suppress(Exception):
            await self._client.transport.close()


class PubSubTopic:
    """``order`` is the ordering key."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        if len(body) > _LARGEST:
            raise TooLargeError(f"{len(body)} bytes, and {_LARGEST} are taken")
        message = PubsubMessage(data=body, attributes=dict(attributes), ordering_key=order)
        await _done(self._client.publish(topic=self._name, messages=[message], timeout=_ANSWER, retry=None))

    async def close(self) -> None:
        """See port."""
        with contextlib.suppress(Exception):
            await self._client.transport.close()


def _received(found: Any) -> Received:
    message = found.message
    published = message.publish_time
    return Received(
        id=message.message_id,
        body=message.data,
        deliveries=found.delivery_attempt,
        at=published.timestamp() if published else None,
        attributes=dict(message.attributes),
        handle=found.ack_id,
    )


async def _done(doing: Awaitable[T]) -> T:
    try:
        return await doing
    except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
        raise _told(error) from None


def _told(error: Exception) -> BrokerError:
    if isinstance(error, InvalidArgument) and "too large" in str(error).lower():
        return TooLargeError("Pub/Sub: the message is too large")
    code = getattr(error, "grpc_status_code", None)
    return BrokerError(f"Pub/Sub: {getattr(code, 'name', None) or type(error).__name__}")
