"""Retries and fallbacks before the commit point, and what the caller hears when all have failed."""

from typing import Any

import msgspec
import pytest

from gateway.parts import (
    ANSWER,
    BUSY,
    DONE,
    EVENTS,
    JSON,
    MESSAGES,
    OPENING,
    STOP,
    WORD,
    Stage,
    error,
    only,
    provider,
    registration,
)
from parley.failure import Failure
from parley.settings import Retries

CLOSED = Failure("upstream_closed", "gone", detail="closed_before_headers")


@pytest.mark.parametrize(
    "break_it",
    [
        lambda sent: sent.fail(CLOSED),
        lambda sent: sent.whole(error(), 503),
        lambda sent: sent.whole(b"", 200),
        lambda sent: sent.whole(b"{}", 200),
        lambda sent: sent.whole(b"<html>", 200, [(b"content-type", b"text/html")]),
        lambda sent: sent.whole(b"", 204),
        lambda sent: sent.whole(b"", 302, [(b"location", b"http://evil.example")]),
        lambda sent: sent.whole(error(), 401),
        lambda sent: sent.whole(error(), 429),
        lambda sent: sent.stream(OPENING),
        lambda sent: sent.stream(OPENING, b"data: {broken\n\n"),
        lambda sent: sent.stream(b"data: " + error() + b"\n\n"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_another_target_answers_where_nothing_was_said_yet(break_it: Any, streamed: bool) -> None:
    stage = Stage()
    _, ear = stage.ask("two", stream=streamed)
    break_it(stage.sent[0])
    assert ear.heard == []
    first, second = stage.sent
    assert first.call.to.origin == "http://a.example"
    assert (second.call.to.origin, second.body["model"]) == ("http://b.example", "m-2")
    assert second.lines[b"authorization"] == b"Bearer b-secret"
    second.stream(WORD, STOP, DONE) if streamed else second.whole()
    assert ear.text == (WORD + STOP + DONE if streamed else ANSWER)
    assert (ear.lines[b"x-parley-target"], ear.lines[b"x-parley-attempts"]) == (b"b/m-2", b"2")
    assert (only(stage)["provider"], only(stage)["attempts"], only(stage)["outcome"]) == ("b", 2, "ok")
    assert stage.counts["parley_fallbacks_total", "a/m-1", "b/m-2"] == 1
    stage.quiet()


def test_nothing_of_a_failed_try_is_left_in_the_answer() -> None:
    stage = Stage()
    _, ear = stage.ask("two", stream=True)
    stage.sent[0].begin(headers=[*EVENTS, (b"x-from", b"first")])
    stage.sent[0].say(OPENING.replace(b"c-1", b"first"))
    stage.sent[0].fail(CLOSED)
    stage.sent[1].stream(WORD, STOP, DONE)
    assert b"first" not in ear.text
    assert b"x-from" not in ear.lines


def test_a_fallback_to_another_wire_is_translated_anew() -> None:
    stage = Stage()
    _, ear = stage.ask("mixed", seed=1)
    assert "seed" not in stage.sent[0].body
    stage.sent[0].fail()
    assert stage.sent[1].body == {"model": "m-1", "messages": [{"role": "user", "content": "hi"}], "seed": 1}
    stage.sent[1].whole()
    assert ear.text == ANSWER
    assert b"x-parley-dropped" not in ear.lines


def test_a_retry_waits_first() -> None:
    stage = Stage()
    _, ear = stage.ask("again")
    stage.sent[0].fail()
    assert len(stage.sent) == 1
    stage.clock.advance(0.04)
    assert len(stage.sent) == 1
    stage.clock.advance(0.02)
    assert len(stage.sent) == 2
    assert stage.sent[1].call.total == pytest.approx(60.0 - 0.05)
    stage.sent[1].fail()
    stage.clock.advance(0.2)
    stage.sent[2].whole(error(), 503)
    assert ear.status == 503
    assert ear.lines[b"x-parley-attempts"] == b"3"
    assert stage.counts["parley_retries_total", "a", "status_503"] == 2
    assert only(stage)["attempts"] == 3
    stage.quiet()


def test_a_retry_after_a_closed_connection_takes_a_fresh_one() -> None:
    stage = Stage()
    stage.ask("again")
    stage.sent[0].fail(CLOSED)
    stage.clock.advance(0.1)
    assert [sent.call.fresh for sent in stage.sent] == [False, True]


def test_a_retry_waits_as_long_as_the_provider_asks() -> None:
    stage = Stage()
    stage.ask("again")
    stage.sent[0].whole(error(), 429, [*JSON, (b"retry-after", b"7")])
    stage.clock.advance(6.9)
    assert len(stage.sent) == 1
    stage.clock.advance(0.2)
    assert len(stage.sent) == 2


def test_no_try_begins_past_the_deadline() -> None:
    stage = Stage()
    _, ear = stage.ask("again")
    stage.clock.advance(59.99)
    stage.sent[0].fail()
    stage.clock.advance(1)
    assert len(stage.sent) == 1
    assert ear.status == 503
    stage.quiet()


def test_the_last_failure_is_the_answer() -> None:
    stage = Stage()
    _, ear = stage.ask("two")
    stage.sent[0].fail(CLOSED)
    stage.sent[1].whole(error("one moment"), 429, [*JSON, (b"retry-after", b"120")])
    stage.clock.advance(61)
    for sent in stage.sent[2:]:
        sent.whole(error("one moment"), 429, [*JSON, (b"retry-after", b"120")])
    assert (ear.status, ear.text) == (429, error("one moment"))
    assert (ear.lines[b"x-should-retry"], ear.lines[b"retry-after"]) == (b"false", b"60")
    assert only(stage)["kind"] == "rate_limited"


@pytest.mark.parametrize(
    ("status", "answered", "code", "own_words"),
    [
        (400, 400, "upstream_rejected", True),
        (404, 404, "upstream_rejected", True),
        (422, 422, "upstream_rejected", True),
        (401, 502, "upstream_auth", False),
        (403, 502, "upstream_auth", False),
        (500, 500, "upstream_error", True),
        (529, 503, "upstream_error", True),
    ],
)
def test_a_providers_error_as_the_caller_sees_it(status: int, answered: int, code: str, own_words: bool) -> None:
    stage = Stage()
    _, ear = stage.ask("one")
    stage.sent[0].whole(error("key a-secret is bad"), status)
    assert ear.status == answered
    # As it came, but for the key.
    assert (ear.text == error("key *** is bad")) == own_words
    assert b"a-secret" not in ear.text
    if not own_words:
        assert ear.error["code"] == code
    assert (b"x-should-retry" in ear.lines) == (code != "upstream_rejected")
    assert only(stage)["status"] == answered


def test_a_translated_error_is_ours() -> None:
    stage = Stage()
    _, ear = stage.ask("one", MESSAGES)
    stage.sent[0].whole(error("bad seed"), 400)
    made = msgspec.json.decode(ear.text)
    assert (made["type"], made["error"]["type"], made["error"]["message"]) == (
        "error",
        "invalid_request_error",
        "bad seed",
    )
    assert made["request_id"] == "req-1"


def test_a_callers_fault_is_not_tried_elsewhere() -> None:
    stage = Stage()
    _, ear = stage.ask("two")
    stage.sent[0].whole(error(), 400)
    assert (len(stage.sent), ear.status) == (1, 400)


def test_a_large_error_is_not_kept() -> None:
    stage = Stage()
    _, ear = stage.ask("one")
    stage.sent[0].begin(500, JSON)
    for _ in range(100):
        stage.sent[0].say(b"x" * 10_000)
    stage.sent[0].done()
    assert (ear.status, len(ear.text) < 1000) == (500, True)


def test_keys_take_turns_and_a_refused_one_rests() -> None:
    keys = provider("many", keys=("k0", "k1"))
    stage = Stage(registration("keys", "many/m", retries=Retries(2)), providers=(keys,))
    _, ear = stage.ask("keys")
    stage.sent[0].whole(error(), 401)
    stage.sent[1].whole()
    used = [sent.lines[b"authorization"] for sent in stage.sent]
    assert set(used) == {b"Bearer k0", b"Bearer k1"}
    assert ear.status == 200
    for _ in range(3):
        stage.ask("keys")
        stage.sent[-1].whole()
        assert stage.sent[-1].lines[b"authorization"] == used[1]


def test_a_provider_that_is_down_is_named_by_nothing_but_a_code() -> None:
    stage = Stage()
    _, ear = stage.ask("one")
    stage.sent[0].fail(BUSY)
    assert (ear.status, ear.error["code"]) == (503, "upstream_error")
    assert b"example" not in ear.text
