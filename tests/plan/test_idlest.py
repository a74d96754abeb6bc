"""Places that tell their own load: the idlest is asked, of two with the same load the faster one."""

from msgspec.structs import replace

from plan.parts import Play, provider, registration

ONE = registration("a/m", attempts=1)


def taken(play: Play) -> int:
    """Which endpoint the next request goes to; it stays at work there."""
    step = play.step(play.course(ONE))
    assert step[0] == "try"
    return step[2]


def test_our_own_requests_count():
    play = Play(provider("a", endpoints=3, balance="idlest"))
    assert sorted(taken(play) for _ in range(3)) == [0, 1, 2]
    assert sorted(taken(play) for _ in range(3)) == [0, 1, 2]


def test_what_a_place_tells_counts_with_them():
    play = Play(provider("a", endpoints=2, balance="idlest"))
    first, second = play.providers["a"].endpoints
    assert taken(play) == 0
    play.fleet.renew(play.providers["a"], {first: 1, second: 3})
    # One of the first place's is ours; the second has three of others.
    assert [taken(play) for _ in range(4)] == [0, 0, 0, 1]


def test_of_two_with_the_same_load_the_faster_one():
    play = Play(provider("a", endpoints=2, balance="idlest"))
    for seconds in (2.0, 1.0):
        course = play.course(ONE)
        play.step(course)
        other = play.course(ONE)
        play.step(other)
        course.succeeded(play.now, first_byte=seconds)
        other.succeeded(play.now, first_byte=0.1)
    assert taken(play) == 1


def test_new_endpoints_are_taken_over_and_those_that_stay_keep_what_is_known():
    play = Play(provider("a", endpoints=2, balance="idlest"))
    first, second = play.providers["a"].endpoints
    play.fleet.retain(play.providers)
    play.spoil(registration("a/m", attempts=1), 10)
    assert play.fleet.snapshot(play.now)["a"].endpoints == (1, 1)
    changed = replace(play.providers["a"], endpoints=(second, "https://new"))
    play.providers["a"] = changed
    play.fleet.renew(changed, {})
    assert play.fleet.snapshot(play.now)["a"].endpoints == (1, 0)
    assert taken(play) == 1
    assert first not in changed.endpoints
