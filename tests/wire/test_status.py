"""What a provider's status and headers mean, on every wire."""

import pytest

from parley.wire.status import failure_of, retry_after_of

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
        (408, "upstream_timeout", 504, "status_408"),
        (422, "upstream_rejected", 422, ""),
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
    assert failure.retry_after == (None if kind in ("upstream_rejected", "upstream_auth") else 2.0)


def test_nothing_of_a_refused_credential_is_kept() -> None:
    failure = failure_of(401, [], "key sk-secret", wire="w", body=b"sk-secret", upstream_type="t", upstream_code="c")
    assert "sk-secret" not in repr(failure)
    assert (failure.upstream_type, failure.upstream_code) == (None, None)


def test_words_and_bodies_have_an_end() -> None:
    failure = failure_of(400, [], "x" * 5000, wire="w", body=b"x" * 65537, upstream_type="t", upstream_code="c")
    assert (len(failure.message), failure.body) == (2000, None)
    assert (failure.upstream_type, failure.upstream_code) == ("t", "c")
    assert failure_of(400, [], "", wire="w", body=b"x" * 65536).body == b"x" * 65536
