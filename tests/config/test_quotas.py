"""Limits, budgets and admission as they are read."""

import pytest

from config.sample import ENV, FULL, good
from parley.config.quotas import picodollars
from parley.limits import PICO, Admission, Quota, Quotas

DAY = 86400.0


def test_everything_that_is_said() -> None:
    settings = good(FULL, **ENV).settings
    assert settings.quotas == Quotas(
        all=Quota(
            requests=((600, 60.0), (9000, 3600.0), (50000, DAY)),
            tokens=((100000, 60.0),),
            parallel=50,
            budget=100 * PICO,
            period=30 * DAY,
        ),
        keys=Quota(requests=((60, 60.0),)),
        tags={"team=blue": Quota(budget=205 * PICO // 10), "org=*": Quota(tokens=((1000000, DAY),))},
        models={"gpt-*": Quota(parallel=5)},
        counters="store",
        unknown_price="refuse",
        away="closed",
    )
    assert settings.admission == Admission(100, 50, 5.0)


def test_nothing_that_is_said() -> None:
    settings = good("").settings
    assert settings.quotas == Quotas()
    assert settings.admission == Admission(None, 100, 10.0)


def test_budgets_are_exact() -> None:
    text = "quotas: {all: {budget: 0.1}, keys: {budget: 0.000001}, models: {m: {budget: 999999.99}}}"
    quotas = good(text).settings.quotas
    assert (quotas.all.budget, quotas.keys.budget) == (PICO // 10, PICO // 10**6)
    assert quotas.models["m"].budget == 99999999 * PICO // 100


def test_priorities_are_handed_down() -> None:
    text = (
        "models: [{model: m, targets: [echo/echo], priority: low}, {model: m, endpoint: chat},"
        " {model: n, targets: [echo/echo]}, {model: a, alias: m}]"
    )
    registrations = good(text).settings.registrations
    found = {pair: one.priority for pair, one in registrations.items()}
    assert (found["*", "m"], found["chat", "m"], found["*", "n"], found["*", "a"]) == ("low", "low", "normal", "low")


@pytest.mark.parametrize("usd", [1e-13, 9e-13, 0.0, -1.0, float("nan"), float("inf"), 1000000.1])
def test_a_budget_too_small_to_count_is_none_at_all(usd: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        picodollars(usd)
    assert picodollars(1e-12) == 1
