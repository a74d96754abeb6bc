"""Ten thousand seeded histories, each judged at every step: see simulation.py for what is asserted."""

from collections import Counter

import pytest

from plan.simulation import World

BATCHES, SIZE = 20, 500


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_promise_holds_in_every_history(batch):
    for seed in range(batch * SIZE, (batch + 1) * SIZE):
        try:
            World(seed).play()
        except AssertionError as error:
            raise AssertionError(f"history {seed}: {error}") from error


def test_the_same_seed_gives_the_same_history():
    for seed in range(40):
        assert World(seed).play().trace == World(seed).play().trace


def test_the_histories_reach_what_they_are_about():
    """A referee who never sees a foul proves nothing: the interesting things do happen."""
    seen = Counter()
    for seed in range(400):
        world = World(seed).play()
        seen["steady"] += world.steady
        seen["waits"] += sum(len(entry) == 2 and isinstance(entry[1], float) for entry in world.trace)
        seen["tries"] += sum(len(entry) == 4 for entry in world.trace)
        seen.update(entry[1] for entry in world.trace if len(entry) == 2 and isinstance(entry[1], str))
        seen["opened"] += any(health.state for health in world.fleet.snapshot(world.now).values())
        for request in world.requests:
            seen["answered"] += request.succeeded
            seen["left"] += request.left
            seen["moved"] += request.counted > 1
            seen["cut"] += request.committed and not request.succeeded and not request.left
            seen["stale"] += request.stale
    for word in ("steady", "waits", "opened", "answered", "left", "moved", "cut", "stale"):
        assert seen[word] >= 20, word
    for kind in ("upstream_error", "upstream_unreachable", "upstream_rate_limited", "upstream_auth", "no_upstream"):
        assert seen[kind] >= 10, kind
    assert seen["overloaded"] >= 10
    assert seen["tries"] > len(seen)
