"""What an operator allows, as values. Money is in picodollars, time in seconds."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

Unknown: TypeAlias = Literal["allow", "refuse"]
WhenAway: TypeAlias = Literal["open", "closed"]
Priority: TypeAlias = Literal["low", "normal", "high"]
Rates: TypeAlias = tuple[tuple[int, float], ...]


class Quota(Struct, frozen=True):
    """What somebody may take. ``requests`` and ``tokens`` are (how many, in how many seconds) pairs; ``parallel`` is
    how many requests at one time; ``budget`` holds for each ``period``, for ever where that is 0. None = any."""

    requests: Rates = ()
    tokens: Rates = ()
    parallel: int | None = None
    budget: int | None = None
    period: float = 0.0


class Quotas(Struct, frozen=True):
    """Of everybody together (``all``), of each key that has none of its own (``keys``), by tag ("K=V", "K=*": each
    value for itself) and by model (a name or a pattern, whose models share it).

    ``counters`` is where processes count together: "" = as the store makes it, "memory", "store", or the URL of a
    server that keeps counters. ``unknown_price``: whether a request whose price is not known passes a budget.
    ``away``: what holds when the counters cannot be reached.
    """

    all: Quota = Quota()
    keys: Quota = Quota()
    tags: Mapping[str, Quota] = {}
    models: Mapping[str, Quota] = {}
    counters: str = ""
    unknown_price: Unknown = "allow"
    away: WhenAway = "open"


class Admission(Struct, frozen=True):
    """How many requests one process works on at a time, how many more wait, and for how many seconds at most."""

    parallel: int | None = None
    queue: int = 100
    wait: float = 10.0
