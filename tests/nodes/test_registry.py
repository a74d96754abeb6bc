"""What is known of workers, with times as they are said."""

import pytest

from nodes.parts import CHAT, ORIGIN, entry
from parley.nodes import Registry
from parley.nodes.registry import BAD_CALLS, BAD_PROBES, GOOD_PROBES


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.put(entry())
    return made


def test_counters_survive_a_change_with_the_same_address(registry: Registry) -> None:
    worker = registry.places("p", "m")[0]
    worker.in_flight, number = 3, worker.number
    assert registry.put(entry(ttl=5.0)) == {("p", "m")}
    assert registry.places("p", "m") == [worker]
    assert (worker.in_flight, worker.number, worker.entry.ttl) == (3, number, 5.0)


def test_another_address_is_another_worker(registry: Registry) -> None:
    before = registry.places("p", "m")[0]
    registry.put(entry(url="http://127.0.0.1:2000/x"))
    (after,) = registry.places("p", "m")
    assert after is not before
    assert registry.numbered(before.number) is None
    assert after.endpoint == f"http://127.0.0.1:2000/x#{after.number}"


def test_labels_tell_places_apart(registry: Registry) -> None:
    registry.put(entry(cid="gpu-1"))
    assert [worker.entry.cid for worker in registry.places("p", "m")] == ["", "gpu-1"]
    assert registry.remove([("p", "m", "")]) == {("p", "m")}
    assert [worker.entry.cid for worker in registry.of("p")] == ["gpu-1"]
    assert registry.remove([("p", "m", "none")]) == set()


def test_three_bad_probes_and_two_good_ones(registry: Registry) -> None:
    worker = registry.places("p", "m")[0]
    changes = [registry.probed(ORIGIN, good=False) for _ in range(BAD_PROBES + 1)]
    assert changes == [set()] * (BAD_PROBES - 1) + [{("p", "m")}, set()]
    assert not worker.ok
    changes = [registry.probed(ORIGIN, good=True) for _ in range(GOOD_PROBES + 1)]
    assert changes == [set()] * (GOOD_PROBES - 1) + [{("p", "m")}, set()]
    assert worker.ok


def test_a_bad_probe_between_begins_anew(registry: Registry) -> None:
    for good in (False, False, True, False, False):
        registry.probed(ORIGIN, good=good)
    assert registry.places("p", "m")[0].ok


def test_probes_are_of_servers_not_of_models(registry: Registry) -> None:
    registry.put(entry("other", url=f"{ORIGIN}/other"))
    registry.put(entry("far", url="http://127.0.0.1:9/x"))
    assert registry.origins() == [ORIGIN, "http://127.0.0.1:9"]
    for _ in range(BAD_PROBES):
        changed = registry.probed(ORIGIN, good=False)
    assert changed == {("p", "m"), ("p", "other")}
    assert [worker.entry.model for worker in registry if worker.ok] == ["far"]


def test_five_bad_calls_in_a_row(registry: Registry) -> None:
    worker = registry.places("p", "m")[0]
    for good in (False, False, False, False, True):
        assert not registry.called(worker, good=good)
    changes = [registry.called(worker, good=False) for _ in range(BAD_CALLS)]
    assert changes == [False] * (BAD_CALLS - 1) + [True]
    assert not worker.ok


def test_latency_is_a_moving_average(registry: Registry) -> None:
    worker = registry.places("p", "m")[0]
    for seconds in (1.0, 2.0, None):
        registry.called(worker, good=True, seconds=seconds)
    assert worker.latency == pytest.approx(1.3)


def test_a_time_to_live(registry: Registry) -> None:
    registry.put(entry("short", ttl=10.0, heard=100.0))
    assert registry.expired(109.9) == []
    assert registry.expired(110.0) == [("p", "short", "")]
    assert [one.model for one in registry.entries()] == ["m", "short"]


def test_an_offer_tells_no_address(registry: Registry) -> None:
    assert CHAT not in repr(registry.places("p", "m")[0].offer())
