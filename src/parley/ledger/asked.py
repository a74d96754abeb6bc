"""Questions about the ledger as people write them: words of a query or of a command line. Mistakes are ValueErrors."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from parley.config.amounts import duration
from parley.operations import operation_of
from parley.store.ledger import DAY, HOUR
from parley.store.usage import DIMENSIONS, GRAINS, TAG, Requests, Sums

MAX_REQUESTS: Final = 1000
# Sums of single hours, and of days, are given for so many seconds at most.
MAX_HOURS: Final = 31 * DAY
MAX_DAYS: Final = 3660 * DAY
_OUTCOMES: Final = ("ok", "error", "client_abort")
_TIMES: Final = ("from", "to", "format")
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}


def sums(words: Mapping[str, str], now: float) -> Sums:
    """``by`` (A,B,...), ``from``, ``to`` and filters by DIMENSIONS and ``tag:NAME``; without ``from`` the last 30 days,
    of single hours the last two."""
    by = tuple(part.strip() for part in words.get("by", "").split(",") if part.strip())
    for name in by:
        if name not in (*DIMENSIONS, *GRAINS) and not _is_tag(name):
            raise ValueError(f"by: there is no {name!r}; write some of {', '.join((*DIMENSIONS, *GRAINS))}, tag:NAME")
    if len(set(by)) != len(by) or {"day", "hour"} <= set(by):
        raise ValueError("by: name each once, and day or hour")
    until = moment(words["to"], now) if "to" in words else now
    back = 2 * DAY if "hour" in by else 30 * DAY
    since = moment(words["from"], now) if "from" in words else until // DAY * DAY - back + DAY
    most = MAX_HOURS if "hour" in by else MAX_DAYS
    if since > until:
        raise ValueError("from, to: the earlier first")
    if until > since + most + DAY:
        raise ValueError(f"from, to: at most {most // DAY} days")
    return Sums(since=since, until=max(until, since + HOUR), by=by, only=_only(words, ("by", *_TIMES)))


def requests(words: Mapping[str, str], now: float, most: int = MAX_REQUESTS) -> Requests:
    """``limit``, ``before`` (an id), ``from``, ``to``, ``request_id``, ``status``, ``outcome``, ``failed`` and filters
    by DIMENSIONS."""
    own = ("limit", "before", "request_id", "status", "outcome", "failed")
    only = _only(words, (*own, *_TIMES))
    if any(map(_is_tag, only)):
        raise ValueError("requests are not found by tags: ask by key")
    outcome = words.get("outcome")
    if outcome is not None and outcome not in _OUTCOMES:
        raise ValueError(f"outcome: write one of {', '.join(_OUTCOMES)}")
    failed = words.get("failed", "false")
    if failed not in _TRUTHS:
        raise ValueError("failed: write true or false")
    limit = _number("limit", words.get("limit", "100"))
    if not 1 <= limit <= most:
        raise ValueError(f"limit: 1 to {most}")
    return Requests(
        limit=limit,
        before=_id(words.get("before")),
        since=moment(words["from"], now) if "from" in words else None,
        until=moment(words["to"], now) if "to" in words else None,
        only=only,
        request_id=words.get("request_id"),
        status=_number("status", words["status"]) if "status" in words else None,
        outcome=outcome,
        failed=_TRUTHS[failed],
    )


def moment(text: str, now: float) -> float:
    """Seconds since 1970: of an ISO 8601 time (UTC where it says nothing else), or so long ago (2h)."""
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - duration(text)
        except ValueError:
            raise ValueError(f"{text!r} is no time: write 2026-01-31, 2026-01-31T12:00:00Z, or 2h ago as 2h") from None
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()


def _only(words: Mapping[str, str], known: tuple[str, ...]) -> dict[str, str]:
    only = {name: text for name, text in words.items() if name not in known}
    for name in only:
        if name not in DIMENSIONS and not _is_tag(name):
            raise ValueError(f"there is no {name!r} to ask by; known here: {', '.join((*known, *DIMENSIONS))}")
    if "operation" in only:
        only["operation"] = operation_of(only["operation"]) or only["operation"]
    return only


def _is_tag(name: str) -> bool:
    return name.startswith(TAG) and len(name) > len(TAG)


def _id(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:
        raise ValueError("before: write the id of a request as it was listed") from None


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{name}: write a number")
    return int(text)
