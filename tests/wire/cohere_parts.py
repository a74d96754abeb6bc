"""Cohere's wire as its contract shows it: streams put together event by event, and short ways to read them."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.ir import ChatResponse, Event
from parley.wire import load

CHAT, EMBED, RERANK = load("cohere"), load("cohere_embed"), load("cohere_rerank")
USED = {
    "tokens": {"input_tokens": 11.0, "output_tokens": 4.0},
    "billed_units": {"input_tokens": 5.0, "output_tokens": 4.0},
    "cached_tokens": 6.0,
}


def event(type_: str, index: int | None = None, message: Any = None, **members: Any) -> bytes:
    made: dict[str, Any] = {"type": type_, **({} if index is None else {"index": index}), **members}
    if message is not None:
        made["delta"] = {"message": message}
    return b"event: %b\ndata: %b\n\n" % (type_.encode(), json.encode(made))


def words(index: int, *pieces: str, kind: str = "text") -> bytes:
    """A piece of content, whole."""
    begin = event("content-start", index, {"content": {"type": kind, kind: ""}})
    parts = [event("content-delta", index, {"content": {kind: piece}}) for piece in pieces]
    return begin + b"".join(parts) + event("content-end", index)


def plan(*pieces: str) -> bytes:
    return b"".join(event("tool-plan-delta", None, {"tool_plan": piece}) for piece in pieces)


def call(index: int, id_: str, name: str, *pieces: str) -> bytes:
    shell = {"id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
    begin = event("tool-call-start", index, {"tool_calls": shell})
    parts = [event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": piece}}}) for piece in pieces]
    return begin + b"".join(parts) + event("tool-call-end", index)


START = event("message-start", None, {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}, id="c-1")


def end(reason: str = "COMPLETE", **more: Any) -> bytes:
    return event("message-end", delta={"finish_reason": reason, "usage": USED, **more})


def read(*chunks: bytes) -> list[Event]:
    decoder = CHAT.stream_decoder()
    return [found for data in chunks for found in decoder.feed(data)] + decoder.feed(b"") + decoder.close()


def folded(events: list[Event]) -> ChatResponse:
    fold = Fold("cohere")
    for found in events:
        fold.feed(found)
    return fold.response()


def failure(of: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        of(*arguments)
    return caught.value.failure
