"""What a provider's HTTP status and headers mean, the same on every wire.

Rules: fault contract U11, U12, U15, U16, U19.
"""

import re
from datetime import datetime

from parley.failure import Failure

Headers = list[tuple[bytes, bytes]]

LONGEST_WAIT = 60.0
LARGEST_BODY = 64 * 1024
LONGEST_MESSAGE = 2000
_NUMBER = re.compile(rb"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?")
_KEPT = frozenset({500, 502, 503, 504, 529})


def failure_of(  # noqa: PLR0913 - two positional facts and the provider's four words, all of them one answer
    status: int,
    headers: Headers,
    message: str,
    *,
    wire: str,
    body: bytes | None,
    upstream_type: str | None = None,
    upstream_code: str | None = None,
) -> Failure:
    """The failure behind an error answer.

    ``message`` is the provider's own ("" where it gave none); only a 4xx shows it to the caller.
    ``body`` is the answer's body where it has the error shape of ``wire``, else None; a large one is not kept.
    A refused credential is the gateway's own affair: neither words nor body of that answer are kept.
    """
    if status in (401, 403):
        return Failure("upstream_auth", "the provider refused the gateway's credential")
    kind, kept, detail = _meaning(status)
    words = message.strip()[:LONGEST_MESSAGE] if 400 <= status < 500 else ""
    return Failure(
        kind,
        words or f"the provider answered with status {status}",
        status=kept,
        detail=detail,
        retry_after=None if kind == "upstream_rejected" else retry_after_of(headers),
        wire=wire,
        body=body if body and len(body) <= LARGEST_BODY else None,
        upstream_type=upstream_type,
        upstream_code=upstream_code,
    )


def _meaning(status: int) -> tuple[str, int | None, str]:
    """Kind, the status to keep (None = the kind's own) and the word for logs."""
    if status == 429:
        return "upstream_rate_limited", None, "rate_limited"
    if status == 408:
        return "upstream_timeout", None, "status_408"
    if 400 <= status < 500:
        return "upstream_rejected", status, ""
    if 300 <= status < 400:
        return "upstream_redirect", None, "redirect_refused"
    if status >= 500:
        return "upstream_error", status if status in _KEPT else 502, f"status_{status}"
    return "upstream_bad_response", None, "bad_status"


def retry_after_of(headers: Headers) -> float | None:
    """Seconds to wait, 0 to 60; None where the provider did not say or said nothing sensible.

    ``retry-after-ms`` wins over ``retry-after``; a date counts from the answer's own Date header,
    so that no clock of ours is asked, and is ignored without one.
    """
    found = dict(reversed(headers))
    seconds = _number(found.get(b"retry-after-ms"), 1000.0)
    if seconds is None:
        seconds = _number(found.get(b"retry-after"), 1.0)
    if seconds is None:
        seconds = _between(found.get(b"date"), found.get(b"retry-after"))
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)


def _number(value: bytes | None, unit: float) -> float | None:
    if value is None or not _NUMBER.fullmatch(value.strip()):
        return None
    return float(value) / unit


def _between(start: bytes | None, end: bytes | None) -> float | None:
    first, last = _date(start), _date(end)
    return (last - first).total_seconds() if first and last else None


def _date(value: bytes | None) -> datetime | None:
    if not value:
        return None
    # Imported here: the parser costs some milliseconds and dates are rare.
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(value.decode("latin-1"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else None
