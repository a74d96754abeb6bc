"""Messages of a broker that hands them over by itself: the same as with any other, without a coroutine for each. In
simulated time, with a broker in memory and a gateway played by hand."""

import asyncio
import gc
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from parley.streams.address import address_of
from parley.streams.port import BrokerError, Received, Subscription, TooLargeError, Topic
from serve.test_handling import OK, Flaky, FlakyTopic, Scene, simulated


class Pushed(Flaky):
    """What waits is handed over as far as it is wanted."""

    wanted = 0

    def push(self, take: Callable[[Received], None], lost: Callable[[BrokerError], None]) -> None:
        self.lost = lost
        self.more = asyncio.Event()
        self.pump = asyncio.ensure_future(self.pumped(take))

    async def pumped(self, take: Callable[[Received], None]) -> None:
        while True:
            while self.wanted <= 0:
                self.more.clear()
                await self.more.wait()
            for message in await self.receive(self.wanted):
                self.wanted -= 1
                take(message)

    def want(self, count: int) -> None:
        self.wanted = count
        self.more.set()

    def done(self, message: Received) -> None:
        if "ack" in self.scene.broken:
            raise BrokerError("expired")
        del self._place.out[message.id]

    async def rest(self) -> None:
        self.pump.cancel()

    async def close(self) -> None:
        self.pump.cancel()


class Posted(FlakyTopic):
    """It confirms a little later."""

    def post(self, body: bytes, attributes: Mapping[str, str], sent: Callable[[BrokerError | None], None]) -> None:
        if len(body) > 2000:
            raise TooLargeError("too large")
        broken = self.name in self.scene.broken
        if not broken:
            self._place.put(SimpleNamespace(body=body, attributes=attributes))  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(self.scene.sending, sent, BrokerError("full") if broken else None)


class PushedScene(Scene):
    """``begun`` are the calls that made no coroutine; ``body`` is what the gateway answers."""

    def begin(self, *asked: Any) -> Any:  # type: ignore[override]
        if not asked:
            self.begun: list[str] = getattr(self, "begun", [])
            self.left: list[str] = getattr(self, "left", [])
            self.opened: list[Pushed] = []
            self.body = OK
            return super().begin()
        _, request, caller = asked
        name = json.loads(request.body)["model"]
        self.begun.append(name)
        self.calls.append(name)
        status, headers, seconds = self.status(name, self.calls.count(name))
        head = b"".join(b"%b: %b\r\n" % pair for pair in headers.items())
        timer = asyncio.get_running_loop().call_later(seconds, caller.answer, status, head, self.body)

        def leave() -> None:
            timer.cancel()
            self.left.append(name)

        return SimpleNamespace(lane=object(), model=name, left=leave, relay=None)

    async def subscription(self, prefetch: int) -> Subscription:
        if "q" in self.broken:
            raise BrokerError("away")
        address = address_of(self.stream.requests, "requests", {}, {})
        self.opened.append(Pushed(self.memory.subscription(address), self))
        return self.opened[-1]

    async def topic(self) -> Topic:
        return Posted(self.memory.place("a"), "a", self)

    async def until(self, count: int, seconds: float = 600.0) -> list[tuple[str, int]]:
        async with asyncio.timeout(seconds):
            while len(self.answers()) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return self.answers()


def test_all_are_answered_acked_and_never_too_many_in_work() -> None:
    async def scene() -> None:
        made, most = PushedScene(), 0
        names = [f"m{number}" for number in range(50)]
        await made.send(*names)
        while len(made.answers()) < 50:
            most = max(most, made.consumer.in_work)
            await asyncio.sleep(0.05)
        assert sorted(made.answers()) == sorted((name, 200) for name in names)
        assert made.calls == made.begun
        assert most == 4
        await asyncio.sleep(1)
        assert not made.memory.place("q").out
        assert (made.counts["answered"], made.counts["redelivered"]) == (50, 0)
        await made.stop()

    simulated(scene)


def test_errors_are_tried_again() -> None:
    async def scene() -> None:
        made = PushedScene()
        made.status = lambda name, number: (503 if number < 3 else 200, {}, 0.1)
        await made.send("m")
        assert await made.until(1) == [("m", 200)]
        assert (made.begun, made.calls, made.counts["retried"]) == (["m"], ["m"] * 3, 2)
        made.status = lambda name, number: (400, {}, 0.1)
        await made.send("n")
        assert (await made.until(2))[1] == ("n", 400)
        await made.stop()

    simulated(scene)


def test_an_answer_that_cannot_be_sent_is_kept_and_sent_later() -> None:
    async def scene() -> None:
        made = PushedScene()
        made.broken = {"a"}
        await made.send("m")
        await asyncio.sleep(5)
        assert made.counts["publish_failed"] >= 1
        made.broken = set()
        assert await made.until(1) == [("m", 200)]
        assert made.calls == ["m"]
        await made.stop()

    simulated(scene)


def test_a_message_that_is_in_work_is_not_run_twice() -> None:
    async def scene() -> None:
        made = PushedScene(identity="id", max_handlers=8)
        await made.send("m", "m", "m", id="one")
        assert await made.until(3) == [("m", 200)] * 3
        assert made.calls == ["m"]
        assert made.counts["duplicate"] == 2
        await made.stop()

    simulated(scene)


def test_what_takes_too_long_is_answered_and_left() -> None:
    async def scene() -> None:
        made = PushedScene(timeout=5.0)
        made.status = lambda name, number: (200, {}, 60.0)
        await made.send("m")
        assert await made.until(1, 30.0) == [("m", 504)]
        assert made.left == ["m"]
        await made.stop()

    simulated(scene)


def test_answers_that_are_no_json_or_too_large() -> None:
    async def scene() -> None:
        made = PushedScene()
        made.body = b"<html>"
        await made.send("m")
        assert await made.until(1) == [("m", 502)]
        made.body = json.dumps("x" * 3000).encode()
        await made.send("n")
        assert (await made.until(2))[1] == ("n", 502)
        await made.stop()

    simulated(scene)


def test_an_ack_that_fails_is_told_and_the_answer_is_not_sent_again() -> None:
    async def scene() -> None:
        made = PushedScene()
        made.broken = {"ack"}
        await made.send("m")
        assert await made.until(1) == [("m", 200)]
        await asyncio.sleep(1)
        made.broken = set()
        await asyncio.sleep(30)
        assert made.answers() == [("m", 200)]
        assert (made.calls, made.said.count("message.ack_failed")) == (["m"], 1)
        assert not made.memory.place("q").out
        await made.stop()

    simulated(scene)


def test_a_connection_that_is_lost_is_opened_again() -> None:
    async def scene() -> None:
        made = PushedScene()
        await made.send("a", "b")
        await made.until(2)
        made.broken = {"q"}
        made.opened[0].lost(BrokerError("gone"))
        await asyncio.sleep(3)
        assert made.consumer.problem
        made.broken = set()
        await made.send("c")
        assert (await made.until(3))[2] == ("c", 200)
        assert not made.consumer.problem
        await made.stop()

    simulated(scene)


def test_what_is_cut_goes_back() -> None:
    async def scene() -> None:
        made = PushedScene()
        made.status = lambda name, number: (200, {}, 3600.0)
        await made.send("a", "b")
        await asyncio.sleep(1)
        assert made.consumer.in_work == 2
        made.consumer.stop()
        await made.consumer.cut()
        await made.task
        assert sorted(made.left) == ["a", "b"]
        place = made.memory.place("q")
        assert len(place.waiting) + len(place.out) == 2
        assert made.counts["nacked"] == 2
        assert made.answers() == []

    simulated(scene)


def test_what_comes_again_while_its_answer_is_being_sent_ends_as_that_does() -> None:
    async def scene() -> None:
        made = PushedScene()
        made.sending = 30.0
        await made.send("m")
        await asyncio.sleep(5)
        (stored,) = made.memory.place("q").out.values()
        made.memory.place("q").put(stored)
        await asyncio.sleep(60)
        assert (made.answers(), made.calls) == ([("m", 200)], ["m"])
        assert (made.counts["answered"], made.counts["duplicate"], made.consumer.in_work) == (1, 1, 0)
        await made.stop()

    simulated(scene)


def test_after_errors_of_ours_the_next_waits() -> None:
    async def scene() -> None:
        made = PushedScene(max_handlers=1)
        await made.send("x", body=b"no json")
        await made.send("y", body=b"no json")
        await made.until(2)
        before = asyncio.get_running_loop().time()
        await made.send("m", "n")
        await made.until(4)
        assert asyncio.get_running_loop().time() - before >= 2.0
        await made.stop()

    simulated(scene)


def test_nothing_is_left_for_the_garbage_collector() -> None:
    async def scene() -> None:
        made = PushedScene(max_handlers=20)
        await made.send(*[f"w{number}" for number in range(20)])
        await made.until(20)
        await asyncio.sleep(1)
        gc.collect()
        gc.disable()
        try:
            await made.send(*[f"m{number}" for number in range(200)])
            await made.until(220)
            await asyncio.sleep(1)
            assert made.calls == made.begun
            found = gc.collect()
        finally:
            gc.enable()
        # Something for a round of the loop or two, and nothing for a message.
        assert found < 200
        await made.stop()

    simulated(scene)
