"""Amazon SQS, and SNS to send to. The vendor's own client knows no loop: its calls are made in threads of our own."""

import asyncio
import contextlib
import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from parley.streams.address import Address
from parley.streams.port import BrokerError, Received, TooLargeError

_LEASE: Final = 30.0
_WAIT: Final = 1
_MOST: Final = 10
_LONGEST_LEASE: Final = 43_200
# 1 MiB since 2025, with the attributes; what is larger is refused by the service.
_LARGEST: Final = 1024 * 1024
_THREADS: Final = 16
_BASE64: Final = "base64encoded"
_REGION: Final = re.compile(r"\bsqs\.([a-z0-9-]+)\.amazonaws\.")
# Characters that the service refuses; JSON can write them otherwise.
_REFUSED: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONFIG: Final = Config(
    connect_timeout=5, read_timeout=30, max_pool_connections=_THREADS, retries={"total_max_attempts": 1}
)


class Account:
    """A client and the threads that it works in."""

    def __init__(self, service: str, address: Address) -> None:
        region = address.option("region") or _region(address.name)
        try:
            session = Session()
            client = session.create_client(
                service, region_name=region or None, endpoint_url=address.server or None, config=_CONFIG
            )
        except (BotoCoreError, ValueError) as error:
            raise _told(error) from None
        self._client: Any = client
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="parley-aws")

    async def call(self, name: str, **given: Any) -> Any:
        """One call. Raises BrokerError."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(getattr(self._client, name), **given))
        except (BotoCoreError, ClientError, OSError, RuntimeError) as error:
            raise _told(error) from None

    def close(self) -> None:
        """Calls under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(Exception):
            self._client.close()


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers. ``prefetch``: what is asked for at a time, no more."""
    account = await asyncio.to_thread(Account, "sqs", address)
    try:
        names = ["VisibilityTimeout"]
        found = await account.call("get_queue_attributes", QueueUrl=_queue(address), AttributeNames=names)
    except BrokerError:
        account.close()
        raise
    return SqsSubscription(account, address, float(found["Attributes"].get("VisibilityTimeout", _LEASE)))


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""
    service = "sns" if address.scheme == "awssns" else "sqs"
    account = await asyncio.to_thread(Account, service, address)
    return SnsTopic(account, address) if service == "sns" else SqsTopic(account, address)


class SqsSubscription:
    """``lease`` is the queue's visibility timeout."""

    def __init__(self, account: Account, address: Address, lease: float) -> None:
        self._account, self._queue, self.lease = account, _queue(address), max(1.0, lease)
        self.nacks = not address.flag("nacklazy")
        self._raw = address.flag("raw")
        self._wait = int(address.option("waittime") or _WAIT)

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        found = await self._account.call(
            "receive_message",
            QueueUrl=self._queue,
            MaxNumberOfMessages=min(count, _MOST),
            WaitTimeSeconds=self._wait,
            VisibilityTimeout=int(self.lease),
            MessageAttributeNames=["All"],
            AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [self._received(message) for message in found.get("Messages", ())]

    def _received(self, message: Mapping[str, Any]) -> Received:
        told = message.get("Attributes", {})
        attributes = {
            name: str(one.get("StringValue", "")) for name, one in message.get("MessageAttributes", {}).items()
        }
        body = message["Body"]
        if not self._raw:
            body, attributes = _unwrapped(body, attributes)
        content = b64decode(body) if attributes.get(_BASE64) == "true" else body.encode()
        sent = told.get("SentTimestamp")
        return Received(
            id=message["MessageId"],
            body=content,
            deliveries=int(told.get("ApproximateReceiveCount", 0)),
            at=int(sent) / 1000 if sent else None,
            attributes=attributes,
            handle=message["ReceiptHandle"],
        )

    async def ack(self, message: Received) -> None:
        """See port."""
        await self._account.call("delete_message", QueueUrl=self._queue, ReceiptHandle=message.handle)

    async def nack(self, message: Received, delay: float) -> None:
        """See port."""
        await self._visible([message], int(delay))

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port."""
        await self._visible(messages, int(self.lease))

    async def _visible(self, messages: Sequence[Received], seconds: int) -> None:
        """Again after so long. One that is gone does not keep the others from it."""
        lost = 0
        for start in range(0, len(messages), _MOST):
            entries = [
                {"Id": str(index), "ReceiptHandle": one.handle, "VisibilityTimeout": min(seconds, _LONGEST_LEASE)}
                for index, one in enumerate(messages[start : start + _MOST])
            ]
            told = await self._account.call("change_message_visibility_batch", QueueUrl=self._queue, Entries=entries)
            lost += len(told.get("Failed", ()))
        if lost:
            raise BrokerError(f"SQS: the lease of {lost} messages is over")

    async def backlog(self) -> int | None:
        """See port."""
        name = "ApproximateNumberOfMessages"
        found = await self._account.call("get_queue_attributes", QueueUrl=self._queue, AttributeNames=[name])
        return int(found["Attributes"].get(name, 0))

    async def close(self) -> None:
        """See port."""
        self._account.close()


class SqsTopic:
    """A queue. Where it keeps order, ``order`` is the group of a message."""

    def __init__(self, account: Account, address: Address) -> None:
        self._account, self._queue = account, _queue(address)

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        more = _ordered(attributes, order) if self._queue.endswith(".fifo") else {}
        await self._account.call(
            "send_message",
            QueueUrl=self._queue,
            MessageBody=_fit(body),
            MessageAttributes=_attributes(attributes),
            **more,
        )

    async def close(self) -> None:
        """See port."""
        self._account.close()


class SnsTopic:
    """A topic."""

    def __init__(self, account: Account, address: Address) -> None:
        self._account, self._arn = account, address.name

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        more = _ordered(attributes, order) if self._arn.endswith(".fifo") else {}
        await self._account.call(
            "publish", TopicArn=self._arn, Message=_fit(body), MessageAttributes=_attributes(attributes), **more
        )

    async def close(self) -> None:
        """See port."""
        self._account.close()


def _ordered(attributes: Mapping[str, str], order: str) -> dict[str, str]:
    """What queues that keep order want to know; the same message twice is the same answer twice."""
    once = next(iter(attributes.values()), "")
    return {"MessageGroupId": order or "parley", **({"MessageDeduplicationId": once[:128]} if once else {})}


def _attributes(attributes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}


def _fit(body: bytes) -> str:
    """JSON text that the service takes."""
    if len(body) > _LARGEST:
        raise TooLargeError(f"{len(body)} bytes, and {_LARGEST} are taken")
    return _REFUSED.sub(lambda found: f"\\u{ord(found[0]):04x}", body.decode("utf-8", "replace"))


def _unwrapped(body: str, attributes: dict[str, str]) -> tuple[str, dict[str, str]]:
    """What a topic has put into the queue: its own message, without what the topic wrote around it."""
    if not body.startswith("{") or '"TopicArn"' not in body:
        return body, attributes
    try:
        found = json.loads(body)
    except ValueError:
        return body, attributes
    if not (found.get("TopicArn") and found.get("MessageId") and isinstance(found.get("Message"), str)):
        return body, attributes
    told = {name: str(one.get("Value", "")) for name, one in (found.get("MessageAttributes") or {}).items()}
    return found["Message"], {**attributes, **told}


def _queue(address: Address) -> str:
    return f"https://{address.name}"


def _region(name: str) -> str:
    found = _REGION.search(name)
    return found[1] if found else ""


def _told(error: Exception) -> BrokerError:
    """Never a credential."""
    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        code = str(told.get("Code", "error"))
        if "TooLong" in code or "Message must be shorter" in str(told.get("Message", "")):
            return TooLargeError(f"AWS: {code}")
        return BrokerError(f"AWS: {code}: {told.get('Message', '')}")
    return BrokerError(f"AWS: {type(error).__name__}")
