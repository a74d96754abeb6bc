"""Strategies: what is chosen first, and in which order the rest follows."""

from collections import Counter
from random import Random

import pytest

from parley.plan.health import Gauge
from parley.plan.order import Pool, order
from plan.parts import Play, provider, registration

NAMES = ("a/m", "b/m", "c/m")
ALL = ("fallback", "round_robin", "weighted", "least_busy", "fastest", "prefix_hash")


def pool(*weights):
    names = [f"p{index}" for index in range(len(weights))]
    return Pool(names, weights, [Gauge() for _ in weights])


def ranked(strategy, choices, rand=lambda: 0.5, prefix=b""):
    return list(order(strategy, choices, rand, prefix))


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("weights", [(1,), (1, 1), (3, 0, 1), (0, 0), (5, 4, 3, 2, 1)])
def test_every_choice_is_in_every_order_once(strategy, weights):
    choices, rng = pool(*weights), Random(7)
    for turn in range(50):
        assert sorted(ranked(strategy, choices, rng.random, b"%d" % turn)) == list(range(len(weights)))


def test_fallback_is_the_configured_order():
    choices = pool(1, 9, 1)
    assert [ranked("fallback", choices) for _ in range(2)] == [[0, 1, 2]] * 2


def test_round_robin_begins_one_further_each_time():
    choices = pool(1, 9, 1)
    assert [ranked("round_robin", choices) for _ in range(4)] == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]


def test_weighted_is_exact_in_every_round_and_smooth():
    choices = pool(5, 1, 1)
    first = [ranked("weighted", choices)[0] for _ in range(70)]
    assert all(Counter(first[start : start + 7]) == {0: 5, 1: 1, 2: 1} for start in range(0, 70, 7))
    assert "00000" not in "".join(map(str, first[:7]))


def test_weight_zero_is_only_a_last_resort():
    choices = pool(0, 2, 1)
    orders = [ranked("weighted", choices) for _ in range(9)]
    assert {each[-1] for each in orders} == {0}
    assert Counter(each[0] for each in orders) == {1: 6, 2: 3}


def test_least_busy_compares_load_by_weight():
    choices = pool(1, 4, 0)
    choices.gauges[0].in_flight, choices.gauges[1].in_flight = 2, 6
    assert ranked("least_busy", choices) == [1, 0, 2]
    choices.gauges[1].in_flight = 10
    assert ranked("least_busy", choices) == [0, 1, 2]


def test_least_busy_takes_turns_between_equals():
    choices = pool(1, 1)
    assert [ranked("least_busy", choices)[0] for _ in range(4)] == [0, 1, 0, 1]


def test_fastest_measures_the_unmeasured_one_request_at_a_time():
    choices = pool(1, 1, 1)
    choices.gauges[0].observe(0.2)
    choices.gauges[2].observe(0.1)
    assert ranked("fastest", choices) == [1, 2, 0]
    choices.gauges[1].in_flight = 1
    assert ranked("fastest", choices) == [2, 0, 1]


def test_fastest_follows_a_moving_average():
    choices = pool(1, 1)
    choices.gauges[0].observe(0.1)
    choices.gauges[1].observe(0.3)
    assert ranked("fastest", choices) == [0, 1]
    for _ in range(3):
        choices.gauges[0].observe(1.0)
    assert ranked("fastest", choices) == [1, 0]


def test_fastest_explores_now_and_then():
    choices, rng = pool(1, 1, 1), Random(3)
    for index, gauge in enumerate(choices.gauges):
        gauge.observe(0.1 + index)
    count = Counter(ranked("fastest", choices, rng.random)[0] for _ in range(4000))
    assert 3700 < count[0] < 3900
    assert min(count[1], count[2]) > 50


def test_prefix_hash_sends_equal_prefixes_to_the_same_choice():
    choices = pool(1, 1, 1)
    for number in range(20):
        prefix = b"conversation %d" % number
        assert ranked("prefix_hash", choices, prefix=prefix) == ranked("prefix_hash", choices, prefix=prefix)


def test_prefix_hash_is_even_by_weight():
    choices = pool(1, 1, 2)
    count = Counter(ranked("prefix_hash", choices, prefix=b"%d" % number)[0] for number in range(4000))
    assert abs(count[2] - 2000) < 150
    assert abs(count[0] - 1000) < 150


def test_prefix_hash_moves_only_what_a_lost_choice_held():
    three, two = Pool(NAMES, [1] * 3, [Gauge()] * 3), Pool(NAMES[:2], [1] * 2, [Gauge()] * 2)
    for number in range(300):
        prefix = b"%d" % number
        before, after = ranked("prefix_hash", three, prefix=prefix), ranked("prefix_hash", two, prefix=prefix)
        assert after == [index for index in before if index != 2]


def test_prefix_hash_without_a_prefix_takes_turns():
    choices = pool(1, 1)
    assert [ranked("prefix_hash", choices)[0] for _ in range(4)] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("fallback", ["a/m"] * 6),
        ("round_robin", ["a/m", "b/m", "c/m"] * 2),
        ("weighted", ["a/m", "b/m", "a/m"] * 2),
        ("fastest", ["a/m", "b/m", "c/m", "a/m", "a/m", "a/m"]),
    ],
)
def test_a_registration_goes_by_its_strategy(strategy, expected):
    play = Play(provider("a"), provider("b"), provider("c"))
    asked = registration(("a/m", 2), ("b/m", 1), ("c/m", 0 if strategy == "weighted" else 1), strategy=strategy)
    assert [play.first(asked) for _ in range(6)] == expected


def test_least_busy_targets_see_each_others_open_requests():
    play = Play(provider("a"), provider("b"))
    asked = registration("a/m", ("b/m", 2), strategy="least_busy")
    steps = [play.step(play.course(asked))[1] for _ in range(6)]
    assert Counter(steps) == {"a/m": 2, "b/m": 4}


def test_endpoints_go_by_balance_and_keys_take_turns():
    play = Play(provider("a", endpoints=2, keys=3))
    lanes = [play.step(play.course(registration("a/m")))[2:] for _ in range(6)]
    assert lanes == [(0, 0), (1, 1), (0, 2), (1, 0), (0, 1), (1, 2)]


def test_an_endpoint_choice_may_follow_the_prefix():
    play = Play(provider("a", endpoints=4, balance="prefix_hash"))
    asked = registration("a/m")
    lanes = [play.step(play.course(asked, prefix=b"%d" % (number % 20))) for number in range(40)]
    assert lanes[:20] == lanes[20:]
    assert len(set(lanes)) == 4
