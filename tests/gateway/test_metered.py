"""Where somebody keeps books a stream is asked what it used; its caller hears of that only where it asked itself."""

import pytest

from gateway.gated import Gated, all_of
from gateway.parts import DONE, OPENING, PROVIDERS, WORD, Stage, provider, registration
from parley.settings import Quirks

STOP = b'data: {"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
USED = b'data: {"id":"c-1","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":70}}\n\n'
QUIET = provider("quiet", quirks=Quirks(options={"stream_usage": False}))


def billed(**more: object) -> Stage:
    stage = Stage(registration("quiet", "quiet/m"), providers=(*PROVIDERS, QUIET), **more)
    stage.gateway.billed = True
    return stage


def test_the_provider_is_asked_and_the_caller_does_not_hear_it() -> None:
    stage = billed()
    _, ear = stage.ask(stream=True)
    assert stage.sent[0].body["stream_options"] == {"include_usage": True}
    stage.sent[0].stream(OPENING + WORD, STOP, USED, DONE)
    assert ear.text == OPENING + WORD + STOP + DONE
    (record,) = stage.records
    assert (record["in_tok"], record["out_tok"], record["usage"]) == (100, 70, "exact")


@pytest.mark.parametrize("size", [1, 2, 7, 50, 10_000])
def test_however_it_is_cut(size: int) -> None:
    stage = billed()
    _, ear = stage.ask(stream=True)
    whole = OPENING + WORD + WORD + STOP + USED + DONE
    stage.sent[0].stream(*(whole[start : start + size] for start in range(0, len(whole), size)))
    assert ear.text == whole.replace(USED, b"")
    assert stage.records[0]["out_tok"] == 70


def test_a_provider_that_tells_it_with_the_end_is_heard_by_all() -> None:
    stage = billed()
    _, ear = stage.ask(stream=True)
    stop = STOP.replace(b'"usage":null', b'"usage":{"prompt_tokens":3,"completion_tokens":2}')
    stage.sent[0].stream(WORD, stop, DONE)
    assert ear.text == WORD + stop + DONE


@pytest.mark.parametrize("asked", [{"include_usage": True}, {"include_usage": False}, None])
def test_who_speaks_of_it_is_left_alone(asked: object) -> None:
    stage = billed()
    _, ear = stage.ask(stream=True, stream_options=asked)
    assert stage.sent[0].body["stream_options"] == asked
    stage.sent[0].stream(WORD, STOP, USED, DONE)
    assert ear.text == WORD + STOP + USED + DONE


def test_a_provider_that_cannot_is_not_asked() -> None:
    stage = billed()
    stage.ask("quiet", stream=True)
    assert "stream_options" not in stage.sent[0].body


def test_nobody_is_asked_where_nobody_counts() -> None:
    stage = Stage()
    stage.ask(stream=True)
    stage.gateway.billed = True
    stage.ask()
    assert all("stream_options" not in sent.body for sent in stage.sent)


def test_a_limit_counts_what_was_really_used() -> None:
    stage = Gated(quotas=all_of(tokens=((1000, 60.0),)))
    _, ear = stage.ask(stream=True, max_tokens=10)
    stage.sent[0].stream(WORD, STOP, USED, DONE)
    assert ear.text == WORD + STOP + DONE
    _, ear = stage.ask(max_tokens=10)
    stage.sent[1].whole()
    left = int(ear.lines[b"x-ratelimit-remaining-tokens"])
    assert 1000 - 170 - 60 < left < 1000 - 170
