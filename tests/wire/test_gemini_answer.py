"""Whole answers, read from a provider and written for a caller; errors; the verbatim path's look at both."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure
from parley.ir import ChatResponse, Choice, Media, Opaque, Refusal, Stop, Text, Thinking, ToolCall, Usage
from parley.wire import Reply, load
from parley.wire.signature import FILLER, foreign, sealed
from wire.gemini_parts import ARRAY, SIGNATURE, WIRE, answer, candidate, failing, reply

USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "cachedContentTokenCount": 6,
    "totalTokenCount": 17,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
}
PARTS = (
    {"text": "hm", "thought": True, "thoughtSignature": SIGNATURE},
    {"text": "Grüße \u2028🚀"},
    {"functionCall": {"name": "f", "args": {"b": 1.0, "a": 12345678901234567890}}, "thoughtSignature": SIGNATURE},
    {"functionCall": {"id": "x", "name": "g"}},
    {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    {"executableCode": {"code": "1"}},
)
WHOLE = answer(
    candidate(*PARTS, reason="STOP", safetyRatings=[{"category": "C"}]), usageMetadata=USAGE, createTime="now"
)


def test_reading() -> None:
    found = WIRE.decode_response(WHOLE)
    assert found == ChatResponse(
        wire="gemini",
        id="r1",
        model="g-1",
        choices=(
            Choice(
                0,
                (
                    Thinking("hm", sealed(SIGNATURE)),
                    Text("Grüße \u2028🚀"),
                    ToolCall("call_1", "f", '{"b":1.0,"a":12345678901234567890}', {"thoughtSignature": SIGNATURE}),
                    ToolCall("x", "g", "{}"),
                    Media(kind="image", data="AA==", media_type="image/png"),
                    Opaque("gemini", {"executableCode": {"code": "1"}}),
                ),
                "tool_use",
                native="STOP",
                extra={"safetyRatings": [{"category": "C"}]},
            ),
        ),
        usage=Usage(
            10, 7, cached=6, reasoning=3, extra={"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}]}
        ),
        extra={"createTime": "now"},
    )


def test_writing_for_its_own_callers_loses_nothing() -> None:
    made = json.decode(WIRE.encode_response(WIRE.decode_response(WHOLE), reply()))
    expected = json.decode(WHOLE)
    # Calls without an id have got one.
    parts = expected["candidates"][0]["content"]["parts"]
    parts[2]["functionCall"]["id"] = "call_1"
    parts[3]["functionCall"]["args"] = {}
    assert made == expected
    assert b'"args":{"b":1.0,"a":12345678901234567890}' in WIRE.encode_response(WIRE.decode_response(WHOLE), reply())


def test_signatures_reach_callers_of_other_wires() -> None:
    found = WIRE.decode_response(WHOLE)
    message = json.decode(load("openai_chat").encode_response(found, reply("gemini")))["choices"][0]["message"]
    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    assert message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": SIGNATURE}}
    assert "extra_content" not in message["tool_calls"][1]
    content = json.decode(load("anthropic").encode_response(found, reply("gemini")))["content"]
    assert [block["type"] for block in content] == ["thinking", "text", "thinking", "tool_use", "tool_use"]
    assert content[0]["signature"] == sealed(SIGNATURE)
    assert content[2] == {"type": "thinking", "thinking": "", "signature": sealed(SIGNATURE)}
    # And back again.
    history = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content[2:4]}],
    }
    body = WIRE.encode_request(load("anthropic").decode_request(history), {}).body
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == SIGNATURE


@pytest.mark.parametrize(
    ("reason", "parts", "stop"),
    [
        ("STOP", [{"text": "x"}], "end"),
        ("STOP", [{"functionCall": {"name": "f"}}], "tool_use"),
        ("FINISH_REASON_UNSPECIFIED", [{"text": "x"}], "end"),
        ("MAX_TOKENS", [], "length"),
        *((word, [], "refusal") for word in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")),
        *((f"IMAGE_{word}", [], "refusal") for word in ("SAFETY", "PROHIBITED_CONTENT", "RECITATION")),
        ("MODEL_ARMOR", [], "refusal"),
        ("ESCALATION", [], "refusal"),
        ("OTHER", [{"text": "x"}], "end"),
        ("TOO_MANY_TOOL_CALLS", [{"functionCall": {"name": "f"}}], "tool_use"),
        ("SOMETHING_NEW", [{"text": "x"}], "end"),
        ("CONTINUATION", [{"text": "x"}], "pause"),
    ],
)
def test_stop_reasons(reason: str, parts: list[Any], stop: Stop) -> None:
    choice = WIRE.decode_response(answer(candidate(*parts, reason=reason))).choices[0]
    assert (choice.stop, choice.native) == (stop, reason)


@pytest.mark.parametrize(
    "reason",
    ["LANGUAGE", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL",
     "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE", "SOMETHING_NEW"],
)  # fmt: skip
def test_an_answer_that_came_to_nothing_is_an_error(reason: str) -> None:
    body = answer({"finishReason": reason, "finishMessage": "it said so", "index": 0})
    failure = failing(WIRE.decode_response, body)
    assert (failure.kind, failure.http_status) == ("upstream_error", 502)
    assert reason in failure.message
    assert "it said so" in failure.message


def test_a_candidate_may_lack_content_or_parts() -> None:
    found = WIRE.decode_response(
        answer({"finishReason": "SAFETY"}, {"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 1})
    )
    assert [(choice.index, choice.content, choice.stop) for choice in found.choices] == [
        (0, (), "refusal"),
        (1, (), "length"),
    ]


def test_a_refused_prompt_is_an_answer() -> None:
    body = json.encode({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}})
    found = WIRE.decode_response(body)
    assert found.choices == (Choice(0, (), "refusal"),)
    assert found.usage == Usage(3, 0)
    told = json.decode(load("openai_chat").encode_response(found, reply("gemini")))["choices"][0]
    assert (told["finish_reason"], told["message"]["content"]) == ("content_filter", None)
    assert "candidates" not in json.decode(WIRE.encode_response(found, reply()))
    assert WIRE.check_answer(body) == Usage(3, 0)


def test_log_probabilities_both_ways() -> None:
    chosen = [{"token": "é", "tokenId": 5, "logProbability": -0.5}]
    result = {
        "chosenCandidates": chosen,
        "topCandidates": [{"candidates": [*chosen, {"token": "b", "logProbability": -2}]}],
    }
    found = WIRE.decode_response(answer(candidate({"text": "é"}, reason="STOP", logprobsResult=result)))
    assert found.choices[0].logprobs == {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [
                    {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                    {"token": "b", "logprob": -2, "bytes": [98]},
                ],
            }
        ],
        "refusal": None,
    }
    made = json.decode(WIRE.encode_response(found, reply("openai_chat")))["candidates"][0]["logprobsResult"]
    assert made["chosenCandidates"] == [{"token": "é", "logProbability": -0.5}]
    assert [each["token"] for each in made["topCandidates"][0]["candidates"]] == ["é", "b"]


FOREIGN = ChatResponse(
    wire="anthropic",
    id="",
    model="",
    choices=(
        Choice(
            0,
            (
                Thinking("hm", "claude's", extra={"x": 1}),
                Thinking(redacted="secret"),
                Text("", {"citations": []}),
                Text("so", {"citations": []}),
                Refusal("no"),
                ToolCall("t", "f", "not json"),
                Opaque("anthropic", {"type": "server_tool_use"}),
            ),
            "tool_use",
            native="tool_use",
            extra={"own": 1},
        ),
    ),
    usage=Usage(5, 6, cached=2, cache_write=1, reasoning=4, extra={"own": 1}),
    extra={"own": 1},
)
FOREIGN_PARTS = [
    {"text": "hm", "thought": True, "thoughtSignature": foreign("claude's")},
    {"text": "", "thought": True, "thoughtSignature": foreign("redacted:secret")},
    {"text": "so"},
    {"text": "no"},
    {"functionCall": {"id": "t", "name": "f", "args": {"_raw": "not json"}}, "thoughtSignature": FILLER},
]


def test_writing_what_another_wire_answered() -> None:
    made = json.decode(WIRE.encode_response(FOREIGN, reply("anthropic")))
    assert made == {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": FOREIGN_PARTS,
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 4,
            "cachedContentTokenCount": 2,
            "totalTokenCount": 11,
        },
        "modelVersion": "asked",
        "responseId": "req-1",
    }
    # The caller brings it back: another wire's signature is that wire's again.
    parts = made["candidates"][0]["content"]["parts"][:2]
    history = {"model": "m", "contents": [{"role": "model", "parts": parts}]}
    assert WIRE.decode_request(history).messages[0].content == (Thinking("hm", "claude's"), Thinking(redacted="secret"))


@pytest.mark.parametrize(
    ("stop", "word"),
    [("end", "STOP"), ("stop_sequence", "STOP"), ("length", "MAX_TOKENS"), ("refusal", "SAFETY"), ("pause", "STOP")],
)
def test_stop_reasons_of_other_wires(stop: Stop, word: str) -> None:
    found = ChatResponse(wire="x", id="", model="", choices=(Choice(0, (Text("a"),), stop, native="own"),))
    assert json.decode(WIRE.encode_response(found, reply("x")))["candidates"][0]["finishReason"] == word


def test_an_answer_that_ended_in_error_is_one() -> None:
    found = ChatResponse(wire="x", id="", model="", choices=(Choice(0, (), "error"),))
    assert failing(WIRE.encode_response, found, reply("x")).kind == "upstream_error"


def test_usage_with_tools_and_an_odd_total() -> None:
    told = {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 99}
    found = WIRE.decode_response(answer(candidate({"text": "x"}, reason="STOP"), usageMetadata=told))
    assert found.usage is not None
    assert (found.usage.input, found.usage.output) == (15, 1)
    assert json.decode(WIRE.encode_response(found, reply()))["usageMetadata"] == told


ERROR = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
BROKEN: list[tuple[bytes, str, str]] = [
    (b" ", "upstream_bad_response", "empty_body"),
    (b"<html>", "upstream_bad_response", "bad_json"),
    (b'{"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}', "upstream_bad_response", "bad_json"),
    (b"[1]", "upstream_bad_response", "bad_shape"),
    (b"{}", "upstream_bad_response", "bad_shape"),
    (b'{"candidates":[]}', "upstream_bad_response", "bad_shape"),
    (b'{"candidates":{}}', "upstream_bad_response", "bad_shape"),
    (json.encode(ERROR), "upstream_rate_limited", "stream_error"),
    (json.encode([ERROR]), "upstream_rate_limited", "stream_error"),
    (b'{"error":"words"}', "upstream_error", "stream_error"),
]


@pytest.mark.parametrize(("body", "kind", "detail"), BROKEN)
def test_what_is_no_answer(body: bytes, kind: str, detail: str) -> None:
    for read in (WIRE.decode_response, WIRE.check_answer):
        failure = failing(read, body)
        assert (failure.kind, failure.detail) == (kind, detail)


def test_two_calls_of_one_id_are_no_answer() -> None:
    calls = [{"functionCall": {"id": "x", "name": "f"}}] * 2
    assert failing(WIRE.decode_response, answer(candidate(*calls, reason="STOP"))).detail == "bad_shape"
    beside = [{"functionCall": {"id": "call_1", "name": "f"}}, {"functionCall": {"name": "f"}}]
    content = WIRE.decode_response(answer(candidate(*beside, reason="STOP"))).choices[0].content
    assert [block.id for block in content if isinstance(block, ToolCall)] == ["call_1", "call_2"]


@pytest.mark.parametrize("part", ['{"text":1}', "1", '{"functionCall":{}}', '{"inlineData":{"data":1}}'])
def test_parts_that_are_none(part: str) -> None:
    body = b'{"candidates":[{"content":{"parts":[%b]}}]}' % part.encode()
    assert failing(WIRE.decode_response, body).detail == "bad_shape"


def test_the_verbatim_path_reads_usage_only() -> None:
    assert WIRE.check_answer(WHOLE) == Usage(10, 7, cached=6, reasoning=3)
    assert WIRE.check_answer(answer(candidate({"text": "x"}))) is None
    assert WIRE.check_answer(answer(candidate({"text": "x"}), usageMetadata={"promptTokenCount": "many"})) is None


# --- errors ------------------------------------------------------------------------------------


def test_reading_errors() -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"},
    ]
    body = json.encode({"error": {**ERROR["error"], "details": details}})
    for sent in (body, b"[" + body + b"]"):
        failure = WIRE.decode_error(429, [], sent)
        assert (failure.kind, failure.retry_after, failure.message) == ("upstream_rate_limited", 37.5, "slow down")
        assert (failure.upstream_type, failure.upstream_code) == ("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
        assert WIRE.encode_error(failure, "id") == (429, body)
        assert ARRAY.encode_error(failure, "id") == (429, b"[" + body + b"]")
    assert WIRE.decode_error(429, [(b"retry-after", b"5")], body).retry_after == 5


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"no"}', b"\xff"])
def test_errors_of_any_form_are_read(body: bytes) -> None:
    failure = WIRE.decode_error(503, [], body)
    assert (failure.kind, failure.http_status, failure.body) == ("upstream_error", 503, None)


def test_a_bad_key_is_our_own_affair() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    told = {"code": 400, "message": "API key AIza not valid", "status": "INVALID_ARGUMENT", "details": [info]}
    for failure in (
        WIRE.decode_error(400, [], json.encode({"error": told})),
        failing(WIRE.decode_response, json.encode({"error": told})),
    ):
        assert failure.kind == "upstream_auth"
        assert "AIza" not in failure.message
        assert failure.body is None


@pytest.mark.parametrize(
    ("failure", "status", "name"),
    [
        (Failure("invalid_request", "no", param="contents[0]"), 400, "INVALID_ARGUMENT"),
        (Failure("unauthorized", "no"), 401, "UNAUTHENTICATED"),
        (Failure("forbidden", "no"), 403, "PERMISSION_DENIED"),
        (Failure("model_not_found", "no"), 404, "NOT_FOUND"),
        (Failure("upstream_rejected", "no", status=409), 409, "ABORTED"),
        (Failure("body_too_large", "no"), 413, "INVALID_ARGUMENT"),
        (Failure("rate_limited", "no", retry_after=3), 429, "RESOURCE_EXHAUSTED"),
        (Failure("internal", "no"), 500, "INTERNAL"),
        (Failure("not_implemented", "no"), 501, "UNIMPLEMENTED"),
        (Failure("overloaded", "no"), 503, "UNAVAILABLE"),
        (Failure("upstream_timeout", "no"), 504, "DEADLINE_EXCEEDED"),
        (Failure("upstream_error", "no", status=529), 503, "UNAVAILABLE"),
    ],
)
def test_writing_errors(failure: Failure, status: int, name: str) -> None:
    found, body = WIRE.encode_error(failure, "id")
    error = json.decode(body)["error"]
    assert found == status
    assert (error["code"], error["status"], error["message"]) == (status, name, "no")
    details = {detail["@type"].rpartition(".")[2]: detail for detail in error["details"]}
    assert details["ErrorInfo"]["reason"] == failure.kind
    assert ("BadRequest" in details) == (failure.param is not None)
    assert details.get("RetryInfo", {}).get("retryDelay") == ("3s" if failure.retry_after else None)


def test_another_wires_error_body_does_not_go_out() -> None:
    failure = Failure("upstream_rejected", "no", wire="openai_chat", body=b'{"error":{"type":"x"}}')
    assert json.decode(WIRE.encode_error(failure, "id")[1])["error"]["status"] == "INVALID_ARGUMENT"


def test_a_signature_goes_round_a_caller_of_responses() -> None:
    wire = load("openai_responses")
    asked = b'{"model":"m","input":"hi","include":["reasoning.encrypted_content"]}'
    told = Reply(model="m", id="resp_1", created=5, wire="gemini", asked=asked)
    output = json.decode(wire.encode_response(WIRE.decode_response(WHOLE), told))["output"]
    kinds = [item["type"] for item in output]
    place = kinds.index("function_call")
    assert kinds[place - 1] == "reasoning"
    assert SIGNATURE in output[place - 1]["encrypted_content"]
    history = {"model": "m", "input": [{"role": "user", "content": "hi"}, *output[place - 1 : place + 1]]}
    body = WIRE.encode_request(wire.decode_request(history), {}).body
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == SIGNATURE
