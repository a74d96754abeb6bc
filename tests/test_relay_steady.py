"""Events that repeat one another: passing one by undecoded changes nothing that anybody can see."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.relay import VerbatimStream
from parley.relay.steady import TRIES, Steady
from parley.wire import load
from relay_parts import OPENAI

WORDS = st.one_of(st.text(), st.sampled_from(["", ":", '":"', '"', "\\", "\n", "é", "\u2028", '{"error":1}', "[DONE]"]))


def event(**delta: Any) -> bytes:
    chunk = {"id": "c-1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def seen(pieces: list[bytes], *, compares: bool) -> tuple[Any, ...]:
    """All that a stream shows of itself, piece by piece."""
    found = VerbatimStream(load(OPENAI))
    if not compares:
        found._steady._tries = 0
    out = []
    for piece in pieces:
        out.append(found.feed(piece))
        if found.failure is not None or found.ended:
            break
    return out, found.close(), found.pieces, found.content, found.ended, found.failure, found.usage, found.trailing


PIECES = st.one_of(
    st.builds(lambda text: event(content=text), WORDS),
    st.builds(lambda text: event(reasoning_content=text), WORDS),
    st.builds(lambda one, two: event(content=one, reasoning=two), WORDS, WORDS),
    st.builds(lambda text: event(content=text).replace(b"null", b'"stop"'), WORDS),
    st.builds(lambda text: event(content=text)[:-3], WORDS),
    st.builds(lambda text: event(content=text) + event(content=text), WORDS),
    st.builds(lambda text: b'data: {"choices":[],"error":{"message":"' + text.encode() + b'"}}\n\n', WORDS),
    st.builds(lambda raw: event(content="@").replace(b"@", raw), st.binary()),
    st.sampled_from([b"data: [DONE]\n\n", b": ping\n\n", event(content="a").replace(b"\n", b"\r\n")]),
)


@given(st.lists(PIECES, max_size=12))
def test_whatever_comes_is_treated_as_if_every_event_were_decoded(pieces: list[bytes]) -> None:
    pieces = [event(content="one"), event(content="two"), *pieces]
    assert seen(pieces, compares=True) == seen(pieces, compares=False)


def learnt() -> Steady:
    found = Steady()
    found.learn(event(content="one").removesuffix(b"\n\n"))
    return found


def test_other_words_in_the_same_place_repeat_it() -> None:
    assert learnt().repeats(event(content="two, and ~ more: [DONE]"))


@pytest.mark.parametrize(
    "data",
    [
        event(content=""),
        event(content='a"b'),
        event(content="a\\b"),
        event(content="a\nb"),
        event(content="é"),
        event(content="a")[:-1],
        event(content="a") * 2,
        event(content="a", refusal="no"),
        event(reasoning="a"),
        event(content="a").replace(b"null", b'"stop"'),
        event(content="@").replace(b"@", b"a\x00"),
        event(content="@").replace(b"@", b"\xff"),
    ],
)
def test_anything_else_is_left_to_the_decoder(data: bytes) -> None:
    assert not learnt().repeats(data)


@pytest.mark.parametrize(
    "block",
    [
        b'data: {"a":"b","content":""}',
        b'data: {"a\\"":"b","content":"c"}',
        b'data: {"content":"c\\"d"}',
        b'id: 1\ndata: {"content":"c"}',
        b'{"content":"c"}',
        b'data: {"a":"c"}',
    ],
)
def test_what_could_mean_something_else_is_not_learnt(block: bytes) -> None:
    found = Steady()
    found.learn(block)
    assert not found.repeats(block + b"\n\n")


def test_a_provider_whose_events_always_differ_is_not_compared_for_ever() -> None:
    found = Steady()
    for number in range(TRIES):
        found.learn(b'data: {"id":"%d","content":"c"}' % number)
    found.learn(b'data: {"id":"x","content":"c"}')
    assert not found.repeats(b'data: {"id":"x","content":"d"}\n\n')
