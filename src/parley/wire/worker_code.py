"""What a worker means by a ``code`` that is not 0, in an answer or in an event of a stream.

A code is the worker's own judgment of the request: it is passed on, and not asked for again, unless it says that the
worker is busy or that something behind it failed. Sources: computing node contract 2.5, 5.7.
"""

from typing import Any, Final

from msgspec import Struct

from parley.failure import Failure
from parley.wire.status import LONGEST_MESSAGE

# Timeouts, a model that failed, databases and proxies, streams, internal errors: another place may do better.
ELSEWHERE: Final = frozenset({1005, 1006, 1007, 1016, 1017, 1018, 5000})


class Coded(Struct, frozen=True):
    """An event that is an error: a code and a message, and no choices."""

    code: int
    message: str


def told_code(answer: dict[str, Any]) -> Coded | None:
    """The error that an event is, None where it is none."""
    code, message = answer["code"], answer.get("message")
    if type(code) is not int or code == 0 or not isinstance(message, str) or "choices" in answer:
        return None
    return Coded(code, message)


def coded_failure(status: int, code: int, message: str, detail: str = "worker_error") -> Failure:
    """The failure behind it."""
    words, own = message.strip()[:LONGEST_MESSAGE] or f"the worker answered with code {code}", str(code)
    if status == 429:
        return Failure("upstream_rate_limited", words, detail="rate_limited", upstream_code=own)
    busy = code in ELSEWHERE or status >= 500
    if 400 <= status < 500 and status not in (401, 403) and not busy:
        return Failure("upstream_rejected", words, status=status, upstream_code=own)
    return Failure("upstream_error", words, detail=detail, upstream_code=own, final=not busy)
