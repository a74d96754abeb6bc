"""Answers that the response topic does not take, and those that are on their way to it: played as in test_handling."""

import asyncio
import json

from serve.test_handling import OK, Scene, scene_of


def test_an_answer_that_nobody_takes_goes_to_the_dead_letters_with_its_request() -> None:
    @scene_of(deliveries=3, first_pause=1.0, longest_pause=1.0)
    async def act(scene: Scene) -> None:
        scene.broken = {"a"}
        await scene.send("a")
        await asyncio.sleep(60)
        (buried,) = scene.memory.place("d").waiting
        assert json.loads(buried.body)["metadata"]["n"] == "a"
        assert buried.attributes["dead_letter_reason"] == "the answer could not be sent"
        assert json.loads(buried.attributes["dead_letter_answer"]) == {"status_code": 200, "body": json.loads(OK)}
        # It was delivered once more than may be, and asked once.
        assert (scene.calls, scene.counts["nacked"], scene.counts["dead_letter"]) == (["a"], 3, 1)
        assert not scene.memory.place("q").out


def test_dead_letters_that_take_no_answer_take_the_request_all_the_same() -> None:
    @scene_of(deliveries=1, first_pause=1.0, longest_pause=1.0)
    async def act(scene: Scene) -> None:
        scene.broken, scene.largest = {"a", "d"}, 0
        await scene.send("a")
        await asyncio.sleep(30)
        assert scene.counts["dead_letter"] == 0
        # Given back as before, not kept in hand.
        assert scene.counts["nacked"] > 5
        scene.broken = {"a"}
        await asyncio.sleep(30)
        (buried,) = scene.memory.place("d").waiting
        assert set(buried.attributes) == {"request_message_id", "dead_letter_reason"}


def test_without_dead_letters_such_an_answer_is_kept() -> None:
    @scene_of(deliveries=2, dead_letter="", first_pause=1.0, longest_pause=1.0)
    async def act(scene: Scene) -> None:
        scene.broken = {"a"}
        await scene.send("a")
        await asyncio.sleep(60)
        assert scene.counts["nacked"] > 10
        scene.broken = set()
        await asyncio.sleep(60)
        assert (scene.answers(), scene.calls) == ([("a", 200)], ["a"])


def test_what_comes_again_while_its_answer_is_being_sent_ends_as_that_does() -> None:
    @scene_of()
    async def act(scene: Scene) -> None:
        scene.sending = 30.0
        await scene.send("a")
        await asyncio.sleep(5)
        (stored,) = scene.memory.place("q").out.values()
        scene.memory.place("q").put(stored)
        await asyncio.sleep(60)
        assert (scene.answers(), scene.calls) == ([("a", 200)], ["a"])
        assert (scene.counts["answered"], scene.counts["duplicate"], scene.consumer.in_work) == (1, 1, 0)
