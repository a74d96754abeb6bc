"""What callers are told of limits: header lines, and why a request was refused. Pure."""

from collections.abc import Iterable
from math import ceil, inf
from typing import Final

from parley.failure import Failure
from parley.limits.meter import Meter
from parley.limits.rule import PICO, Rule

MOST_HEADS: Final = 16
# A budget that never begins anew: somebody has to raise it.
DAY: Final = 86400.0
_NAMES: Final = {60.0: "minute", 3600.0: "hour", 86400.0: "day"}
_WHOSE: Final = {"key": "of this key", "all": "of this gateway"}


class Shown:
    """The header lines on what is left of meters of one measure, by the one that has the least."""

    __slots__ = ("_head", "_known", "_limit", "_meters", "_name", "_reset", "_seconds")

    def __init__(self, measure: str, meters: tuple[Meter, ...]) -> None:
        self._meters = meters
        self._name = measure
        # What was written last: heads by limit, the last of them, and one reset.
        self._known: dict[int, str] = {}
        self._limit = self._seconds = -1
        self._head = self._reset = ""

    def lines(self, now: float) -> str:
        """Them, as of now."""
        best = self._meters[0]
        left = best.left()
        for meter in self._meters[1:]:
            other = meter.left()
            if other < left:
                best, left = meter, other
        if best.limit != self._limit:
            self._limit = best.limit
            self._head = self._known.get(best.limit) or self._made(best.limit)
        exact = ceil(best.ends - now if best.ends != inf else best.rule.span)
        if exact != self._seconds:
            self._seconds = exact
            self._reset = f"\r\nx-ratelimit-reset-{self._name}: {span_text(max(0, exact)).decode()}\r\n"
        return self._head + str(left) + self._reset

    def _made(self, limit: int) -> str:
        head = f"x-ratelimit-limit-{self._name}: {limit}\r\nx-ratelimit-remaining-{self._name}: "
        self._known = {**self._known, limit: head} if len(self._known) < MOST_HEADS else {limit: head}
        return head


def shown(meters: Iterable[Meter]) -> tuple[Shown, ...]:
    """What tells of requests and of tokens, where there are limits of them."""
    found: dict[str, list[Meter]] = {}
    for meter in meters:
        found.setdefault(meter.rule.measure, []).append(meter)
    return tuple(Shown(name, tuple(found[name])) for name in ("requests", "tokens") if name in found)


def said(parts: tuple[Shown, ...], now: float) -> bytes:
    """Header lines of several, as of now."""
    text = ""
    for part in parts:
        text += part.lines(now)
    return text.encode()


def span_text(seconds: int) -> bytes:
    """A time as in ``1s``, ``6m0s``, ``1h0m0s``."""
    minutes, rest = divmod(seconds, 60)
    if not minutes:
        return b"%ds" % rest
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)


def refusal(meter: Meter, needed: int, now: float, wall: float) -> Failure:
    """Why a request that needs so much was refused, and when to come again."""
    rule, pause = meter.rule, meter.pause(now, wall)
    if rule.measure == "money":
        return Failure("budget_exceeded", _spent(meter, needed), retry_after=DAY if pause is None else pause)
    if rule.measure == "parallel":
        message = f"the limit {_whose(rule)} is {rule.limit} {_plural('request', rule.limit)} at one time"
        return Failure("rate_limited", message, retry_after=pause)
    what = _plural(rule.measure[:-1], rule.limit)
    message = f"the limit {_whose(rule)} is {rule.limit} {what} {_per(rule.span)}"
    if rule.measure == "tokens":
        message += f"; {meter.left()} left, and this request may need {needed}"
    return Failure("rate_limited", message, retry_after=pause)


def reason(rule: Rule) -> str:
    """The label of parley_shed_total."""
    return {"money": "budget", "parallel": "concurrency"}.get(rule.measure, "rate")


def _spent(meter: Meter, needed: int) -> str:
    left, rule = max(0, meter.left()), meter.rule
    again = "" if not rule.span else f" {_per(rule.span)}"
    return (
        f"the budget {_whose(rule)} is {_usd(rule.limit)}{again}; {_usd(left)} left, and this request may cost "
        f"{_usd(needed)}"
    )


def _usd(picodollars: int) -> str:
    return f"${picodollars / PICO:.6f}".rstrip("0").rstrip(".")


def _whose(rule: Rule) -> str:
    return _WHOSE.get(rule.scope) or f"of {rule.who[:200]}"


def _per(span: float) -> str:
    if span in _NAMES:
        return f"per {_NAMES[span]}"
    return f"in {span_text(ceil(span)).decode()}" if span < 172800 else f"in {span / 86400:g} days"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
