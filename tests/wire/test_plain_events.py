"""Events that hold nothing but text are read by a shorter way: what they say is the same."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parley.failure import ParleyError
from parley.ir import Event
from parley.wire.gemini.decoder import ContentDecoder
from parley.wire.oip.options import GenerateOptions
from parley.wire.oip.stream import TextDecoder

WORDS = st.one_of(st.text(max_size=3), st.sampled_from(["a", '"', "\\", "\u2028"]))
ODD = st.sampled_from([None, "", 0, 1.5, True, False, [], {}, "STOP", {"reason": 1}])


def heard(decoder: Any, pieces: list[bytes]) -> tuple[list[Event], object]:
    """The events until the end or a fault."""
    events: list[Event] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.close()
    except ParleyError as error:
        return events, error.failure
    return events, None


def maybe(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


def bodies(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[bytes]]:
    texts = values.map(lambda value: b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")
    return st.lists(st.one_of(texts, texts.map(lambda text: text.replace(b"1.5", b"\xff"))), max_size=6)


PART = maybe(text=st.one_of(WORDS, WORDS, ODD), thought=st.booleans(), thoughtSignature=st.sampled_from(["c2ln", ""]))
CONTENT = st.one_of(ODD, maybe(parts=st.lists(PART, max_size=2), role=st.one_of(st.just("model"), ODD)))
CANDIDATE = maybe(
    content=CONTENT, index=st.one_of(st.integers(0, 1), ODD), finishReason=st.sampled_from(["STOP", None]), odd=ODD
)
COUNTED = st.one_of(ODD, maybe(promptTokenCount=st.integers(0, 9), candidatesTokenCount=st.integers(0, 9)))
ANSWER = maybe(candidates=st.lists(CANDIDATE, max_size=2), usageMetadata=COUNTED, modelVersion=ODD, odd=ODD, error=ODD)
USUAL = st.builds(
    lambda text, thought, count: {
        "candidates": [{"content": {"parts": [{"text": text, **({"thought": True} if thought else {})}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": count},
    },
    WORDS,
    st.booleans(),
    st.integers(0, 9),
)
LAST = b'data: {"candidates":[{"finishReason":"STOP"}]}\n\n'


@settings(max_examples=200)
@given(pieces=bodies(st.one_of(USUAL, ANSWER)), ends=st.booleans())
def test_of_candidates(pieces: list[bytes], ends: bool) -> None:
    long = ContentDecoder()
    long._tries = 0
    pieces = [*pieces, LAST] if ends else pieces
    assert heard(ContentDecoder(), pieces) == heard(long, pieces)


TOKEN = maybe(special=st.one_of(st.booleans(), ODD), text=WORDS)
DETAILS = maybe(token=st.one_of(TOKEN, ODD), finish_reason=st.sampled_from([None, "", "length", 7]))
OUTPUT = maybe(text_output=st.one_of(WORDS, ODD), details=st.one_of(DETAILS, ODD), error=ODD, model_name=ODD)


@settings(max_examples=200)
@given(pieces=bodies(OUTPUT))
def test_of_generated_text(pieces: list[bytes]) -> None:
    long = TextDecoder(GenerateOptions())
    long._plain = False
    assert heard(TextDecoder(GenerateOptions()), pieces) == heard(long, pieces)
