"""One limit: how much of what, in what time, and whose."""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from parley.limits.quota import Quota, Rates

Measure: TypeAlias = Literal["requests", "tokens", "parallel", "money"]
Scope: TypeAlias = Literal["key", "tag", "model", "all"]
# Picodollars in a US dollar.
PICO: Final = 10**12


class Rule(Struct, frozen=True):
    """``limit`` in requests, tokens, places or picodollars, within ``span`` seconds; of money 0 is for ever.

    ``since``: where periods of money begin, in seconds since 1970. ``who`` is a key's id, a tag, a model or "".
    """

    scope: Scope
    who: str
    measure: Measure
    limit: int
    span: float = 0.0
    since: float = 0.0

    @property
    def account(self) -> str:
        """Its name among all; another limit for the same time keeps it."""
        return f"{self.scope}:{self.who}:{self.measure}:{self.span:g}"


def rules_of(quota: Quota, scope: Scope, who: str, since: float = 0.0) -> Iterator[Rule]:
    """The rules that a quota comes to."""
    yield from _rates(quota.requests, scope, who, "requests")
    yield from _rates(quota.tokens, scope, who, "tokens")
    if quota.parallel is not None:
        yield Rule(scope, who, "parallel", quota.parallel)
    if quota.budget is not None:
        yield Rule(scope, who, "money", quota.budget, quota.period, since)


def _rates(rates: Rates, scope: Scope, who: str, measure: Measure) -> Iterator[Rule]:
    return (Rule(scope, who, measure, limit, span) for limit, span in rates)
