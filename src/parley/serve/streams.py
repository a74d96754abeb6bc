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

from parley.api.surface import unserved
from parley.failure import ParleyError
from parley.gateway.delivery import Delivery
from parley.gateway.families import AGE, BACKLOG, IN_FLIGHT, MESSAGES
from parley.gateway.keyring import Entry
from parley.io.brokers import Brokers
from parley.ports import Headers, Request
from parley.serve.handling import Reply, Tools
from parley.serve.house import House
from parley.serve.rpc.asking import Answered
from parley.serve.streaming import Consumer
from parley.serve.unattended import Behind, asked, entry_for
from parley.streams import envelope
from parley.streams.address import Address, Role, UnfitAddressError, address_of
from parley.streams.envelope import Asked, RefusedError
from parley.streams.port import BrokerError, Received, Subscription, Topic
from parley.streams.setup import Stream
from parley.wire.inlets import Inlet, below

CUT_SECONDS: Final = 5.0
_EVENTS_PATH: Final = b":streamGenerateContent"
_WHOLE_PATH: Final = b":generateContent"
_OURS: Final = (502, 504)
_READING: Final = "bad request: reading model from body: "


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
        metrics, scheme = house.gateway.metrics, opened.requests.scheme
        tools.count = lambda outcome: metrics.count(MESSAGES, scheme, outcome)
        tools.say = lambda event, **facts: self._say(event, stream=stream.name, **facts)
        consumer = Consumer(tools, opened)
        metrics.gauges[(BACKLOG, stream.name)] = lambda: float(consumer.backlog or 0)
        metrics.gauges[(AGE, stream.name)] = lambda: consumer.age
        metrics.gauges[(IN_FLIGHT, stream.name)] = lambda: float(consumer.in_work)
        self._running[stream] = (consumer, asyncio.ensure_future(consumer.run()))

    def _say(self, event: str, **facts: Any) -> None:
        self._write(msgspec.json.encode({"event": event, **facts}))


def shared(stream: Stream, index: int, of: int) -> Stream | None:
    """One process's part of the handlers; None where it has none. What has to know all messages of a stream stays in
    one process."""
    if stream.order or stream.identity:
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


class HouseAsker:
    """Asks the gateway what messages of one stream ask."""

    def __init__(self, house: House, stream: Stream) -> None:
        self._house, self._stream = house, stream
        self._behind = Behind(stream.name)

    async def ask(self, message: Received, request: Asked) -> Reply:
        """See parley.serve.handling.Asker."""
        house = self._house
        target = request.path.encode().replace(_EVENTS_PATH, _WHOLE_PATH)
        inlet = self._inlet(target, request)
        headers: Headers = [(b"content-type", b"application/json")]
        if request.key:
            headers.append((b"authorization", b"Bearer " + request.key.encode()))
        given = message.id.encode("utf-8", "replace")
        asking = Request(headers, self._body(inlet, request), house.gateway.request_id(given), target)
        entry = self._entry(asking, inlet, request)
        answer, job = await asked(house, asking, entry)
        return _reply(answer, job)

    def _inlet(self, target: bytes, request: Asked) -> Inlet:
        path, _, query = target.partition(b"?")
        inlet = self._house.inlets.find(path, query)
        if inlet is not None and not inlet.form:
            return inlet
        verdict = unserved("POST", below(request.path.partition("?")[0]) or request.path)
        if inlet is None and verdict.status in (404, 405):
            status, code = (400, "invalid_request") if self._stream.older else (404, "invalid_request")
            raise RefusedError(f"{_READING}unknown path: {request.path[:200]!r}", status, code, request.metadata)
        message = f"{request.path[:200]!r} cannot be asked by messages"
        raise RefusedError(message, 501, "not_implemented", request.metadata)

    def _body(self, inlet: Inlet, request: Asked) -> bytes:
        if inlet.fixed:
            return request.body
        try:
            return envelope.collected(
                request.body, inlet.stream_member, streams=inlet.streams, refuse=self._stream.stream == "refuse"
            )
        except ParleyError:
            # The gateway says what is wrong with it.
            return request.body

    def _entry(self, asking: Request, inlet: Inlet, request: Asked) -> Entry | None:
        """Whose key it is: the message's, the stream's, or the operator's. None: the gateway finds out, and says no."""
        gateway = self._house.gateway
        if request.key:
            found = entry_for(self._house, asking, inlet.dialect)
            return None if found is None else self._behind.of(found)
        if not self._stream.key:
            return self._behind.of(None)
        named = gateway.keyring.named(self._stream.key)
        if named is None:
            raise RefusedError(f"the key {self._stream.key!r} of this stream is not known", 401, "unauthorized")
        return self._behind.of(named)


def _reply(answer: Answered, job: Delivery) -> Reply:
    """Errors of ours begin as those of messages do."""
    untried = job.lane is None and answer.status >= 400
    if untried and answer.status == 404 and job.model:
        answer = replace(answer, body=envelope.not_found(job.model, answer.body))
    return Reply(answer, untried or answer.status in _OURS)


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
