"""What is tried again, and after how long. Pure: time and chance are given.

Source: messaging contract section 8.4.
"""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

FIRST: Final = 0.5
MOST: Final = 30.0
_RETRIED: Final = frozenset({408, 409, 429})
_UNKNOWN: Final = 501


def jittered(attempt: int, rand: Callable[[], float], first: float = FIRST, most: float = MOST) -> float:
    """Seconds before the try that follows ``attempt`` (from 1): anything up to a bound that doubles."""
    return rand() * min(most, first * 2.0 ** min(attempt - 1, 32))


def growing(attempt: int, rand: Callable[[], float], first: float = 1.0, most: float = 300.0) -> float:
    """Seconds before a message is delivered again: between a half and the whole of a bound that doubles."""
    return (0.5 + rand() / 2) * min(most, first * 2.0 ** min(attempt - 1, 32))


def retryable(status: int) -> bool:
    """Whether the same request may be answered otherwise later. The gateway's own tries, within seconds, are over by
    then: what it says of them (x-should-retry) is for callers who wait."""
    return status in _RETRIED or (status >= 500 and status != _UNKNOWN)


def pause_of(headers: Mapping[bytes, bytes], wall: float = 0.0) -> float | None:
    """Seconds that an answer asks to wait, None where it does not. ``wall``: seconds since 1970, for dates."""
    exact = _number(headers.get(b"retry-after-ms"))
    if exact is not None:
        return exact / 1000
    said = headers.get(b"retry-after")
    plain = _number(said)
    if plain is not None or said is None:
        return plain
    try:
        return max(0.0, parsedate_to_datetime(said.decode("latin-1")).timestamp() - wall)
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: bytes | None) -> float | None:
    try:
        value = None if text is None else float(text)
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e9 else None


class Tries:
    """The tries of one request: ``attempts`` in all, none begun later than ``until``."""

    __slots__ = ("_attempts", "_until", "made")

    def __init__(self, attempts: int, until: float) -> None:
        self._attempts = attempts
        self._until = until
        self.made = 0

    def next(self, status: int, headers: Mapping[bytes, bytes], now: float, rand: Callable[[], float]) -> float | None:
        """A try has been answered: seconds until the next one, None where that answer is the last."""
        self.made += 1
        if self.made >= self._attempts or not retryable(status):
            return None
        asked = pause_of(headers)
        pause = jittered(self.made, rand)
        if asked is not None:
            pause += asked
        return pause if now + pause < self._until else None
