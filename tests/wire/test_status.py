"""What a provider's status and headers mean, on every wire."""

from typing import Any

import pytest

from parley.wire.status import failure_of, retry_after_of, told_failure, told_status

DATE = (b"date", b"Fri, 20 Nov 2026 08:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([(b"retry-after", b"2")], 2.0),
        ([(b"retry-after", b" 2.5 ")], 2.5),
        ([(b"retry-after", b"-5")], 0.0),
        ([(b"retry-after", b"1e9")], 60.0),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"inf")], None),
        ([(b"retry-after", b"")], None),
        ([(b"retry-after-ms", b"1500"), (b"retry-after", b"9")], 1.5),
        ([(b"retry-after-ms", b"junk"), (b"retry-after", b"9")], 9.0),
        ([DATE, (b"retry-after", b"Fri, 20 Nov 2026 08:00:07 GMT")], 7.0),
        ([DATE, (b"retry-after", b"Fri, 20 Nov 2026 07:00:00 GMT")], 0.0),
        ([DATE, (b"retry-after", b"Sat, 21 Nov 2026 07:00:00 GMT")], 60.0),
        ([(b"retry-after", b"Fri, 20 Nov 2026 08:00:07 GMT")], None),
        ([(b"date", b"junk"), (b"retry-after", b"Fri, 20 Nov 2026 08:00:07 GMT")], None),
        ([DATE, (b"retry-after", b"Fri, 99 Nov 2026 08:00:07 GMT")], None),
        ([DATE, (b"retry-after", b"Fri, 20 Nov 2026 08:00:07 +99999999999999999999")], None),
        ([(b"retry-after", b"3"), (b"retry-after", b"4")], 3.0),
    ],
)
def test_retry_after(headers: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    assert retry_after_of(headers) == seconds


@pytest.mark.parametrize(
    ("status", "kind", "shown", "detail"),
    [
        (301, "upstream_redirect", 502, "redirect_refused"),
        (400, "upstream_rejected", 400, ""),
        (401, "upstream_auth", 502, ""),
        (403, "upstream_auth", 502, ""),
        (404, "upstream_rejected", 404, ""),
        (408, "upstream_rejected", 408, "status_408"),
        (422, "upstream_rejected", 422, ""),
        (424, "upstream_error", 502, "status_424"),
        (429, "upstream_rate_limited", 429, "rate_limited"),
        (500, "upstream_error", 500, "status_500"),
        (501, "upstream_error", 502, "status_501"),
        (503, "upstream_error", 503, "status_503"),
        (529, "upstream_error", 529, "status_529"),
        (599, "upstream_error", 502, "status_599"),
        (204, "upstream_bad_response", 502, "bad_status"),
    ],
)
def test_statuses(status: int, kind: str, shown: int, detail: str) -> None:
    failure = failure_of(status, [(b"retry-after", b"2")], "the words", wire="w", body=b"{}")
    assert (failure.kind, failure.http_status, failure.detail) == (kind, shown, detail)
    assert failure.message
    assert ("the words" in failure.message) == (400 <= status < 500 and status not in (401, 403))
    assert failure.retry_after == (2.0 if detail else None)


def test_nothing_of_a_refused_credential_is_kept() -> None:
    failure = failure_of(401, [], "key sk-secret", wire="w", body=b"sk-secret", upstream_type="t", upstream_code="c")
    assert "sk-secret" not in repr(failure)
    assert (failure.upstream_type, failure.upstream_code) == (None, None)


def test_words_and_bodies_have_an_end() -> None:
    failure = failure_of(400, [], "x" * 5000, wire="w", body=b"x" * 65537, upstream_type="t", upstream_code="c")
    assert (len(failure.message), failure.body) == (2000, None)
    assert (failure.upstream_type, failure.upstream_code) == ("t", "c")
    assert failure_of(400, [], "", wire="w", body=b"x" * 65536).body == b"x" * 65536


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"type": "invalid_request_error"}, 400),
        ({"type": "BadRequestError"}, 400),
        ({"type": "exceed_context_size_error", "code": 400}, 400),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, 400),
        ({"type": "billing_error"}, 402),
        ({"type": "not_found_error"}, 404),
        ({"type": "invalid_request_error", "code": "model_not_found"}, 404),
        ({"type": "conflict_error"}, 409),
        ({"type": "request_too_large"}, 413),
        ({"error_type": "validation"}, 422),
        ({"http_status_code": 422, "code": 500}, 422),
        ({"status_code": 404.0}, 404),
        ({"type": "authentication_error"}, 401),
        ({"type": "invalid_request_error", "code": "invalid_api_key"}, 401),
        ({"code": 500, "type": "authentication_error"}, 401),
        ({"type": "permission_error"}, 403),
        ({"code": 400, "status": "PERMISSION_DENIED"}, 403),
        ({"code": "401"}, 401),
        ({"code": 403}, 403),
        ({"code": "429"}, 429),
        ({"type": "rate_limit_error"}, 429),
        ({"type": "tokens", "code": "rate_limit_exceeded"}, 429),
        ({"type": "insufficient_quota"}, 429),
        ({"status": "RESOURCE_EXHAUSTED"}, 429),
        ({"type": "api_error"}, 500),
        ({"type": "unavailable_error"}, 503),
        ({"code": "engine_overloaded"}, 503),
        ({"type": "timeout_error"}, 504),
        ({"type": "overloaded_error"}, 529),
        ({"type": "strange", "code": "x"}, None),
        ({"code": 200}, None),
        ({"code": 1_000_000, "type": "invalid_request_error"}, 400),
        ({"code": True, "status": None}, None),
        ({"code": "4\u0662\u0669"}, None),
        ({}, None),
        ("401", None),
        (None, None),
    ],
)
def test_the_status_that_an_error_object_names(error: Any, status: int | None) -> None:
    assert told_status(error) == status


@pytest.mark.parametrize(
    ("error", "kind", "shown"),
    [
        ({"code": 400}, "upstream_rejected", 400),
        ({"code": 408}, "upstream_rejected", 408),
        ({"code": 401}, "upstream_auth", 502),
        ({"code": 403}, "upstream_auth", 502),
        ({"code": 429}, "upstream_rate_limited", 429),
        ({"code": 500}, "upstream_error", 500),
        ({"code": 501}, "upstream_error", 502),
        ({"code": 529}, "upstream_error", 529),
        ({}, "upstream_error", 502),
        ("words", "upstream_error", 502),
    ],
)
def test_an_error_object_is_an_error_answer_of_its_status(error: Any, kind: str, shown: int) -> None:
    failure = told_failure(error, "the words sk-1", wire="w", body=b"sk-1", upstream_type="t", upstream_code="c")
    assert (failure.kind, failure.http_status, failure.log_kind) == (kind, shown, "stream_error")
    if kind == "upstream_auth":
        assert "sk-1" not in repr(failure)
        assert (failure.upstream_type, failure.body) == (None, None)
    else:
        assert (failure.message, failure.body, failure.wire) == ("the words sk-1", b"sk-1", "w")
        assert (failure.upstream_type, failure.upstream_code) == ("t", "c")


def test_an_error_object_without_words_gets_ours() -> None:
    assert told_failure({"code": 400}, " ", wire="w").message == "the provider reported an error"
    assert len(told_failure({"code": 500}, "x" * 5000, wire="w").message) == 2000
