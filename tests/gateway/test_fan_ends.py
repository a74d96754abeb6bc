"""Several answers of a provider that gives one at a time, of which one fails, or for whom nobody waits any more."""

import msgspec
import pytest

from gateway.parts import BUSY, EVENTS, JSON, error, only
from gateway.test_fan import CLOSING, chunks, claude, opening, stage, word
from parley.failure import Failure
from parley.gateway.job import Job
from parley.relay import Relay
from parley.relay.hooked import Changed


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_fails_before_any_content_fails_all(stream: bool):
    on = stage()
    _, ear = on.ask("fan", n=3, stream=stream)
    on.sent[0].begin(200, EVENTS if stream else JSON)
    on.sent[1].whole(error("too long"), 400)
    assert (on.sent[0].cancelled, on.sent[2].cancelled) == (True, True)
    assert (ear.status, len(on.sent)) == (400, 3)
    on.quiet()


def test_the_next_target_is_asked_for_all_of_them():
    on = stage()
    _, ear = on.ask("both", n=2)
    on.sent[0].fail(BUSY)
    assert on.sent[1].cancelled
    (sent,) = on.sent[2:]
    assert sent.body["n"] == 2
    sent.whole()
    assert ear.lines[b"x-parley-target"] == b"a/m-1"
    on.quiet()


def test_all_are_asked_again():
    on = stage(retries=2)
    _, ear = on.ask("fan", n=2)
    on.sent[0].whole(claude("gone"))
    on.sent[1].fail(BUSY)
    on.clock.advance(5)
    for sent, text in zip(on.sent[2:], "ab", strict=True):
        sent.whole(claude(text))
    assert [choice["message"]["content"] for choice in msgspec.json.decode(ear.text)["choices"]] == ["a", "b"]
    assert ear.lines[b"x-parley-attempts"] == b"2"
    on.quiet()


def test_one_that_fails_later_is_one_error_event():
    on = stage()
    _, ear = on.ask("fan", n=2, stream=True)
    first, second = on.sent
    first.begin()
    first.say(opening("m"), word("a"))
    second.fail(Failure("upstream_closed", "gone", detail="reset"))
    assert first.cancelled
    told = chunks(ear)
    assert [chunk for chunk in told if "error" in chunk] == told[-1:]
    assert ear.heard[-1] == ("finish", True)
    assert only(on)["phase"] == "mid"
    on.quiet()


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_error_answer_after_content_is_an_error_event_too(status: int):
    on = stage()
    _, ear = on.ask("fan", n=2, stream=True)
    first, second = on.sent
    first.begin()
    first.say(opening("m"), word("a"))
    second.whole(error("no"), status)
    assert (first.cancelled, len(on.sent), "DONE" in chunks(ear)) == (True, 2, False)
    assert "error" in chunks(ear)[-1]
    on.quiet()


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [((), "upstream_bad_response"), ((opening("m"), word("x")), "upstream_incomplete"),
     ((b"event: x\ndata: {]\n\n",), "upstream_bad_response")],
)  # fmt: skip
def test_one_that_is_not_whole_is_a_failure(pieces: tuple[bytes, ...], kind: str):
    on = stage()
    _, ear = on.ask("fan", n=2)
    on.sent[0].stream(opening("m"), word("a"), CLOSING)
    on.sent[1].stream(*pieces)
    assert (ear.status, ear.error["code"]) == (502, kind)
    on.quiet()


def test_several_answers_where_one_was_due_are_no_answer():
    on = stage()
    _, ear = on.ask("plain", n=2)
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    on.sent[0].whole(msgspec.json.encode({"id": "c", "choices": [choice, {**choice, "index": 1}]}))
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")
    assert on.sent[1].cancelled
    on.quiet()


def test_html_is_no_answer():
    on = stage()
    _, ear = on.ask("fan", n=2)
    on.sent[1].whole(b"<html>", headers=[(b"content-type", b"text/html")])
    assert (ear.status, ear.error["code"], on.sent[0].cancelled) == (502, "upstream_bad_response", True)
    on.quiet()


@pytest.mark.parametrize("content", [False, True])
def test_who_leaves_stops_them_all(content: bool):
    on = stage()
    job, _ = on.ask("fan", n=3, stream=True)
    on.sent[1].begin()
    on.sent[1].say(opening("m"), *([word("a")] if content else []))
    job.left()
    assert [sent.cancelled for sent in on.sent] == [True] * 3
    assert only(on)["outcome"] == "client_abort"
    on.quiet()


def test_who_reads_slowly_pauses_them_all():
    on = stage()
    job, _ = on.ask("fan", n=2, stream=True)
    job.pause()
    assert [sent.paused for sent in on.sent] == [True, True]
    job.resume()
    assert [sent.paused for sent in on.sent] == [False, False]
    job.left()


class Shouting:
    """A hook that changes what is said."""

    def feed(self, data: bytes) -> bytes:
        return data.replace(b"word", b"WORD")

    def close(self) -> bytes:
        return b""


class Hooks:
    def request(self, job: Job) -> bool:
        job.hooked = self
        return False

    def carried(self, job: Job, carrier: Relay) -> Relay:
        return Changed(carrier, Shouting(), lambda: False)

    def later(self, job: Job) -> bool:
        assert isinstance(job.relay, Changed)
        job.relay.finish()
        return job.relay.waits


@pytest.mark.parametrize("stream", [False, True])
def test_hooks_see_the_answer_that_the_caller_gets(stream: bool):
    on = stage()
    on.gateway.hooks = Hooks()
    _, ear = on.ask("fan", n=2, stream=stream)
    for sent in on.sent:
        if stream:
            sent.stream(opening("m"), word("a word"), CLOSING)
        else:
            sent.whole(claude("a word"))
    assert (ear.text.count(b'"content":"a WORD"'), ear.text.count(b"word")) == (2, 0)
    assert ear.text.count(b"[DONE]") == stream
    assert only(on)["in_tok"] == 6
    on.quiet()
