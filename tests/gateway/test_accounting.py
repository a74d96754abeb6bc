"""What a request that has ended comes to: tokens and cost, for those who listen."""

from typing import Any

import msgspec
import pytest

from gateway.parts import COUNT, DONE, OPENING, STOP, WORD, Stage, provider
from parley.gateway.ended import Ended
from parley.keys import key_text
from parley.prices import Tariffs

USED = b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4}}\n\n'
PRICES = {"input": 100, "output": 1000}


class Ear:
    def __init__(self) -> None:
        self.heard: list[Ended] = []

    def ended(self, job: Any, ended: Ended) -> None:
        self.heard.append(ended)


def listened(prices: dict[str, int] | None = None, **more: Any) -> tuple[Stage, Ear]:
    stage, ear = Stage(**more), Ear()
    own = {} if prices is None else {f"{name}/*": prices for name in stage.gateway.settings.providers}
    stage.gateway.tariffs = Tariffs(own, wall=lambda: 0.0)
    stage.gateway.observers = (ear,)
    return stage, ear


def test_an_answer_costs_what_was_counted() -> None:
    stage, ear = listened(PRICES)
    stage.ask("one", stream=True)
    stage.sent[0].stream(OPENING, WORD, STOP, USED, DONE)
    (ended,) = ear.heard
    assert (ended.usage.input, ended.usage.output, ended.usage.estimated) == (10, 4, False)
    assert ended.cost == 10 * 100 + 4 * 1000


def test_a_price_that_nobody_knows_is_none_and_not_zero() -> None:
    stage, ear = listened()
    stage.ask("one", stream=True)
    stage.sent[0].stream(OPENING, WORD, STOP, USED, DONE)
    assert ear.heard[0].cost is None


def test_what_failed_before_it_was_answered_costs_nothing() -> None:
    stage, ear = listened({"request": 5, **PRICES})
    stage.ask("one")
    stage.sent[0].fail()
    while len(ear.heard) == 0:
        stage.clock.advance(5)
        for sent in stage.sent[1:]:
            sent.fail()
    assert (ear.heard[0].outcome, ear.heard[0].cost, ear.heard[0].usage.input) == ("error", 0, 0)


def test_a_stream_that_was_left_is_paid_by_estimate() -> None:
    stage, ear = listened(PRICES)
    job, _ = stage.ask("one", stream=True)
    stage.sent[0].begin()
    stage.sent[0].say(OPENING, WORD)
    job.left()
    (ended,) = ear.heard
    assert (ended.outcome, ended.usage.estimated, ended.usage.output) == ("client_abort", True, 1)
    assert ended.cost == ended.usage.input * 100 + 1000


@pytest.mark.parametrize("left", [True, False])
def test_a_beginning_that_was_counted_is_not_all_that_was_made(left: bool) -> None:
    stage, ear = listened(PRICES)
    job, _ = stage.ask("one", stream=True)
    stage.sent[0].begin()
    early = b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":1}}\n\n'
    stage.sent[0].say(OPENING, early, *[WORD] * 5)
    if left:
        job.left()
    else:
        stage.sent[0].fail()
    (ended,) = ear.heard
    assert ended.outcome == ("client_abort" if left else "error")
    assert (ended.usage.input, ended.usage.output, ended.usage.estimated) == (10, 5, True)
    assert ended.cost == 10 * 100 + 5 * 1000


def test_a_key_that_stands_where_a_model_should_is_not_told() -> None:
    stage, ear = listened()
    key = key_text("caller", b"k" * 32)
    _, told = stage.ask(key)
    assert told.error["code"] == "model_not_found"
    assert [ended.model for ended in ear.heard] == ["(a key)"]
    assert [record["model"] for record in stage.records] == ["(a key)"]


@pytest.mark.parametrize("prices", [None, PRICES])
def test_counting_tokens_is_free(prices: dict[str, int] | None) -> None:
    stage, ear = listened(prices)
    stage.ask("one", COUNT)
    for sent in stage.sent:
        sent.whole(b'{"input_tokens": 12}')
    assert [(ended.cost, ended.usage.input) for ended in ear.heard] == [(0, 0)]


def test_text_that_is_spoken_is_paid_by_the_character() -> None:
    speaker = provider("speaker", paths={"speech": "/audio/speech"})
    stage, ear = listened({"character": 15}, providers=(speaker,))
    stage.ask_raw(
        msgspec.json.encode({"model": "speaker/tts", "input": "h\u00e9llo \U0001f600", "voice": "a"}),
        b"/v1/audio/speech",
    )
    stage.sent[0].whole(b"\x00\x01", headers=[(b"content-type", b"audio/mpeg")])
    (ended,) = ear.heard
    assert (ended.usage.characters, ended.cost) == (7, 7 * 15)
