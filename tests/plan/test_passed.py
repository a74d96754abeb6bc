"""Targets that cannot take a request are passed over, and a try may have several calls."""

import pytest

from parley.plan import GiveUp, Try
from parley.settings import UNFIT
from plan.parts import Play, failure, provider, registration


def refused(field="tools"):
    return failure("invalid_request", param=field, detail=UNFIT)


def target(course, play):
    step = course.next(play.now)
    assert isinstance(step, Try)
    return step.lane.target.name


def test_the_next_target_is_tried_and_it_is_no_attempt():
    play = Play(provider("a", endpoints=2, keys=2), provider("b"))
    course = play.course(registration("a/m", "b/m", attempts=1))
    assert target(course, play) == "a/m"
    course.passed(refused())
    assert course.attempts == 0
    assert target(course, play) == "b/m"
    assert course.attempts == 1
    course.succeeded(play.now, first_byte=0.1)
    assert {name: place.in_flight for name, place in play.fleet.snapshot(play.now).items()} == {"a": 0, "b": 0}


def test_where_nobody_can_the_first_refusal_is_what_is_told():
    play = Play(provider("a"), provider("b"))
    course = play.course(registration("a/m", "b/m"))
    for field in ("tools", "n"):
        course.next(play.now)
        course.passed(refused(field))
    step = course.next(play.now)
    assert isinstance(step, GiveUp)
    assert (step.failure.kind, step.failure.param, step.failure.detail) == ("invalid_request", "tools", "")
    assert play.fleet.budget.active == 0


def test_another_model_of_the_same_provider_is_another_target():
    play = Play(provider("a"))
    course = play.course(registration("a/blind", "a/seeing"))
    assert target(course, play) == "a/blind"
    course.passed(refused())
    assert target(course, play) == "a/seeing"
    course.abandoned(play.now)


@pytest.mark.parametrize("first", [True, False])
def test_a_real_failure_is_told_before_a_refusal(first):
    play = Play(provider("a"), provider("b"))
    course = play.course(registration("a/m", "b/m", attempts=2, on=("503",)))
    for real in (first, not first):
        course.next(play.now)
        if real:
            course.failed(failure(status=500), play.now)
        else:
            course.passed(refused())
        if first:
            break
    step = course.next(play.now)
    assert isinstance(step, GiveUp)
    assert step.failure.kind == "upstream_error"


def test_one_that_could_and_is_busy_is_told_as_busy():
    play = Play(provider("a"), provider("b", max_concurrency=1))
    busy = play.course(registration("b/m"))
    busy.next(play.now)
    course = play.course(registration("a/m", "b/m"))
    course.next(play.now)
    course.passed(refused())
    step = course.next(play.now)
    assert isinstance(step, GiveUp)
    assert step.failure.kind == "overloaded"
    busy.abandoned(play.now)


def test_health_hears_nothing_of_it():
    play = Play(provider("a"))
    for _ in range(9):
        course = play.course(registration("a/m"))
        course.next(play.now)
        course.passed(refused())
        course.next(play.now)
    assert play.states() == {"a": 0}


@pytest.mark.parametrize(("limit", "more", "room"), [(None, 5, 5), (3, 5, 2), (1, 5, 0), (6, 5, 5)])
def test_a_try_may_be_widened_as_far_as_there_is_room(limit, more, room):
    play = Play(provider("a", max_concurrency=limit))
    course = play.course(registration("a/m"))
    course.next(play.now)
    assert course.widen(more) == room
    assert play.fleet.snapshot(play.now)["a"].in_flight == 1 + room
    course.failed(failure(), play.now)
    assert play.fleet.snapshot(play.now)["a"].in_flight == 0


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [("upstream_rate_limited", 1e9, 60.0), ("upstream_error", 300.0, 60.0), ("upstream_error", 7.0, 7.0),
     ("budget_exceeded", 86400.0, 86400.0)],
)  # fmt: skip
def test_nobody_is_told_to_wait_longer_than_we_would(kind, asked, told):
    play = Play(provider("a"))
    course = play.course(registration("a/m", attempts=1))
    course.next(play.now)
    course.failed(failure(kind, retry_after=asked), play.now)
    step = course.next(play.now)
    assert isinstance(step, GiveUp)
    assert step.failure.retry_after == told


def test_a_course_without_a_try_has_nothing_to_widen():
    play = Play(provider("a"))
    course = play.course(registration("a/m"))
    with pytest.raises(RuntimeError, match="no try"):
        course.widen(1)
    with pytest.raises(RuntimeError, match="no try"):
        course.passed(refused())
