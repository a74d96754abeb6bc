"""Limits and budgets as configured. What each of them means: parley.limits."""

from decimal import Decimal
from importlib.util import find_spec
from typing import Final

from parley.config.amounts import SECONDS, duration
from parley.config.document import Path
from parley.config.report import Report
from parley.config.shape import AdmissionEntry, QuotaEntry, QuotasEntry, RatesEntry
from parley.limits import PICO, Admission, Quota, Quotas

WINDOWS: Final = {"minute": SECONDS["m"], "hour": SECONDS["h"], "day": SECONDS["d"]}
# Beyond it sums of picodollars would not fit into 64 bits any more.
MAX_USD: Final = 1_000_000
MAX_COUNT: Final = 10**15
COUNTERS: Final = ("memory", "store")
_URLS: Final = ("redis://", "rediss://")
EXPECTED: Final = "memory, store or redis://HOST:PORT/NUMBER"
MISSING: Final = "counters in Redis need its client, which is not installed"


def quotas_of(entry: QuotasEntry, report: Report) -> Quotas:
    """All of them."""
    _place(entry.counters, report)
    for tag in entry.tags:
        name, sign, value = tag.partition("=")
        if not (name and sign and value):
            report.add(("quotas", "tags", tag), f'"{tag}" is not a tag', "write K=V, or K=* for each value", key=True)
    return Quotas(
        all=_quota(entry.all, ("quotas", "all"), report),
        keys=_quota(entry.keys, ("quotas", "keys"), report),
        tags={tag: _quota(one, ("quotas", "tags", tag), report) for tag, one in entry.tags.items()},
        models={name: _quota(one, ("quotas", "models", name), report) for name, one in entry.models.items()},
        counters=entry.counters,
        unknown_price=entry.budget_unknown_price,
        away=entry.when_store_is_away,
    )


def _place(text: str, report: Report) -> None:
    """What is there may hold a password."""
    if not text or text in COUNTERS:
        return
    if not text.startswith(_URLS):
        report.add(("quotas", "counters"), f"expected {EXPECTED}", "remove it for the usual place")
    elif find_spec("redis") is None:
        report.add(("quotas", "counters"), MISSING, "pip install 'parley[redis]'")


def admission_of(entry: AdmissionEntry, report: Report) -> Admission:
    """How much each process takes on."""
    plain = Admission()
    if entry.queue < 0:
        report.add(("admission", "queue"), "must not be below 0", "write 0: nobody waits")
    wait = _seconds(entry.wait, ("admission", "wait"), report)
    parallel = _count(entry.parallel, ("admission", "parallel"), report)
    return Admission(parallel, max(0, entry.queue), plain.wait if wait is None else wait)


def _quota(entry: QuotaEntry, path: Path, report: Report) -> Quota:
    period = _seconds(entry.budget_period, (*path, "budget_period"), report)
    if entry.budget_period is not None and entry.budget is None:
        report.add((*path, "budget_period"), "there is no budget for it", "add budget: USD", key=True)
    return Quota(
        requests=_rates(entry.requests, (*path, "requests"), report),
        tokens=_rates(entry.tokens, (*path, "tokens"), report),
        parallel=_count(entry.parallel, (*path, "parallel"), report),
        budget=_money(entry.budget, (*path, "budget"), report),
        period=period or 0.0,
    )


def _rates(entry: int | RatesEntry | None, path: Path, report: Report) -> tuple[tuple[int, float], ...]:
    if not isinstance(entry, RatesEntry):
        count = _count(entry, path, report)
        return () if count is None else ((count, WINDOWS["minute"]),)
    made = [(_count(getattr(entry, name), (*path, name), report), span) for name, span in WINDOWS.items()]
    return tuple((count, span) for count, span in made if count is not None)


def _count(value: int | None, path: Path, report: Report) -> int | None:
    if value is not None and not 1 <= value <= MAX_COUNT:
        report.add(path, "must be at least 1" if value < 1 else f"must be at most {MAX_COUNT}")
        return None
    return value


def _money(value: float | None, path: Path, report: Report) -> int | None:
    try:
        return None if value is None else picodollars(value)
    except ValueError as error:
        report.add(path, str(error))
        return None


def picodollars(usd: float) -> int:
    """A budget in picodollars. Raises ValueError."""
    amount = int(Decimal(str(usd)) * PICO) if 0 < usd <= MAX_USD else 0
    if amount == 0:
        raise ValueError(f"a budget is above 0 (at least 1e-12) and at most {MAX_USD} US dollars")
    return amount


def _seconds(value: float | str | None, path: Path, report: Report) -> float | None:
    try:
        return None if value is None else duration(value)
    except ValueError as error:
        report.add(path, str(error))
        return None
