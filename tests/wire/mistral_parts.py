"""Mistral's wire as its contract shows it: chunks, and short ways to read them."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.ir import ChatResponse, Event
from parley.wire import load

CHAT, EMBED = load("mistral"), load("mistral_embeddings")
DONE = b"data: [DONE]\n\n"
HEAD = {"id": "m-1", "object": "chat.completion.chunk", "created": 7, "model": "mistral-x"}
USED = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


def event(data: Any) -> bytes:
    return b"data: " + json.encode(data) + b"\n\n"


def chunk(delta: Any = None, finish: Any = None, index: int = 0, **members: Any) -> bytes:
    return event({**HEAD, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **members})


def thought(text: str, **members: Any) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}], **members}


def fragment(name: str, arguments: Any, **members: Any) -> dict[str, Any]:
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}, **members}]}


def end(finish: str = "stop", **members: Any) -> bytes:
    return chunk({"content": ""}, finish, usage=USED, **members) + DONE


def answer(message: Any, finish: Any = "stop", **members: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.encode({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USED, **members})


def read(*chunks: bytes) -> list[Event]:
    decoder = CHAT.stream_decoder()
    return [found for data in chunks for found in decoder.feed(data)] + decoder.feed(b"") + decoder.close()


def folded(events: list[Event]) -> ChatResponse:
    fold = Fold("mistral")
    for found in events:
        fold.feed(found)
    return fold.response()


def content(*chunks: bytes) -> tuple[Any, ...]:
    return folded(read(*chunks)).choices[0].content


def failure(of: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        of(*arguments)
    return caught.value.failure
