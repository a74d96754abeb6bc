"""One stream with a broker in memory and a gateway played by hand, in simulated time: what becomes of each message when
parts of it fail, when it comes twice, and when everything ends at any moment."""

import asyncio
import json
import random
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from parley.io.brokers.memory import Memory, MemorySubscription, MemoryTopic
from parley.serve.handling import Reply
from parley.serve.rpc.asking import Answered
from parley.serve.streaming import Consumer
from parley.serve.tools import Tools
from parley.streams.address import address_of
from parley.streams.port import BrokerError, Received, Subscription, TooLargeError, Topic
from parley.streams.setup import Stream

OK = b'{"ok":true}'


class Skipping(selectors.DefaultSelector):
    """Nobody waits: time goes on as far as the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


def simulated(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in time of its own."""
    clock = Skipping()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scene())


class Scene:
    """A stream whose ends are in memory. ``ask`` answers a request; ``broken`` are the topics that refuse."""

    def __init__(self, **given: Any) -> None:
        self.stream = Stream(
            name="s", requests="mem://q?ackdeadline=10s", responses="mem://a",
            **{"max_handlers": 4, "dead_letter": "mem://d", **given},
        )  # fmt: skip
        self.memory = Memory()
        self.calls: list[str] = []
        self.status: Callable[[str, int], tuple[int, dict[bytes, bytes], float]] = lambda name, number: (200, {}, 1.0)
        self.broken: set[str] = set()
        # The most bytes of an attribute, and how long it takes until an answer is confirmed.
        self.largest, self.sending = 1000, 0.01
        self.counts: Counter[str] = Counter()
        self.said: list[str] = []
        self.consumer: Consumer
        self.begin()

    def begin(self) -> None:
        """As a new process does."""
        self.dead = asyncio.Event()
        self.tools = Tools(self.stream, self, 1000, rand=random.Random(1).random)
        self.tools.count = lambda outcome: self.counts.update([outcome])
        self.tools.say = lambda event, **facts: self.said.append(event)
        self.consumer = Consumer(self.tools, self)
        self.task = asyncio.ensure_future(self.consumer.run())

    async def ask(self, message: Received, request: Any) -> Reply:
        name = json.loads(request.body)["model"]
        self.calls.append(name)
        status, headers, seconds = self.status(name, self.calls.count(name))
        await asyncio.sleep(seconds)
        return Reply(Answered(status, headers, OK), ours=False)

    async def subscription(self, prefetch: int) -> Subscription:
        if "q" in self.broken:
            raise BrokerError("away")
        return Flaky(self.memory.subscription(address_of(self.stream.requests, "requests", {}, {})), self)

    async def topic(self) -> Topic:
        return FlakyTopic(self.memory.place("a"), "a", self)

    async def buried(self) -> Topic | None:
        return FlakyTopic(self.memory.place("d"), "d", self) if self.stream.dead_letter else None

    async def send(self, *names: str, body: bytes = b"", **metadata: Any) -> None:
        topic = self.memory.topic(address_of("mem://q", "responses", {}, {}))
        for name in names:
            asked = {"metadata": {"n": name, **metadata}, "body": {"model": name, "prompt": "x"}}
            await topic.send(body or json.dumps(asked).encode(), {})

    def answers(self, place: str = "a") -> list[tuple[str, int]]:
        found = [json.loads(one.body) for one in self.memory.place(place).waiting]
        return [((one["metadata"] or {}).get("n", ""), one["status_code"]) for one in found]

    async def stop(self) -> None:
        self.consumer.stop()
        await self.task


class Flaky(MemorySubscription):
    """Dies with its process: whoever asks it anything then hears nothing more."""

    def __init__(self, made: MemorySubscription, scene: Scene) -> None:
        super().__init__(made._place, made.lease)
        self.scene, self.alive = scene, scene.dead

    async def ack(self, message: Received) -> None:
        await alive(self.alive)
        if "ack" in self.scene.broken:
            raise BrokerError("expired")
        await super().ack(message)

    async def nack(self, message: Received, delay: float) -> None:
        await alive(self.alive)
        await super().nack(message, delay)


class FlakyTopic(MemoryTopic):
    def __init__(self, place: Any, name: str, scene: Scene) -> None:
        super().__init__(place, name)
        self.scene, self.alive, self.name = scene, scene.dead, name

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        await alive(self.alive)
        if self.name in self.scene.broken:
            raise BrokerError("full")
        if len(body) > 2000 or len(attributes.get("dead_letter_answer", "")) > self.scene.largest:
            raise TooLargeError("too large")
        await asyncio.sleep(self.scene.sending)
        await alive(self.alive)
        await super().send(body, attributes, order)


async def alive(dead: asyncio.Event) -> None:
    if dead.is_set():
        await asyncio.get_running_loop().create_future()


def scene_of(**given: Any) -> Callable[[Callable[[Scene], Coroutine[Any, Any, None]]], None]:
    """Play a scene from its beginning to its end."""

    def play(act: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            scene = Scene(**given)
            await act(scene)
            await scene.stop()

        simulated(whole)

    return play


def test_answers_go_out_and_no_more_are_in_work_than_may_be() -> None:
    @scene_of(max_handlers=3)
    async def act(scene: Scene) -> None:
        most = 0
        await scene.send(*"abcdefgh")
        for _ in range(40):
            await asyncio.sleep(0.1)
            most = max(most, scene.consumer.in_work)
        assert most == 3
        assert sorted(scene.answers()) == [(name, 200) for name in "abcdefgh"]
        assert scene.counts == {"answered": 8}


def test_work_longer_than_the_lease_is_done_once() -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (200, {}, 35.0)
        await scene.send("a")
        await asyncio.sleep(60)
        assert scene.calls == ["a"]
        assert scene.answers() == [("a", 200)]
        assert scene.counts["extended"] >= 3


def test_what_may_still_succeed_is_tried_again_in_hand() -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (503, {b"retry-after": b"2"}, 0.0) if number < 3 else (200, {}, 0.0)
        await scene.send("a")
        await asyncio.sleep(20)
        assert scene.calls == ["a"] * 3
        assert scene.answers() == [("a", 200)]
        assert (scene.counts["answered"], scene.counts["retried"]) == (1, 2)


def test_the_last_answer_goes_out_where_all_tries_fail() -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (500, {}, 0.0)
        await scene.send("a")
        await asyncio.sleep(10)
        assert scene.calls == ["a"] * 3
        assert scene.answers() == [("a", 500)]


def test_redeliveries_come_with_growing_pauses_before_it() -> None:
    @scene_of(attempts=1, redeliveries=3)
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (500, {}, 0.0)
        await scene.send("a")
        await asyncio.sleep(60)
        assert scene.calls == ["a"] * 4
        assert scene.answers() == [("a", 500)]
        assert scene.counts["nacked"] == 3


def test_what_is_given_back_comes_no_sooner_than_the_stream_says() -> None:
    @scene_of(attempts=1, redeliveries=1, first_pause=40.0, longest_pause=40.0)
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (500, {}, 0.0)
        await scene.send("a")
        await asyncio.sleep(19)
        assert scene.calls == ["a"]
        await asyncio.sleep(25)
        assert scene.calls == ["a"] * 2
        assert scene.answers() == [("a", 500)]


def test_a_deadline_is_answered_with_504() -> None:
    @scene_of(timeout=5.0)
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (200, {}, 100.0)
        await scene.send("a")
        await asyncio.sleep(6)
        assert scene.answers() == [("a", 504)]


def test_an_answer_that_cannot_be_sent_is_kept_and_the_request_not_run_again() -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        scene.broken.add("a")
        await scene.send("a")
        await asyncio.sleep(4)
        assert scene.answers() == []
        assert scene.counts["publish_failed"] >= 2
        scene.broken.clear()
        await asyncio.sleep(30)
        assert scene.answers() == [("a", 200)]
        assert scene.calls == ["a"]


def test_an_ack_that_fails_ends_nothing_and_the_message_is_known_when_it_returns() -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        scene.broken.add("ack")
        await scene.send("a")
        await asyncio.sleep(5)
        scene.broken.clear()
        await scene.send("b")
        await asyncio.sleep(30)
        assert sorted(scene.answers()) == [("a", 200), ("b", 200)]
        assert scene.calls == ["a", "b"]
        assert scene.counts["ack_failed"] >= 1
        assert scene.counts["duplicate"] >= 1
        assert scene.memory.place("q").out == {}


def test_the_same_request_sent_twice_is_run_once_and_answered_twice() -> None:
    @scene_of(identity="id")
    async def act(scene: Scene) -> None:
        await scene.send("a", "a", id="x")
        await asyncio.sleep(5)
        await scene.send("a", id="x")
        await asyncio.sleep(5)
        assert scene.calls == ["a"]
        assert scene.answers() == [("a", 200)] * 3


def test_a_message_that_ends_the_process_each_time_goes_to_the_dead_letters() -> None:
    @scene_of(deliveries=2)
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (200, {}, 5.0)
        await scene.send("a")
        for _ in range(2):
            await asyncio.sleep(2)
            scene.dead.set()
            scene.consumer.stop()
            scene.task.cancel()
            for task in tuple(scene.consumer._work):
                task.cancel()
            await asyncio.sleep(11)
            scene.begin()
        await asyncio.sleep(30)
        assert [json.loads(one.body)["metadata"]["n"] for one in scene.memory.place("d").waiting] == ["a"]
        assert scene.answers() == []
        assert scene.counts["dead_letter"] == 1


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b'{"metadata":{"n":"a"}}', b"{" + b"x" * 5000])
def test_poison_is_answered_and_never_asked(body: bytes) -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        place = scene.memory.topic(address_of("mem://q", "responses", {}, {}))
        await place.send(body, {})
        await asyncio.sleep(5)
        assert [status for _, status in scene.answers()] == [413 if len(body) > 1000 else 400]
        assert scene.calls == []
        assert scene.counts["rejected"] == 1


def test_the_same_ordering_key_is_worked_on_in_order() -> None:
    @scene_of(order="line")
    async def act(scene: Scene) -> None:
        scene.status = lambda name, number: (200, {}, 3.0 if name == "a" else 1.0)
        await scene.send("a", "b", line="x")
        await scene.send("c", line="y")
        await asyncio.sleep(10)
        assert [name for name, _ in scene.answers()] == ["c", "a", "b"]


def test_a_broker_that_was_away_is_called_again() -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        scene.broken.add("q")
        await asyncio.sleep(20)
        assert scene.consumer.problem
        scene.broken.clear()
        await scene.send("a")
        await asyncio.sleep(20)
        assert scene.answers() == [("a", 200)]
        assert scene.consumer.problem == ""
        assert 3 <= scene.said.count("broker.reconnect") <= 20


def test_told_to_end_it_gives_back_what_it_would_try_again() -> None:
    async def whole() -> None:
        scene = Scene()
        scene.status = lambda name, number: (503, {b"retry-after": b"20"}, 0.0)
        await scene.send("a")
        await asyncio.sleep(1)
        await scene.stop()
        assert scene.answers() == []
        assert scene.counts["nacked"] == 1
        assert scene.memory.place("q").out["q/1"].due <= asyncio.get_running_loop().time()

    simulated(whole)


@pytest.mark.parametrize("seed", range(40))
def test_a_kill_at_any_moment_loses_nothing(seed: int) -> None:
    chance = random.Random(seed)

    async def whole() -> None:
        scene = Scene(max_handlers=5, deliveries=100)
        scene.status = lambda name, number: (chance.choice((200, 200, 200, 500)), {}, chance.random() * 8)
        names = [f"m{number}" for number in range(60)]
        await scene.send(*names)
        kills = chance.randrange(1, 5)
        for _ in range(kills):
            await asyncio.sleep(chance.random() * 30)
            scene.dead.set()
            scene.task.cancel()
            for task in tuple(scene.consumer._work):
                task.cancel()
            scene.begin()
        await asyncio.sleep(600)
        got = Counter(name for name, _ in scene.answers())
        assert set(got) == set(names)
        assert sum(got.values()) - len(names) <= 5 * kills
        assert scene.memory.place("q").out == {}
        await scene.stop()

    simulated(whole)
