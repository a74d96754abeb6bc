"""Bedrock's whole answers and its errors."""

from typing import Any

import msgspec
import pytest

from parley.failure import Failure, ParleyError
from parley.ir import ChatResponse, Media, Opaque, Text, Thinking, ToolCall, Usage
from parley.wire import SPOKEN, Headers, Reply, load
from parley.wire.anthropic import WIRE as ANTHROPIC
from parley.wire.bedrock import WIRE
from parley.wire.openai_chat import WIRE as OPENAI
from wire.bedrock_parts import answer

REPLY = Reply(model="asked-for", id="req-1", created=7, wire="bedrock")


def decoded(value: Any) -> ChatResponse:
    return WIRE.decode_response(msgspec.json.encode(value))


def broken(body: bytes) -> Failure:
    with pytest.raises(ParleyError) as caught:
        WIRE.decode_response(body)
    with pytest.raises(ParleyError) as again:
        WIRE.check_answer(body)
    assert again.value.failure == caught.value.failure
    return caught.value.failure


def failed(status: int, body: Any, *headers: tuple[bytes, bytes]) -> Failure:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    found: Headers = [(b"content-type", b"application/json"), *headers]
    return WIRE.decode_error(status, found, raw)


def test_the_table_leads_here() -> None:
    assert load(SPOKEN["bedrock"]["chat"]) is WIRE


def test_every_kind_of_block() -> None:
    body = (
        b'{"output":{"message":{"role":"assistant","content":['
        b'{"reasoningContent":{"reasoningText":{"text":"Hm","signature":"c2ln/+=="}}},'
        b'{"reasoningContent":{"reasoningText":{"text":"bare"}}},'
        b'{"reasoningContent":{"redactedContent":"AAEC/w=="}},'
        b'{"text":"Hi."},'
        b'{"citationsContent":{"content":[{"text":"so"},{"text":"."}],"citations":[{"title":"t"}]}},'
        b'{"image":{"format":"png","source":{"bytes":"AAEC"}}},'
        b'{"toolUse":{"toolUseId":"t1","name":"f","input":{"b":1.0, "a":"\\u00e9"}}},'
        b'{"toolUse":{"toolUseId":"t2","name":"g"}},'
        b'{"brandNew":{"a":1}}'
        b']}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"trace":{"a":1}}'
    )
    found = WIRE.decode_response(body)
    assert found.choices[0].content == (
        Thinking("Hm", "c2ln/+=="),
        Thinking("bare"),
        Thinking(redacted="AAEC/w=="),
        Text("Hi."),
        Text("so.", {"citations": [{"title": "t"}]}),
        Media(kind="image", data="AAEC", media_type="image/png"),
        ToolCall("t1", "f", '{"b":1.0, "a":"\\u00e9"}'),
        ToolCall("t2", "g", "{}"),
        Opaque("bedrock", {"brandNew": {"a": 1}}),
    )
    assert (found.choices[0].stop, found.choices[0].native) == ("tool_use", "tool_use")
    assert found.extra == {"trace": {"a": 1}}
    assert (found.id, found.model) == ("", "")


def test_the_caller_gets_an_id_of_ours_and_the_model_it_asked_for() -> None:
    whole = decoded(answer({"text": "Hi."}))
    openai = msgspec.json.decode(OPENAI.encode_response(whole, REPLY))
    assert (openai["id"], openai["model"]) == ("req-1", "asked-for")
    assert openai["choices"][0]["message"]["content"] == "Hi."
    anthropic = msgspec.json.decode(ANTHROPIC.encode_response(whole, REPLY))
    assert (anthropic["id"], anthropic["model"]) == ("msg_req-1", "asked-for")


@pytest.mark.parametrize(
    ("reason", "openai", "anthropic"),
    [
        ("end_turn", "stop", "end_turn"),
        ("stop_sequence", "stop", "stop_sequence"),
        ("max_tokens", "length", "max_tokens"),
        ("model_context_window_exceeded", "length", "max_tokens"),
        ("tool_use", "tool_calls", "tool_use"),
        ("guardrail_intervened", "content_filter", "refusal"),
        ("content_filtered", "content_filter", "refusal"),
        ("brand_new", "stop", "end_turn"),
    ],
)
def test_stop_reasons(reason: str, openai: str, anthropic: str) -> None:
    whole = decoded(answer({"text": "Hi."}, reason=reason))
    assert msgspec.json.decode(OPENAI.encode_response(whole, REPLY))["choices"][0]["finish_reason"] == openai
    assert msgspec.json.decode(ANTHROPIC.encode_response(whole, REPLY))["stop_reason"] == anthropic
    assert whole.choices[0].native == reason


def test_the_stop_sequence_that_was_found() -> None:
    fields = {"stop_sequence": "END"}
    whole = decoded(answer({"text": "a"}, reason="stop_sequence", additionalModelResponseFields=fields))
    assert msgspec.json.decode(ANTHROPIC.encode_response(whole, REPLY))["stop_sequence"] == "END"


def test_a_call_behind_an_ordinary_end_asks_for_its_result() -> None:
    whole = decoded(answer({"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}))
    assert whole.choices[0].stop == "tool_use"


@pytest.mark.parametrize(
    ("usage", "input_", "cached", "written"),
    [
        ({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, 10, None, None),
        ({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokens": 0}, 10, 0, None),
        (
            {
                "inputTokens": 10,
                "outputTokens": 5,
                "totalTokens": 45,
                "cacheReadInputTokens": 20,
                "cacheWriteInputTokens": 10,
            },
            40,
            20,
            10,
        ),
        ({"inputTokens": 40, "outputTokens": 5, "totalTokens": 45, "cacheReadInputTokens": 20}, 40, 20, None),
        ({"inputTokens": 3, "outputTokens": 5, "totalTokens": 8, "cacheReadInputTokens": 20}, 23, 20, None),
        ({"inputTokens": 10, "outputTokens": 5.0, "cacheReadInputTokens": 20}, 30, 20, None),
    ],
)
def test_usage_counts_the_cache_once(
    usage: dict[str, Any], input_: int, cached: int | None, written: int | None
) -> None:
    found = decoded({**answer({"text": "a"}), "usage": usage}).usage
    assert found == Usage(input_, 5, cached, written)


def test_what_else_usage_says_is_kept_and_none_is_none() -> None:
    found = decoded({**answer(), "usage": {"inputTokens": 1, "cacheDetails": []}}).usage
    assert found == Usage(1, 0, extra={"cacheDetails": []})
    assert decoded({**answer(), "usage": None}).usage is None
    assert WIRE.check_answer(msgspec.json.encode(answer({"text": "a"}))) == Usage(30, 5)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b"<html>", "bad_json"),
        (b'{"output":{"message":{"content":[{"text":"\xff"}]}},"stopReason":"end_turn"}', "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"output":null,"stopReason":"end_turn"}', "bad_shape"),
        (b'{"output":{},"stopReason":"end_turn"}', "bad_shape"),
        (b'{"output":{"message":{"content":"a"}},"stopReason":"end_turn"}', "bad_shape"),
        (b'{"output":{"message":{"content":[{"text":1}]}},"stopReason":"end_turn"}', "bad_shape"),
        (b'{"output":{"message":{"content":[{"toolUse":{"name":"f"}}]}},"stopReason":"end_turn"}', "bad_shape"),
        (b'{"output":{"message":{"content":[]}}}', "bad_shape"),
        (b'{"stopReason":"end_turn","usage":{"inputTokens":1}}', "bad_shape"),
    ],
)
def test_a_200_that_holds_no_answer(body: bytes, detail: str) -> None:
    failure = broken(body)
    assert (failure.kind, failure.detail) == ("upstream_bad_response", detail)


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_output_that_the_provider_calls_malformed_is_a_failure(reason: str) -> None:
    failure = broken(msgspec.json.encode(answer({"text": "a"}, reason=reason)))
    assert (failure.kind, failure.http_status) == ("upstream_error", 502)
    assert reason in failure.message


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"message": "slow down", "__type": "com.amazon#ThrottlingException"}, "upstream_rate_limited", 429),
        ({"message": "what"}, "upstream_error", 502),
        ({"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}}, "upstream_error", 502),
    ],
)
def test_an_error_with_status_200_is_a_failure(body: dict[str, Any], kind: str, status: int) -> None:
    failure = broken(msgspec.json.encode(body))
    assert (failure.kind, failure.http_status, failure.detail) == (kind, status, "stream_error")


@pytest.mark.parametrize(
    ("status", "name", "kind", "answered"),
    [
        (400, "ValidationException", "upstream_rejected", 400),
        (400, "ServiceQuotaExceededException", "upstream_rejected", 400),
        (400, "ConflictException", "upstream_rejected", 409),
        (403, "AccessDeniedException", "upstream_auth", 502),
        (403, "UnrecognizedClientException", "upstream_auth", 502),
        (400, "ExpiredTokenException", "upstream_auth", 502),
        (404, "ResourceNotFoundException", "upstream_rejected", 404),
        (408, "ModelTimeoutException", "upstream_error", 504),
        (424, "ModelErrorException", "upstream_error", 500),
        (424, "ModelStreamErrorException", "upstream_error", 500),
        (429, "ThrottlingException", "upstream_rate_limited", 429),
        (429, "ModelNotReadyException", "upstream_rate_limited", 429),
        (500, "InternalServerException", "upstream_error", 500),
        (503, "ServiceUnavailableException", "upstream_error", 503),
        (529, "ServiceUnavailableException", "upstream_error", 529),
        (418, "TeapotException", "upstream_rejected", 418),
        (500, "", "upstream_error", 500),
    ],
)
@pytest.mark.parametrize("form", [b"%b", b"%b:http://internal.amazon.com/coral/com.amazon.bedrock/", b"com.amazon#%b"])
def test_errors_by_the_name_of_their_exception(status: int, name: str, kind: str, answered: int, form: bytes) -> None:
    failure = failed(status, {"message": "the words"}, (b"x-amzn-errortype", form % name.encode()))
    assert (failure.kind, failure.http_status) == (kind, answered)
    if failure.kind == "upstream_auth":
        assert "the words" not in failure.message
        return
    assert failure.upstream_type == (name or None)
    assert failure.body is None
    assert ("the words" in failure.message) == (answered < 500)


def test_an_error_names_itself_in_its_body_where_no_header_does() -> None:
    assert failed(400, {"__type": "a.b#ThrottlingException", "Message": "x"}).kind == "upstream_rate_limited"
    assert failed(400, {"code": "ValidationException", "message": "x"}).upstream_type == "ValidationException"
    unknown = failed(404, {"Output": {"__type": "a#UnknownOperationException"}, "Version": "1.0"})
    assert (unknown.upstream_type, unknown.upstream_code) == ("UnknownOperationException", None)


def test_callers_know_a_missing_model_by_its_code() -> None:
    failure = failed(404, {"message": "no such model"}, (b"x-amzn-errortype", b"ResourceNotFoundException"))
    assert failure.upstream_code == "model_not_found"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": 5}', b"\xff"])
def test_errors_that_are_no_error_objects_keep_their_status(body: bytes) -> None:
    assert (failed(503, body).kind, failed(503, body).http_status) == ("upstream_error", 503)
    assert failed(400, body).kind == "upstream_rejected"


def test_how_long_to_wait() -> None:
    throttled = (b"x-amzn-errortype", b"ThrottlingException")
    assert failed(429, {"message": "x"}, throttled, (b"retry-after", b"2")).retry_after == 2.0
    assert failed(429, {"message": "x"}, throttled).retry_after is None


def test_as_a_dialect_it_has_no_more_than_errors() -> None:
    status, body = WIRE.encode_error(Failure("model_not_found", "no such model"), "req-1")
    assert (status, msgspec.json.decode(body)) == (404, {"message": "no such model"})
    with pytest.raises(ParleyError) as caught:
        WIRE.decode_request({})
    assert caught.value.failure.kind == "not_implemented"
