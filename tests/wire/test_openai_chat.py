"""OpenAI chat answers, whole: read from a provider, written for a caller; and what comes back of both forms."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.fold import unfold
from parley.ir import ChatResponse, Choice, Opaque, Refusal, Text, Thinking, ToolCall, Usage
from wire.openai_parts import DONE, WIRE, answer, failure, folded, read, reply, written


def test_a_full_answer_is_read() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0}'}}
    message = {"content": "Hi", "refusal": None, "reasoning_content": "hm", "tool_calls": [call], "annotations": [1]}
    response = WIRE.decode_response(answer(message, "tool_calls", usage=usage, system_fingerprint="fp"))
    assert response == ChatResponse(
        wire="openai_chat",
        id="c-1",
        model="m",
        created=7,
        choices=(
            Choice(
                0,
                (Thinking("hm"), Text("Hi"), ToolCall("c1", "f", '{"a": 1.0}')),
                "tool_use",
                native="tool_calls",
                extra={"message": {"annotations": [1]}},
            ),
        ),
        usage=Usage(10, 5, 4, 0, 2, extra={"prompt_tokens_details": {"audio_tokens": 1}}, audio_input=1),
        extra={"system_fingerprint": "fp"},
    )
    out = json.decode(WIRE.encode_response(response, reply()))
    assert out["usage"] == usage
    assert out["system_fingerprint"] == "fp"
    assert out["choices"][0]["message"] == {"role": "assistant", **message}


@pytest.mark.parametrize(
    ("message", "blocks"),
    [
        ({"content": None}, ()),
        ({}, ()),
        ({"content": ""}, (Text(""),)),
        (
            {"content": "", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
            (ToolCall("a", "f", "{}"),),
        ),
        ({"content": None, "tool_calls": None, "refusal": "No."}, (Refusal("No."),)),
        ({"content": "x", "reasoning": "hm"}, (Thinking("hm"), Text("x"))),
        ({"content": "x", "reasoning_content": "", "reasoning": "hm"}, (Thinking("hm"), Text("x"))),
        ({"content": "x", "reasoning_content": None}, (Text("x"),)),
        (
            {"tool_calls": [{"function": {"name": "f", "arguments": {"b": 1, "a": 2}}}]},
            (ToolCall("call_1", "f", '{"b":1,"a":2}'),),
        ),
        (
            {"tool_calls": [{"id": "null", "function": {"name": "f"}}, {"id": "", "function": {"name": "g"}}]},
            (ToolCall("call_1", "f", ""), ToolCall("call_2", "g", "")),
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, (ToolCall("call_1", "f", "{}"),)),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "x"},
                    {"type": "ref"},
                ]
            },
            (Thinking("hm"), Text("x"), Opaque("openai_chat", {"type": "ref"})),
        ),
        (
            {
                "content": "x",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": ""}],
                "reasoning_content": "hm",
            },
            (Thinking("hm", ""), Text("x")),
        ),
        ({"thinking_blocks": [{"type": "redacted_thinking", "data": "r"}]}, (Thinking(redacted="r"),)),
        (
            {"tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f"}}]},
            (Opaque("openai_chat", {"id": "a", "type": "custom", "custom": {"name": "f"}}),),
        ),
    ],
)
def test_messages_of_real_servers(message: dict[str, Any], blocks: tuple[Any, ...]) -> None:
    assert WIRE.decode_response(answer(message)).choices[0].content == blocks


@pytest.mark.parametrize(
    ("native", "message", "members", "stop", "matched"),
    [
        ("stop", {"content": "x"}, {}, "end", None),
        ("length", {"content": "x"}, {}, "length", None),
        ("model_length", {"content": "x"}, {}, "length", None),
        ("content_filter", {"content": "x"}, {}, "refusal", None),
        ("function_call", {"content": "x"}, {}, "tool_use", None),
        (None, {"content": "x"}, {}, "end", None),
        ("mystery", {"content": "x"}, {}, "end", None),
        ("stop", {"tool_calls": [{"id": "a", "function": {"name": "f"}}]}, {}, "tool_use", None),
        ("stop", {"content": "x"}, {"stop_reason": "###"}, "stop_sequence", "###"),
        ("stop", {"content": "x"}, {"matched_stop": 2}, "end", None),
    ],
)
def test_stop_reasons(native: Any, message: Any, members: Any, stop: str, matched: Any) -> None:
    data = json.encode({"choices": [{"message": message, "finish_reason": native, **members}]})
    choice = WIRE.decode_response(data).choices[0]
    assert (choice.stop, choice.stop_sequence, choice.native) == (stop, matched, native)
    assert choice.extra == members


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        ("end", "stop"),
        ("stop_sequence", "stop"),
        ("pause", "stop"),
        ("length", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_finish_reasons_are_ours_unless_the_answer_came_on_this_wire(stop: Any, word: str) -> None:
    def told(wire: str) -> str:
        response = ChatResponse(wire=wire, id="", model="", choices=(Choice(0, (Text("x"),), stop, native="odd"),))
        reason: str = json.decode(WIRE.encode_response(response, reply()))["choices"][0]["finish_reason"]
        streamed = [part["choices"][0]["finish_reason"] for part in written(unfold(response), reply(wire))[:-1]]
        assert streamed == [*[None] * (len(streamed) - 1), reason]
        return reason

    assert (told("other"), told("openai_chat")) == (word, "odd")


def test_an_answer_of_another_wire() -> None:
    response = ChatResponse(
        wire="other",
        id="",
        model="",
        choices=(Choice(0, (Thinking("hm", "sig"), ToolCall("a", "f", "", {"x": 1})), "tool_use", extra={"y": 1}),),
        usage=Usage(3, 4, extra={"z": 1}),
        extra={"w": 1},
    )
    assert json.decode(WIRE.encode_response(response, reply())) == {
        "id": "req-1",
        "object": "chat.completion",
        "created": 5,
        "model": "asked",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "reasoning_content": "hm",
                    "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b"<html></html>", "bad_json"),
        (b'{"choices": [', "bad_json"),
        (b'{"choices": [{"message": {"content": "\xff"}}]}', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"choices": null}', "bad_shape"),
        (b'{"choices": [5]}', "bad_shape"),
        (b'{"choices": [{"message": null}]}', "bad_shape"),
        (b'{"choices": [{"message": {"content": 5}}]}', "bad_shape"),
        (b'{"choices": [{"message": {"tool_calls": [{"id": "a"}]}}]}', "bad_shape"),
        (b'{"choices": [{"message": {"tool_calls": 5}}]}', "bad_shape"),
        (b'{"choices": [{"message": {"tool_calls": [[]]}}]}', "bad_shape"),
    ],
)
def test_answers_that_are_none(body: bytes, detail: str) -> None:
    found = failure(WIRE.decode_response, body)
    assert (found.kind, found.detail) == ("upstream_bad_response", detail)


@pytest.mark.parametrize("read_it", [WIRE.decode_response, WIRE.check_answer])
@pytest.mark.parametrize("error", [{"message": "broke", "code": 503}, "broke"])
def test_an_error_with_status_200_is_an_error(read_it: Any, error: Any) -> None:
    found = failure(read_it, json.encode({"error": error}))
    assert (found.kind, found.detail, found.message) == ("upstream_error", "stream_error", "broke")
    assert found.http_status == (503 if isinstance(error, dict) else 502)


@pytest.mark.parametrize("read_it", [WIRE.decode_response, WIRE.check_answer])
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"message": "long", "code": 400, "type": "exceed_context_size_error"}}, "upstream_rejected", 400),
        ({"error": {"message": "bad key sk-1", "code": "401"}, "choices": []}, "upstream_auth", 502),
        ({"error": "key sk-1", "code": 403}, "upstream_auth", 502),
        ({"error": "too long", "error_type": "validation"}, "upstream_rejected", 422),
        ({"error": {"message": "slow", "type": "rate_limit_error"}, "usage": 5}, "upstream_rate_limited", 429),
    ],
)
def test_an_error_with_status_200_is_mapped_as_an_error_answer(
    read_it: Any, body: dict[str, Any], kind: str, status: int
) -> None:
    found = failure(read_it, json.encode(body))
    assert (found.kind, found.http_status, found.detail) == (kind, status, "stream_error")
    assert "sk-1" not in repr(found)


def test_a_choice_that_ended_in_an_error_tells_it() -> None:
    found = failure(
        WIRE.decode_response, answer({"content": "a"}, "error").replace(b'"index":0', b'"error":{"code":429}')
    )
    assert (found.kind, found.detail) == ("upstream_rate_limited", "stream_error")


def test_the_record() -> None:
    assert WIRE.terminator == DONE
    assert all(name == other for name, other in WIRE.rename.items())
    assert set(WIRE.rename) <= WIRE.known
    assert "messages" not in WIRE.rename


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
arguments = st.dictionaries(words, st.integers() | words, max_size=2).map(lambda found: json.encode(found).decode())
thinking = st.builds(Thinking, words, words | st.just("")) | st.builds(Thinking, redacted=words)
counts = st.none() | st.integers(0, 9)


@st.composite
def choices(draw: st.DrawFn, index: int) -> Choice:
    blocks: list[Any] = draw(st.lists(thinking, max_size=2))
    blocks += draw(st.lists(st.builds(Thinking, words), max_size=1))
    blocks += draw(st.lists(st.builds(Text, words), max_size=1))
    blocks += draw(st.lists(st.builds(Refusal, words), max_size=1))
    calls = draw(st.lists(words, unique=True, max_size=3).filter(lambda ids: "null" not in ids))
    blocks += [ToolCall(id_, draw(words), draw(arguments)) for id_ in calls]
    stop, native = (
        ("tool_use", "tool_calls")
        if calls
        else draw(st.sampled_from([("end", "stop"), ("length", "length"), ("refusal", "content_filter")]))
    )
    return Choice(index, tuple(blocks), stop, native=native)


@st.composite
def responses(draw: st.DrawFn) -> ChatResponse:
    return ChatResponse(
        wire="openai_chat",
        id=draw(words),
        model=draw(words),
        created=draw(st.integers(1, 9)),
        choices=tuple(draw(choices(index)) for index in range(draw(st.integers(1, 3)))),
        usage=draw(st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9), counts, counts, counts)),
        extra=draw(st.dictionaries(st.sampled_from(["system_fingerprint", "x"]), words, max_size=1)),
    )


@settings(max_examples=60, deadline=None)
@given(responses(), st.integers(1, 200))
def test_a_streamed_answer_comes_back_whole(response: ChatResponse, size: int) -> None:
    encoder = WIRE.stream_encoder(reply(usage=True))
    stream = b"".join(encoder.feed(found) for found in unfold(response))
    assert folded(read(*[stream[at : at + size] for at in range(0, len(stream), size)])) == response


@settings(max_examples=60, deadline=None)
@given(responses())
def test_a_whole_answer_comes_back_whole(response: ChatResponse) -> None:
    assert WIRE.decode_response(WIRE.encode_response(response, reply())) == response
