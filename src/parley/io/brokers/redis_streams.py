"""Redis streams, read by a group; what a reader has abandoned is taken over. Source: messaging contract 8.9."""

import contextlib
import secrets
import socket
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError, ResponseError

from parley.streams.address import Address
from parley.streams.port import BrokerError, Received

T = TypeVar("T")

FIELD: Final = b"data"
_CLAIM: Final = 60.0
_WAIT: Final = 1000
_TIMEOUT: Final = 10.0
_EXISTS: Final = "BUSYGROUP"


def _client(address: Address) -> Any:
    try:
        return Redis.from_url(
            address.server, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, health_check_interval=0
        )
    except ValueError:
        raise BrokerError("Redis: the address is none", fatal=True) from None


async def subscription(address: Address, prefetch: int) -> Any:
    """See parley.io.brokers. ``prefetch``: what is asked for at a time, no more."""
    client = _client(address)
    group = address.option("group", "parley")
    try:
        await _done(client.xgroup_create(address.name, group, id="0", mkstream=True))
    except BrokerError as error:
        if _EXISTS not in str(error):
            await _closed(client)
            raise
    return RedisSubscription(client, address, group)


async def topic(address: Address) -> Any:
    """See parley.io.brokers."""
    return RedisTopic(_client(address), address)


class RedisSubscription:
    """``lease`` is how long an entry may be idle before another reader takes it over."""

    nacks = True

    def __init__(self, client: Any, address: Address, group: str) -> None:
        self._client, self._stream, self._group = client, address.name, group
        self.lease = address.seconds("claim", _CLAIM)
        self._reader = f"{socket.gethostname()}-{secrets.token_hex(6)}"
        self._claimed = 0.0
        self._cursor: bytes = b"0-0"

    async def receive(self, count: int) -> Sequence[Received]:
        """See port. Abandoned entries first."""
        if time.monotonic() >= self._claimed:
            found = await self._abandoned(count)
            if found:
                return found
        wait = max(1, min(_WAIT, int(self.lease * 1000 / 4)))
        reading = self._client.xreadgroup(self._group, self._reader, {self._stream: ">"}, count=count, block=wait)
        entries = await _done(reading) or []
        if isinstance(entries, dict):
            # As later protocols tell it.
            entries = [(name, pages[0] if pages else []) for name, pages in entries.items()]
        return [_received(entry, fields, 1) for _, page in entries for entry, fields in page]

    async def _abandoned(self, count: int) -> list[Received]:
        idle = int(self.lease * 1000)
        answer = await _done(
            self._client.xautoclaim(
                self._stream, self._group, self._reader, min_idle_time=idle, start_id=self._cursor, count=count
            )
        )
        self._cursor = answer[0]
        if self._cursor == b"0-0":
            self._claimed = time.monotonic() + max(0.05, min(self.lease / 4, 5.0))
        return [_received(entry, fields, await self._deliveries(entry)) for entry, fields in answer[1] if fields]

    async def _deliveries(self, id: bytes) -> int:
        found = await _done(self._client.xpending_range(self._stream, self._group, id, id, 1))
        return int(found[0]["times_delivered"]) if found else 0

    async def ack(self, message: Received) -> None:
        """See port."""
        if not await _done(self._client.xack(self._stream, self._group, message.handle)):
            raise BrokerError("Redis: the entry is not pending")

    async def nack(self, message: Received, delay: float) -> None:
        """See port. An entry is as idle as it must be to be taken over after the delay, which is a lease at most."""
        await self._idle([message.handle], max(0.0, self.lease - delay))
        self._claimed = min(self._claimed, time.monotonic() + min(delay, self.lease))

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port."""
        await self._idle([message.handle for message in messages], 0.0)

    async def _idle(self, ids: list[bytes], seconds: float) -> None:
        claim = self._client.xclaim(
            self._stream, self._group, self._reader, 0, ids, idle=int(seconds * 1000), justid=True
        )
        await _done(claim)

    async def backlog(self) -> int | None:
        """See port."""
        groups = await _done(self._client.xinfo_groups(self._stream))
        found = [one for one in groups if one["name"] == self._group.encode()]
        lag = found[0].get("lag") if found else None
        return None if lag is None else int(lag)

    async def close(self) -> None:
        """See port."""
        await _closed(self._client)


class RedisTopic:
    """``maxlen`` keeps about so many entries."""

    def __init__(self, client: Any, address: Address) -> None:
        self._client, self._stream = client, address.name
        self._most = int(address.option("maxlen") or 0) or None

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        fields: dict[Any, Any] = {FIELD: body, **attributes}
        await _done(self._client.xadd(self._stream, fields, maxlen=self._most, approximate=True))

    async def close(self) -> None:
        """See port."""
        await _closed(self._client)


def _received(id: bytes, fields: Mapping[bytes, bytes], deliveries: int) -> Received:
    told = {
        name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for name, value in fields.items()
        if name != FIELD
    }
    at = int(id.partition(b"-")[0]) / 1000
    body = fields.get(FIELD, b"")
    return Received(id=id.decode(), body=body, deliveries=deliveries, at=at, attributes=told, handle=id)


async def _done(doing: Awaitable[T]) -> T:
    try:
        return await doing
    except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
        raise BrokerError(f"Redis: {error}", denied=True) from None
    except ResponseError as error:
        raise BrokerError(f"Redis: {error}") from None
    except (RedisError, OSError, TimeoutError) as error:
        # Their words may hold the address with its password.
        raise BrokerError(f"Redis: {type(error).__name__}") from None


async def _closed(client: Any) -> None:
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await client.aclose()
