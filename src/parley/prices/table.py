"""The prices of the data package, as ``scripts/prices.py`` wrote them into ``table.json``: read on first use.

A provider is found by the address it is called at, a model by the package's own rules. Prices are US dollars per
million tokens or characters (``hour``, ``request`` and the like: per one), written as decimal text.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from parley.prices.tariff import Tariff
from parley.prices.units import picodollars

DAY: Final = 86400
_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?!\d)")


class Rule(Struct, frozen=True, omit_defaults=True):
    """Which names mean a model: one of these holds for the name in lower case."""

    equals: str | None = None
    starts: str | None = None
    ends: str | None = None
    contains: str | None = None
    matches: str | None = None
    any: "tuple[Rule, ...] | None" = None
    all: "tuple[Rule, ...] | None" = None

    def holds(self, name: str) -> bool:
        """Whether that name is meant."""
        if self.any is not None:
            return any(rule.holds(name) for rule in self.any)
        if self.all is not None:
            return all(rule.holds(name) for rule in self.all)
        return self._plain(name)

    def _plain(self, name: str) -> bool:
        if self.equals is not None:
            return name == self.equals
        if self.starts is not None:
            return name.startswith(self.starts)
        if self.ends is not None:
            return name.endswith(self.ends)
        if self.contains is not None:
            return self.contains in name
        return self.matches is not None and re.search(self.matches, name) is not None


class Priced(Struct, frozen=True, omit_defaults=True):
    """Prices that hold ``since`` (seconds since 1970) and, each day in UTC, within ``hours`` (seconds of the day).

    ``prices``: a unit's price, or that price and pairs of the input length above which another one holds.
    ``tier`` is the grade of service that they are for, where they are not for the usual one.
    """

    prices: Mapping[str, str | tuple[str, tuple[tuple[int, str], ...]]]
    since: int = 0
    hours: tuple[int, int] | None = None
    tier: str = ""

    def holds(self, now: float) -> bool:
        """Whether they hold at that time."""
        if now < self.since:
            return False
        if self.hours is None:
            return True
        (begin, end), second = self.hours, now % DAY
        return begin <= second < end if begin <= end else second >= begin or second < end


class Model(Struct, frozen=True, omit_defaults=True):
    """What one model costs: the last of ``prices`` that holds, the first where none does."""

    id: str
    rule: Rule
    prices: tuple[Priced, ...]
    tiers: tuple[Priced, ...] = ()

    def tariff(self, now: float, source: str) -> Tariff | None:
        """The tariff at that time, None where the package knows the model but no price that we can count."""
        usual = next((one for one in reversed(self.prices) if one.holds(now)), self.prices[0])
        made = _tariff(usual.prices)
        if not usual.prices:
            return None
        tiers: dict[str, dict[str, Any]] = {}
        for other in self.tiers:
            if other.holds(now):
                # Of several the first says it.
                tiers[other.tier] = {**other.prices, **tiers.get(other.tier, {})}
        graded = tuple((name, _tariff({**usual.prices, **prices})) for name, prices in tiers.items())
        return msgspec.structs.replace(made, tiers=graded, source=source)

    def changes(self, now: float) -> float:
        """When another price may hold, in seconds since 1970."""
        days = now // DAY * DAY
        times = {days + DAY}
        for one in (*self.prices, *self.tiers):
            times |= {float(one.since)} | {days + second for second in one.hours or ()}
        return min(time for time in times if time > now)


class Vendor(Struct, frozen=True, omit_defaults=True):
    """One provider of the package. ``others`` are those whose models it serves at their prices."""

    models: tuple[Model, ...]
    others: tuple[str, ...] = ()


class Address(NamedTuple):
    """Where a provider is: a pattern for the beginning of its URLs."""

    vendor: str
    pattern: re.Pattern[str]


class _File(Struct, frozen=True):
    package: str
    version: str
    date: str
    urls: dict[str, str]
    vendors: dict[str, Raw]


class Table:
    """The whole of it. Only the providers that are asked for are decoded."""

    def __init__(self, text: bytes) -> None:
        self._file = msgspec.json.decode(text, type=_File)
        self._vendors: dict[str, Vendor] = {}

    @property
    def source(self) -> str:
        """Whose prices, and from when."""
        return f"{self._file.package} {self._file.version} ({self._file.date})"

    @property
    def facts(self) -> dict[str, str]:
        """The same in parts."""
        return {"package": self._file.package, "version": self._file.version, "date": self._file.date}

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """Where the providers are."""
        return tuple(Address(name, re.compile(pattern)) for name, pattern in self._file.urls.items())

    def vendor_at(self, url: str) -> str | None:
        """The provider that answers at that URL."""
        return next((found.vendor for found in self.addresses if found.pattern.match(url)), None)

    def find(self, vendor: str, model: str) -> Model | None:
        """The model of that name at that provider."""
        name = model.lower()
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        for spelled in dict.fromkeys((name, dashed, name.rpartition("/models/")[2])):
            for one in self._served(vendor):
                if one.rule.holds(spelled):
                    return one
        return None

    def _served(self, vendor: str) -> Iterator[Model]:
        mine = self._vendor(vendor)
        yield from mine.models
        for other in mine.others:
            yield from self._vendor(other).models

    def _vendor(self, name: str) -> Vendor:
        found = self._vendors.get(name)
        if found is None:
            found = self._vendors[name] = msgspec.json.decode(self._file.vendors[name], type=Vendor)
        return found


@cache
def shipped() -> Table:
    """The table that came with this version."""
    return Table(files("parley.prices").joinpath("table.json").read_bytes())


def _tariff(prices: Mapping[str, Any]) -> Tariff:
    """Tariffs of longer inputs have every price, those that stay the same too."""
    plain = {unit: price if isinstance(price, str) else price[0] for unit, price in prices.items()}
    steps = {unit: price[1] for unit, price in prices.items() if not isinstance(price, str)}
    above = []
    for start in sorted({start for pairs in steps.values() for start, _ in pairs}):
        reached = {unit: price for unit, pairs in steps.items() for begin, price in pairs if begin <= start}
        above.append((start, Tariff(**_counted({**plain, **reached}))))
    return Tariff(**_counted(plain), above=tuple(above))


def _counted(prices: Mapping[str, str]) -> dict[str, Any]:
    return {unit: picodollars(unit, Decimal(price)) for unit, price in prices.items()}
