"""Streams: held until there is content, then never tried again, and ended by one event."""

import pytest

from gateway.parts import CHAT, DONE, EVENTS, MESSAGES, OPENING, STOP, WORD, Stage, error, only
from parley.failure import Failure


def test_a_stream_is_held_until_there_is_content() -> None:
    stage = Stage()
    _, ear = stage.ask("one", stream=True)
    (sent,) = stage.sent
    assert sent.lines[b"accept"] == b"text/event-stream"
    sent.begin(headers=[*EVENTS, (b"openai-model", b"m")])
    sent.say(b": hello\n\n", OPENING)
    assert ear.heard == []
    stage.clock.advance(2)
    sent.say(WORD[:20])
    assert ear.heard == []
    sent.say(WORD[20:])
    assert ear.heard == [("open", 200), ("send", b": hello\n\n" + OPENING + WORD)]
    assert ear.lines[b"content-type"] == b"text/event-stream"
    assert (ear.lines[b"x-parley-target"], ear.lines[b"openai-model"]) == (b"a/m-1", b"m")
    assert stage.gateway.metrics.streams == 1
    sent.say(STOP + DONE)
    assert ear.heard[2:] == [("send", STOP + DONE), ("finish", False)]
    sent.done()
    assert only(stage) | {"ms": 0} == only(stage) | {
        "ms": 0, "phase": "done", "outcome": "ok", "in_tok": 3, "out_tok": 2, "usage": "exact", "ttfb_ms": 0.0,
    }  # fmt: skip
    stage.quiet()


def test_a_stream_without_content_is_still_an_answer() -> None:
    stage = Stage()
    _, ear = stage.ask("one", stream=True)
    stage.sent[0].stream(OPENING, STOP, DONE)
    assert ear.heard == [("open", 200), ("send", OPENING + STOP + DONE), ("finish", False)]
    stage.quiet()


def test_a_stream_that_never_says_anything_is_not_held_for_ever() -> None:
    stage = Stage()
    _, ear = stage.ask("one", stream=True)
    stage.sent[0].begin()
    for _ in range(300):
        stage.sent[0].say(b": " + b"x" * 1000 + b"\n\n")
    assert ear.heard[0] == ("open", 200)


@pytest.mark.parametrize(("path", "terminator"), [(CHAT, DONE), (MESSAGES, b"event: message_stop\n")])
def test_a_stream_is_made_of_a_whole_answer(path: bytes, terminator: bytes) -> None:
    stage = Stage()
    _, ear = stage.ask("one", path, stream=True)
    stage.sent[0].whole()
    assert ear.heard[0] == ("open", 200)
    assert terminator in ear.text
    assert b"Hello." in ear.text
    assert ear.heard[-1] == ("finish", False)
    stage.quiet()


def test_what_follows_the_terminator_stops_the_call() -> None:
    stage = Stage()
    _, ear = stage.ask("one", stream=True)
    stage.sent[0].begin()
    stage.sent[0].say(WORD + STOP + DONE + WORD)
    assert stage.sent[0].cancelled
    assert ear.text == WORD + STOP + DONE
    assert only(stage)["outcome"] == "ok"


@pytest.mark.parametrize(
    ("path", "word"), [(CHAT, b'data: {"error":'), (MESSAGES, b'event: error\ndata: {"type":"error"')]
)
@pytest.mark.parametrize("cause", ["connection", "event", "error"])
def test_a_stream_that_breaks_ends_in_one_error_event(path: bytes, word: bytes, cause: str) -> None:
    stage = Stage()
    _, ear = stage.ask("two", path, stream=True)
    (sent,) = stage.sent
    sent.begin()
    sent.say(OPENING + WORD)
    if cause == "connection":
        sent.fail(Failure("upstream_incomplete", "cut", detail="reset"))
    elif cause == "event":
        sent.say(b"data: {broken\n\n")
    else:
        sent.say(b"data: " + error() + b"\n\n")
    assert sent.cancelled == (cause != "connection")
    assert ear.text.count(word) == 1
    assert DONE not in ear.text
    assert b"message_stop" not in ear.text
    assert ear.heard[-1] == ("finish", True)
    assert len(stage.sent) == 1  # never a fallback after the commit point
    assert (only(stage)["outcome"], only(stage)["phase"]) == ("error", "mid")
    detail = {"connection": "reset", "event": "bad_event", "error": "stream_error"}[cause]
    assert only(stage)["kind"] == detail
    assert stage.counts["parley_upstream_errors_total", "a", detail, "mid"] == 1
    stage.quiet()


def test_a_stream_that_ends_early_is_an_error() -> None:
    stage = Stage()
    _, ear = stage.ask("two", stream=True)
    stage.sent[0].stream(OPENING, WORD)
    assert ear.text.count(b'{"error":') == 1
    assert (only(stage)["kind"], ear.heard[-1]) == ("missing_terminator", ("finish", True))
