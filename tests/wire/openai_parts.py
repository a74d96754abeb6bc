"""What the tests of this wire are made of: chunks, answers, and short ways to read and write them."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.ir import ChatResponse, Event
from parley.wire import Reply, load

WIRE = load("openai_chat")
DONE = b"data: [DONE]\n\n"
HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}


def reply(wire: str = "openai_chat", *, usage: bool = False) -> Reply:
    return Reply(model="asked", id="req-1", created=5, include_usage=usage, wire=wire)


def event(data: Any) -> bytes:
    return b"data: " + json.encode(data) + b"\n\n"


def chunk(delta: Any = None, finish: Any = None, index: int = 0, **members: Any) -> bytes:
    return event({**HEAD, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **members})


def read(*chunks: bytes) -> list[Event]:
    decoder = WIRE.stream_decoder()
    return [found for data in chunks for found in decoder.feed(data)] + decoder.close()


def folded(events: list[Event]) -> ChatResponse:
    fold = Fold("openai_chat")
    for found in events:
        fold.feed(found)
    return fold.response()


def content(*chunks: bytes) -> tuple[Any, ...]:
    return folded(read(*chunks)).choices[0].content


def written(events: list[Event], to: Reply) -> list[Any]:
    """The chunks as objects; the terminator as it is."""
    encoder = WIRE.stream_encoder(to)
    stream = b"".join(encoder.feed(found) for found in events)
    assert stream.endswith(b"\n\n")
    datas = [part.removeprefix(b"data: ") for part in stream.split(b"\n\n")[:-1]]
    return [data if data == b"[DONE]" else json.decode(data) for data in datas]


def failure(call: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        call(*arguments)
    return caught.value.failure


def answer(message: dict[str, Any], finish: Any = "stop", **members: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.encode(
        {"id": "c-1", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice], **members}
    )


TEXT = (
    chunk({"role": "assistant", "content": ""})
    + chunk({"content": "Hel"})
    + chunk({"content": "lo"})
    + chunk({}, "stop")
)


def call(index: Any = 0, id_: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    made = {"index": index, "id": id_, "function": function}
    return {key: value for key, value in made.items() if value is not None}
