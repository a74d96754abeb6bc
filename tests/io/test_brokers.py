"""One behaviour for all brokers: what parley.streams.port says, held against real ones where they run here."""

import asyncio
import contextlib
import time
from typing import Any

import pytest

from fixtures.clouds import bus_broker, pubsub_broker
from fixtures.rigs import Rig
from parley.io.brokers import Brokers
from parley.streams.address import address_of
from parley.streams.port import NEVER, REQUEST_ID, BrokerError, Received, Subscription, Topic

__all__ = ["bus_broker", "pubsub_broker"]
BODY = '{"path":"/v1/completions","metadata":{"ä":"\u2028 \U0001f40b"},"body":{"model":"m"}}'.encode()


class Ends:
    """What a test opens, closed in the end."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.brokers = rig, Brokers()
        self.opened: list[Any] = []

    async def reads(self, url: str, prefetch: int = 10) -> Subscription:
        made = await self.brokers.subscription(address_of(url, "requests", {}, self.rig.env), prefetch)
        self.opened.append(made)
        return made

    async def sends(self, url: str) -> Topic:
        made = await self.brokers.topic(address_of(url, "responses", {}, self.rig.env))
        self.opened.append(made)
        return made

    async def pair(self, prefetch: int = 10) -> tuple[Subscription, Topic]:
        """The queue of requests exists once somebody reads it."""
        reading = await self.reads(self.rig.requests, prefetch)
        return reading, await self.sends(self.rig.ask)

    async def close(self) -> None:
        for one in self.opened:
            await one.close()


async def some(reading: Subscription, count: int = 1, seconds: float = 30.0) -> list[Received]:
    """So many messages that are none of the empty ones with which topics are made."""
    found: list[Received] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            for message in await reading.receive(count - len(found)):
                if message.body:
                    found.append(message)
                else:
                    await reading.ack(message)
    return found


async def nothing(reading: Subscription, seconds: float) -> bool:
    """Whether none comes for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if [message for message in await reading.receive(10) if message.body]:
            return False
    return True


@pytest.fixture
async def ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in rig.env.items():
        monkeypatch.setenv(name, value)
    made = Ends(rig)
    yield made
    await made.close()


async def test_what_is_sent_arrives_as_it_was(ends: Ends) -> None:
    reading, topic = await ends.pair()
    await topic.send(BODY, {REQUEST_ID: "r-1"})
    (message,) = await some(reading)
    assert message.body == BODY
    assert message.attributes[REQUEST_ID] == "r-1"
    assert message.id
    assert message.deliveries <= 1
    await reading.ack(message)


async def test_what_is_acked_never_comes_again(ends: Ends) -> None:
    reading, topic = await ends.pair()
    await topic.send(BODY, {})
    (message,) = await some(reading)
    await reading.ack(message)
    await reading.close()
    again = await ends.reads(ends.rig.requests)
    assert await nothing(again, (ends.rig.lease or 1.0) + 0.5)


async def test_what_is_not_acked_comes_again_to_another_reader(ends: Ends) -> None:
    reading, topic = await ends.pair()
    await topic.send(BODY, {})
    (message,) = await some(reading)
    await reading.close()
    again = await ends.reads(ends.rig.requests)
    (second,) = await some(again, seconds=30)
    assert second.body == BODY
    if message.lasting:
        assert second.id == message.id
    if ends.rig.counts:
        assert second.deliveries == 2
    await again.ack(second)


async def test_what_is_given_back_comes_again_after_its_delay(ends: Ends) -> None:
    reading, topic = await ends.pair()
    await topic.send(BODY, {})
    (message,) = await some(reading)
    assert reading.nacks is ends.rig.nacks
    if not reading.nacks:
        with pytest.raises(BrokerError):
            await reading.nack(message, 0.5)
        return
    begun = time.monotonic()
    await reading.nack(message, 1.0)
    (second,) = await some(reading)
    assert time.monotonic() - begun >= 0.9
    assert second.body == BODY
    if ends.rig.counts:
        # On a busy machine its lease may have run out once more.
        assert second.deliveries >= 2
    await reading.ack(second)


async def test_no_more_come_than_are_asked_for(ends: Ends) -> None:
    reading, topic = await ends.pair(prefetch=2)
    for number in range(5):
        await topic.send(BODY, {REQUEST_ID: str(number)})
    first = await some(reading, 1)
    assert len(first) == 1
    second = [message for message in await reading.receive(1) if message.body]
    assert len(second) <= 1
    for message in (*first, *second):
        await reading.ack(message)
    got = {message.attributes[REQUEST_ID] for message in (*first, *second)}
    while len(got) < 5:
        (message,) = await some(reading, 1)
        got.add(message.attributes[REQUEST_ID])
        await reading.ack(message)
    assert got == {"0", "1", "2", "3", "4"}


async def test_a_lease_that_is_renewed_does_not_end(ends: Ends) -> None:
    reading, topic = await ends.pair()
    assert reading.lease == (ends.rig.lease or NEVER) or ends.rig.broker in ("kafka", "servicebus")
    await topic.send(BODY, {})
    while not await held(ends, reading):
        # This machine stood still for longer than the lease allows: it came again, and is held anew.
        continue


async def held(ends: Ends, reading: Subscription) -> bool:
    """Whether nobody else is given a message while it is renewed; where this could not be done in time, not."""
    (message,) = await some(reading)
    other, lease = await ends.reads(ends.rig.requests), ends.rig.lease or 1.0
    over, longest = asyncio.Event(), 0.0

    async def renewing() -> None:
        nonlocal longest
        before = time.monotonic()
        while not over.is_set():
            await reading.extend([message])
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
            await asyncio.sleep(0.2)

    renewal = asyncio.ensure_future(renewing())
    try:
        alone = await nothing(other, 2.2 * lease)
    finally:
        over.set()
        await renewal
        await other.close()
    assert alone or longest > lease / 2
    if alone:
        await reading.ack(message)
    return alone


async def test_acking_what_came_again_elsewhere_does_not_end_anything(ends: Ends) -> None:
    reading, topic = await ends.pair()
    await topic.send(BODY, {})
    (message,) = await some(reading)
    await reading.ack(message)
    # Some brokers say that it is gone, others do not: nobody may fail otherwise.
    with contextlib.suppress(BrokerError):
        await reading.ack(message)
    await topic.send(BODY, {})
    try:
        (second,) = await some(reading)
    except BrokerError:
        # The channel was closed because of it: it is opened again.
        await reading.close()
        reading = await ends.reads(ends.rig.requests)
        (second,) = await some(reading)
    await reading.ack(second)


async def test_what_waits_is_counted_or_not_known(ends: Ends) -> None:
    reading, topic = await ends.pair()
    for _ in range(3):
        await topic.send(BODY, {})
    if await reading.backlog() is None:
        return
    if ends.rig.broker != "kafka":
        # What has been sent to a reader does not wait any more.
        assert await reading.backlog() in (0, 3)
    for message in await some(reading, 3):
        await reading.ack(message)
    assert await reading.backlog() == 0


async def test_many_at_the_same_time_are_all_confirmed(ends: Ends) -> None:
    reading, topic = await ends.pair(prefetch=100)
    await asyncio.gather(*(topic.send(BODY, {REQUEST_ID: str(number)}) for number in range(100)))
    got: list[str] = []
    while len(got) < 100:
        for message in await some(reading, 1):
            got.append(message.attributes[REQUEST_ID])
            await reading.ack(message)
    assert sorted(got, key=int) == [str(number) for number in range(100)]
