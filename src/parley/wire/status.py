"""What a provider's HTTP status and headers mean, and its error objects without one, the same on every wire.

Rules: fault contract U11, U12, U15, U16, U19, U21, M11; provider contract 0.4.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from parley.failure import Failure

Headers = list[tuple[bytes, bytes]]

LONGEST_WAIT = 60.0
LARGEST_BODY = 64 * 1024
LONGEST_MESSAGE = 2000
_NUMBER = re.compile(rb"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?")
_KEPT = frozenset({500, 502, 503, 504, 529})
# Where an error object tells its status, the plainest first.
_TELLING: Final = ("http_status_code", "status_code", "status", "code", "type", "error_type")
# The providers' words in lower case and without "_"; what only begins or ends so is in _PARTS.
_WORDS: Final[Mapping[str, int]] = {
    "invalidrequesterror": 400,
    "invalidrequest": 400,
    "badrequesterror": 400,
    "badrequest": 400,
    "invalidargument": 400,
    "failedprecondition": 400,
    "exceedcontextsizeerror": 400,
    "contextlengthexceeded": 400,
    "contentfilter": 400,
    "contentpolicyviolation": 400,
    "billingerror": 402,
    "notfounderror": 404,
    "notfound": 404,
    "modelnotfound": 404,
    "conflicterror": 409,
    "requesttoolarge": 413,
    "validation": 422,
    "validationerror": 422,
    "insufficientquota": 429,
    "resourceexhausted": 429,
    "toomanyrequests": 429,
    "apierror": 500,
    "servererror": 500,
    "internalservererror": 500,
    "unavailable": 503,
    "unavailableerror": 503,
    "serviceunavailable": 503,
    "timeouterror": 504,
    "deadlineexceeded": 504,
    "overloadederror": 529,
}
_PARTS: Final = (
    ("apikey", 401),
    ("authenti", 401),
    ("unauthor", 401),
    ("credential", 401),
    ("permission", 403),
    ("forbidden", 403),
    ("ratelimit", 429),
    ("overloaded", 503),
)


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
        retry_after=retry_after_of(headers) if detail else None,
        wire=wire,
        body=body if body and len(body) <= LARGEST_BODY else None,
        upstream_type=upstream_type,
        upstream_code=upstream_code,
    )


def told_failure(
    error: Any,
    message: str,
    *,
    wire: str,
    body: bytes | None = None,
    upstream_type: str | None = None,
    upstream_code: str | None = None,
) -> Failure:
    """The failure that an error object means inside an answer which began with status 200.

    It is that of an error answer with the status the object names (told_status), but shows the provider's words of
    any other than a refused credential; ``upstream_error`` where none is named. The detail is ``stream_error``.
    """
    failure = failure_of(
        told_status(error) or 502,
        [],
        message,
        wire=wire,
        body=body,
        upstream_type=upstream_type,
        upstream_code=upstream_code,
    )
    if failure.kind == "upstream_auth":
        return replace(failure, detail="stream_error")
    words = message.strip()[:LONGEST_MESSAGE] or "the provider reported an error"
    return replace(failure, message=words, detail="stream_error")


def told_status(error: Any) -> int | None:
    """The HTTP status that an error object names by a number or a word, None where it names none.

    A refused credential wins wherever it is named: its words may quote the key.
    """
    if type(error) is not dict:
        return None
    found = [status for name in _TELLING if (status := _meant(error.get(name))) is not None]
    for status in found:
        if status in (401, 403):
            return status
    return found[0] if found else None


def _meant(value: Any) -> int | None:
    if type(value) is int or type(value) is float:
        return int(value) if 400 <= value < 600 else None
    if type(value) is not str:
        return None
    if len(value) == 3 and value.isdecimal() and value.isascii():
        return _meant(int(value))
    word = value.lower().replace("_", "")
    known = _WORDS.get(word)
    if known is not None:
        return known
    return next((status for part, status in _PARTS if part in word), None)


def _meaning(status: int) -> tuple[str, int | None, str]:
    """Kind, the status to keep (None = the kind's own) and the word for logs."""
    if status == 429:
        return "upstream_rate_limited", None, "rate_limited"
    if status == 408:
        return "upstream_rejected", status, "status_408"
    # What the request depended on has failed: model servers say it of their own model.
    if status == 424:
        return "upstream_error", None, "status_424"
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
