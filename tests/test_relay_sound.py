"""Answers that nobody could act upon are no answers: without choices, without an end, with calls that are alike."""

from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace

from parley.failure import Failure
from parley.relay import RebuiltStream, RebuiltWhole, VerbatimStream
from parley.wire import load
from relay_parts import reply, way

REPLY = reply("any")
TWICE = [{"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]
NAMELESS = [{"id": "c", "type": "function", "function": {"arguments": "{}"}}]


def whole(wire: str, body: Any) -> Failure | None:
    carrier = RebuiltWhole(way("anthropic", wire), REPLY, streams=False, events=False)
    carrier.feed(json.encode(body))
    carrier.close()
    return carrier.failure


def streamed(*calls: dict[str, Any]) -> Failure | None:
    carrier = RebuiltStream(way("anthropic", "openai_chat"), REPLY)
    for index, call in enumerate(calls):
        delta = {"tool_calls": [{**call, "index": index}]}
        carrier.feed(b"data: " + json.encode({"id": "x", "choices": [{"index": 0, "delta": delta}]}) + b"\n\n")
    carrier.feed(b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n')
    carrier.close()
    return carrier.failure


def said(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        ("openai_chat", {"choices": []}),
        ("openai_chat", said(tool_calls=TWICE)),
        ("mistral", {"choices": []}),
        ("mistral", said(tool_calls=[{**call, "id": "abcdefghi"} for call in TWICE])),
        ("gemini", {"candidates": [{}]}),
        ("cohere", {"message": {}}),
        ("cohere", {"finish_reason": "TOOL_CALL", "message": {"tool_calls": TWICE}}),
        (
            "bedrock",
            {
                "stopReason": "tool_use",
                "output": {
                    "message": {"content": [{"toolUse": {"toolUseId": "c", "name": x, "input": {}}} for x in "fg"]}
                },
            },
        ),
    ],
)
def test_whole(wire: str, body: Any):
    found = whole(wire, body)
    assert found is not None
    assert (found.kind, found.detail) == ("upstream_bad_response", "bad_shape")


def test_what_is_empty_for_a_reason_is_an_answer():
    assert whole("gemini", {"candidates": [{"finishReason": "MAX_TOKENS"}]}) is None
    assert whole("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}) is None
    assert whole("cohere", {"finish_reason": "MAX_TOKENS", "message": {}}) is None


@pytest.mark.parametrize("calls", [TWICE, NAMELESS])
def test_streams(calls: list[dict[str, Any]]):
    found = streamed(*calls)
    assert found is not None
    assert (found.kind, found.detail) == ("upstream_bad_response", "bad_shape")


def test_calls_of_their_own():
    assert streamed(TWICE[0], {**TWICE[1], "id": "d"}) is None


ASKED = b'{"messages":[{"tool_calls":[{"id":"call_1"},{"id":"call_2"}]},{"tool_call_id":"call_1"}]}'


def gemini(*names: str) -> bytes:
    parts = [{"functionCall": {"name": name, "args": {}}} for name in names]
    return json.encode({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})


@pytest.mark.parametrize(("asked", "ids"), [(b"{}", ["call_1", "call_2"]), (ASKED, ["call_3", "call_4"])])
def test_ids_that_were_counted_go_on_where_the_request_ends(asked: bytes, ids: list[str]):
    along, answers = way("anthropic", "gemini"), replace(REPLY, asked=asked)
    carrier = RebuiltWhole(along, answers, streams=False, events=False)
    carrier.feed(gemini("f", "g"))
    assert [block["id"] for block in json.decode(carrier.close())["content"]] == ids
    stream = RebuiltStream(along, answers)
    out = stream.feed(b"data: " + gemini("f", "g") + b"\n\n") + stream.close()
    starts = [
        json.decode(line[6:]) for line in out.split(b"\n") if line.startswith(b'data: {"type":"content_block_start"')
    ]
    assert [found["content_block"]["id"] for found in starts] == ids


def test_ids_that_the_provider_made_stay():
    carrier = RebuiltWhole(way("anthropic", "openai_chat"), replace(REPLY, asked=ASKED), streams=False, events=False)
    carrier.feed(json.encode(said(tool_calls=[{**TWICE[0], "id": "call_7"}, {**TWICE[1], "id": "call_2"}])))
    assert [block["id"] for block in json.decode(carrier.close())["content"]] == ["call_7", "call_3"]


@pytest.mark.parametrize("wire", ["openai_chat", "openai_completions"])
def test_a_stream_that_only_ends_is_no_answer(wire: str):
    carrier = VerbatimStream(load(wire))
    assert carrier.feed(b": hello\n\ndata: [DONE]\n\n") == b": hello\n\n"
    assert carrier.failure is not None
    assert (carrier.failure.kind, carrier.failure.detail) == ("upstream_bad_response", "empty_body")
