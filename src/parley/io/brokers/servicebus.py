"""Azure Service Bus: peek-lock, so that what is not completed comes again."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageSizeExceededError

from parley.streams.address import Address
from parley.streams.port import BrokerError, Received, TooLargeError

T = TypeVar("T")

_LEASE: Final = 30.0
_WAIT: Final = 1.0
_CONNECTION: Final = "Endpoint="
# Whoever asks hears of lost connections; its own words about them are no lines of our log.
logging.getLogger(ServiceBusMessage.__module__.partition("._")[0]).setLevel(logging.CRITICAL + 1)


def _client(address: Address) -> Any:
    """By a connection string, else by the machine's own identity."""
    try:
        if address.server.startswith(_CONNECTION):
            return ServiceBusClient.from_connection_string(address.server)
        from azure.identity.aio import DefaultAzureCredential

        return ServiceBusClient(address.server, DefaultAzureCredential())
    except ImportError:
        message = (
            "Service Bus: a host name without a connection string needs azure-identity: pip install azure-identity"
        )
        raise BrokerError(message, fatal=True) from None
    except (AzureError, ValueError) as error:
        raise _told(error) from None


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers."""
    client = _client(address)
    receiver = client.get_subscription_receiver(address.name, address.option("subscription"), prefetch_count=0)
    return BusSubscription(client, receiver, address.seconds("listener_timeout", _WAIT))


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""
    client = _client(address)
    return BusTopic(client, client.get_topic_sender(address.name))


class BusSubscription:
    """A message that is given back waits here for its delay, as the service knows none."""

    nacks = True
    lease = _LEASE

    def __init__(self, client: Any, receiver: Any, wait: float) -> None:
        self._client, self._receiver, self._wait = client, receiver, wait
        self._held: dict[asyncio.Task[None], Received] = {}

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        found = await _done(self._receiver.receive_messages(max_message_count=count, max_wait_time=self._wait))
        return [_received(message) for message in found]

    async def ack(self, message: Received) -> None:
        """See port."""
        await _done(self._receiver.complete_message(message.handle))

    async def nack(self, message: Received, delay: float) -> None:
        """See port."""
        if delay <= 0:
            return await _done(self._receiver.abandon_message(message.handle))
        # Its lock ends by itself no later.
        task = asyncio.ensure_future(self._later(message, min(delay, self.lease)))
        self._held[task] = message
        task.add_done_callback(lambda done: self._held.pop(done, None))

    async def _later(self, message: Received, delay: float) -> None:
        await asyncio.sleep(delay)
        with contextlib.suppress(BrokerError):
            await _done(self._receiver.abandon_message(message.handle))

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port."""
        for message in messages:
            await _done(self._receiver.renew_message_lock(message.handle))

    async def backlog(self) -> int | None:
        """Only its administration tells it."""
        return None

    async def close(self) -> None:
        """See port."""
        for task in tuple(self._held):
            task.cancel()
        for one in (self._receiver, self._client):
            with contextlib.suppress(Exception):
                await one.close()


class BusTopic:
    """``order`` is the session of a message."""

    def __init__(self, client: Any, sender: Any) -> None:
        self._client, self._sender = client, sender
        self._lock = asyncio.Lock()

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        given: dict[str, Any] = {"application_properties": dict(attributes), "content_type": "application/json"}
        message = ServiceBusMessage(body, session_id=order or None, **given)
        # Its sender is for one at a time.
        async with self._lock:
            await _done(self._sender.send_messages(message))

    async def close(self) -> None:
        """See port."""
        for one in (self._sender, self._client):
            with contextlib.suppress(Exception):
                await one.close()


def _received(message: Any) -> Received:
    at = message.enqueued_time_utc
    told = {_word(name): _word(value) for name, value in (message.application_properties or {}).items()}
    return Received(
        id=str(message.message_id or message.sequence_number),
        body=b"".join(message.body),
        deliveries=(message.delivery_count or 0) + 1,
        at=at.timestamp() if at else None,
        attributes=told,
        handle=message,
    )


def _word(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def _done(doing: Awaitable[T]) -> T:
    try:
        return await doing
    except MessageSizeExceededError as error:
        raise TooLargeError(f"Service Bus: {type(error).__name__}") from None
    except (AzureError, ValueError, OSError) as error:
        raise _told(error) from None


def _told(error: Exception) -> BrokerError:
    """Never the connection string."""
    return BrokerError(f"Service Bus: {type(error).__name__}")
