"""What the tests of legacy completions are made of."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.ir import (
    ChatResponse,
    Event,
)
from parley.wire import Reply, load

WIRE = load("openai_completions")
CHAT = load("openai_chat")
DONE = b"data: [DONE]\n\n"
ASKED: dict[str, Any] = {"model": "m", "prompt": "Once upon"}
HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m"}


def reply(wire: str = "openai_chat", *, usage: bool = False) -> Reply:
    return Reply(model="asked", id="req-1", created=5, include_usage=usage, wire=wire)


def failure(call: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        call(*arguments)
    return caught.value.failure


def event(data: Any) -> bytes:
    return b"data: " + json.encode(data) + b"\n\n"


def chunk(text: str = "", finish: Any = None, index: int = 0, **members: Any) -> bytes:
    return event(
        {**HEAD, "choices": [{"text": text, "index": index, "logprobs": None, "finish_reason": finish}], **members}
    )


def answer(*choices: dict[str, Any], **members: Any) -> bytes:
    return json.encode({**HEAD, "choices": list(choices), **members})


def read(*parts: bytes) -> list[Event]:
    decoder = WIRE.stream_decoder()
    return [found for part in parts for found in decoder.feed(part)] + decoder.close()


def folded(events: list[Event]) -> ChatResponse:
    fold = Fold("openai_completions")
    for found in events:
        fold.feed(found)
    return fold.response()


def written(events: list[Event], to: Reply) -> list[Any]:
    encoder = WIRE.stream_encoder(to)
    stream = b"".join(encoder.feed(found) for found in events)
    assert stream.endswith(DONE)
    return [json.decode(part.removeprefix(b"data: ")) for part in stream.split(b"\n\n")[:-2]]
