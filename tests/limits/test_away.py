"""Counters that stay away: a process goes on with all that was left, however often it asks for them in vain."""

import pytest

from parley.limits import Answer, Rule
from parley.limits.meter import Meter, meter_of

RULE = Rule("all", "", "requests", 1000, 60.0)


def passed(meter: Meter, many: int, now: float) -> int:
    """How many of so many requests got through."""
    through = 0
    for _ in range(many):
        if meter.room(now, 0.0) < 1:
            meter.alone()
        if meter.room(now, 0.0) >= 1:
            meter.take(1, now)
            through += 1
    return through


@pytest.mark.parametrize("heard", [False, True])
def test_what_was_left_is_not_given_back_to_nobody(heard: bool) -> None:
    meter = meter_of(RULE, told=True, leases=True, process="p")
    left = RULE.limit
    if heard:
        ask = meter.ask(0.0)
        # Others have used 300 of it.
        meter.hear(ask, Answer(epoch=1.0, left=60.0, used=300, free=690, granted=10, dry=False, crowded=False), 0.0)
        left = 700
    through = 0
    for second in range(1, 50):
        through += passed(meter, 3 * second, float(second))
        meter.ask(float(second))
    assert through == left


def test_what_others_took_meanwhile_counts_once_they_are_heard_again() -> None:
    meter = meter_of(RULE, told=True, leases=True, process="p")
    answer = Answer(epoch=1.0, left=60.0, used=0, free=990, granted=10, dry=False, crowded=False)
    meter.hear(meter.ask(0.0), answer, 0.0)
    assert passed(meter, 100, 1.0) == 100
    ask = meter.ask(1.0)
    # They had all that was free.
    answer = Answer(epoch=1.0, left=59.0, used=1000, free=-ask.keep, granted=0, dry=True, crowded=False)
    meter.hear(ask, answer, 1.0)
    meter.ask(1.1)
    assert meter.rest >= 0
    assert meter.left() <= ask.keep
