"""What requests of one key for one model have to pass: which meters, and what the dearest target costs."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from parley.gateway.ended import Tariff, Tariffs
from parley.keys import OPERATOR, Holder
from parley.limits import MONEY, TOKENS, Meter, Quota, Quotas, Rule, meter_of, rules_of
from parley.limits.spoken import shown
from parley.settings import Provider, Registration

PRIORITIES: Final = ("high", "normal", "low")
NORMAL: Final = 1


class Toll:
    """``meters`` in the order in which they are passed; ``shown`` is what header lines tell of. ``weighs``: tokens have
    to be estimated, ``money``: their cost too. ``told``: a bank hears of some. ``unpriced``: nobody knows what some
    target costs."""

    __slots__ = ("_rates", "_tariffs", "meters", "money", "ones", "priority", "shown", "told", "unpriced", "weighs")

    def __init__(self, meters: tuple[Meter, ...], priority: int, tariffs: tuple[Tariff, ...], unpriced: bool) -> None:
        self.meters = meters
        self.ones = [1] * len(meters)
        self.shown = shown(meters)
        kinds = [meter.kind for meter in meters]
        self.money = MONEY in kinds
        self.weighs = self.money or TOKENS in kinds
        self.told = any(meter.told for meter in meters)
        self.priority = priority
        # Of most a token costs the same however many there are: what those cost is asked of nobody.
        self._rates = [tariff.flat for tariff in tariffs if tariff.flat is not None]
        self._tariffs = [tariff for tariff in tariffs if tariff.flat is None]
        self.unpriced = unpriced

    def cost(self, read: int, made: int) -> int:
        """What so many tokens cost at most, in picodollars."""
        most = 0
        for per_read, per_made, each in self._rates:
            cost = per_read * read + per_made * made + each
            most = max(most, cost)
        for tariff in self._tariffs:
            most = max(most, tariff.estimate(read, made))
        return most


class Meters:
    """Every meter there is, by its account. ``told``: money is written down; ``leases``: all is shared with others."""

    def __init__(self, process: str, *, told: bool = False, leases: bool = False) -> None:
        self.process = process
        self.told = told
        self.leases = leases
        self._known: dict[str, Meter] = {}

    def of(self, rule: Rule) -> Meter:
        """The meter of a rule, allowing what the rule says now."""
        meter = self._known.get(rule.account)
        if meter is None:
            told = self.leases or (self.told and rule.measure == "money")
            meter = self._known[rule.account] = meter_of(rule, told=told, leases=self.leases, process=self.process)
        elif meter.rule != rule:
            meter.allow(rule)
        return meter

    def all(self) -> Iterator[Meter]:
        """All of them."""
        return iter(self._known.values())


def rules_for(quotas: Quotas, holder: Holder | None, models: tuple[str, ...]) -> Iterator[Rule]:
    """Every rule for the requests of that key (None: of nobody) for a model of these names, nearest first."""
    if holder is not None and holder.kind != OPERATOR:
        yield from rules_of(_own(quotas.keys, holder), "key", holder.id, _since(holder))
        for name, said in holder.tags.items():
            quota = quotas.tags.get(f"{name}={said}") or quotas.tags.get(f"{name}=*")
            if quota is not None:
                yield from rules_of(quota, "tag", f"{name}={said}")
    for pattern, quota in quotas.models.items():
        if any(fnmatchcase(model, pattern) for model in models):
            yield from rules_of(quota, "model", pattern)
    yield from rules_of(quotas.all, "all", "")


def _own(usual: Quota, holder: Holder) -> Quota:
    """What a key may take: what was said of it, else what holds for all keys."""
    own = holder.limits
    if own is None:
        return usual
    return Quota(
        requests=usual.requests if own.rpm is None else ((own.rpm, 60.0),),
        tokens=usual.tokens if own.tpm is None else ((own.tpm, 60.0),),
        parallel=usual.parallel if own.parallel is None else own.parallel,
        budget=usual.budget if own.budget is None else own.budget,
        period=usual.period if own.budget is None else own.budget_period,
    )


def _since(holder: Holder) -> float:
    return 0.0 if holder.limits is None else holder.limits.since


def toll_for(
    meters: Meters,
    quotas: Quotas,
    holder: Holder | None,
    registration: Registration,
    prices: tuple[Tariffs | None, dict[str, Provider]],
) -> Toll:
    """What requests of that key for that registration have to pass."""
    # By another name, or by its provider's, it is the same model.
    names = (registration.model, *(target.name for target in registration.targets))
    rules = tuple(meters.of(rule) for rule in rules_for(quotas, holder, names))
    tariffs, providers = prices
    known = [
        None if tariffs is None else tariffs.of(providers[target.provider], target.model)
        for target in registration.targets
        if target.provider in providers
    ]
    priced = tuple(tariff for tariff in known if tariff is not None)
    return Toll(rules, _priority(holder, registration), priced, len(priced) < len(known))


def _priority(holder: Holder | None, registration: Registration) -> int:
    own = "" if holder is None or holder.limits is None else holder.limits.priority
    return PRIORITIES.index(own or registration.priority)
