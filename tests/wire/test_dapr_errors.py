"""What of the gateway becomes which row of the runtime's table: every kind of failure there is."""

import json

import pytest

from parley.failure import KINDS, Failure
from parley.wire.dapr.errors import METADATA, MISSING_INPUTS, NO_CONTEXT, decode_error, encode_error, told
from parley.wire.dapr.form import MALFORMED

INVOKE = (500, "ERR_CONVERSATION_INVOKE", "failed conversing with component c: why")
LATE = (500, "ERR_CONVERSATION_INVOKE", "failed conversing with component c: context deadline exceeded")
ROWS = {
    "invalid_json": (400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: why"),
    "invalid_request": (
        400,
        "ERR_CONVERSATION_INVALID_PARMS",
        "failed conversing with component c: invalid params: why",
    ),
    "model_not_found": (400, "ERR_CONVERSATION_NOT_FOUND", "failed finding conversation component c"),
    "not_implemented": (501, "ERR_NOT_IMPLEMENTED", "failed conversing with component c: why"),
    "forbidden": (403, "ERR_PERMISSION_DENIED", "failed conversing with component c: why"),
    "rate_limited": (429, "ERR_RATE_LIMITED", "failed conversing with component c: why"),
    "budget_exceeded": (429, "ERR_BUDGET_EXCEEDED", "failed conversing with component c: why"),
    "overloaded": (503, "ERR_OVERLOADED", "failed conversing with component c: why"),
    "body_too_large": (400, "ERR_BODY_READ", "failed to read request body: why"),
    "upstream_timeout": LATE,
    "upstream_connect_timeout": LATE,
}
# A provider's own refusals, its limits too, are the component's failure; so is an open breaker (no_upstream).
REST = sorted(set(KINDS) - set(ROWS) - {"unauthorized"})


@pytest.mark.parametrize("kind", sorted(ROWS))
def test_a_row_of_its_own(kind: str) -> None:
    assert told(Failure(kind, "why", model="c")) == ROWS[kind]


@pytest.mark.parametrize("kind", REST)
def test_all_else_is_the_component_s_failure(kind: str) -> None:
    assert told(Failure(kind, "why", model="c")) == INVOKE


def test_there_is_nothing_else() -> None:
    assert {"upstream_rejected", "upstream_rate_limited", "upstream_auth", "upstream_error", "no_upstream"} <= set(REST)


@pytest.mark.parametrize(
    ("detail", "row"),
    [
        (MALFORMED, (400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: why")),
        (METADATA, (500, "ERROR", "why")),
        (
            MISSING_INPUTS,
            (400, "ERR_CONVERSATION_MISSING_INPUTS", "failed conversing with component c: missing inputs in request"),
        ),
        (
            NO_CONTEXT,
            (
                404,
                "ERR_CONVERSATION_CONTEXT_NOT_FOUND",
                "failed conversing with component c: there is no such conversation context",
            ),
        ),
    ],
)
def test_finer_words(detail: str, row: tuple[int, str, str]) -> None:
    assert told(Failure("invalid_request", "why", model="c", detail=detail)) == row


def test_an_error_has_two_members_and_a_wrong_key_is_plain_text() -> None:
    status, body = encode_error(Failure("internal", "why", model="c"), "req-1")
    assert (status, json.loads(body)) == (500, {"errorCode": INVOKE[1], "message": INVOKE[2]})
    assert encode_error(Failure("unauthorized", "no"), "req-1") == (401, b"invalid api token\n")


@pytest.mark.parametrize("body", [b'{"errorCode":"ERR_X","message":"why"}', b"why", b"[]", b'{"errorCode":7}', b""])
def test_errors_of_another_runtime_are_understood(body: bytes) -> None:
    failure = decode_error(429, [], body)
    assert failure.kind == "upstream_rate_limited"
    assert failure.upstream_code == ("ERR_X" if b"ERR_X" in body else None)
