"""Engines of this machine keep their own time: routing asks them once a request, and no breaker counts."""

import pytest

from plan.parts import Play, failure, provider, registration

FAILURES = [failure("model_loading"), failure("upstream_error", status=503, detail="engine_down")]


@pytest.mark.parametrize("told", FAILURES, ids=lambda told: told.log_kind)
def test_another_target_is_asked_but_not_the_same_engine_again(told):
    play = Play(provider("a"), provider("b"))
    steps = play.run(play.course(registration("a/m", "b/m", attempts=5)), told, told)
    assert steps == [("try", "a/m", 0, -1), ("try", "b/m", 0, -1), ("end", told.kind)]


@pytest.mark.parametrize("told", FAILURES, ids=lambda told: told.log_kind)
def test_no_breaker_opens(told):
    play = Play(provider("a"))
    for _ in range(9):
        assert play.run(play.course(registration("a/m")), told) == [("try", "a/m", 0, -1), ("end", told.kind)]
    assert play.states() == {"a": 0}


def test_a_provider_of_the_network_that_says_503_still_counts():
    play = Play(provider("a"))
    play.spoil(registration("a/m"), 5)
    assert play.states() == {"a": 1}
