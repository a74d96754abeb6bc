"""Where a request goes after each kind of failure, how long it waits, and with what it gives up."""

import pytest

from parley.failure import KINDS
from parley.plan import GiveUp, Policy, Try, Wait
from plan.parts import Play, failure, provider, registration

TRANSIENT = sorted(kind for kind, row in KINDS.items() if row.retry == "transient")
NEVER = sorted(kind for kind, row in KINDS.items() if row.retry == "never")


def tries(steps):
    return [step[1:] for step in steps if step[0] == "try"]


def waits(steps):
    return [step[1] for step in steps if step[0] == "wait"]


def test_the_first_try_is_the_only_lane_there_is():
    play = Play(provider("a"))
    step = play.course(registration("a/some/model")).next(play.now)
    assert isinstance(step, Try)
    assert (step.lane.target.model, step.lane.provider) == ("some/model", play.providers["a"])
    assert (step.lane.endpoint, step.lane.key, step.fresh) == (0, -1, False)


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_transient_failure_moves_to_the_next_target_without_a_wait(kind):
    play = Play(provider("a"), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m")), failure(kind))
    assert steps == [("try", "a/m", 0, -1), ("try", "b/m", 0, -1)]


@pytest.mark.parametrize("kind", NEVER)
def test_what_is_no_transient_failure_ends_it_and_no_breaker_counts(kind):
    play = Play(provider("a", endpoints=2), provider("b"))
    for _ in range(7):
        course = play.course(registration("a/m", "b/m"))
        sent = failure(kind, status=422, param="messages[0]")
        course.next(play.now)
        course.failed(sent, play.now)
        assert course.next(play.now) == GiveUp(sent)
    assert play.states() == {"a": 0}


def test_other_endpoints_come_before_other_targets():
    play = Play(provider("a", endpoints=2), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m")), failure(), failure())
    assert tries(steps) == [("a/m", 0, -1), ("a/m", 1, -1), ("b/m", 0, -1)]


def test_where_tries_run_short_every_target_gets_one_first():
    play = Play(provider("a", endpoints=5), provider("b", endpoints=5), provider("c"))
    asked = registration("a/m", "b/m", "c/m", attempts=3)
    steps = play.run(play.course(asked), failure(), failure(), failure())
    assert [name for name, _, _ in tries(steps)] == ["a/m", "b/m", "c/m"]


def test_the_same_lane_is_tried_again_after_a_backoff_when_nothing_else_is_left():
    play = Play(provider("a"), draw=0.5)
    steps = play.run(play.course(registration("a/m", attempts=4)), *[failure()] * 4)
    assert tries(steps) == [("a/m", 0, -1)] * 4
    assert waits(steps) == pytest.approx([0.05, 0.1, 0.2])
    assert steps[-1] == ("end", "upstream_error")


def test_after_a_whole_round_the_one_that_rested_longest_comes_first():
    play = Play(provider("a"), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m", attempts=3)), failure(), failure(), failure())
    assert steps == [
        ("try", "a/m", 0, -1),
        ("try", "b/m", 0, -1),
        ("wait", 0.05),
        ("try", "a/m", 0, -1),
        ("end", "upstream_error"),
    ]


def test_another_key_at_a_failing_endpoint_is_no_other_place():
    play = Play(provider("a", keys=3), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m", attempts=9)), failure())
    assert tries(steps) == [("a/m", 0, 0), ("b/m", 0, -1)]


def test_another_model_of_the_same_endpoint_is_another_place_unless_nobody_was_there():
    for kind, expected in (("upstream_error", "a/small"), ("upstream_unreachable", "b/m")):
        play = Play(provider("a"), provider("b"))
        steps = play.run(play.course(registration("a/large", "a/small", "b/m")), failure(kind))
        assert [name for name, _, _ in tries(steps)] == ["a/large", expected]


@pytest.mark.parametrize("kind", ["upstream_tls", "upstream_redirect", "upstream_bad_response"])
def test_never_the_same_endpoint_again(kind):
    play = Play(provider("a", endpoints=2, keys=2))
    steps = play.run(play.course(registration("a/m", "a/other", attempts=9)), *[failure(kind)] * 9)
    assert [endpoint for _, endpoint, _ in tries(steps)] == [0, 1]
    assert steps[-1] == ("end", kind)


@pytest.mark.parametrize("kind", ["upstream_timeout", "upstream_connect_timeout"])
def test_a_timeout_is_not_waited_for_twice_at_one_place(kind):
    play = Play(provider("a"))
    assert play.run(play.course(registration("a/m")), failure(kind)) == [("try", "a/m", 0, -1), ("end", kind)]


def test_closed_without_a_byte_is_retried_once_on_another_connection():
    play = Play(provider("a"))
    course = play.course(registration("a/m", attempts=9))
    assert course.next(play.now).fresh is False
    course.failed(failure("upstream_closed"), play.now)
    wait = course.next(play.now)
    assert isinstance(wait, Wait)
    play.now += wait.seconds
    assert course.next(play.now).fresh is True
    course.failed(failure("upstream_closed"), play.now)
    assert play.step(course) == ("end", "upstream_closed")
    assert course.attempts == 2


def test_a_connection_elsewhere_need_not_be_fresh():
    play = Play(provider("a"), provider("b"))
    course = play.course(registration("a/m", "b/m"))
    course.next(play.now)
    course.failed(failure("upstream_closed"), play.now)
    assert course.next(play.now).fresh is False


def test_a_stale_connection_is_repeated_at_once_once_and_free():
    play = Play(provider("a"), provider("b"))
    course = play.course(registration("a/m", "b/m", attempts=2))
    stale = failure("upstream_closed", detail="stale_conn")
    first = course.next(play.now)
    course.failed(stale, play.now)
    again = course.next(play.now)
    assert (again.lane, again.fresh, course.attempts) == (first.lane, True, 1)
    assert play.fleet.budget.retries == 0
    course.failed(stale, play.now)
    assert play.step(course) == ("try", "b/m", 0, -1)
    assert course.attempts == 2


def test_stale_connections_are_no_fault_of_the_endpoint():
    play = Play(provider("a"))
    for _ in range(9):
        course = play.course(registration("a/m"))
        course.next(play.now)
        course.failed(failure("upstream_closed", detail="stale_conn"), play.now)
        course.next(play.now)
        course.abandoned(play.now)
    assert play.states() == {"a": 0}


def test_a_refused_key_is_never_used_again_in_this_request():
    play = Play(provider("a", endpoints=2, keys=2), provider("b"))
    steps = play.run(play.course(registration("a/m", "a/n", "b/m", attempts=9)), *[failure("upstream_auth")] * 2)
    assert tries(steps) == [("a/m", 0, 0), ("a/m", 1, 1), ("b/m", 0, -1)]
    assert play.states() == {"a": 0, "b": 0}


def test_a_refused_only_key_ends_it():
    for keys in (0, 1):
        play = Play(provider("a", endpoints=2, keys=keys))
        steps = play.run(play.course(registration("a/m", attempts=9)), failure("upstream_auth"))
        assert steps[1:] == [("end", "upstream_auth")]


def test_a_refused_key_is_left_alone_for_a_while_by_others():
    play = Play(provider("a", keys=2))
    asked = registration("a/m")
    play.run(play.course(asked), failure("upstream_auth"))
    assert {play.step(play.course(asked))[3] for _ in range(4)} == {1}
    assert {play.step(play.course(registration("a/other")))[3] for _ in range(4)} == {0, 1}
    play.now += 60.0
    assert {play.step(play.course(asked))[3] for _ in range(4)} == {0, 1}


def test_a_refused_key_is_still_used_when_it_is_all_there_is():
    play = Play(provider("a", keys=1))
    asked = registration("a/m")
    play.run(play.course(asked), failure("upstream_auth"))
    course = play.course(asked)
    assert play.step(course) == ("try", "a/m", 0, 0)
    course.succeeded(play.now, first_byte=0.1)
    assert play.fleet.snapshot(play.now)["a"].parked == 0


LIMITED = failure("upstream_rate_limited", retry_after=2.0)


def test_a_rate_limit_that_fits_the_deadline_is_waited_out_exactly():
    play = Play(provider("a", total=10.0))
    steps = play.run(play.course(registration("a/m")), LIMITED)
    assert steps == [("try", "a/m", 0, -1), ("wait", 2.0), ("try", "a/m", 0, -1)]


def test_a_rate_limit_that_does_not_fit_is_answered_as_it_came():
    play = Play(provider("a", total=1.5))
    course = play.course(registration("a/m"))
    course.next(play.now)
    course.failed(LIMITED, play.now)
    assert course.next(play.now) == GiveUp(LIMITED)


def test_exhausted_by_rate_limits_keeps_the_last_retry_after():
    play = Play(provider("a"))
    course = play.course(registration("a/m", attempts=1))
    course.next(play.now)
    course.failed(LIMITED, play.now)
    assert course.next(play.now).failure.retry_after == 2.0


def test_a_rate_limit_moves_on_at_once_where_there_is_another_lane():
    play = Play(provider("a", keys=2), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m")), LIMITED, LIMITED)
    assert steps == [("try", "a/m", 0, 0), ("try", "a/m", 0, 1), ("try", "b/m", 0, -1)]


def test_even_retry_after_zero_prefers_another_lane():
    play = Play(provider("a"), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m")), failure("upstream_rate_limited", retry_after=0.0))
    assert tries(steps)[1] == ("b/m", 0, -1)


def test_a_parked_lane_is_skipped_by_later_requests_for_the_same_model_only():
    play = Play(provider("a"), provider("b"))
    play.run(play.course(registration("a/m", "b/m")), LIMITED)
    assert play.step(play.course(registration("a/m", "b/m"))) == ("try", "b/m", 0, -1)
    assert play.step(play.course(registration("a/other", "b/m"))) == ("try", "a/other", 0, -1)
    assert play.step(play.course(registration("a/m"))) == ("wait", 2.0)
    play.now += 2.0
    assert play.step(play.course(registration("a/m", "b/m"))) == ("try", "a/m", 0, -1)


def test_a_new_request_for_a_lane_parked_past_its_deadline_hears_when_to_come_back():
    play = Play(provider("a", total=1.5))
    play.run(play.course(registration("a/m")), LIMITED)
    given = play.course(registration("a/m")).next(play.now + 0.2)
    assert isinstance(given, GiveUp)
    assert (given.failure.kind, round(given.failure.retry_after, 6)) == ("upstream_rate_limited", 1.8)
    assert "provider a " in given.failure.message


def test_no_wait_reaches_past_the_deadline():
    play = Play(provider("a", total=0.04))
    steps = play.run(play.course(registration("a/m")), failure())
    assert steps == [("try", "a/m", 0, -1), ("end", "upstream_error")]


def test_after_the_deadline_there_is_no_further_try():
    play = Play(provider("a", total=5.0), provider("b", total=600.0))
    course = play.course(registration("a/m", "b/m"))
    course.next(play.now)
    assert course.deadline == play.now + 5.0
    play.now += 5.0
    course.failed(failure(), play.now)
    assert play.step(course) == ("end", "upstream_error")


def test_a_wait_that_woke_too_late_gives_up():
    play = Play(provider("a", total=5.0))
    limited, course = play.course(registration("a/m")), play.course(registration("a/m"))
    limited.next(play.now)
    limited.failed(LIMITED, play.now)
    assert play.step(course) == ("wait", 2.0)
    play.now += 6.0
    assert play.step(course) == ("end", "upstream_timeout")


def test_the_policy_may_cap_every_deadline():
    play = Play(provider("a"), policy=Policy(total=3.0))
    course = play.course(registration("a/m"))
    course.next(play.now)
    assert course.deadline == play.now + 3.0


@pytest.mark.parametrize(
    ("on", "sent", "moves"),
    [
        (None, failure("upstream_error", status=503), True),
        (None, failure("upstream_error", status=529), True),
        (None, failure("upstream_rejected", status=408), True),
        (None, failure("upstream_rejected", status=409), False),
        (None, failure("upstream_rejected", status=400), False),
        (None, failure("upstream_auth"), True),
        (["409"], failure("upstream_rejected", status=409), True),
        (["400"], failure("invalid_request"), False),
        (["503"], failure("upstream_error", status=503), True),
        (["503"], failure("upstream_error", status=500), False),
        (["5xx"], failure("upstream_unreachable"), False),
        (["5xx"], failure("upstream_timeout"), True),
        (["504"], failure("upstream_timeout"), True),
        (["connect"], failure("upstream_unreachable"), True),
        (["connect"], failure("upstream_connect_timeout"), True),
        (["connect"], failure("upstream_closed"), True),
        (["connect"], failure("upstream_tls"), True),
        (["connect"], failure("upstream_error"), False),
        (["429"], failure("upstream_rate_limited"), True),
        (["5xx", "connect"], failure("upstream_rate_limited"), False),
        (["401"], failure("upstream_auth"), True),
        (["429"], failure("upstream_auth"), False),
        ([], failure("upstream_error"), False),
    ],
)
def test_the_registration_says_which_failures_may_move(on, sent, moves):
    play = Play(provider("a"), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m", on=on)), sent)
    assert steps[1] == (("try", "b/m", 0, -1) if moves else ("end", sent.kind))


def test_a_timeout_that_the_provider_tells_is_tried_again_on_the_same_lane():
    sent = failure("upstream_rejected", status=408, detail="status_408")
    play = Play(provider("a"))
    steps = play.run(play.course(registration("a/m", attempts=2)), sent, sent)
    assert steps[0] == steps[2] == ("try", "a/m", 0, -1)
    assert (steps[1][0], steps[3]) == ("wait", ("end", "upstream_rejected"))


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_attempts_count_the_first_try_too(attempts):
    play = Play(provider("a"), provider("b"))
    course = play.course(registration("a/m", "b/m", attempts=attempts))
    steps = play.run(course, *[failure()] * 9)
    assert len(tries(steps)) == course.attempts == attempts


def test_the_last_real_failure_is_what_is_answered():
    play = Play(provider("a"), provider("b"))
    last = failure("upstream_error", status=500, body=b"{}", wire="w")
    course = play.course(registration("a/m", "b/m", attempts=2))
    play.run(course, failure("upstream_timeout"), last)
    assert course.next(play.now) == GiveUp(last)


def test_after_the_commit_point_nothing_is_retried():
    for commit in (True, False):
        play = Play(provider("a"), provider("b"))
        cut = failure("upstream_incomplete")
        course = play.course(registration("a/m", "b/m"))
        course.next(play.now)
        if commit:
            course.committed(play.now, first_byte=0.1)
            course.failed(cut, play.now)
        else:
            course.broke(cut, play.now)
        assert course.next(play.now) == GiveUp(cut)
        assert play.fleet.budget.active == 0


def test_streams_that_break_count_for_health():
    play = Play(provider("a"))
    for _ in range(5):
        course = play.course(registration("a/m"))
        course.next(play.now)
        course.committed(play.now, first_byte=0.1)
        course.broke(failure("upstream_incomplete"), play.now)
    assert play.states() == {"a": 1}


def test_a_caller_who_leaves_frees_the_slot_and_touches_no_health():
    play = Play(provider("a", max_concurrency=1))
    for _ in range(9):
        course = play.course(registration("a/m"))
        assert play.step(course)[0] == "try"
        course.abandoned(play.now)
        course.abandoned(play.now)
    assert play.fleet.snapshot(play.now)["a"].in_flight == 0
    assert play.fleet.budget.active == 0
    assert play.states() == {"a": 0}


def test_a_course_asked_out_of_order_says_so():
    play = Play(provider("a"))
    course = play.course(registration("a/m"))
    with pytest.raises(RuntimeError, match="no try"):
        course.succeeded(play.now, first_byte=0.1)
    course.next(play.now)
    with pytest.raises(RuntimeError, match="not ended"):
        course.next(play.now)
    course.succeeded(play.now, first_byte=0.1)
    with pytest.raises(RuntimeError, match="has ended"):
        course.next(play.now)
    with pytest.raises(RuntimeError, match="no try"):
        course.failed(failure(), play.now)
