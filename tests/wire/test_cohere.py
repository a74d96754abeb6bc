"""Cohere v2 chat answers, whole and streamed, and its errors."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.failure import Failure
from parley.ir import BlockStart, BlockStop, Delta, End, Finish, Opaque, Start, Text, Thinking, ToolCall, Usage
from parley.wire import Reply
from wire.cohere_parts import CHAT, EMBED, START, USED, call, end, event, failure, folded, plan, read, words

PAID = Usage(11, 4, 6, extra={"billed_units": USED["billed_units"]})


def answer(reason: str = "COMPLETE", message: Any = None, **more: Any) -> bytes:
    said = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]} if message is None else message
    return json.encode({"id": "c-1", "finish_reason": reason, "message": said, "usage": USED, **more})


def test_a_whole_answer() -> None:
    response = CHAT.decode_response(answer(odd=1))
    assert (response.wire, response.id, response.model, response.created) == ("cohere", "c-1", "", 0)
    assert response.usage == PAID
    assert type(response.usage.input) is int
    assert response.choices[0].content == (Text("Hello."),)
    assert (response.choices[0].stop, response.choices[0].native) == ("end", "COMPLETE")
    assert response.extra == {"odd": 1}


def test_plan_thoughts_calls_and_citations() -> None:
    citation = {"start": 0, "end": 2, "text": "It", "sources": []}
    response = CHAT.decode_response(
        answer(
            "TOOL_CALL",
            {
                "role": "assistant",
                "tool_plan": "I will ask.",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "odd", "x": 1}],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"b": 1}'}},
                    {"type": "function", "function": {"name": "g", "arguments": {"c": 2}}},
                ],
                "citations": [citation],
            },
        )
    )
    (choice,) = response.choices
    assert choice.content == (
        Thinking("I will ask."),
        Thinking("hm"),
        Opaque("cohere", {"type": "odd", "x": 1}),
        ToolCall("a", "f", '{"b": 1}'),
        ToolCall("call_2", "g", '{"c":2}'),
    )
    assert (choice.stop, choice.extra) == ("tool_use", {"citations": [citation]})


STOPS = [
    ("COMPLETE", "end"),
    ("STOP_SEQUENCE", "stop_sequence"),
    ("MAX_TOKENS", "length"),
    ("TOOL_CALL", "tool_use"),
    ("ERROR_TOXIC", "refusal"),
    ("NEW_WORD", "end"),
]


@pytest.mark.parametrize(("reason", "stop"), STOPS)
def test_reasons_to_stop(reason: str, stop: str) -> None:
    assert CHAT.decode_response(answer(reason)).choices[0].stop == stop
    response = folded(read(START + words(0, "Hello.") + end(reason)))
    assert (response.choices[0].stop, response.choices[0].native) == (stop, reason)


@pytest.mark.parametrize(
    ("reason", "more", "status", "message"),
    [
        ("ERROR", {}, 502, "the provider ended the answer with ERROR"),
        ("ERROR", {"error": "the model broke"}, 502, "the model broke"),
        ("TIMEOUT", {}, 504, "the provider ended the answer with TIMEOUT"),
        ("COMPLETE", {"error": "no"}, 502, "no"),
    ],
)
def test_an_answer_that_ended_in_an_error_is_none(reason: str, more: Any, status: int, message: str) -> None:
    decoder = CHAT.stream_decoder()
    assert len(decoder.feed(START + words(0, "Hel") + end(reason, **more))) == 4
    for found in (failure(decoder.feed, b""), failure(CHAT.decode_response, answer(reason, **more))):
        assert (found.kind, found.http_status, found.message) == ("upstream_error", status, message)
        assert found.detail == "stream_error"


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        (USED, PAID),
        ({"billed_units": {"input_tokens": 5.0}}, Usage(5, extra={"billed_units": {"input_tokens": 5.0}})),
        ({"tokens": {}}, None),
        ({"tokens": {"input_tokens": "3"}}, None),
        (None, None),
    ],
)
def test_counts_may_be_floats_or_missing(usage: Any, found: Usage | None) -> None:
    assert CHAT.decode_response(answer(usage=usage)).usage == found
    assert CHAT.check_answer(answer(usage=usage)) == found


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"<html>", "bad_json"),
        (b"\xff", "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (answer(message={"content": 5}), "bad_shape"),
        (answer(message={"content": [5]}), "bad_shape"),
        (answer(message={"content": [{"type": "text", "text": 5}]}), "bad_shape"),
        (answer(message={"tool_calls": {}}), "bad_shape"),
        (answer(message={"tool_calls": [{}]}), "bad_shape"),
        (answer(message={"tool_calls": [{"function": {"name": ""}}]}), "bad_shape"),
    ],
)
def test_what_is_no_answer(body: bytes, detail: str) -> None:
    found = failure(CHAT.decode_response, body)
    assert (found.kind, found.detail) == ("upstream_bad_response", detail)


def test_log_probabilities_take_the_form_callers_know() -> None:
    items = [
        {"text": "He", "token_ids": [1], "logprobs": [-0.5]},
        {"text": "é!", "token_ids": [2, 3], "logprobs": [-1, -2]},
    ]
    found = CHAT.decode_response(answer(logprobs=items)).choices[0].logprobs
    assert found["content"] == [
        {"token": "He", "logprob": -0.5, "bytes": [72, 101], "top_logprobs": []},
        {"token": "é!", "logprob": -3, "bytes": [195, 169, 33], "top_logprobs": []},
    ]
    delta = event("content-delta", 0, {"content": {"text": "He"}}, logprobs=items[0])
    assert folded(read(START + delta + end())).choices[0].logprobs["content"] == found["content"][:1]


# Streams


def test_a_stream_of_words() -> None:
    assert read(START + words(0, "Hel", "lo") + end()) == [
        Start("c-1", ""),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "Hel"),
        Delta(0, 0, "text", "lo"),
        BlockStop(0, 0),
        Finish(0, "end", native="COMPLETE"),
        End(PAID),
    ]


CITED = event("citation-start", 0, {"citations": {"start": 0, "end": 2}}) + event("citation-end", 0)
TOOLS = (
    START
    + words(0, "let me ", "think", kind="thinking")
    + plan("I will", " ask.")
    + call(0, "a", "f", '{"ci', 'ty": "é"}')
    + call(1, "b", "g")
    + CITED
    + end("TOOL_CALL")
)


def test_a_stream_of_thoughts_plan_and_parallel_calls() -> None:
    response = folded(read(TOOLS))
    (choice,) = response.choices
    assert choice.content == (
        Thinking("let me think"),
        Thinking("I will ask."),
        ToolCall("a", "f", '{"city": "é"}'),
        ToolCall("b", "g", ""),
    )
    assert (choice.stop, choice.extra) == ("tool_use", {"citations": [{"start": 0, "end": 2}]})
    assert response.usage == PAID


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_stream_is_the_same_however_it_is_cut(size: int) -> None:
    for data in (TOOLS, TOOLS.replace(b"\n", b"\r\n"), TOOLS.replace(b"event: ", b": hi\nevent: ")):
        assert read(*[data[at : at + size] for at in range(0, len(data), size)]) == read(TOOLS)


PIECES = st.lists(st.text(min_size=1, max_size=4), max_size=4)


@settings(max_examples=40, deadline=None)
@given(PIECES, st.lists(st.tuples(st.dictionaries(st.text(max_size=3), st.integers()), st.integers(1, 9)), max_size=4))
def test_any_plan_of_calls_arrives_whole(said: list[str], calls: list[tuple[dict[str, int], int]]) -> None:
    stream, expected = START + words(0, *said), []
    for place, (arguments, size) in enumerate(calls):
        text = json.encode(arguments).decode()
        stream += call(place, f"id-{place}", "f", *[text[at : at + size] for at in range(0, len(text), size)])
        expected.append(ToolCall(f"id-{place}", "f", text))
    stream += end("TOOL_CALL" if calls else "COMPLETE")
    content = folded(read(*[stream[at : at + 1] for at in range(len(stream))])).choices[0].content
    assert content == (Text("".join(said)), *expected)


@pytest.mark.parametrize(
    "stream",
    [
        words(0, "Hello") + end(),
        START + event("content-delta", 0, {"content": {"text": "Hello"}}) + end(),
        START + event("content-start", 0, {"content": {"type": "text", "text": "Hello"}}) + end(),
        START + event("debug", prompt="x") + words(3, "Hello") + event("new-kind", 9) + end() + b"data: [DONE]\n\n",
        (START + words(0, "Hello") + end()).replace(b"event: ", b"id: "),
        START + words(0, "Hello") + end() + b"data: {broken\n\n",
    ],
)
def test_streams_that_leave_something_out_or_add_something(stream: bytes) -> None:
    assert folded(read(stream)).choices[0].content == (Text("Hello"),)


def test_odd_calls() -> None:
    shell = {"function": {"name": "f", "arguments": {"a": 1}}}
    response = folded(read(START + event("tool-call-start", 0, {"tool_calls": [shell]}) + end("COMPLETE")))
    assert response.choices[0].content == (ToolCall("call_1", "f", '{"a":1}'),)
    assert response.choices[0].stop == "tool_use"


@pytest.mark.parametrize(
    ("stream", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b": hi\n\n", "upstream_bad_response", "bad_event"),
        (b"data: [DONE]\n\n", "upstream_incomplete", "missing_terminator"),
        (START, "upstream_incomplete", "missing_terminator"),
        (START + words(0, "Hel"), "upstream_incomplete", "missing_terminator"),
        (START + words(0, "Hel") + b"data: [DONE]\n\n", "upstream_incomplete", "missing_terminator"),
        (START + call(0, "a", "f", '{"a":') + end("TOOL_CALL"), "upstream_incomplete", "incomplete_tool_call"),
        (START + b"data: {broken\n\n", "upstream_bad_response", "bad_event"),
        (START + b"data: 5\n\n", "upstream_bad_response", "bad_event"),
        (START + b"data: \xff\n\n", "upstream_bad_response", "bad_event"),
        (START + event("content-delta", 0, {"content": 5}), "upstream_bad_response", "bad_event"),
        (START + event("content-delta", 0, {"content": {"text": 5}}), "upstream_bad_response", "bad_event"),
        (START + event("tool-call-start", 0, {"tool_calls": {}}), "upstream_bad_response", "bad_event"),
        (START + event("tool-call-delta", 0, {"tool_calls": {"function": {}}}), "upstream_bad_response", "bad_event"),
        (START + event("tool-plan-delta", None, {}), "upstream_bad_response", "bad_event"),
        (START + b'data: {"message":"slow","code":429}\n\n', "upstream_rate_limited", "stream_error"),
        (START + b'event: error\ndata: {"message":"no"}\n\n', "upstream_error", "stream_error"),
    ],
)
def test_streams_that_break(stream: bytes, kind: str, detail: str) -> None:
    found = failure(read, stream)
    assert (found.kind, found.detail) == (kind, detail)


# Errors


@pytest.mark.parametrize(
    ("status", "kind", "given"),
    [
        (400, "upstream_rejected", 400),
        (401, "upstream_auth", 502),
        (403, "upstream_auth", 502),
        (404, "upstream_rejected", 404),
        (422, "upstream_rejected", 422),
        (429, "upstream_rate_limited", 429),
        (498, "upstream_auth", 502),
        (500, "upstream_error", 500),
        (501, "upstream_error", 502),
        (503, "upstream_error", 503),
        (504, "upstream_error", 504),
    ],
)
def test_errors(status: int, kind: str, given: int) -> None:
    for wire in (CHAT, EMBED):
        found = wire.decode_error(status, [(b"retry-after", b"3")], b'{"message":"words","id":"x"}')
        assert (found.kind, found.http_status) == (kind, given)
        assert found.message == ("words" if kind in ("upstream_rejected", "upstream_rate_limited") else found.message)
        assert (found.retry_after == 3) is (status in (429, 500, 501, 503, 504))
    assert b"words" not in json.encode(CHAT.decode_error(498, [], b'{"message":"words"}'))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'{"message":5}'])
def test_errors_of_other_shapes(body: bytes) -> None:
    assert CHAT.decode_error(400, [], body).message == "the provider answered with status 400"
    assert CHAT.decode_error(400, [], b'{"error":{"message":"m"}}').message == "m"


def test_errors_in_this_wire() -> None:
    assert CHAT.encode_error(Failure("invalid_request", "no"), "r") == (400, b'{"id":"r","message":"no"}')
    own = b'{"message":"m"}'
    assert CHAT.encode_error(CHAT.decode_error(422, [], own), "r") == (422, own)
    encoder = CHAT.stream_encoder(Reply(model="m", id="r", created=1))
    sent = encoder.fail(Failure("upstream_incomplete", "cut"))
    assert failure(read, START + sent).message == "cut"
    assert failure(encoder.feed, End()).kind == "not_implemented"


def test_a_glance_at_events() -> None:
    mark = CHAT.glance("", event("content-delta", 0, {"content": {"text": "x"}}).split(b"data: ")[1])
    assert (mark.content, mark.finished, mark.end) == (True, False, False)
    mark = CHAT.glance("", end().split(b"data: ")[1])
    assert (mark.content, mark.finished, mark.end, mark.usage) == (False, True, True, PAID)
    assert CHAT.glance("", b"[DONE]").end is False
    assert failure(CHAT.glance, "", b"{").detail == "bad_event"
