"""Answers: verbatim byte for byte, rebuilt for another wire, and what happens where they break off."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.ir import Usage
from parley.relay import (
    MAX_ANSWER,
    Asis,
    RebuiltStream,
    RebuiltWhole,
    Relay,
    VerbatimStream,
    VerbatimWhole,
    merged,
    relay,
)
from parley.wire import load
from relay_parts import ANTHROPIC, OPENAI, RECORDINGS, reply, way

STREAMS = sorted(RECORDINGS.rglob("*.sse"))
TEXTS = [path for path in STREAMS if path.stem == "text"]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def whole_events(path: Path) -> bytes:
    """The recording up to its last blank line; every event of it ends in one."""
    data = path.read_bytes()
    assert data.endswith(b"\n\n")
    return data


def carrier(inlet: str, outlet: str, *, streams: bool = True, events: bool = True, usage: bool = True) -> Relay:
    return relay(way(inlet, outlet), lambda: reply(outlet, usage=usage), streams=streams, events=events)


def carried(found: Relay, data: bytes, size: int | None = None) -> bytes:
    """Everything that comes out; the source closes unless the answer has ended or failed."""
    size = size or max(1, len(data))
    out = b""
    for at in range(0, len(data), size):
        out += found.feed(data[at : at + size])
        if found.ended or found.failure:
            return out
    return out + found.close()


@pytest.mark.parametrize(
    ("outlet", "streams", "events", "kind"),
    [
        (OPENAI, True, True, VerbatimStream),
        (OPENAI, False, False, VerbatimWhole),
        (OPENAI, True, False, RebuiltWhole),
        (OPENAI, False, True, RebuiltWhole),
        (ANTHROPIC, True, True, RebuiltStream),
        (ANTHROPIC, False, False, RebuiltWhole),
        (ANTHROPIC, True, False, RebuiltWhole),
        (ANTHROPIC, False, True, RebuiltWhole),
    ],
)
def test_which_way_an_answer_goes(outlet: str, streams: bool, events: bool, kind: type) -> None:
    assert type(carrier(OPENAI, outlet, streams=streams, events=events)) is kind


def test_an_encoder_is_asked_for_only_where_there_is_one() -> None:
    def never() -> Any:
        raise AssertionError

    for streams in (True, False):
        relay(way(), never, streams=streams, events=streams)


# --- verbatim streams --------------------------------------------------------------------------


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
@pytest.mark.parametrize("size", [None, 1, 2, 7, 64, 1000])
def test_a_stream_passes_byte_for_byte(path: Path, size: int | None) -> None:
    found, data = carrier(path.parent.name, path.parent.name), whole_events(path)
    assert carried(found, data, size) == data
    assert (found.ended, found.content, found.trailing, found.failure) == (True, True, False, None)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stream_passes_under_any_chunking(path: Path, data: st.DataObject) -> None:
    sent = whole_events(path)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=12)))
    found = carrier(path.parent.name, path.parent.name)
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert b"".join(map(found.feed, pieces)) == sent
    assert found.close() == b""


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [None, 1, 5])
def test_other_line_ends_become_ours(path: Path, end: bytes, size: int | None) -> None:
    data = whole_events(path)
    assert carried(carrier(path.parent.name, path.parent.name), data.replace(b"\n", end), size) == data


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_nothing_is_passed_on_in_part(path: Path) -> None:
    found, data = carrier(path.parent.name, path.parent.name), whole_events(path)
    out = b""
    for at in range(len(data)):
        out += found.feed(data[at : at + 1])
        assert out == b"" or out.endswith(b"\n\n")


def test_content_turns_true_with_the_first_real_content() -> None:
    found = carrier(OPENAI, OPENAI)
    for delta, content in (({"role": "assistant", "content": ""}, False), ({"content": "a"}, True), ({}, True)):
        found.feed(b"data: " + json.encode({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n")
        assert found.content is content


@pytest.mark.parametrize("size", [None, 3])
def test_usage_is_read_on_the_way(size: int | None) -> None:
    seen = {}
    for path in TEXTS:
        found = carrier(path.parent.name, path.parent.name)
        carried(found, whole_events(path), size)
        assert found.usage is not None
        seen[path.parent.name] = (found.usage.input, found.usage.output, found.usage.cached)
    assert seen == {OPENAI: (9, 4, 2), ANTHROPIC: (19, seen[ANTHROPIC][1], 12)}
    assert seen[ANTHROPIC][1] > 0


ONE = b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n'
TWO = b'data: {"choices":[{"index":0,"delta":{"content":"two"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("outlet_size", [None, 1])
@pytest.mark.parametrize(
    ("fault", "kind", "detail"),
    [
        (b"data: {broken\n\n", "upstream_bad_response", "bad_event"),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "upstream_bad_response", "bad_event"),
        (b'data: {"error":{"message":"overloaded","code":503}}\n\n', "upstream_error", "stream_error"),
        (b'event: error\ndata: {"message":"overloaded"}\n\n', "upstream_error", "stream_error"),
        (b"data: " + b"x" * (1 << 20) + b"\n\n", "upstream_bad_response", "event_too_large"),
    ],
)
def test_what_precedes_a_fault_is_kept(outlet_size: int | None, fault: bytes, kind: str, detail: str) -> None:
    found = carrier(OPENAI, OPENAI)
    data = ONE + TWO + fault + STOP
    size = outlet_size and (outlet_size if len(fault) < 1000 else 4096)
    out = carried(found, data, size)
    if detail == "event_too_large" and size is None:
        out += found.feed(b"")
    assert out == ONE + TWO
    assert found.failure is not None
    assert (found.failure.kind, found.failure.detail) == (kind, detail)
    assert not found.ended


def test_bytes_that_are_no_text_are_a_fault_wherever_they_stand() -> None:
    found = carrier(ANTHROPIC, ANTHROPIC)
    data = b'event: ping\ndata: {"type":"ping","x":"%b"}\n\n'
    assert carried(found, data % b"\xc3\xa9" + data % b"\xff") == data % b"\xc3\xa9"
    assert found.failure is not None
    assert (found.failure.kind, found.failure.detail) == ("upstream_bad_response", "bad_event")


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'


@pytest.mark.parametrize("data", [ONE + STOP, ONE + STOP + USAGE])
def test_a_missing_terminator_is_repaired_where_the_answer_had_finished(data: bytes) -> None:
    found = carrier(OPENAI, OPENAI)
    assert carried(found, data) == data + DONE
    assert (found.ended, found.failure) == (True, None)


@pytest.mark.parametrize("data", [ONE, ONE + STOP[:-20], b": nothing but a comment\n\n"])
def test_a_stream_that_breaks_off_is_incomplete(data: bytes) -> None:
    found = carrier(OPENAI, OPENAI)
    out = carried(found, data)
    assert out == data[: data.rfind(b"\n\n") + 2] or out == b""
    assert DONE not in out
    assert found.failure is not None
    assert (found.failure.kind, found.failure.detail, found.ended) == (
        "upstream_incomplete",
        "missing_terminator",
        False,
    )


@pytest.mark.parametrize("inlet", [OPENAI, ANTHROPIC])
def test_a_stream_of_nothing_at_all(inlet: str) -> None:
    found = carrier(inlet, OPENAI)
    assert found.close() == b""
    assert found.failure is not None
    assert (found.failure.kind, found.failure.detail) == ("upstream_bad_response", "empty_body")


@pytest.mark.parametrize("split", [True, False])
def test_what_follows_the_terminator_is_dropped_and_noticed(split: bool) -> None:
    found = carrier(OPENAI, OPENAI)
    parts = [ONE + STOP + DONE, TWO] if split else [ONE + STOP + DONE + TWO]
    assert b"".join(map(found.feed, parts)) == ONE + STOP + DONE
    assert found.close() == b""
    assert (found.ended, found.trailing, found.failure) == (True, True, None)


# --- rebuilt streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_rebuilt_stream_reads_the_same_whatever_the_chunking(path: Path) -> None:
    outlet = path.parent.name
    inlet = OPENAI if outlet == ANTHROPIC else ANTHROPIC
    data, expected = whole_events(path), None
    for size in (None, 1, 13):
        found = carrier(inlet, outlet)
        out = carried(found, data, size)
        assert (found.ended, found.content, found.failure) == (True, True, None)
        expected = expected or out
        assert out == expected
    assert expected is not None
    reader = carrier(inlet, inlet)
    assert carried(reader, expected) == expected
    assert reader.ended


def test_the_callers_own_terminator_ends_a_rebuilt_stream() -> None:
    for path in TEXTS:
        inlet = OPENAI if path.parent.name == ANTHROPIC else ANTHROPIC
        found = carrier(inlet, path.parent.name)
        assert carried(found, whole_events(path)).endswith(load(inlet).terminator)
        assert found.feed(b"data: more\n\n") == b""
        assert found.trailing


@pytest.mark.parametrize("size", [None, 1])
def test_a_rebuilt_stream_keeps_what_precedes_a_fault(size: int | None) -> None:
    found = carrier(ANTHROPIC, OPENAI)
    out = carried(found, ONE + b"data: {broken\n\n" + TWO, size)
    assert b'"one"' in out
    assert b"two" not in out
    assert b"message_stop" not in out
    assert found.failure is not None
    assert found.failure.detail == "bad_event"


def test_a_rebuilt_stream_that_breaks_off_is_incomplete() -> None:
    found = carrier(ANTHROPIC, OPENAI)
    out = carried(found, ONE)
    assert b'"one"' in out
    assert found.failure is not None
    assert (found.failure.kind, found.ended) == ("upstream_incomplete", False)


# --- whole answers -----------------------------------------------------------------------------

ANSWER = (
    b' {"id":"c-1", "x_cost":1.50,"choices":[{"index":0,"message":{"role":"assistant","content":"\\u0041"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n'
)


@pytest.mark.parametrize("size", [None, 1, 10])
@pytest.mark.parametrize(
    ("wire", "data"), [(OPENAI, ANSWER), (ANTHROPIC, (RECORDINGS / ANTHROPIC / "answer.json").read_bytes())]
)
def test_a_whole_answer_passes_byte_for_byte(wire: str, data: bytes, size: int | None) -> None:
    found = carrier(wire, wire, streams=False, events=False)
    assert carried(found, data, size) == data
    assert (found.ended, found.content, found.failure) == (True, True, None)
    assert found.usage is not None
    assert (found.usage.input > 0, found.usage.output > 0) == (True, True)


def test_nothing_of_a_whole_answer_leaves_before_it_is_proven() -> None:
    found = carrier(OPENAI, OPENAI, streams=False, events=False)
    assert [found.feed(ANSWER[at : at + 9]) for at in range(0, len(ANSWER), 9)] == [b""] * -(-len(ANSWER) // 9)
    assert not found.content


@pytest.mark.parametrize("inlet", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    ("data", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b"<html>", "upstream_bad_response", "bad_json"),
        (ANSWER[:-9], "upstream_bad_response", "bad_json"),
        (b"{}", "upstream_bad_response", "bad_shape"),
        (b'{"error":{"message":"no"}}', "upstream_error", "stream_error"),
    ],
)
def test_an_answer_that_is_none(inlet: str, data: bytes, kind: str, detail: str) -> None:
    found = carrier(inlet, OPENAI, streams=False, events=False)
    assert carried(found, data) == b""
    assert found.failure is not None
    assert (found.failure.kind, found.failure.detail, found.ended) == (kind, detail, False)


def test_an_answer_without_end_is_refused() -> None:
    found = carrier(OPENAI, OPENAI, streams=False, events=False)
    piece = b"x" * (MAX_ANSWER // 4)
    for _ in range(4):
        assert found.feed(piece) == b""
        assert found.failure is None
    found.feed(b"x")
    assert found.failure is not None
    assert (found.failure.kind, found.failure.detail) == ("upstream_bad_response", "too_large")


def test_a_stream_is_made_of_a_whole_answer() -> None:
    found = carrier(ANTHROPIC, OPENAI, streams=True, events=False)
    out = carried(found, ANSWER)
    assert (found.ended, found.usage) == (True, Usage(3, 2))
    reader = carrier(ANTHROPIC, ANTHROPIC)
    assert carried(reader, out) == out
    assert reader.usage is not None
    assert (reader.usage.input, reader.usage.output) == (3, 2)
    assert b'"text":"A"' in out


@pytest.mark.parametrize("inlet", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_a_whole_answer_is_made_of_a_stream(inlet: str, path: Path) -> None:
    found = carrier(inlet, path.parent.name, streams=False, events=True)
    response = load(inlet).decode_response(carried(found, whole_events(path), 11))
    assert "Gr\u00fc\u00dfe" in getattr(response.choices[0].content[0], "text", "")
    assert response.usage is not None
    assert found.usage is not None
    assert response.usage.output == found.usage.output


def test_a_whole_answer_made_of_a_stream_that_breaks_off() -> None:
    found = carrier(OPENAI, OPENAI, streams=False, events=True)
    assert carried(found, ONE) == b""
    assert found.failure is not None
    assert found.failure.kind == "upstream_incomplete"


def test_an_operation_without_a_canonical_form_passes_as_it_came() -> None:
    found = Asis()
    assert carried(found, b'{"input_tokens": 7}', 5) == b'{"input_tokens": 7}'
    assert found.usage is None


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        (None, Usage(3, 1), Usage(3, 1)),
        (Usage(3, 1, cached=2), Usage(0, 9), Usage(3, 9, cached=2)),
        (Usage(3, 1, cached=2), Usage(4, 9, cached=0, reasoning=5), Usage(4, 9, cached=0, reasoning=5)),
        (Usage(3, 1, cache_write=1, reasoning=4), Usage(0, 2), Usage(3, 2, cache_write=1, reasoning=4)),
    ],
)
def test_usage_reported_in_pieces(before: Usage | None, now: Usage, after: Usage) -> None:
    assert merged(before, now) == after
