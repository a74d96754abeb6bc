"""Prices and the ledger as configured."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from msgspec.structs import asdict, replace

from parley.config.amounts import Amount, duration, size
from parley.config.document import Path
from parley.config.problem import suggest
from parley.config.report import Report
from parley.config.shape import BodiesEntry, File, PriceEntry
from parley.settings import Bodies, Ledger, Provider
from parley.vendors import names

T = TypeVar("T")


def prices_of(file: File, providers: Mapping[str, Provider], report: Report) -> dict[str, dict[str, int]]:
    """Picodollars by unit, by ``provider/model``."""
    if not file.prices:
        return {}
    return {
        target: _units(target, entry, report)
        for target, entry in file.prices.items()
        if _is_target(target, providers, report)
    }


def ledger_of(file: File, report: Report) -> Ledger:
    """What is written down, and for how long."""
    retention = _amount(file.ledger.retention, duration, ("ledger", "retention"), report)
    made = Ledger(file.ledger.requests, bodies=bodies_of(file.ledger.bodies, report))
    return made if retention is None else replace(made, retention=retention)


def bodies_of(entry: BodiesEntry, report: Report) -> Bodies:
    """Whose requests and answers are kept, and for how long."""
    place: Path = ("ledger", "bodies")
    for index, pattern in enumerate(entry.keys):
        if not pattern.strip():
            report.add((*place, "keys", index), "a key's name or id, or a pattern, is expected", "such as test-*")
    keep = _amount(entry.keep, duration, (*place, "keep"), report)
    most = _amount(entry.size, size, (*place, "size"), report)
    made = Bodies(tuple(entry.keys), scrub=entry.scrub)
    made = made if keep is None else replace(made, keep=keep)
    return made if most is None else replace(made, size=int(most))


def _amount(given: Amount, read: Callable[[Amount], T], place: Path, report: Report) -> T | None:
    try:
        return read(given)
    except ValueError as error:
        report.add(place, str(error))
        return None


def _is_target(target: str, providers: Mapping[str, Provider], report: Report) -> bool:
    provider, slash, model = target.partition("/")
    if not (provider and slash and model):
        report.add(("prices", target), f'"{target}" is not a target', "write provider/model", key=True)
        return False
    known = {one.label for one in providers.values()}
    if provider not in known and provider not in names():
        hint = suggest(provider, sorted(known), "name a provider of this file")
        report.add(("prices", target), f'there is no provider "{provider}"', hint, key=True)
        return False
    return True


def _units(target: str, entry: PriceEntry, report: Report) -> dict[str, int]:
    from parley.prices.units import picodollars

    made: dict[str, int] = {}
    for unit, price in asdict(entry).items():
        if price is None:
            continue
        if price < 0:
            report.add(("prices", target, unit), "a price is not below 0")
            continue
        made[unit] = picodollars(unit, Decimal(str(price)))
    if not made:
        report.add(("prices", target), "no price is given", "write {input: ..., output: ...}", key=True)
    return made
