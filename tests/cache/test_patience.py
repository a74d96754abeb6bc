"""A place elsewhere that is slow or away holds nobody up."""

from collections.abc import Callable
from typing import Any

from tests.gateway.parts import ManualClock

from parley.cache.patience import DEADLINE, FAILURES, LATE, MOST_PENDING, PAUSE, Patient
from parley.failure import Failure

AWAY = Failure("overloaded", "gone", detail="cache")


class Hand:
    """A shelf that answers when told to."""

    def __init__(self) -> None:
        self.asked: list[Callable[[Any], None]] = []
        self.given: list[tuple[bytes, Callable[[Any], None]]] = []

    def get(self, key: bytes, then: Callable[[Any], None]) -> None:
        self.asked.append(then)

    def put(self, key: bytes, value: bytes, ttl: float, then: Callable[[Any], None]) -> None:
        self.given.append((value, then))

    def problem(self) -> str | None:
        raise AssertionError("it is the patient one who tells")


def rig() -> tuple[Patient, Hand, ManualClock]:
    clock, hand = ManualClock(), Hand()
    return Patient(hand, clock, "the shelf"), hand, clock


def broken() -> tuple[Patient, Hand, ManualClock]:
    patient, hand, clock = rig()
    for _ in range(FAILURES):
        patient.get(b"k", lambda found: None)
        hand.asked[-1](AWAY)
    return patient, hand, clock


def test_an_answer_in_time_is_passed_on_and_leaves_no_timer() -> None:
    patient, hand, clock = rig()
    heard: list[Any] = []
    patient.get(b"k", heard.append)
    clock.advance(DEADLINE / 2)
    hand.asked[0](b"v")
    assert heard == [b"v"]
    assert clock.pending == []


def test_after_the_deadline_nobody_waits_and_a_late_answer_is_nobodys() -> None:
    patient, hand, clock = rig()
    heard: list[Any] = []
    patient.get(b"k", heard.append)
    clock.advance(DEADLINE)
    assert heard == [LATE]
    hand.asked[0](b"v")
    assert heard == [LATE]


def test_after_some_failures_in_a_row_it_is_left_alone_then_tried_once() -> None:
    patient, hand, clock = broken()
    heard: list[Any] = []
    patient.get(b"k", heard.append)
    assert heard == [None]
    assert len(hand.asked) == FAILURES
    assert patient.problem() == "answers are not kept, as the shelf is not available: gone"
    clock.advance(PAUSE)
    patient.get(b"k", heard.append)
    patient.get(b"k", heard.append)
    assert len(hand.asked) == FAILURES + 1
    assert heard == [None, None]
    hand.asked[-1](b"v")
    assert heard == [None, None, b"v"]
    assert patient.problem() is None
    patient.get(b"k", heard.append)
    assert len(hand.asked) == FAILURES + 2


def test_a_probe_that_fails_makes_another_pause() -> None:
    patient, hand, clock = broken()
    clock.advance(PAUSE)
    heard: list[Any] = []
    patient.get(b"k", heard.append)
    clock.advance(DEADLINE)
    assert heard == [LATE]
    patient.get(b"k", heard.append)
    assert len(hand.asked) == FAILURES + 1
    clock.advance(PAUSE)
    patient.get(b"k", heard.append)
    assert len(hand.asked) == FAILURES + 2


def test_failures_that_are_not_in_a_row_do_no_harm() -> None:
    patient, hand, _ = rig()
    for turn in range(4 * FAILURES):
        patient.get(b"k", lambda found: None)
        hand.asked[-1](AWAY if turn % FAILURES else None)
    assert len(hand.asked) == 4 * FAILURES
    assert patient.problem() is None


def test_nothing_is_written_while_it_is_away() -> None:
    patient, hand, _ = broken()
    heard: list[Any] = []
    patient.put(b"k", b"v", 1.0, heard.append)
    assert heard == [None]
    assert hand.given == []


def test_writes_that_fail_count_as_well() -> None:
    patient, hand, _ = rig()
    for _ in range(FAILURES):
        patient.put(b"k", b"v", 1.0, lambda failure: None)
        hand.given[-1][1](AWAY)
    assert patient.problem() is not None


def test_what_is_on_its_way_is_bounded() -> None:
    patient, hand, _ = rig()
    half = b"v" * (MOST_PENDING // 2)
    for _ in range(3):
        patient.put(b"k", half, 1.0, lambda failure: None)
    assert len(hand.given) == 2
    hand.given[0][1](None)
    patient.put(b"k", half, 1.0, lambda failure: None)
    assert len(hand.given) == 3
