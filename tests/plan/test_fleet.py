"""What requests share: breakers and the last target, full providers, the retry budget, changes of configuration."""

import re

import pytest

from parley.plan import Fleet, Policy
from parley.settings import Registration, Target
from plan.parts import Play, failure, provider, registration

ONE = registration("a/m", attempts=1)


def test_an_open_breaker_sends_requests_to_the_next_target():
    play = Play(provider("a"), provider("b"))
    play.spoil(ONE, 5)
    assert play.states() == {"a": 1}
    assert play.step(play.course(registration("a/m", "b/m"))) == ("try", "b/m", 0, -1)


def test_one_endpoint_open_leaves_the_others():
    play = Play(provider("a", endpoints=2, balance="fallback"))
    play.spoil(ONE, 5)
    assert play.fleet.snapshot(play.now)["a"].endpoints == (1, 0)
    assert play.step(play.course(ONE)) == ("try", "a/m", 1, -1)


@pytest.mark.parametrize("kind", ["upstream_rate_limited", "upstream_auth", "upstream_rejected", "invalid_request"])
def test_limits_keys_and_callers_open_no_breaker(kind):
    play = Play(provider("a"))
    for _ in range(50):
        play.spoil(ONE, 1, kind)
        play.now += 1.0
        assert play.states() == {"a": 0}


def test_all_endpoints_down_is_no_upstream_with_the_time_of_the_next_probe():
    play = Play(provider("a", endpoints=2), provider("b"))
    play.spoil(ONE, 10, "upstream_unreachable")
    play.spoil(registration("b/m", attempts=1), 5, "upstream_unreachable")
    play.now += 0.25
    given = play.course(registration("a/m", "b/m")).next(play.now).failure
    assert (given.kind, given.http_status, given.log_kind) == ("no_upstream", 503, "breaker_open")
    assert given.retry_after == pytest.approx(0.75)
    assert play.states() == {"a": 1, "b": 1}


def test_the_last_target_is_probed_once_a_second_while_open():
    play = Play(provider("a"))
    play.spoil(ONE, 5)
    for _ in range(3):
        play.now += 1.0
        probe = play.course(ONE)
        assert play.step(probe)[0] == "try"
        assert play.step(play.course(ONE)) == ("end", "no_upstream")
        probe.failed(failure(), play.now)
        assert play.step(probe) == ("end", "upstream_error")
        assert play.step(play.course(ONE)) == ("end", "no_upstream")


def test_a_probe_that_finds_nobody_is_answered_like_its_neighbours():
    play = Play(provider("a"))
    play.spoil(ONE, 5, "upstream_unreachable")
    play.now += 1.0
    steps = play.run(play.course(registration("a/m")), failure("upstream_unreachable"))
    assert steps == [("try", "a/m", 0, -1), ("end", "no_upstream")]


def test_an_open_target_is_not_probed_while_another_can_answer():
    play = Play(provider("a"), provider("b"))
    play.spoil(ONE, 5)
    play.now += 10.0
    assert {play.first(registration("a/m", "b/m")) for _ in range(5)} == {"b/m"}


def test_a_successful_early_probe_closes():
    play = Play(provider("a"))
    play.spoil(ONE, 5)
    play.now += 1.0
    assert play.first(ONE) == "a/m"
    assert play.states() == {"a": 0}


def test_half_open_lets_one_request_through_and_the_rest_fall_over():
    play = Play(provider("a"), provider("b"))
    play.spoil(ONE, 5)
    play.now += 30.0
    assert play.states() == {"a": 2}
    asked = registration("a/m", "b/m")
    probe = play.course(asked)
    assert play.step(probe) == ("try", "a/m", 0, -1)
    assert {play.step(play.course(asked)) for _ in range(3)} == {("try", "b/m", 0, -1)}
    probe.succeeded(play.now, first_byte=0.1)
    assert play.states() == {"a": 0, "b": 0}
    assert play.step(play.course(asked)) == ("try", "a/m", 0, -1)


@pytest.mark.parametrize("kind", ["upstream_rejected", "upstream_rate_limited", "upstream_auth"])
def test_an_answer_that_refuses_still_shows_that_somebody_is_there(kind):
    play = Play(provider("a"))
    play.spoil(ONE, 5)
    play.now += 30.0
    play.spoil(ONE, 1, kind)
    assert play.states() == {"a": 0}


def test_a_long_stream_closes_the_breaker_when_it_commits():
    play = Play(provider("a"))
    play.spoil(ONE, 5)
    play.now += 30.0
    stream = play.course(ONE)
    stream.next(play.now)
    assert play.states() == {"a": 2}
    stream.committed(play.now, first_byte=0.1)
    assert play.states() == {"a": 0}
    stream.broke(failure("upstream_incomplete"), play.now)
    assert play.states() == {"a": 1}


def test_a_probe_whose_caller_leaves_frees_the_way_for_the_next():
    play = Play(provider("a"))
    play.spoil(ONE, 5)
    play.now += 30.0
    course = play.course(ONE)
    course.next(play.now)
    course.abandoned(play.now)
    assert play.states() == {"a": 2}
    assert play.step(play.course(ONE))[0] == "try"


def test_a_full_provider_is_skipped_and_all_full_is_overloaded():
    play = Play(provider("a", max_concurrency=2), provider("b", max_concurrency=1))
    asked = registration("a/m", "b/m")
    courses = [play.course(asked) for _ in range(4)]
    assert [play.step(course) for course in courses[:3]] == [("try", f"{name}/m", 0, -1) for name in "aab"]
    given = courses[3].next(play.now).failure
    assert (given.kind, given.http_status, given.retry_after) == ("overloaded", 503, 1.0)
    courses[0].succeeded(play.now, first_byte=0.1)
    assert play.step(play.course(asked)) == ("try", "a/m", 0, -1)


def test_the_retry_budget_is_shared_and_refuses_with_the_real_failure():
    play = Play(provider("a"), draw=0.0)
    courses = [play.course(registration("a/m")) for _ in range(4)]
    for course in courses:
        course.next(play.now)
    for course in courses:
        course.failed(failure(), play.now)
    steps = [play.step(course) for course in courses]
    assert steps == [("try", "a/m", 0, -1)] * 3 + [("end", "upstream_error")]
    assert play.fleet.budget.retries == 3


def test_a_retry_that_has_ended_gives_its_place_in_the_budget_back():
    endings = (
        lambda course, now: course.committed(now, first_byte=0.1),
        lambda course, now: course.succeeded(now, first_byte=0.1),
        lambda course, now: course.failed(failure(), now),
        lambda course, now: course.broke(failure(), now),
        lambda course, now: course.abandoned(now),
    )
    for ending in endings:
        play = Play(provider("a"), draw=0.0)
        course = play.course(registration("a/m"))
        course.next(play.now)
        course.failed(failure(), play.now)
        course.next(play.now)
        assert play.fleet.budget.retries == 1
        ending(course, play.now)
        assert play.fleet.budget.retries == 0


def test_an_endpoint_that_failed_in_this_request_is_not_its_last_hope():
    """After a long wait elsewhere a second has passed, but an open breaker is probed by newcomers only."""
    play = Play(provider("a", endpoints=1), provider("b"))
    play.spoil(ONE, 4)
    course = play.course(registration("a/m", "b/m", attempts=4))
    limit = failure("upstream_rate_limited", retry_after=5.0)
    steps = play.run(course, failure(), limit, failure("upstream_timeout"))
    assert [step[0] for step in steps] == ["try", "try", "wait", "try", "end"]
    assert steps[-1] == ("end", "upstream_timeout")
    assert play.step(play.course(ONE)) == ("try", "a/m", 0, -1)


def test_another_provider_needs_no_budget():
    play = Play(provider("a"), provider("b"), policy=Policy(retry_share=0.0, retry_floor=0))
    steps = play.run(play.course(registration("a/m", "b/m", attempts=9)), failure(), failure())
    assert steps == [("try", "a/m", 0, -1), ("try", "b/m", 0, -1), ("end", "upstream_error")]


def test_another_target_of_the_same_provider_needs_budget():
    play = Play(provider("a", endpoints=2), policy=Policy(retry_share=0.0, retry_floor=0))
    steps = play.run(play.course(registration("a/m", "a/n")), failure())
    assert steps == [("try", "a/m", 0, -1), ("end", "upstream_error")]


def test_a_burst_of_failures_falls_over_opens_and_recovers():
    """Fifty requests a second against a target that fails for 30 s, with another behind it."""
    play = Play(provider("a"), provider("b"))
    start, asked, seen, sent = play.now, registration("a/m", "b/m"), set(), 0
    while play.now < start + 65.0:
        seen.add(play.states().get("a", 0))
        course = play.course(asked)
        step = course.next(play.now)
        if step.lane.provider.name == "a" and play.now < start + 30.0:
            sent += 1
            course.failed(failure(status=503), play.now)
            step = course.next(play.now)
            assert step.lane.provider.name == "b"
        course.succeeded(play.now, first_byte=0.1)
        play.now += 0.02
    assert sent == 5
    assert seen == {0, 1, 2}
    assert play.states()["a"] == 0


@pytest.mark.parametrize("asked", [registration(), registration("gone/m"), registration("gone/m", "lost/m")])
def test_no_known_provider_is_no_upstream(asked):
    play = Play(provider("a"))
    assert play.step(play.course(asked)) == ("end", "no_upstream")


def test_an_unknown_provider_is_skipped_for_a_known_one():
    play = Play(provider("a"))
    assert play.step(play.course(registration("gone/m", "a/m"))) == ("try", "a/m", 0, -1)


def test_messages_name_providers_but_no_address_and_no_key():
    play = Play(provider("a", keys=1, max_concurrency=1), provider("b", keys=1))
    messages = []
    play.spoil(registration("b/m", attempts=1), 5, "upstream_unreachable")
    messages.append(play.course(registration("b/m")).next(play.now).failure.message)
    play.step(play.course(ONE))
    messages.append(play.course(ONE).next(play.now).failure.message)
    assert re.findall(r"provider (\w)", " ".join(messages)) == ["b", "a"]
    assert not re.search(r"http|example|key-", " ".join(messages))


def test_invented_models_leave_no_trace():
    play = Play(provider("a", endpoints=2, keys=2))
    for number in range(300):
        asked = Registration(model=f"a/x{number}", targets=(Target("a", f"x{number}"),))
        play.run(play.course(asked), failure("upstream_rate_limited", retry_after=60.0))
        play.now += 0.1
    fleet = play.fleet
    assert (len(fleet._places), len(fleet._pools), len(fleet._gauges)) == (1, 0, 0)
    assert sum(len(seat.parked) for seat in fleet._places["a"].seats) <= 4 * 16


def test_a_changed_provider_keeps_what_is_known_of_endpoints_and_keys_it_still_has():
    play = Play(provider("a", endpoints=2, keys=2, balance="fallback"))
    play.spoil(ONE, 5)
    play.run(play.course(registration("a/n")), failure("upstream_rate_limited", retry_after=60.0))
    before = play.fleet.snapshot(play.now)["a"]
    assert (before.endpoints, before.parked) == ((1, 0), 1)
    play.providers = {"a": provider("a", endpoints=3, keys=2, balance="fallback")}
    play.fleet.retain(play.providers)
    after = play.fleet.snapshot(play.now)["a"]
    assert (after.endpoints, after.parked) == ((1, 0, 0), 1)


def test_requests_under_way_survive_a_change():
    play = Play(provider("a", max_concurrency=1))
    course = play.course(ONE)
    course.next(play.now)
    play.providers = {"a": provider("a", endpoints=2, max_concurrency=1)}
    play.fleet.retain(play.providers)
    assert play.step(play.course(ONE)) == ("end", "overloaded")
    course.failed(failure("upstream_timeout"), play.now)
    assert play.fleet.snapshot(play.now)["a"].in_flight == 0
    assert play.step(play.course(ONE))[0] == "try"


def test_a_request_begun_before_a_change_goes_on_by_what_holds_now():
    play = Play(provider("a"), provider("b"))
    play.first(registration("b/m"))
    course = play.course(registration("a/m", "b/m"))
    course.next(play.now)
    changed = {"a": provider("a"), "b": provider("b", endpoints=2, balance="fallback", max_concurrency=5)}
    play.fleet.retain(changed)
    course.failed(failure(), play.now)
    assert course.next(play.now).lane.provider is changed["b"]
    assert play.fleet.snapshot(play.now)["b"].endpoints == (0, 0)


def test_a_dropped_provider_is_forgotten():
    play = Play(provider("a"), provider("b"))
    asked = registration("a/m", "b/m", strategy="fastest")
    play.spoil(asked, 2)
    play.fleet.retain({"b": play.providers["b"]}, [registration("b/m", "b/n")])
    assert set(play.fleet.snapshot(play.now)) <= {"b"}
    assert set(play.fleet._gauges) == {("b", "m")}


def test_targets_that_stay_keep_their_pace():
    play = Play(provider("a"), provider("b"))
    asked = registration("a/m", "b/m", strategy="fastest")
    for seconds in (0.3, 0.1):
        course = play.course(asked)
        course.next(play.now)
        course.succeeded(play.now, first_byte=seconds)
    play.fleet.retain(play.providers, [asked])
    assert play.first(asked) == "b/m"


def test_a_target_that_fails_is_not_the_fastest():
    play = Play(provider("a"), provider("b"))
    asked = registration("a/m", "b/m", strategy="fastest")
    course = play.course(asked)
    assert [step[1] for step in play.run(course, failure("upstream_bad_response"))] == ["a/m", "b/m"]
    course.succeeded(play.now, first_byte=5.0)
    assert [play.first(asked) for _ in range(3)] == ["b/m"] * 3


def test_a_fleet_of_its_own_policy():
    play = Play(provider("a"), policy=Policy(opens_after=2, open_for=5.0))
    play.spoil(ONE, 2)
    assert play.states() == {"a": 1}
    play.now += 5.0
    assert play.states() == {"a": 2}
    assert Fleet().policy == Policy()


def test_an_old_request_does_not_bring_back_what_was_replaced_twice():
    play = Play(provider("a"), provider("b"))
    play.first(registration("b/m"))
    course = play.course(registration("a/m", "b/m"))
    course.next(play.now)
    for endpoints in (2, 3):
        play.providers = {"a": provider("a"), "b": provider("b", endpoints=endpoints, balance="fallback")}
        play.fleet.retain(play.providers)
    course.failed(failure(), play.now)
    assert course.next(play.now).lane.provider is play.providers["b"]
    newer = play.course(registration("b/m"))
    assert newer.next(play.now).lane.provider is play.providers["b"]
    assert play.fleet.snapshot(play.now)["b"].endpoints == (0, 0, 0)


def test_an_old_request_that_is_the_first_at_a_provider_meets_what_holds_now():
    play = Play(provider("a"), provider("b"))
    course = play.course(registration("a/m", "b/m"))
    course.next(play.now)
    play.providers = {"a": provider("a"), "b": provider("b", endpoints=2, balance="fallback")}
    play.fleet.retain(play.providers)
    course.failed(failure(), play.now)
    assert course.next(play.now).lane.provider is play.providers["b"]
    assert play.fleet.snapshot(play.now)["b"].endpoints == (0, 0)
