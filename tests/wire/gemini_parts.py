"""What the tests of this wire are made of: requests, answers, events, and short ways to read and write them."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.ir import ChatRequest, ChatResponse, Event
from parley.wire import Reply, load

WIRE = load("gemini")
ARRAY = load("gemini_array")
HI = {"role": "user", "parts": [{"text": "hi"}]}
SIGNATURE = "c2lnbmVk-_8="


def request(**members: Any) -> ChatRequest:
    """A caller's request as it is read."""
    found = WIRE.decode_request({"model": "m", "contents": [HI], **members})
    assert isinstance(found, ChatRequest)
    return found


def refused(**members: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        request(**members)
    assert caught.value.failure.kind == "invalid_request"
    return caught.value.failure


def sent(found: ChatRequest, **options: Any) -> dict[str, Any]:
    """The body that a provider gets; nothing may have been dropped."""
    encoded = WIRE.encode_request(found, options)
    assert encoded.dropped == ()
    body: dict[str, Any] = json.decode(json.encode(encoded.body))
    return body


def candidate(*parts: Any, reason: str | None = None, index: int | None = 0, **members: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, **members}
    if reason is not None:
        made["finishReason"] = reason
    if index is not None:
        made["index"] = index
    return made


def answer(*candidates: Any, **members: Any) -> bytes:
    return json.encode({"candidates": list(candidates), "modelVersion": "g-1", "responseId": "r1", **members})


def event(*candidates: Any, **members: Any) -> bytes:
    return b"data: " + answer(*candidates, **members) + b"\n\n"


def read(data: bytes, size: int | None = None) -> list[Event]:
    """The events of a provider's stream, fed in pieces of that size."""
    decoder = WIRE.stream_decoder()
    step = size or max(1, len(data))
    found = [each for start in range(0, len(data), step) for each in decoder.feed(data[start : start + step])]
    return found + decoder.close()


def folded(events: list[Event]) -> ChatResponse:
    fold = Fold("gemini")
    for each in events:
        fold.feed(each)
    return fold.response()


def reply(wire: str = "gemini") -> Reply:
    return Reply(model="asked", id="req-1", created=5, wire=wire)


def failing(call: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        call(*arguments)
    return caught.value.failure
