"""Messaging: every stream of the configuration, begun with the server, ended with it.

Requests of messages are asked as those over HTTP are, below them in priority. Source: messaging contract section 8.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from parley.gateway.families import AGE, BACKLOG, IN_FLIGHT
from parley.io.brokers import Brokers
from parley.serve.asker import HouseAsker
from parley.serve.house import House
from parley.serve.streaming import Consumer
from parley.serve.tools import Outcomes, Tools
from parley.streams.address import Address, Role, UnfitAddressError, address_of, heard_by_all
from parley.streams.port import BrokerError, Received, Subscription, Topic
from parley.streams.setup import Stream

CUT_SECONDS: Final = 5.0
MEMORY: Final = "memory"


class Streams:
    """One per house. ``share`` is which of how many processes this is."""

    def __init__(self, house: House, write: Callable[[bytes], None], share: tuple[int, int] = (0, 1)) -> None:
        self._house, self._write, self._share = house, write, share
        self._brokers = Brokers()
        self._running: dict[Stream, tuple[Consumer, asyncio.Task[None]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._wrong: list[str] = []

    def adopt(self) -> None:
        """The configuration may name others now: those that stay go on as they are."""
        settings = self._house.gateway.settings
        shares = (shared(stream, *self._share) for stream in settings.streams)
        wanted = [stream for stream in shares if stream is not None]
        for stream in [one for one in self._running if one not in wanted]:
            consumer, task = self._running.pop(stream)
            consumer.stop()
            for family in (BACKLOG, AGE, IN_FLIGHT):
                self._house.gateway.metrics.gauges.pop((family, stream.name), None)
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        self._wrong = []
        for stream in wanted:
            if stream not in self._running and not self._house.draining:
                self._begin(stream)

    def problems(self) -> list[dict[str, Any]]:
        """Brokers that are away."""
        away = [f"{stream.name}: {one.problem}" for stream, (one, _) in self._running.items() if one.problem]
        return [{"kind": "messaging", "message": message} for message in (*self._wrong, *away)]

    def drain(self) -> None:
        """Take no more messages."""
        for consumer, _ in self._running.values():
            consumer.stop()

    @property
    def busy(self) -> bool:
        """Whether messages are worked on."""
        return any(consumer.in_work for consumer, _ in self._running.values())

    async def close(self) -> None:
        """End everything: what is in work and does not end goes back to its broker."""
        self.drain()
        tasks = [*self._leaving, *(task for _, task in self._running.values())]
        if tasks:
            await asyncio.wait(tasks, timeout=CUT_SECONDS)
        for consumer, _ in self._running.values():
            await consumer.cut()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CUT_SECONDS)

    def _begin(self, stream: Stream) -> None:
        house = self._house
        try:
            opened = _Opened(self._brokers, stream, house.gateway.settings.connections)
        except UnfitAddressError as error:
            self._wrong.append(f"{stream.name}: {error}")
            return
        tools = Tools(stream, HouseAsker(house, stream), house.limits.body, rand=random.random)
        if stream.remember != MEMORY:
            tools.recall = self._recall(stream)
        metrics, scheme = house.gateway.metrics, opened.requests.scheme
        tools.count = Outcomes(metrics, scheme).count
        tools.say = lambda event, **facts: self._say(event, stream=stream.name, **facts)
        consumer = Consumer(tools, opened)
        metrics.gauges[(BACKLOG, stream.name)] = lambda: float(consumer.backlog or 0)
        metrics.gauges[(AGE, stream.name)] = lambda: consumer.age
        metrics.gauges[(IN_FLIGHT, stream.name)] = lambda: float(consumer.in_work)
        self._running[stream] = (consumer, asyncio.ensure_future(consumer.run()))

    def _recall(self, stream: Stream) -> Any:
        from parley.serve.recall import Recall, shelf_of

        def failed(reason: str) -> None:
            self._say("message.not_remembered", stream=stream.name, reason=reason)

        shelf = shelf_of(self._house, stream.remember)
        return None if shelf is None else Recall(shelf, stream.name, stream.window, failed)

    def _say(self, event: str, **facts: Any) -> None:
        self._write(msgspec.json.encode({"event": event, **facts}))


def shared(stream: Stream, index: int, of: int) -> Stream | None:
    """One process's part of the handlers; None where it has none. What has to know all messages of a stream stays in
    one process, and so does what each process would get whole."""
    if stream.order or stream.identity or heard_by_all(stream.requests):
        return stream if index == 0 else None
    part = stream.max_handlers // of + (index < stream.max_handlers % of)
    return replace(stream, max_handlers=part) if part else None


class _Opened:
    """Opens a stream's ends."""

    def __init__(self, brokers: Brokers, stream: Stream, connections: Any) -> None:
        self._brokers = brokers

        def address(url: str, role: Role) -> Address:
            return address_of(url, role, connections, os.environ)

        self.requests = address(stream.requests, "requests")
        self._responses = address(stream.responses, "responses")
        self._dead = address(stream.dead_letter, "dead_letter") if stream.dead_letter else None

    async def subscription(self, prefetch: int) -> Subscription:
        """See parley.serve.streaming.Opened."""
        return await self._brokers.subscription(self.requests, prefetch)

    async def topic(self) -> Topic:
        """See parley.serve.streaming.Opened."""
        return await self._brokers.topic(self._responses)

    async def buried(self) -> Topic | None:
        """See parley.serve.streaming.Opened."""
        return None if self._dead is None else await self._brokers.topic(self._dead)


async def opened_topic(url: str, role: Role, connections: Any) -> Topic:
    """For commands: where something is sent to. Raises UnfitAddressError and BrokerError."""
    return await Brokers().topic(address_of(url, role, connections, os.environ))


async def taken(url: str, connections: Any, most: int, show: Callable[[Received], None]) -> None:
    """For commands: take messages and ack each after it was shown; ``most`` 0: until cancelled. Raises
    UnfitAddressError and BrokerError."""
    subscription = await Brokers().subscription(address_of(url, "requests", connections, os.environ), most or 100)
    count = 0
    try:
        while not most or count < most:
            for message in await subscription.receive(most - count if most else 100):
                show(message)
                count += 1
                with contextlib.suppress(BrokerError):
                    await subscription.ack(message)
    finally:
        await subscription.close()
