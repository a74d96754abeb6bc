"""Breaker, parking, pace and the retry budget as values of their own."""

import pytest

from parley.failure import KINDS, Failure
from parley.plan import Policy
from parley.plan.budget import Budget
from parley.plan.health import CLOSED, HALF_OPEN, OPEN, PARKED_MODELS, Breaker, Gauge, counts, park


def opened(at=100.0):
    breaker = Breaker(Policy())
    for _ in range(5):
        breaker.failed(at, False)
    return breaker


def test_a_breaker_opens_at_the_fifth_failure_in_a_row():
    breaker = Breaker(Policy())
    for _ in range(4):
        breaker.failed(100.0, False)
    assert breaker.state(100.0) == CLOSED
    breaker.failed(100.0, False)
    assert breaker.state(100.0) == OPEN


def test_a_success_between_failures_starts_the_count_again():
    breaker = Breaker(Policy())
    for _ in range(4):
        breaker.failed(100.0, False)
    breaker.succeeded(False)
    for _ in range(4):
        breaker.failed(101.0, False)
    assert breaker.state(101.0) == CLOSED


def test_half_open_admits_one_probe_and_closes_on_its_success():
    breaker = opened()
    assert not breaker.admits(129.9)
    assert breaker.admits(130.0)
    assert breaker.state(130.0) == HALF_OPEN
    breaker.probing = True
    assert not breaker.admits(131.0)
    breaker.succeeded(True)
    assert breaker.state(131.0) == CLOSED
    assert breaker.failures == 0


def test_a_failed_probe_opens_for_as_long_again():
    breaker = opened()
    breaker.probing = True
    breaker.failed(131.0, True)
    assert (breaker.state(160.9), breaker.state(161.0)) == (OPEN, HALF_OPEN)
    assert breaker.admits(161.0)


def test_a_failed_early_probe_leaves_the_half_open_time_as_it_was():
    breaker = opened()
    breaker.probing = True
    breaker.failed(110.0, True)
    assert (breaker.state(129.9), breaker.state(130.0)) == (OPEN, HALF_OPEN)


def test_tries_older_than_the_opening_neither_close_nor_prolong():
    breaker = opened()
    breaker.succeeded(False)
    breaker.failed(120.0, False)
    assert (breaker.state(129.9), breaker.state(130.0)) == (OPEN, HALF_OPEN)


def test_a_probe_that_answered_closes_but_one_more_failure_reopens():
    breaker = opened()
    breaker.probing = True
    breaker.answered(True)
    assert breaker.state(131.0) == CLOSED
    breaker.failed(132.0, False)
    assert breaker.state(132.0) == OPEN


def test_a_probe_that_was_left_frees_its_place():
    breaker = opened()
    breaker.probing = True
    breaker.released(True)
    assert breaker.state(130.0) == HALF_OPEN
    assert breaker.admits(130.0)


@pytest.mark.parametrize(("now", "seconds"), [(100.0, 1.0), (100.4, 0.6), (101.0, 0.0), (140.0, 0.0)])
def test_an_early_probe_keeps_a_second_from_the_last_failure(now, seconds):
    assert opened().probe_in(now) == pytest.approx(seconds)


def test_a_probe_under_way_puts_off_the_next():
    breaker = opened()
    breaker.probing = True
    assert breaker.probe_in(120.0) == 1.0


def test_only_the_endpoints_own_faults_count():
    counted = {kind for kind in KINDS if counts(Failure(kind, ""))}
    assert counted == {
        "upstream_unreachable",
        "upstream_connect_timeout",
        "upstream_timeout",
        "upstream_tls",
        "upstream_closed",
        "upstream_redirect",
        "upstream_error",
        "upstream_bad_response",
        "upstream_incomplete",
    }


def test_pace_moves_towards_new_samples():
    gauge = Gauge()
    assert gauge.pace is None
    gauge.observe(1.0)
    gauge.observe(2.0)
    assert gauge.pace == pytest.approx(1.3)


def test_parking_forgets_what_is_over_and_stays_small():
    parked = {"old": 99.0}
    for number in range(100):
        park(parked, f"invented-{number}", 100.0, 200.0 + number)
    assert len(parked) == PARKED_MODELS
    assert "old" not in parked
    assert "invented-99" in parked
    park(parked, "later", 400.0, 400.0)
    assert parked == {}


@pytest.mark.parametrize(("active", "most"), [(0, 3), (1, 3), (5, 4), (50, 13), (1000, 203)])
def test_the_retry_budget_is_a_fifth_of_the_active_plus_three(active, most):
    budget = Budget(0.2, 3)
    budget.active = active
    while budget.allows:
        budget.retries += 1
    assert budget.retries == most


@pytest.mark.parametrize(("attempt", "most"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (10_000, 5.0)])
def test_backoff_doubles_to_its_cap_under_full_jitter(attempt, most):
    assert Policy().delay(attempt, 0.0) == 0.0
    assert Policy().delay(attempt, 0.5) == pytest.approx(most / 2)


@pytest.mark.parametrize(("asked", "seconds"), [(2.0, 2.0), (0.0, 0.0), (-5.0, 0.0), (1e9, 60.0), (float("nan"), 0.07)])
def test_a_rate_limit_rests_as_asked_within_bounds(asked, seconds):
    assert Policy().park(asked, 0.07) == seconds
