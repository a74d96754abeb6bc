"""Answers without an id get one, the same on every chunk; nothing else of them changes."""

from typing import Any

import pytest
from msgspec import json
from peers import Ear

from parley.io.named import Named, name_for

NAME = b"chatcmpl-1"
EVENTS, JSON = [(b"content-type", b"text/event-stream")], [(b"content-type", b"application/json")]


def told(data: bytes, headers: Any, size: int | None = None, status: int = 200) -> bytes:
    """What reaches the caller of an answer that comes in pieces of that size."""
    ear = Ear()
    sink = Named(ear, NAME)
    sink.head(status, headers)
    for start in range(0, len(data), size or len(data)):
        sink.body(data[start : start + (size or len(data))])
    sink.done()
    assert ear.ended == ["done"]
    return ear.content


def chunk(**more: Any) -> bytes:
    return b"data: " + json.encode({"choices": [{"index": 0, "delta": {"content": '"id"'}}], **more}) + b"\n\n"


@pytest.mark.parametrize("size", [None, 1, 7])
def test_every_chunk_has_the_same(size: int | None):
    data = b": hello\r\n\r\n" + chunk(x=1.50) + chunk().replace(b"data: ", b"data:") + b"data: [DONE]\n\n"
    named = data.replace(b'{"choices"', b'{"id":"chatcmpl-1","choices"')
    assert named.count(NAME) == 2
    assert told(data, EVENTS, size) == named


def test_a_whole_answer():
    assert told(b' {"choices":[],"x":1.00}', JSON, 3) == b' {"id":"chatcmpl-1","choices":[],"x":1.00}'


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (chunk(id="own"), EVENTS),
        (b'{"choices":[],"id":"own"}', JSON),
        (b'{"object":"list","data":[]}', JSON),
        (b"nonsense", JSON),
        (b'data: {"error":{}}\n\ndata: {"choices"', EVENTS),
        (b"RIFF", [(b"content-type", b"audio/wav")]),
    ],
)
def test_all_else_stays(data: bytes, headers: Any):
    assert told(data, headers) == data


def test_errors_pass_as_they_are():
    assert told(b'{"choices":[]}', JSON, status=400) == b'{"choices":[]}'


def test_which_answers_have_ids():
    assert name_for(b"/v3/chat/completions").startswith(b"chatcmpl-")
    assert name_for(b"/v3/completions").startswith(b"cmpl-")
    assert name_for(b"/v3/embeddings") == b""
    assert name_for(b"/v3/chat/completions") != name_for(b"/v3/chat/completions")
