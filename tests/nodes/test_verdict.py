"""What a node says of a failed call beside its answer, and what the node that asked makes of it."""

import json
from base64 import b64encode
from typing import Any

import pytest

from parley.failure import Failure
from parley.nodes.verdict import event, heeding, line, read
from parley.plan.health import counts
from parley.plan.retry import may_move
from parley.ports import Headers
from parley.settings import Retries

ON = Retries().on


def passed(failure: Failure, body: bytes = b"{}") -> Failure:
    name, _, value = line(failure, body).strip().partition(b": ")
    assert name == b"x-parley-failure"
    found = read(value, body)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "failure",
    [
        Failure("upstream_error", "own words\nin two lines", upstream_code="7777", final=True),
        Failure("upstream_error", "sick", status=500, upstream_code="9"),
        Failure("upstream_rejected", "no", status=422, param="messages", upstream_code="5"),
        Failure("upstream_timeout", "late"),
        Failure("upstream_bad_response", "not JSON"),
        Failure("invalid_request", "no such tool", param="tools"),
        Failure("internal", "a bug"),
    ],
)
def test_what_somebody_has_decided_is_the_answer(failure: Failure) -> None:
    found = passed(failure)
    assert (found.message, found.upstream_code) == (failure.message, failure.upstream_code)
    assert not may_move(found, ON)
    assert not counts(found)


@pytest.mark.parametrize(
    ("kind", "as_kind"),
    [
        ("upstream_unreachable", "upstream_unreachable"),
        ("upstream_closed", "upstream_unreachable"),
        ("no_upstream", "upstream_unreachable"),
        ("overloaded", "upstream_rate_limited"),
        ("upstream_rate_limited", "upstream_rate_limited"),
        ("rate_limited", "upstream_rate_limited"),
    ],
)
def test_what_nobody_has_looked_at_may_go_to_another_node(kind: str, as_kind: str) -> None:
    found = passed(Failure(kind, "words", retry_after=3.0))
    assert (found.kind, found.detail, found.retry_after) == (as_kind, "node_answered", 3.0)
    assert may_move(found, ON)


def test_a_request_that_went_round_says_nothing_of_the_node() -> None:
    found = passed(Failure("upstream_unreachable", "round", detail="node_loop"))
    assert (found.detail, counts(found), may_move(found, ON)) == ("node_loop", False, True)


def test_a_providers_own_body_is_kept() -> None:
    body = b'{"error":{"message":"m","x":1}}'
    failure = Failure("upstream_rejected", "m", status=400, wire="openai_chat", body=body)
    found = passed(failure, body)
    assert (found.wire, found.body, found.status) == ("openai_chat", body, 400)
    assert passed(failure, b"other").body is None


def said(*members: Any) -> bytes:
    return b64encode(json.dumps(members).encode())


@pytest.mark.parametrize("value", [b"", b"!", said(), said("nonsense", "m", 500), said("internal", "m", 200)])
def test_what_cannot_be_read_is_an_answer_like_any_other(value: bytes) -> None:
    heard: list[Any] = []

    class Sink:
        def head(self, status: int, headers: Headers) -> None:
            heard.append(status)

        def body(self, data: bytes) -> None:
            heard.append(data)

        def done(self) -> None:
            heard.append("done")

        def failed(self, failure: Failure) -> None:
            heard.append(failure)

    sink = heeding(Sink(), [(b"x-parley-failure", value)])
    sink.head(503, [])
    sink.body(b"{")
    sink.body(b"}")
    sink.done()
    assert heard == [503, b"{}", "done"]


def test_a_code_ends_a_stream() -> None:
    assert event(Failure("upstream_error", "m", upstream_code="55")) == b'data: {"code":55,"message":"m"}\n\n'
    assert event(Failure("upstream_error", "m", upstream_code="context_length")) == b""
    assert event(Failure("upstream_error", "m")) == b""
