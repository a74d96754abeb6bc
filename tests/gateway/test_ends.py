"""What ends or holds up a request from outside: callers who leave or read slowly, a drain, silence; counting tokens."""

from typing import Any

import msgspec
import pytest

from gateway.parts import COUNT, DONE, JSON, MESSAGES, OPENING, STOP, WORD, Stage, error, only, registration
from parley.failure import Failure
from parley.keys import key_text
from parley.tokens import PER_MESSAGE

DRAIN = Failure("overloaded", "the gateway is shutting down", detail="drain")


def streaming(stage: Stage, *pieces: bytes) -> tuple[Any, Any, Any]:
    job, ear = stage.ask("two", stream=True)
    sent = stage.sent[-1]
    sent.begin()
    sent.say(*pieces)
    return job, ear, sent


# --- callers who leave -------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
def test_a_caller_who_leaves_before_an_answer(streamed: bool) -> None:
    stage = Stage()
    job, ear = stage.ask("two", stream=streamed)
    stage.clock.advance(0.5)
    job.left()
    assert stage.sent[0].cancelled
    assert ear.heard == []
    record = only(stage)
    assert (record["outcome"], record["phase"], record["status"], record["ms"]) == ("client_abort", "pre", 499, 500.0)
    assert stage.counts["parley_client_aborts_total", "pre"] == 1
    assert len(stage.sent) == 1
    stage.quiet()


def test_a_caller_who_leaves_a_stream() -> None:
    stage = Stage()
    job, ear, sent = streaming(stage, OPENING, WORD)
    heard = list(ear.heard)
    job.left()
    assert sent.cancelled
    assert ear.heard == heard
    record = only(stage)
    assert (record["outcome"], record["phase"], record["usage"]) == ("client_abort", "mid", "estimated")
    assert record["out_tok"] == 1
    stage.quiet()


def test_a_caller_who_leaves_while_a_retry_waits() -> None:
    stage = Stage()
    job, ear = stage.ask("again")
    stage.sent[0].fail()
    waiting = len(stage.clock.pending)
    job.left()
    assert len(stage.clock.pending) == waiting - 1
    stage.clock.advance(10)
    assert (len(stage.sent), ear.heard) == (1, [])
    assert only(stage)["outcome"] == "client_abort"
    stage.quiet()


def test_leaving_twice_or_after_the_end_is_nothing() -> None:
    stage = Stage()
    job, ear = stage.ask("one")
    stage.sent[0].whole()
    job.left()
    job.left()
    job.cut(DRAIN)
    assert [word for word, *_ in ear.heard] == ["answer", "body"]
    assert only(stage)["outcome"] == "ok"


def test_an_answer_to_nobody_is_not_heard() -> None:
    stage = Stage()
    job, ear, sent = streaming(stage, OPENING)
    job.left()
    sent.sink.body(WORD)
    sent.sink.done()
    sent.sink.failed(DRAIN)
    assert ear.heard == []
    assert only(stage)["outcome"] == "client_abort"


def test_those_who_leave_free_their_place() -> None:
    stage = Stage(streams=1)
    for _ in range(5):
        job, _, sent = streaming(stage, WORD)
        job.left()
        assert sent.cancelled
    assert stage.gateway.fleet.snapshot(stage.clock.now())["a"].state == 0
    stage.quiet()


# --- callers who read slowly -------------------------------------------------------------------


def test_a_slow_caller_pauses_the_provider() -> None:
    stage = Stage()
    job, _, sent = streaming(stage, WORD)
    job.pause()
    assert sent.paused
    job.resume()
    assert not sent.paused


def test_a_slow_caller_is_slow_for_the_next_target_too() -> None:
    stage = Stage()
    job, _ = stage.ask("two", stream=True)
    job.pause()
    stage.sent[0].fail()
    assert [sent.paused for sent in stage.sent] == [True, True]
    job.resume()
    assert not stage.sent[1].paused


# --- drain and silence -------------------------------------------------------------------------


def test_a_drain_cuts_a_stream_with_one_event() -> None:
    stage = Stage()
    job, ear, sent = streaming(stage, WORD)
    job.cut(DRAIN)
    assert sent.cancelled
    assert ear.text.startswith(WORD + b'data: {"error":')
    assert ear.heard[-1] == ("finish", True)
    assert (only(stage)["kind"], only(stage)["phase"]) == ("drain", "mid")
    stage.quiet()


@pytest.mark.parametrize("pieces", [(), (OPENING,)])
def test_a_drain_answers_who_has_heard_nothing(pieces: tuple[bytes, ...]) -> None:
    stage = Stage()
    job, ear, sent = streaming(stage, *pieces)
    job.cut(DRAIN)
    assert sent.cancelled
    assert (ear.status, ear.error["code"]) == (503, "overloaded")
    assert only(stage)["kind"] == "drain"
    stage.quiet()


def test_the_last_job_tells_who_waits_for_it() -> None:
    stage = Stage()
    told: list[int] = []
    stage.gateway.when_idle = lambda: told.append(len(stage.gateway.jobs))
    stage.ask("one")
    stage.ask("one")
    stage.sent[0].whole()
    assert told == []
    stage.sent[1].whole()
    assert told == [0]


BEAT = ("send", b": heartbeat\n\n")


def test_a_quiet_stream_is_kept_alive() -> None:
    stage = Stage()
    _, ear, sent = streaming(stage, WORD)
    stage.clock.advance(14)
    assert BEAT not in ear.heard
    stage.clock.advance(7)
    assert ear.heard.count(BEAT) == 1
    sent.say(WORD)
    stage.clock.advance(14)
    assert ear.heard.count(BEAT) == 1
    stage.clock.advance(30)
    assert ear.heard.count(BEAT) >= 2
    sent.say(STOP + DONE)
    count = ear.heard.count(BEAT)
    stage.clock.advance(100)
    assert ear.heard.count(BEAT) == count
    stage.quiet()


def test_nothing_is_said_before_the_commit_point() -> None:
    stage = Stage()
    _, ear, _ = streaming(stage, OPENING)
    stage.clock.advance(50)
    assert ear.heard == []


# --- counting tokens ---------------------------------------------------------------------------


def test_tokens_are_asked_of_who_can_count() -> None:
    stage = Stage()
    _, ear = stage.ask("claude", COUNT)
    (sent,) = stage.sent
    assert sent.call.to.path == b"/v1/messages/count_tokens"
    assert sent.body == {"model": "c-1", "messages": [{"role": "user", "content": "hi"}]}
    sent.whole(b'{"input_tokens": 7}')
    assert ear.heard == [("answer", 200), ("body", b'{"input_tokens": 7}')]
    assert b"x-parley-usage" not in ear.lines
    assert ear.lines[b"x-parley-target"] == b"claude/c-1"
    stage.quiet()


@pytest.mark.parametrize("model", ["one", "mute/c-1"])
def test_tokens_are_estimated_where_nobody_counts(model: str) -> None:
    stage = Stage()
    _, ear = stage.ask(model, COUNT)
    assert stage.sent == []
    assert msgspec.json.decode(ear.text) == {"input_tokens": PER_MESSAGE + 1}
    assert ear.lines[b"x-parley-usage"] == b"estimated"
    assert only(stage)["outcome"] == "ok"
    stage.quiet()


def test_words_are_counted_exactly_for_who_counts_words() -> None:
    stage = Stage()
    _, ear = stage.ask("words/x", COUNT, messages=[{"role": "user", "content": "one two three"}])
    assert msgspec.json.decode(ear.text) == {"input_tokens": 3}
    assert b"x-parley-usage" not in ear.lines


@pytest.mark.parametrize("status", [404, 405])
def test_a_provider_that_turns_out_not_to_count(status: int) -> None:
    stage = Stage()
    _, ear = stage.ask("claude", COUNT)
    stage.sent[0].whole(error(), status)
    assert (ear.status, ear.lines[b"x-parley-usage"]) == (200, b"estimated")
    stage.quiet()


def test_a_count_may_fall_back() -> None:
    stage = Stage(registration("counted", "claude/c-1", "mute/c-2"))
    _, ear = stage.ask("counted", COUNT)
    stage.sent[0].whole(error(), 503)
    assert ear.lines[b"x-parley-target"] == b"mute/c-2"
    assert ear.lines[b"x-parley-usage"] == b"estimated"


@pytest.mark.parametrize("body", [b'{"model":"one","messages":[{"role":"x"}]}', b'{"model":"one"}'])
def test_a_count_of_something_wrong(body: bytes) -> None:
    stage = Stage()
    _, ear = stage.ask_raw(body, COUNT)
    assert (ear.status, stage.sent) == (400, [])
    stage.quiet()


# --- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [b"abc-1", b"x" * 128])
def test_a_callers_id_is_kept(given: bytes) -> None:
    assert Stage().gateway.request_id(given) == given.decode()


@pytest.mark.parametrize("given", [None, b"", b"x" * 129, b"a\r\nb: c", b"a\x00", b"\xe9", b"a\x7f"])
def test_an_id_unfit_for_a_header_is_replaced(given: bytes | None) -> None:
    gateway = Stage().gateway
    first, second = gateway.request_id(given), gateway.request_id(given)
    assert first != second
    assert first.startswith("req_")
    assert first.isascii()


@pytest.mark.parametrize("around", ["%s", "Bearer %s", "x-%s-1", "parley_%s", "%s%s"])
def test_a_key_sent_as_an_id_is_not_taken_for_one(around: str) -> None:
    key = key_text("caller", b"k" * 32)
    given = around.replace("%s", key)
    gateway = Stage().gateway
    assert key not in gateway.request_id(given.encode())
    # One letter less, and it is no key.
    short = around.replace("%s", key[:-1] + "_")
    assert gateway.request_id(short.encode()) == short


def test_what_is_turned_away_is_counted_by_its_reason() -> None:
    stage = Stage()
    _, ear = stage.ask_raw(b"{not json")
    assert ear.status == 400
    assert stage.counts["parley_rejected_total", "json"] == 1
    stage.gateway.keyring.fill({}, exist=True)
    _, ear = stage.ask()
    assert (ear.status, stage.sent) == (401, [])
    assert stage.counts["parley_rejected_total", "auth"] == 1
    stage.quiet()


def test_a_stale_connection_is_counted_for_its_provider() -> None:
    stage = Stage()
    stage.gateway.stale("http://b.example")
    stage.gateway.stale("http://nobody.example")
    assert stage.counts == {("parley_retries_total", "b", "stale"): 1}


def test_messages_of_another_wire_stream_through() -> None:
    stage = Stage()
    _, ear = stage.ask("one", MESSAGES, stream=True)
    assert stage.sent[0].body["stream_options"] == {"include_usage": True}
    stage.sent[0].begin(headers=[(b"content-type", b"text/event-stream"), *JSON[:0]])
    stage.sent[0].say(OPENING, WORD, STOP, DONE)
    assert ear.text.startswith(b"event: message_start\n")
    assert ear.text.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    stage.quiet()
