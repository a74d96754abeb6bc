"""Messages through ``parley serve`` and brokers that are really there: what is answered, and what a kill loses."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fixtures.children import eventually
from fixtures.parley import Start
from fixtures.rigs import Rig, rig_for
from parley.io.brokers import Brokers
from parley.streams.address import address_of
from parley.streams.port import REQUEST_ID, BrokerError

# make messages MANY=10000 for as many as one likes.
MANY = int(os.environ.get("PARLEY_MESSAGES", "300"))
# moto is too slow for many.
MOST = {"sqs": 300}
# Those whose server keeps what it has when it is killed.
LASTING = ("nats", "redis", "rabbit")


def config(rig: Rig, **more: Any) -> dict[str, Any]:
    stream = {
        "name": "one", "requests": rig.requests, "responses": rig.responses, "dead_letter": rig.dead,
        "max_handlers": 20, "deliveries": 50, **more,
    }  # fmt: skip
    return {"streams": [stream]}


def asking(number: int, **more: Any) -> dict[str, Any]:
    return {
        "path": "/v1/chat/completions",
        "metadata": {"n": number},
        "body": {"model": "echo", "messages": [{"role": "user", "content": f"say {number}"}]},
        **more,
    }


@contextmanager
def environment(rig: Rig) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(rig.env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def send(rig: Rig, messages: list[Any]) -> None:
    """Parallel, and each confirmed."""
    with environment(rig):
        topic = await Brokers().topic(address_of(rig.ask, "responses", {}, rig.env))
        limit = asyncio.Semaphore(50)

        async def one(message: Any) -> None:
            async with limit:
                await topic.send(message if isinstance(message, bytes) else json.dumps(message).encode(), {})

        await asyncio.gather(*(one(message) for message in messages))
        await topic.close()


class Answers:
    """What came to the response topic, by the number in its metadata."""

    def __init__(self, rig: Rig, url: str | None = None) -> None:
        self.rig, self.url = rig, url or rig.answers
        self.got: dict[int, list[Any]] = {}
        # By the id of what was asked, which is all that is known of it.
        self.without: dict[str, list[Any]] = {}
        self.ids: list[str] = []
        self._read: set[str] = set()

    async def read(self, count: int, seconds: float) -> None:
        """Until there are so many numbers and others."""
        deadline = time.monotonic() + seconds
        while self.found < count:
            assert time.monotonic() < deadline, f"{len(self.got)} and {len(self.without)} of {count}"
            try:
                await self._some(count, deadline)
            except BrokerError:
                # It was killed: whoever reads opens it again.
                await asyncio.sleep(0.2)

    async def _some(self, count: int, deadline: float) -> None:
        with environment(self.rig):
            reading = await Brokers().subscription(address_of(self.url, "requests", {}, self.rig.env), 100)
        try:
            while self.found < count and time.monotonic() < deadline:
                for message in await reading.receive(100):
                    # One that is only delivered to us again, because we were slow, is not a second answer.
                    if message.body and not (message.lasting and message.id in self._read):
                        self._read.add(message.id)
                        self.take(message.body, message.attributes.get(REQUEST_ID, ""))
                    await reading.ack(message)
        finally:
            await reading.close()

    def take(self, body: bytes, request_id: str) -> None:
        answer = json.loads(body)
        self.ids.append(request_id)
        number = (answer.get("metadata") or {}).get("n")
        if number is None:
            self.without.setdefault(request_id, []).append(answer)
        else:
            self.got.setdefault(number, []).append(answer)

    @property
    def found(self) -> int:
        """How many requests were answered."""
        return len(self.got) + len(self.without)

    @property
    def doubled(self) -> int:
        return sum(len(found) - 1 for found in (*self.got.values(), *self.without.values()))


def messages(gateway: Any, outcome: str) -> float:
    """How many of them, as it counts them."""
    return float(gateway.metric("parley_messages_total", f'outcome="{outcome}"'))


def serve(start: Start, rig: Rig, **more: Any) -> Any:
    gateway = start(config(rig, **more), env=dict(rig.env))
    return gateway


async def queue_made(rig: Rig) -> None:
    """Queues exist before anybody sends."""
    with environment(rig):
        for url in (rig.requests, rig.answers, rig.buried):
            made = await Brokers().subscription(address_of(url, "requests", {}, rig.env), 1)
            await made.close()


POISON: list[Any] = [
    b"no json at all",
    b"\xff\xfe",
    {"metadata": {"n": 1}},
    {"metadata": {"n": 2}, "body": []},
    asking(3, path="/v1/nowhere"),
    asking(4, path="/v1/audio/transcriptions"),
    asking(5, body={"model": "nobody", "messages": [{"role": "user", "content": "x"}]}),
    asking(6, body={"messages": []}),
    asking(7),
    asking(8, metadata={"n": 8, "parley_key": "geheim", "big": 12345678901234567890}),
]


async def test_every_message_has_its_answer(outside: Rig, parley_server: Start) -> None:
    await queue_made(outside)
    gateway = serve(parley_server, outside)
    await send(outside, POISON)
    answers = Answers(outside)
    await answers.read(len(POISON), 60)
    others = [one[0] for one in answers.without.values()]
    assert [one["status_code"] for one in others] == [400, 400]
    assert all(one["metadata"] is None and one["body"]["error"]["message"] for one in others)
    found = {number: one[0]["status_code"] for number, one in answers.got.items()}
    assert found == {1: 400, 2: 400, 3: 404, 4: 501, 5: 404, 6: 400, 7: 200, 8: 200}
    assert answers.got[5][0]["body"]["error"]["message"].startswith('model not found: "nobody"')
    assert answers.got[7][0]["body"]["choices"][0]["message"]["content"] == "say 7"
    # Numbers keep their digits, and the caller's key goes nowhere.
    assert answers.got[8][0]["metadata"] == {"n": 8, "big": 12345678901234567890}
    assert all(answers.ids)
    # The broker had the last answer before the gateway heard that it has it.
    eventually(lambda: messages(gateway, "answered") >= len(POISON), 30, "all are counted")
    # Where the machine was too slow for the lease, the broker gave some of them twice.
    assert messages(gateway, "answered") - len(POISON) <= messages(gateway, "redelivered")
    assert answers.doubled <= messages(gateway, "redelivered")
    assert "geheim" not in "\n".join(gateway.stderr_lines())


async def test_a_gateway_that_is_killed_loses_nothing(outside: Rig, parley_server: Start) -> None:
    many = min(MANY, MOST.get(outside.broker, MANY))
    await queue_made(outside)
    gateway = serve(parley_server, outside)
    await send(outside, [asking(number) for number in range(many)])
    answers = Answers(outside)
    await answers.read(many // 5, 120)
    gateway.signal(signal.SIGKILL)
    gateway.child.process.wait(30)
    again = serve(parley_server, outside)
    await answers.read(many, 120 + many / 50)
    assert set(answers.got) == set(range(many))
    assert all(one["status_code"] == 200 for found in answers.got.values() for one in found)
    # Those that were in work, and for a log those that were not marked as read.
    most = 20 + max(0, messages(again, "redelivered") - 20)
    assert answers.doubled <= (most if outside.broker != "kafka" else many)
    print(f"{outside.broker}: {many} answered, {answers.doubled} of them twice")  # noqa: T201 - make messages tells it


@pytest.mark.parametrize("broker", LASTING)
async def test_a_broker_that_is_killed_loses_nothing(
    broker: str, request: pytest.FixtureRequest, parley_server: Start
) -> None:
    rig = rig_for(broker, request)
    await queue_made(rig)
    gateway = serve(parley_server, rig)
    await send(rig, [asking(number) for number in range(MANY)])
    answers = Answers(rig)
    await answers.read(MANY // 5, 120)
    await asyncio.to_thread(rig.server.kill)
    assert gateway.ready()
    await asyncio.to_thread(rig.server.start)
    await answers.read(MANY, 150 + MANY / 50)
    assert set(answers.got) == set(range(MANY))
    assert gateway.ready()


async def test_a_gateway_that_is_told_to_end_gives_back_what_it_has(outside: Rig, parley_server: Start) -> None:
    await queue_made(outside)
    gateway = serve(parley_server, outside)
    await send(outside, [asking(number) for number in range(100)])
    answers = Answers(outside)
    await answers.read(10, 60)
    before = messages(gateway, "redelivered")
    gateway.signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.wait, 40) == 0
    serve(parley_server, outside)
    await answers.read(100, 120)
    assert set(answers.got) == set(range(100))
    assert answers.doubled <= (before if outside.broker != "kafka" else 20)
