"""OpenAI chat streams of a provider: every oddity of real servers, and every way to break."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import BlockStart, BlockStop, Delta, End, Finish, Opaque, Refusal, Start, Text, Thinking, ToolCall, Usage
from wire.openai_parts import DONE, HEAD, TEXT, WIRE, call, chunk, content, event, failure, folded, read


def test_text_blocks_open_and_close() -> None:
    assert read(TEXT + DONE) == [
        Start("c-1", "m", 7),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "Hel"),
        Delta(0, 0, "text", "lo"),
        BlockStop(0, 0),
        Finish(0, "end", native="stop"),
        End(),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64])
def test_a_stream_is_the_same_however_it_is_cut(size: int) -> None:
    stream = (
        chunk({"content": "é\u2028"})
        + chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]})
        + chunk({}, "tool_calls")
        + DONE
    )
    for data in (stream, stream.replace(b"\n", b"\r\n"), stream.replace(b"data: ", b": hi\nid: 1\ndata:")):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert read(*pieces) == read(stream)


@pytest.mark.parametrize(
    "stream",
    [
        TEXT,
        event({"choices": [{"delta": {"content": "Hello"}}]})
        + event({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
        event({**HEAD, "choices": [], "prompt_filter_results": []}) + TEXT + DONE,
        chunk({"role": "assistant", "content": None}) + chunk({"content": "Hello"}) + chunk(None, "stop") + DONE,
        chunk({"content": "Hello"}, "stop") + DONE,
        chunk({"content": "Hello"}) + DONE,
        chunk({"content": [{"type": "text", "text": "Hello"}]}, "stop"),
        TEXT + DONE + b"data: {broken\n\n" + chunk({"content": "more"}),
        TEXT + chunk({"content": "late"}) + DONE,
        TEXT + b"data: [DONE] \n\n",
        event({"error": None, **HEAD, "choices": None}) + TEXT,
    ],
)
def test_streams_of_real_servers(stream: bytes) -> None:
    response = folded(read(stream))
    assert response.choices[0].content == (Text("Hello"),)
    assert response.choices[0].stop == "end"


@pytest.mark.parametrize(
    "stream",
    [
        TEXT + event({**HEAD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}) + DONE,
        chunk({"content": "a"}, usage=None)
        + chunk({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 1})
        + chunk({}, "stop", usage={"prompt_tokens": 1.0, "completion_tokens": 2.0}),
    ],
)
def test_usage_is_taken_from_any_chunk_and_the_last_wins(stream: bytes) -> None:
    assert folded(read(stream)).usage == Usage(1, 2)


@pytest.mark.parametrize(
    ("deltas", "blocks"),
    [
        ([{"reasoning_content": "h"}, {"reasoning_content": "m"}, {"content": "x"}], (Thinking("hm"), Text("x"))),
        ([{"reasoning": "hm"}, {"content": "x"}], (Thinking("hm"), Text("x"))),
        ([{"reasoning": "hm", "reasoning_content": "hm", "content": ""}], (Thinking("hm"),)),
        ([{"content": "x", "reasoning_content": "hm"}], (Thinking("hm"), Text("x"))),
        ([{"content": "a"}, {"reasoning_content": "hm"}, {"content": "b"}], (Text("a"), Thinking("hm"), Text("b"))),
        ([{"refusal": "N"}, {"refusal": "o"}], (Refusal("No"),)),
        (
            [
                {"reasoning_content": "hm"},
                {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
                {"content": "x"},
            ],
            (Thinking("hm", "s"), Text("x")),
        ),
        ([{"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}], (Thinking("hm", "s"),)),
        (
            [{"reasoning_content": "hm"}, {"thinking_blocks": [{"type": "redacted_thinking", "data": "r"}]}],
            (Thinking("hm"), Thinking(redacted="r")),
        ),
        ([{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}], (Thinking("hm"),)),
        (
            [{"content": "x"}, {"content": [{"type": "reference", "ids": [1]}]}],
            (Text("x"), Opaque("openai_chat", {"type": "reference", "ids": [1]})),
        ),
    ],
)
def test_deltas_of_real_servers(deltas: list[Any], blocks: tuple[Any, ...]) -> None:
    assert content(*[chunk(delta) for delta in deltas], chunk({}, "stop"), DONE) == blocks


@pytest.mark.parametrize(
    ("fragments", "calls"),
    [
        ([call(0, "a", "f", ""), call(0, arguments='{"q"'), call(0, arguments=":1}")], [("a", "f", '{"q":1}')]),
        ([call(0, "a", "f", "{}"), call(1, "b", "g", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        ([call(1, "a", "f", "{}"), call(5, "b", "g", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        ([call(0, "a", "f", "{}"), call(0, "b", "g", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        ([call(0, "a", "f", '{"q"'), call(0, "a", "f", ":1}")], [("a", "f", '{"q":1}')]),
        ([call(0, "null", "f", "{}"), call(0, "null", "g", "{}")], [("call_1", "f", "{}"), ("call_2", "g", "{}")]),
        ([call(0, None, "f", "{}"), call(1, "", "g", "{}")], [("call_1", "f", "{}"), ("call_2", "g", "{}")]),
        ([call(None, "a", "f", '{"q"'), call(None, None, None, ":1}")], [("a", "f", '{"q":1}')]),
        ([call(None, "a", "f", "{}"), call(None, "b", "g", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        ([call(0, "a"), call(0, None, "f", "{}")], [("a", "f", "{}")]),
        ([call(0, "null", "f"), call(0, "null", "g")], [("call_1", "f", ""), ("call_2", "g", "")]),
        ([call(0, "a", "f", {"q": 1})], [("a", "f", '{"q":1}')]),
        ([call(0, "a", "f")], [("a", "f", "")]),
        ([call(0, "a", "f", "{'q'}")], [("a", "f", "{'q'}")]),
        (
            [call(0, "a", "f", '{"q"'), call(1, "b", "g", "{"), call(0, arguments=":1}"), call(1, arguments="}")],
            [("a", "f", '{"q":1}'), ("b", "g", "{}")],
        ),
    ],
)
def test_tool_calls_of_real_servers(fragments: list[Any], calls: list[Any]) -> None:
    chunks = [chunk({"tool_calls": [fragment]}) for fragment in fragments]
    expected = tuple(ToolCall(*found) for found in calls)
    assert content(*chunks, chunk({}, "tool_calls"), DONE) == expected
    assert content(chunk({"tool_calls": fragments}), chunk({}, "tool_calls"), DONE) == expected
    assert content(chunk({"tool_calls": fragments}), chunk({}, "stop"), DONE) == expected


def test_calls_of_the_time_before_tools_are_streamed() -> None:
    chunks = [chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}})]
    response = folded(read(*chunks, chunk({}, "function_call"), DONE))
    assert response.choices[0].content == (ToolCall("call_1", "f", "{}"),)
    assert (response.choices[0].stop, response.choices[0].native) == ("tool_use", "function_call")


def test_choices_interleave() -> None:
    events = read(
        chunk({"content": "a"}),
        chunk({"content": "b"}, index=1),
        chunk({"content": "c"}),
        chunk({}, "stop"),
        chunk({}, "length", 1),
        DONE,
    )
    assert [(found.content, found.stop) for found in folded(events).choices] == [
        ((Text("ac"),), "end"),
        ((Text("b"),), "length"),
    ]


def test_members_that_are_not_known_are_kept() -> None:
    first = event(
        {
            **HEAD,
            "system_fingerprint": "fp",
            "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [1]}}],
        }
    )
    last = event(
        {
            **HEAD,
            "system_fingerprint": "fp",
            "timings": {"ms": 1},
            "choices": [
                {
                    "index": 0,
                    "delta": {"audio": {"data": "B", "id": "x"}},
                    "finish_reason": "stop",
                    "filter": {"hate": 0},
                }
            ],
        }
    )
    response = folded(
        read(first, chunk({"annotations": [1], "audio": {"data": "A"}}), chunk({"annotations": [2]}), last, DONE)
    )
    assert response.extra == {"system_fingerprint": "fp", "timings": {"ms": 1}}
    assert response.choices[0].logprobs == {"content": [1]}
    assert response.choices[0].extra == {
        "filter": {"hate": 0},
        "message": {"annotations": [1, 2], "audio": {"data": "AB", "id": "x"}},
    }


@pytest.mark.parametrize(
    ("stream", "kind", "detail"),
    [
        ([chunk({"content": "a"})], "upstream_incomplete", "missing_terminator"),
        (
            [chunk({"content": "a"}, "stop"), chunk({"content": "a"}, index=1)],
            "upstream_incomplete",
            "missing_terminator",
        ),
        ([chunk({"content": "a"}), b"data: [DON"], "upstream_incomplete", "missing_terminator"),
        ([event({**HEAD, "choices": []})], "upstream_incomplete", "missing_terminator"),
        (
            [chunk({"tool_calls": [call(0, "a", "f", '{"q": "Pa')]}), chunk({}, "tool_calls")],
            "upstream_incomplete",
            "incomplete_tool_call",
        ),
        (
            [chunk({"tool_calls": [call(0, "a", "f", '{"q": "Pa')]}), DONE],
            "upstream_incomplete",
            "incomplete_tool_call",
        ),
        ([b"data: {broken\n\n"], "upstream_bad_response", "bad_event"),
        ([b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n'], "upstream_bad_response", "bad_event"),
        ([b"data: 5\n\n"], "upstream_bad_response", "bad_event"),
        ([event({"choices": 5})], "upstream_bad_response", "bad_event"),
        ([event({"choices": [5]})], "upstream_bad_response", "bad_event"),
        ([event({"choices": [{"delta": 5}]})], "upstream_bad_response", "bad_event"),
        ([event({"choices": [{"index": "x"}]})], "upstream_bad_response", "bad_event"),
        ([chunk({"tool_calls": 5})], "upstream_bad_response", "bad_event"),
        ([chunk({"tool_calls": [5]})], "upstream_bad_response", "bad_event"),
        ([chunk({"tool_calls": [{"function": 5}]})], "upstream_bad_response", "bad_event"),
        ([chunk({"content": 5})], "upstream_bad_response", "bad_event"),
        ([b"<html>no</html>"], "upstream_bad_response", "bad_event"),
        ([], "upstream_bad_response", "empty_body"),
        ([DONE], "upstream_bad_response", "empty_body"),
        ([b"data: " + b"x" * 1_100_000], "upstream_bad_response", "event_too_large"),
        ([chunk({"content": "a"}, "error")], "upstream_error", "stream_error"),
    ],
)
def test_streams_that_break(stream: list[bytes], kind: str, detail: str) -> None:
    found = failure(read, *stream)
    assert (found.kind, found.detail) == (kind, detail)


@pytest.mark.parametrize(
    ("error", "kind", "message", "status"),
    [
        ({"message": "slow down", "code": 429}, "upstream_rate_limited", "slow down", 429),
        ({"message": "busy", "code": "503"}, "upstream_error", "busy", 503),
        ({"message": "busy", "type": "overloaded_error"}, "upstream_error", "busy", 529),
        ({"message": "busy", "code": "rate_limit_exceeded"}, "upstream_rate_limited", "busy", 429),
        ({"message": "bad", "http_status_code": 422}, "upstream_rejected", "bad", 422),
        ({"message": "long", "type": "exceed_context_size_error", "code": 400}, "upstream_rejected", "long", 400),
        ({"message": "key sk-1", "code": 401}, "upstream_auth", "the provider refused the gateway's credential", 502),
        (
            {"message": "key sk-1", "type": "invalid_request_error", "code": "invalid_api_key"},
            "upstream_auth",
            "the provider refused the gateway's credential",
            502,
        ),
        ({"message": None, "code": True}, "upstream_error", "the provider reported an error", 502),
        ("Model gone", "upstream_error", "Model gone", 502),
        (["x"], "upstream_error", "the provider reported an error", 502),
    ],
)
def test_errors_in_a_stream(error: Any, kind: str, message: str, status: int) -> None:
    data = json.encode({"error": error})
    glanced = WIRE.glance("", data).failure
    found = failure(read, b"data: " + data + b"\n\n")
    assert (found.kind, found.detail, found.message, found.http_status) == (kind, "stream_error", message, status)
    assert glanced == found
    later = failure(read, chunk({"content": "a"}), b"data: " + data + b"\n\n")
    assert later == found


def test_an_error_in_a_stream_names_its_field_and_keeps_its_words() -> None:
    error = {"message": "m", "type": "invalid_request_error", "code": "unsupported_value", "param": "seed"}
    found = failure(read, event({"error": error}))
    assert (found.param, found.upstream_type, found.upstream_code) == (
        "seed",
        "invalid_request_error",
        "unsupported_value",
    )


def test_words_alone_are_joined_by_what_stands_beside_them() -> None:
    data = b'{"error": "too long", "error_type": "validation"}'
    found = failure(read, b"data: " + data + b"\n\n")
    assert (found.kind, found.http_status, found.message) == ("upstream_rejected", 422, "too long")
    assert WIRE.glance("", data).failure == found


def test_an_event_named_error_is_one() -> None:
    assert failure(read, b'event: error\ndata: {"message": "broke"}\n\n').message == "broke"
    assert failure(read, b"event: error\ndata: {}\n\n").message == "the provider reported an error"
    assert WIRE.glance("error", b"{}").failure == failure(read, b"event: error\ndata: {}\n\n")
    glanced = WIRE.glance("error", b'{"message": "broke"}').failure
    assert glanced is not None
    assert glanced.message == "broke"


def test_events_before_a_fault_are_not_lost() -> None:
    decoder = WIRE.stream_decoder()
    events = decoder.feed(chunk({"content": "a"}) + event({"error": "broke"}))
    assert events[-1] == Delta(0, 0, "text", "a")
    assert failure(decoder.feed, b"").message == "broke"
    assert failure(decoder.close).message == "broke"
