"""Whole answers, errors, and the verbatim path's look at events."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message as SdkMessage
from msgspec.structs import replace

from parley.failure import KINDS, Failure, ParleyError
from parley.ir import ChatResponse, Choice, Opaque, Refusal, Text, Thinking, ToolCall, Usage
from parley.wire import Mark, Reply, load
from parley.wire.anthropic import WIRE

RECORDED = Path(__file__).parent.parent / "recordings" / "anthropic"
OWN = Reply(model="asked", id="7", created=0, wire="anthropic")
ANSWER = (RECORDED / "answer.json").read_bytes()


def test_the_wire_is_found_by_its_name() -> None:
    assert load("anthropic") is WIRE
    assert WIRE.name == "anthropic"
    assert set(WIRE.rename.values()) <= WIRE.known


# --- whole answers -----------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    response = WIRE.decode_response(ANSWER)
    assert response == ChatResponse(
        wire="anthropic",
        id="msg_05",
        model="claude-x",
        choices=(
            Choice(
                0,
                (
                    Thinking("Hm.", "AbC=="),
                    Text("Let me look.", {"citations": None}),
                    ToolCall("toolu_c", "look", '{"x" : 1.0, "big": 12345678901234567890123, "x2":1e3}'),
                ),
                "tool_use",
                native="tool_use",
                extra={"stop_details": None},
            ),
        ),
        usage=Usage(17, 20, 4, 3, 6, extra={"service_tier": "standard"}),
        extra={"container": None},
    )
    again = WIRE.encode_response(response, OWN)
    assert msgspec.json.decode(again) == msgspec.json.decode(ANSWER)
    assert b'{"x" : 1.0, "big": 12345678901234567890123, "x2":1e3}' in again


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "end"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_use"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("of_tomorrow", "end"),
    ],
)
def test_stop_reasons(reason: str, stop: str) -> None:
    body = ANSWER.replace(b'"stop_reason":"tool_use"', b'"stop_reason":"%s"' % reason.encode())
    response = WIRE.decode_response(body)
    assert (response.choices[0].stop, response.choices[0].native) == (stop, reason)
    assert msgspec.json.decode(WIRE.encode_response(response, OWN))["stop_reason"] == reason


def test_a_refusal_is_explained_and_goes_back_as_it_came() -> None:
    details = b'{"type":"refusal","category":null,"explanation":"Not this."}'
    body = ANSWER.replace(b'"stop_details":null', b'"stop_details":' + details)
    response = WIRE.decode_response(body)
    refusal = response.choices[0].content[-1]
    assert isinstance(refusal, Refusal)
    assert refusal.text == "Not this."
    assert msgspec.json.decode(WIRE.encode_response(response, OWN)) == msgspec.json.decode(body)


def foreign(*content: Any, **fields: Any) -> dict[str, Any]:
    response = ChatResponse(
        wire="openai_chat",
        id="chatcmpl-1",
        model="",
        choices=(Choice(0, content, **fields), Choice(1, (Text("second"),))),
        usage=Usage(10, 4, cached=3, extra={"cost": 1}),
        extra={"system_fingerprint": "x"},
    )
    data = WIRE.encode_response(response, Reply(model="asked", id="7", created=0, wire="openai_chat"))
    # The official client must take it.
    SdkMessage.model_validate_json(data, strict=True)
    return msgspec.json.decode(data)


def test_a_foreign_answer() -> None:
    assert foreign(
        Thinking("hm"),
        Text("a", {"annotations": []}),
        Opaque("openai_chat", {"type": "x"}),
        ToolCall("c1", "f", ""),
        ToolCall("c2", "g", "{oops"),
        stop="tool_use",
        native="tool_calls",
        extra={"y": 1},
    ) == {
        "id": "msg_chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "asked",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
            {"type": "tool_use", "id": "c2", "name": "g", "input": {"_raw": "{oops"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 4, "cache_read_input_tokens": 3},
    }
    declined = foreign(Refusal("No."), stop="end", native="stop")
    assert (declined["content"], declined["stop_reason"]) == ([{"type": "text", "text": "No."}], "refusal")


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        (b" ", "upstream_bad_response", "empty_body"),
        (b"<html>", "upstream_bad_response", "bad_json"),
        (b'{"a":"\xff"}', "upstream_bad_response", "bad_json"),
        (b'{"type":"message","content":[{"type":"text","text":"\xff"}]}', "upstream_bad_response", "bad_json"),
        (b"[1]", "upstream_bad_response", "bad_shape"),
        (b'{"type":"message"}', "upstream_bad_response", "bad_shape"),
        (b'{"type":"error","error":{"type":"api_error","message":"m"}}', "upstream_error", "stream_error"),
        (b'{"type":"error","error":{"type":"not_found_error","message":"m"}}', "upstream_rejected", "stream_error"),
        (b'{"type":"error","error":{"type":"permission_error","message":"m"}}', "upstream_auth", "stream_error"),
        (b'{"error":{"code":400,"type":"exceed_context_size_error"}}', "upstream_rejected", "stream_error"),
        (b'{"error":"broke"}', "upstream_error", "stream_error"),
    ],
)
def test_an_answer_that_is_none(body: bytes, kind: str, detail: str) -> None:
    for look in (WIRE.check_answer, WIRE.decode_response):
        with pytest.raises(ParleyError) as caught:
            look(body)
        assert (caught.value.failure.kind, caught.value.failure.detail) == (kind, detail)


def test_a_block_that_is_not_valid_is_named() -> None:
    with pytest.raises(ParleyError, match=r"content\[1\]\.text") as caught:
        WIRE.decode_response(ANSWER.replace(b'"Let me look."', b"7"))
    assert caught.value.failure.detail == "bad_shape"
    WIRE.check_answer(ANSWER)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (b'{"input_tokens":5.0,"output_tokens":null}', Usage(5, 0)),
        (b'{"input_tokens":5,"cache_read_input_tokens":2,"output_tokens":1}', Usage(7, 1, cached=2)),
        (b"null", None),
        (
            b'{"input_tokens":5,"output_tokens":4,"output_tokens_details":{"thinking_tokens":3}}',
            Usage(5, 4, reasoning=3),
        ),
        (b'{"input_tokens":"five","output_tokens":4}', Usage(0, 4)),
        (b"{}", Usage(0, 0)),
        (b"7", None),
    ],
)
def test_usage_is_read_without_the_rest(usage: bytes, told: Usage | None) -> None:
    assert WIRE.check_answer(b'{"type":"message","content":[{"usage":9}],"usage":' + usage + b"}") == told


def test_usage_of_an_answer() -> None:
    found = WIRE.decode_response(ANSWER).usage
    assert found is not None
    assert WIRE.check_answer(ANSWER) == replace(found, extra={})


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status", "word"),
    [
        (Failure("invalid_json", "m"), 400, "invalid_request_error"),
        (Failure("unauthorized", "m"), 401, "authentication_error"),
        (Failure("forbidden", "m"), 403, "permission_error"),
        (Failure("model_not_found", "m"), 404, "not_found_error"),
        (Failure("body_too_large", "m"), 413, "request_too_large"),
        (Failure("rate_limited", "m"), 429, "rate_limit_error"),
        (Failure("overloaded", "m"), 503, "overloaded_error"),
        (Failure("upstream_rejected", "m", status=422), 422, "invalid_request_error"),
        (Failure("upstream_rejected", "m", status=402), 402, "billing_error"),
        (Failure("upstream_error", "m", status=529), 529, "overloaded_error"),
        (Failure("upstream_error", "m", status=500), 500, "api_error"),
        (Failure("upstream_timeout", "m"), 504, "timeout_error"),
        (Failure("upstream_auth", "m"), 502, "api_error"),
        (Failure("not_implemented", "m"), 501, "api_error"),
    ],
)
def test_errors_for_callers(failure: Failure, status: int, word: str) -> None:
    found, body = WIRE.encode_error(failure, "req_1")
    assert found == status
    assert msgspec.json.decode(body) == {
        "type": "error",
        "error": {"type": word, "message": "m", "code": failure.kind, "details": {"error_code": failure.kind}},
        "request_id": "req_1",
    }


def test_every_kind_has_a_shape_and_a_field_is_named() -> None:
    for kind in KINDS:
        status, body = WIRE.encode_error(Failure(kind, "m", param="messages[0]"), "r")
        error = msgspec.json.decode(body)["error"]
        assert (status, error["code"], error["param"]) == (KINDS[kind].status, kind, "messages[0]")


def test_a_provider_s_error_is_read_and_passed_on() -> None:
    body = (
        b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too big",'
        b'"details":{"error_code":"e1"}},"request_id":"req_up"}'
    )
    failure = WIRE.decode_error(400, [], body)
    assert (failure.kind, failure.http_status, failure.message) == ("upstream_rejected", 400, "max_tokens: too big")
    assert (failure.upstream_type, failure.upstream_code) == ("invalid_request_error", "e1")
    assert WIRE.encode_error(failure, "r") == (400, body)
    overloaded = WIRE.decode_error(529, [(b"retry-after", b"3")], body)
    assert (overloaded.kind, overloaded.http_status, overloaded.retry_after) == ("upstream_error", 529, 3.0)


def test_a_refused_credential_stays_ours() -> None:
    body = b'{"type":"error","error":{"type":"authentication_error","message":"sk-secret is wrong"}}'
    for failure in (
        WIRE.decode_error(401, [], body),
        Failure("upstream_auth", "m", wire="anthropic", body=body),
        Failure("upstream_rejected", "m", status=403, wire="anthropic", body=body),
    ):
        assert b"sk-secret" not in WIRE.encode_error(failure, "r")[1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}', "too long"),
        (b'{"error":"plain"}', "plain"),
        (b'{"detail":"x"}', "the provider answered with status 400"),
        (b"<html>", "the provider answered with status 400"),
    ],
)
def test_errors_of_other_shapes(body: bytes, message: str) -> None:
    failure = WIRE.decode_error(400, [], body)
    assert (failure.message, failure.body) == (message, None)


# --- glances -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}', Mark(content=True)),
        ('{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}', Mark()),
        (
            '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a"}}',
            Mark(content=True),
        ),
        (
            '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}',
            Mark(content=True),
        ),
        ('{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"a"}}', Mark()),
        ('{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}', Mark()),
        (
            '{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}',
            Mark(content=True),
        ),
        ('{"type":"ping"}', Mark()),
        ('{"type":"new_thing","delta":"odd"}', Mark()),
        ('{"type":"message_stop"}', Mark(end=True)),
        (
            '{"type":"message_start","message":{"usage":{"input_tokens":2,"cache_read_input_tokens":3}}}',
            Mark(usage=Usage(5, 0, cached=3)),
        ),
        (
            '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}',
            Mark(finished=True, usage=Usage(0, 4)),
        ),
        ('{"type":"message_delta","delta":{"stop_reason":null}}', Mark()),
    ],
)
def test_glances(data: str, expected: Mark) -> None:
    assert WIRE.glance("", data.encode()) == expected


def test_a_glance_at_an_error() -> None:
    data = b'{"type":"error","error":{"type":"overloaded_error","message":"full"}}'
    failure = WIRE.glance("error", data).failure
    assert failure is not None
    assert (failure.kind, failure.http_status, failure.body) == ("upstream_error", 529, data)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"x",
        b'{"type":"content_block_delta","delta":{"text":"\xff"}}',
        b'{"type":"content_block_delta","delta":{"text":1}}',
        b"[]",
    ],
)
def test_a_glance_at_nonsense(data: bytes) -> None:
    with pytest.raises(ParleyError) as caught:
        WIRE.glance("content_block_delta", data)
    assert caught.value.failure.detail == "bad_event"
