"""OpenAI's error shape: what callers get, and what is read from providers that do not keep to it."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import KINDS, Failure
from parley.wire import load

WIRE = load("openai_chat")


def told(failure: Failure) -> tuple[int, dict[str, Any]]:
    status, body = WIRE.encode_error(failure, "req-1")
    error: dict[str, Any] = json.decode(body)["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return status, error


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_its_shape(kind: str) -> None:
    status, error = told(Failure(kind, "words", param="messages[0]"))
    types = {429: "rate_limit_error", 501: "not_implemented_error"}
    expected = types.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    expected = kind if kind == "model_loading" else expected
    assert status == KINDS[kind].status
    assert error == {"message": "words", "type": expected, "param": "messages[0]", "code": kind}


def test_an_overloaded_provider_is_503_here() -> None:
    assert told(Failure("upstream_error", "busy", status=529))[0] == 503


def test_a_refused_request_shows_the_providers_words() -> None:
    failure = Failure(
        "upstream_rejected", "long", status=413, upstream_type="t", upstream_code="context_length_exceeded"
    )
    assert told(failure) == (413, {"message": "long", "type": "t", "param": None, "code": "context_length_exceeded"})
    other = Failure("upstream_error", "broke", upstream_type="t", upstream_code="c")
    assert told(other)[1]["code"] == "upstream_error"


def test_a_body_of_this_wire_is_passed_on_as_it_came() -> None:
    body = b'{"error" : {"code": 400,"message":"too long","type":"exceed_context_size_error","n_ctx":4096}}'
    failure = WIRE.decode_error(400, [], body)
    assert (failure.wire, failure.upstream_type, failure.upstream_code) == (
        "openai_chat",
        "exceed_context_size_error",
        None,
    )
    assert WIRE.encode_error(failure, "req-1") == (400, body)


def test_a_body_of_another_wire_is_not() -> None:
    failure = Failure("upstream_rejected", "no", status=400, wire="other", body=b"{}")
    assert told(failure)[1]["message"] == "no"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_not_the_callers(status: int) -> None:
    failure = WIRE.decode_error(status, [], b'{"error": {"message": "bad key sk-1", "code": "invalid_api_key"}}')
    shown, error = told(failure)
    assert (shown, error["code"]) == (502, "upstream_auth")
    assert "sk-1" not in error["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "words"}}', "words"),
        (b'{"error": "words"}', "words"),
        (b'{"detail": "words"}', "words"),
        (b'{"message": "words", "code": "x"}', "words"),
        (b'{"object": "error", "message": "words", "type": "t"}', "words"),
        (
            b'{"detail": [{"loc": ["body", "seed"], "msg": "extra", "type": "t"}, {"msg": "b"}, 5]}',
            "body.seed: extra; b",
        ),
        (b'{"error": {"message": 5}}', "the provider answered with status 422"),
        (b'{"error": null}', "the provider answered with status 422"),
        (b"[1]", "the provider answered with status 422"),
        (b"<html>oops</html>", "the provider answered with status 422"),
        (b"", "the provider answered with status 422"),
    ],
)
def test_the_words_of_any_provider(body: bytes, message: str) -> None:
    failure = WIRE.decode_error(422, [], body)
    ours = body.startswith(b'{"error": {')
    assert (failure.kind, failure.status, failure.message) == ("upstream_rejected", 422, message)
    assert WIRE.encode_error(failure, "req-1")[1] == body if ours else told(failure)[1]["message"] == message


def test_the_field_a_provider_names_is_kept() -> None:
    failure = WIRE.decode_error(400, [], b'{"error": {"message": "m", "param": "seed", "code": "invalid_value"}}')
    assert (failure.param, failure.upstream_code) == ("seed", "invalid_value")


def test_a_limit_says_how_long() -> None:
    failure = WIRE.decode_error(429, [(b"retry-after", b"7")], b'{"error": {"message": "slow"}}')
    assert (failure.kind, failure.retry_after, failure.message) == ("upstream_rate_limited", 7.0, "slow")


def test_a_failing_provider_keeps_its_body_but_not_its_words() -> None:
    body = b'{"error": {"message": "stack trace", "type": "server_error"}}'
    failure = WIRE.decode_error(503, [], body)
    assert (failure.kind, failure.http_status, failure.body) == ("upstream_error", 503, body)
    assert "stack" not in failure.message
