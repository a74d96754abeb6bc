"""Who waits while the gateway works on as many requests as it should, and for how long."""

import pytest

from gateway.gated import Gated, all_of
from gateway.parts import COUNT, DONE, OPENING, WORD, registration
from parley.limits import PICO, Admission


def test_who_cannot_be_worked_on_waits_by_priority() -> None:
    urgent = registration("urgent", "a/m-1", priority="high")
    idle = registration("idle", "a/m-1", priority="low")
    stage = Gated(urgent, idle, admission=Admission(1, 3, 5.0))
    order = [stage.ask(name) for name in ("one", "idle", "one", "urgent")]
    assert len(stage.sent) == 1
    stage.sent[0].whole()
    assert order[3][1].heard == []
    assert len(stage.sent) == 2
    stage.sent[1].whole()
    assert order[3][1].status == 200
    stage.sent[2].whole()
    assert order[2][1].status == 200
    assert order[1][1].heard == []
    stage.sent[3].whole()
    assert order[1][1].status == 200
    stage.quiet()


def test_a_full_line_refuses_at_once_or_drops_the_last_of_the_lowest() -> None:
    urgent = registration("urgent", "a/m-1", priority="high")
    stage = Gated(urgent, admission=Admission(1, 1, 5.0))
    stage.ask()
    _, waiting = stage.ask()
    _, refused = stage.ask()
    assert (refused.status, refused.error["code"]) == (503, "overloaded")
    assert refused.lines[b"retry-after"] == b"5"
    assert waiting.heard == []
    stage.ask("urgent")
    assert waiting.status == 503
    assert stage.shed() == {"overload": 2}
    stage.sent[0].whole()
    stage.sent[1].whole()
    stage.quiet()


def test_nobody_waits_for_longer_than_was_said() -> None:
    stage = Gated(admission=Admission(1, 10, 5.0))
    stage.ask()
    _, first = stage.ask()
    stage.clock.advance(3)
    _, second = stage.ask()
    stage.clock.advance(2)
    assert first.status == 503
    assert second.heard == []
    stage.sent[0].whole()
    stage.sent[1].whole()
    assert second.status == 200
    stage.quiet()


def test_what_waits_holds_its_reservation_and_gives_it_back() -> None:
    stage = Gated(quotas=all_of(budget=2200 * PICO), admission=Admission(1, 10, 5.0))
    stage.ask()
    job, _ = stage.ask()
    assert stage.ask()[1].error["code"] == "budget_exceeded"
    job.left()
    _, waits = stage.ask()
    assert waits.heard == []
    stage.sent[0].whole()
    stage.sent[1].stream(OPENING, WORD, DONE)
    stage.quiet()


def test_many_that_end_at_once_are_let_in_one_by_one() -> None:
    counting = registration("counting", "mute/c-1")
    stage = Gated(counting, admission=Admission(1, 500, 5.0))
    stage.ask()
    ears = [stage.ask("counting", COUNT)[1] for _ in range(400)]
    stage.sent[0].whole()
    assert [ear.status for ear in ears] == [200] * 400
    stage.quiet()


def test_one_that_breaks_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    stage = Gated(admission=Admission(1, 10, 5.0))
    stage.ask()
    job, broken = stage.ask()
    _, next_one = stage.ask()

    def fail() -> None:
        raise RuntimeError("a mistake of ours")

    job.admitted = fail  # type: ignore[method-assign]
    stage.sent[0].whole()
    assert (broken.status, broken.error["code"]) == (500, "internal")
    assert "could not be handled" in caplog.text
    stage.sent[1].whole()
    assert next_one.status == 200
    stage.quiet()
