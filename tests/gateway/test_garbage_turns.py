"""What a request of a conversation used is free when it ends: nothing of it waits for the garbage collector."""

from collections.abc import Callable

import pytest

from cache.parts import Cached
from gateway.collected import leaves_nothing
from gateway.contexts import ID, Talk, word
from gateway.parts import BUSY, DONE, OPENING, STOP, Stage
from parley.cache import MemoryShelf

EVENTS = "text/event-stream"
ONE, TWO = (f"/v1.0-{form}/conversation/{{}}/converse" for form in ("alpha1", "alpha2"))
SAID = {"messages": [{"ofUser": {"content": [{"text": "hi"}]}}]}


def whole(talk: Talk) -> None:
    talk.ask({"inputs": ["a", "b", "c"]})
    talk.context.admit()
    for _ in range(3):
        talk.answer("A")
        talk.settle()
    talk.context.wrote()


def single(talk: Talk) -> None:
    talk.ask({"inputs": ["a"]})
    talk.context.admit()
    talk.answer("A")
    talk.context.wrote()


def streamed(talk: Talk) -> None:
    talk.ask({"inputs": ["a", "b"]}, accept=EVENTS)
    talk.context.admit()
    for _ in range(2):
        talk.sent[-1].stream(OPENING, word("A"), STOP, DONE)
        talk.settle()
    talk.context.wrote()


def failed(talk: Talk) -> None:
    talk.ask({"inputs": ["a", "b"]})
    talk.context.admit()
    talk.answer("A")
    talk.settle()
    talk.sent[-1].fail(BUSY)


def broken(talk: Talk) -> None:
    talk.ask({"inputs": ["a", "b"]}, accept=EVENTS)
    talk.context.admit()
    talk.sent[-1].begin()
    talk.sent[-1].say(OPENING, word("A"))
    talk.sent[-1].fail(BUSY)


def left(talk: Talk) -> None:
    job, _ = talk.ask({"inputs": ["a", "b"]})
    talk.context.admit()
    talk.answer("A")
    talk.settle()
    job.left()


def left_early(talk: Talk) -> None:
    talk.ask({"inputs": ["a", "b"]})[0].left()


def dressed(talk: Talk) -> None:
    talk.ask({"inputs": [{"content": "x", "scrubPII": True}], "contextID": "c1", "scrubPII": True}, ONE)
    talk.answer("A")


def dressed_and_left(talk: Talk) -> None:
    job, _ = talk.ask({"inputs": [{"content": "x"}], "contextID": "c1"}, ONE)
    job.left()


def sifted(talk: Talk) -> None:
    talk.ask({"inputs": [{"content": "x" * 20_000, "scrubPII": True}], "scrubPII": True}, ONE)
    talk.settle()
    talk.answer("1 x " * 5000)
    talk.settle()


def sifted_and_left(talk: Talk) -> None:
    job, _ = talk.ask({"inputs": [{"content": "x" * 20_000, "scrubPII": True}]}, ONE)
    job.left()
    talk.settle()


def continued(talk: Talk) -> None:
    talk.ask({"inputs": [SAID], "contextId": ID}, TWO)
    talk.context.admit(("user", "before"))
    talk.answer("A")
    talk.context.wrote()


def continued_and_left(talk: Talk) -> None:
    job, _ = talk.ask({"inputs": [SAID], "contextId": ID}, TWO)
    talk.context.admit(("user", "before"))
    job.left()


PLAYS = [whole, single, streamed, failed, broken, left, left_early, dressed, dressed_and_left, sifted, sifted_and_left,
         continued, continued_and_left]  # fmt: skip


@pytest.mark.parametrize("play", PLAYS)
@pytest.mark.parametrize("make", [Stage, Cached])
def test_a_request_leaves_no_cycle(play: Callable[[Talk], None], make: Callable[[], Stage]) -> None:
    talk = Talk(make())
    leaves_nothing(lambda: played(talk, play))


def played(talk: Talk, play: Callable[[Talk], None]) -> None:
    """One request, of which nothing is kept."""
    stage = talk.stage
    if isinstance(stage, Cached):
        # What was kept last time would answer.
        stage.shelf = MemoryShelf(1 << 20, stage.clock.now)
        stage.adopt()
    play(talk)
    talk.settle()
    talk.stage.quiet()
    talk.sent.clear()
    talk.contexts.given.clear()
    talk.stage.clock.timers.clear()
