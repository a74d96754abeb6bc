"""Topics in the memory of this process, for tests and for trying things out: at least once, gone with the process."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from parley.streams.address import Address
from parley.streams.port import BrokerError, Received

_LEASE: Final = 60.0
_WAIT: Final = 1.0


class Stored(Struct, eq=False):
    """A message of a topic. ``due`` is when it may be delivered (again)."""

    id: str
    body: bytes
    attributes: Mapping[str, str]
    order: str
    due: float = 0.0
    deliveries: int = 0


class Place:
    """One topic: what waits, and what was delivered and not acked."""

    def __init__(self) -> None:
        self.waiting: deque[Stored] = deque()
        self.out: dict[str, Stored] = {}
        self.changed = asyncio.Event()
        self.count = 0

    def put(self, stored: Stored) -> None:
        """One more."""
        self.waiting.append(stored)
        self.changed.set()

    def due(self, now: float) -> None:
        """Whose time is over waits again."""
        for key in [key for key, stored in self.out.items() if stored.due <= now]:
            self.waiting.append(self.out.pop(key))


class Memory:
    """All topics by name."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}

    def place(self, name: str) -> Place:
        """A topic, made where it is not there yet."""
        return self.places.setdefault(name, Place())

    def subscription(self, address: Address) -> "MemorySubscription":
        """Where messages of a topic come from."""
        return MemorySubscription(self.place(address.name), address.seconds("ackdeadline", _LEASE))

    def topic(self, address: Address) -> "MemoryTopic":
        """Where messages go."""
        return MemoryTopic(self.place(address.name), address.name)


class MemorySubscription:
    """See parley.streams.port."""

    nacks = True

    def __init__(self, place: Place, lease: float) -> None:
        self._place, self.lease = place, lease

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        place, until = self._place, _now() + _WAIT
        while (now := _now()) < until:
            place.due(now)
            if place.waiting:
                return [self._deliver(now) for _ in range(min(count, len(place.waiting)))]
            place.changed.clear()
            next_due = min((stored.due for stored in place.out.values()), default=until)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.001, min(until, next_due) - now)):
                    await place.changed.wait()
        return ()

    def _deliver(self, now: float) -> Received:
        stored = self._place.waiting.popleft()
        stored.due = now + self.lease
        stored.deliveries += 1
        self._place.out[stored.id] = stored
        return Received(
            id=stored.id, body=stored.body, deliveries=stored.deliveries, attributes=stored.attributes, handle=stored
        )

    async def ack(self, message: Received) -> None:
        """See port."""
        if self._place.out.pop(message.id, None) is None:
            raise BrokerError("the message is not out any more")

    async def nack(self, message: Received, delay: float) -> None:
        """See port."""
        stored = self._place.out.get(message.id)
        if stored is None:
            raise BrokerError("the message is not out any more")
        stored.due = _now() + delay
        self._place.changed.set()

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port."""
        for message in messages:
            stored = self._place.out.get(message.id)
            if stored is not None:
                stored.due = _now() + self.lease

    async def backlog(self) -> int | None:
        """See port."""
        return len(self._place.waiting)

    async def close(self) -> None:
        """See port."""


class MemoryTopic:
    """See parley.streams.port."""

    def __init__(self, place: Place, name: str) -> None:
        self._place, self._name = place, name

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        self._place.count += 1
        self._place.put(Stored(f"{self._name}/{self._place.count}", body, dict(attributes), order))

    async def close(self) -> None:
        """See port."""


def _now() -> float:
    return asyncio.get_running_loop().time()
