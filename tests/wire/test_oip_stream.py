"""Streams of the generate extension: increments, wholes, tensors; how they end and how they break."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import BlockStart, BlockStop, Delta, End, Finish, Start, Text
from parley.wire import load
from wire.server_parts import failure, fitted, read, shown, spelt

GENERATE = load("oip_generate")


def event(**members: Any) -> bytes:
    return b"data: " + json.encode({"model_name": "m", "model_version": None, **members}) + b"\n\n"


def piece(text: str, reason: str | None = None, special: bool = False) -> bytes:
    token = {"id": 1, "text": text, "logprob": -0.1, "special": special}
    return event(text_output=text, details={"finish_reason": reason, "token": token})


def plain(text: str) -> bytes:
    return event(text_output=text, details=None)


def tensor(text: str) -> bytes:
    return event(outputs=[{"name": "out", "shape": [1, 1], "datatype": "BYTES", "data": [[text]]}], id=None)


STREAM = piece("Hé") + piece("llo") + piece("</s>", "eos_token", special=True)


def test_a_stream() -> None:
    assert read(GENERATE, STREAM) == [
        Start("", "m"),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "Hé"),
        Delta(0, 0, "text", "llo"),
        BlockStop(0, 0),
        Finish(0, "end", native="eos_token"),
        End(),
    ]


@pytest.mark.parametrize("size", [1, 2, 5, 64])
@pytest.mark.parametrize("stream", [STREAM, plain("a") + plain("é"), STREAM.replace(b"data: ", b"data:")])
def test_a_stream_is_the_same_however_it_is_cut(stream: bytes, size: int) -> None:
    assert read(GENERATE, *[stream[at : at + size] for at in range(0, len(stream), size)]) == read(GENERATE, stream)


@pytest.mark.parametrize(("reason", "stop"), [("length", "length"), ("stop_sequence", "stop_sequence")])
def test_the_last_piece_may_hold_text_and_reason(reason: str, stop: Any) -> None:
    events = read(GENERATE, piece("a") + piece("b", reason))
    assert spelt(events) == ["a", "b"]
    assert events[-2] == Finish(0, stop, native=reason)


def test_the_official_client_reads_what_callers_get() -> None:
    chunks = shown(read(GENERATE, STREAM))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Héllo"


def test_a_server_that_tells_no_details_ends_with_its_connection() -> None:
    events = read(GENERATE, plain("a") + plain("b"))
    assert spelt(events) == ["a", "b"]
    assert events[-2:] == [Finish(0, "end"), End()]
    assert read(GENERATE, plain("a") + b"data: [DONE]\n\n")[-1] == End()


def test_a_stream_of_tensors() -> None:
    wire = fitted("oip_generate", body="infer")
    assert spelt(read(wire, tensor("a") + tensor("b"))) == ["a", "b"]
    assert failure(read, wire, piece("a")).detail == "bad_shape"


def test_a_stream_of_wholes() -> None:
    wire = fitted("oip_generate", cumulative=True)
    assert spelt(read(wire, plain("a") + plain("ab") + plain("ab") + plain("abc"))) == ["a", "b", "c"]
    assert failure(read, wire, plain("ab") + plain("ac"), b"").detail == "bad_event"


@pytest.mark.parametrize(
    ("stream", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b": nothing\n\n", "upstream_incomplete", "missing_terminator"),
        (piece("a"), "upstream_incomplete", "missing_terminator"),
        (piece("a") + b"data: [DONE]\n\n", "upstream_incomplete", "missing_terminator"),
        (b"data: {\n\n", "upstream_bad_response", "bad_event"),
        (event(other=1), "upstream_bad_response", "bad_event"),
        (event(error="because"), "upstream_error", "stream_error"),
        (plain("a") + event(error="because", error_type="overloaded"), "upstream_rate_limited", "stream_error"),
    ],
)
def test_broken_streams(stream: bytes, kind: str, detail: str) -> None:
    found = failure(read, GENERATE, stream, b"")
    assert (found.kind, found.detail) == (kind, detail)
