"""What is told of slow requests and to callers who ask, and what it costs where nobody asks."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.parts import BUSY, DONE, OPENING, STOP, WORD, Stage
from parley.failure import Failure
from parley.telemetry.telling import Telling
from parley.telemetry.tries import Seen

ASKED = [(b"x-parley-timing", b"1")]


class Told:
    """A stage whose requests are slow from two seconds on."""

    def __init__(self, **more: Any) -> None:
        self.stage = Stage(slow=2.0, **more)
        self.lines: list[dict[str, Any]] = []
        gateway = self.stage.gateway
        made = {"native": self.stage.upstream}
        loop = asyncio.new_event_loop()
        self.telling = Telling(gateway, made, loop, lambda line: self.lines.append(msgspec.json.decode(line)))
        loop.close()
        gateway.upstreams = self.telling.upstreams(gateway.settings)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.stage.quiet()
    assert made.telling._tries._under == {}


def test_a_slow_request_says_where_its_time_went(told: Told) -> None:
    stage, clock = told.stage, told.stage.clock
    stage.ask("two", stream=True)
    clock.advance(0.5)
    stage.sent[0].fail(BUSY)
    clock.advance(0.25)
    stage.sent[1].begin()
    clock.advance(0.25)
    stage.sent[1].say(OPENING, WORD)
    clock.advance(1.5)
    stage.sent[1].say(STOP, DONE)
    stage.sent[1].done()
    assert told.lines == [
        {
            "event": "request.slow",
            "request_id": "req-1",
            "model": "two",
            "outcome": "ok",
            "ms": 2500.0,
            "queue_ms": 0.0,
            "pause_ms": 0.0,
            "first_content_ms": 1000.0,
            "tries": [
                {"target": "a/m-1", "began_ms": 0.0, "first_byte_ms": None, "ended_ms": 500.0, "kind": "status_503"},
                {"target": "b/m-2", "began_ms": 500.0, "first_byte_ms": 750.0, "ended_ms": 2500.0, "kind": ""},
            ],
            "in_tok": 3,
            "out_tok": 2,
            "tokens_per_second": 1.3,
        }
    ]


def test_a_quick_one_says_nothing(told: Told) -> None:
    told.stage.ask("one")
    told.stage.clock.advance(1.9)
    told.stage.sent[0].whole()
    assert told.lines == []


@pytest.mark.parametrize("status", [200, 500])
def test_pauses_between_tries_are_counted(told: Told, status: int) -> None:
    stage, clock = told.stage, told.stage.clock
    stage.ask("again")
    stage.sent[0].whole(b'{"error":{"message":"busy"}}', 500)
    while len(stage.sent) == 1:
        clock.advance(0.01)
    paused = clock.time - 1000.0
    clock.advance(3)
    stage.sent[1].whole(*() if status == 200 else (b'{"error":{"message":"no"}}', 400))
    (line,) = told.lines
    assert line["pause_ms"] == pytest.approx(paused * 1000, abs=0.01)
    assert [part["kind"] for part in line["tries"]] == ["500", "" if status == 200 else "400"]
    assert line["outcome"] == ("ok" if status == 200 else "error")


def test_a_caller_that_left_is_told_of_too(told: Told) -> None:
    job, _ = told.stage.ask("one")
    told.stage.clock.advance(5)
    job.left()
    (line,) = told.lines
    assert (line["outcome"], line["tries"][0]["kind"]) == ("client_abort", "client_abort")


def test_an_answer_that_was_no_answer_ends_its_try(told: Told) -> None:
    stage = told.stage
    stage.ask("two")
    stage.sent[0].begin(headers=[(b"content-type", b"text/html")])
    stage.clock.advance(2)
    stage.sent[1].whole()
    (line,) = told.lines
    assert [part["kind"] for part in line["tries"]] == ["broken", ""]
    assert stage.sent[0].cancelled


def test_nobody_pays_where_nobody_asked() -> None:
    stage = Stage()
    loop = asyncio.new_event_loop()
    made = {"native": stage.upstream}
    telling = Telling(stage.gateway, made, loop, lambda line: None)
    loop.close()
    assert telling.upstreams(stage.gateway.settings) is made
    assert stage.gateway.observers == ()
    slow = msgspec.structs.replace(stage.gateway.settings, slow=1.0)
    assert isinstance(telling.upstreams(slow), Seen)
    assert isinstance(telling.upstreams(slow), Seen)
    assert stage.gateway.observers == (telling,)
    assert telling.upstreams(stage.gateway.settings) is made
    assert stage.gateway.observers == ()


def shown(lines: dict[bytes, bytes]) -> dict[str, float]:
    parts = (part.split(";dur=") for part in lines[b"server-timing"].decode().split(", "))
    return {name: float(value) for name, value in parts}


def test_who_asks_is_told_how_long_it_took() -> None:
    stage = Stage()
    _, ear = stage.ask("two", headers=ASKED)
    stage.clock.advance(0.5)
    stage.sent[0].fail(BUSY)
    stage.clock.advance(0.125)
    stage.sent[1].begin(headers=[(b"content-type", b"application/json")])
    stage.clock.advance(0.125)
    stage.sent[1].say(
        b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}'
    )
    stage.sent[1].done()
    assert shown(ear.lines) == {"wait": 500.0, "provider": 250.0, "first-byte": 125.0, "total": 750.0}
    assert b"x-parley-timing" not in stage.sent[1].lines


def test_who_does_not_ask_is_not_told() -> None:
    stage = Stage()
    for headers in ([], [(b"x-parley-timing", b"0")]):
        _, ear = stage.ask("one", headers=headers)
        stage.sent[-1].whole()
        assert b"server-timing" not in ear.lines


def test_a_stream_is_told_at_its_first_content_and_a_refusal_as_well() -> None:
    stage = Stage()
    _, ear = stage.ask("one", headers=ASKED, stream=True)
    stage.sent[0].begin()
    stage.clock.advance(2)
    stage.sent[0].say(OPENING, WORD, STOP, DONE)
    assert shown(ear.lines)["total"] == 2000.0
    _, ear = stage.ask("nothing", headers=ASKED)
    assert ear.status == 404
    assert shown(ear.lines) == {"wait": 0.0, "provider": 0.0, "total": 0.0}


def test_a_failed_try_is_over_once() -> None:
    stage = Told().stage
    stage.ask("one")
    stage.sent[0].begin()
    stage.clock.advance(3)
    stage.sent[0].fail(Failure("upstream_closed", "gone", detail="reset"))
    stage.quiet()
