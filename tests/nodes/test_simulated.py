"""A hundred nodes of the simulation; ``make sim`` has a thousand."""

from .simulated import HEARTBEAT, TTL, simulate


def test_everybody_hears_of_everything_and_nothing_stale_is_kept() -> None:
    result = simulate(nodes=100, models=20, seconds=150, observers=3)
    assert result.changes > 80
    assert set(result.settled) == {"join", "leave", "die", "models", "load"}
    for kind, limit in (("join", 0.2), ("leave", 0.2), ("models", 0.2), ("load", 1.2), ("die", TTL)):
        assert result.settled[kind], kind
        assert max(result.settled[kind]) <= limit, kind
    assert result.stale <= TTL
    assert result.wrong == 0
    # One word for each change, fewer where changes come together, and none twice.
    assert result.puts - result.beats <= result.changes
    assert result.beats <= 100 * 150 / HEARTBEAT
