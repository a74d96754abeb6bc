"""The life of one engine, played through with a clock and processes of our own."""

import pytest
from engines import Machine, Waiter, ready

from parley.io.local.runner import (
    COLD,
    LOADING,
    PROGRESS_SECONDS,
    READY,
    RESTING,
    ROOM,
    STEADY_SECONDS,
    STOPPING,
)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_the_first_request_starts_it_and_all_go_once_it_serves(machine: Machine) -> None:
    runner = machine.runner()
    assert (runner.state, machine.processes) == (COLD, [])
    waiters = [Waiter(runner), Waiter(runner)]
    assert (runner.state, len(machine.processes)) == (LOADING, 1)
    assert [waiter.gone for waiter in waiters] == [[], []]
    machine.clock.pass_by(2.0)
    machine.processes[0].ready()
    late = Waiter(runner)
    assert [waiter.gone for waiter in [*waiters, late]] == [["unix:///0"]] * 3
    assert runner.active == 3
    assert machine.said == [("engine.load", {"pid": 0, "bytes": 0}), ("engine.ready", {"pid": 0, "seconds": 2.0})]


def test_progress_is_told_while_it_loads_and_not_after(machine: Machine) -> None:
    Waiter(machine.runner())
    machine.clock.pass_by(2.5 * PROGRESS_SECONDS)
    machine.processes[0].ready()
    machine.clock.pass_by(100.0)
    told = [facts for event, facts in machine.said if event == "engine.loading"]
    assert told == [{"seconds": seconds, "bytes": 0, "resident": 7} for seconds in (5.0, 10.0)]


def test_the_wait_is_what_the_last_load_took(machine: Machine) -> None:
    runner = machine.runner(idle=1.0)
    waiter = Waiter(runner)
    assert runner.wait() == 5.0
    machine.clock.pass_by(30.0)
    machine.processes[0].ready()
    runner.leave(waiter)
    machine.clock.pass_by(1.0)
    machine.processes[0].end()
    Waiter(runner)
    machine.clock.pass_by(8.0)
    assert runner.wait() == 22.0
    machine.clock.pass_by(60.0)
    assert runner.wait() == 1.0


def test_it_is_unloaded_when_idle_and_loaded_again_when_asked(machine: Machine) -> None:
    runner = ready(machine, idle=60.0)
    machine.clock.pass_by(59.0)
    waiter = Waiter(runner)
    machine.clock.pass_by(500.0)
    assert (runner.state, machine.processes[0].stopped) == (READY, False)
    runner.leave(waiter)
    machine.clock.pass_by(61.0)
    assert (runner.state, machine.processes[0].stopped) == (STOPPING, True)
    machine.processes[0].end()
    assert runner.state == COLD
    Waiter(runner)
    assert len(machine.processes) == 2
    assert machine.events == ["engine.load", "engine.ready", "engine.unload", "engine.load"]


def test_without_an_idle_time_it_stays(machine: Machine) -> None:
    runner = ready(machine)
    machine.clock.pass_by(1e6)
    assert runner.state == READY


def test_one_that_nobody_waited_for_is_unloaded_too(machine: Machine) -> None:
    runner = machine.runner(idle=60.0)
    runner.begin()
    machine.processes[0].ready()
    machine.clock.pass_by(61.0)
    assert machine.processes[0].stopped


def test_a_request_that_comes_while_it_stops_loads_it_again(machine: Machine) -> None:
    runner = ready(machine, idle=1.0)
    machine.clock.pass_by(2.0)
    waiter = Waiter(runner)
    assert (len(machine.processes), waiter.gone) == (1, [])
    machine.processes[0].end()
    machine.processes[1].ready()
    assert waiter.gone == ["unix:///1"]


def test_what_cannot_be_loaded_is_refused_with_the_reason_and_not_tried_again_at_once(machine: Machine) -> None:
    runner = machine.runner()
    first = Waiter(runner)
    machine.processes[0].end(1)
    (failure,) = first.failures
    assert (failure.kind, failure.status, failure.detail) == ("upstream_error", 503, "engine_down")
    assert failure.message == "the model on this machine could not be loaded: out of luck"
    assert failure.retry_after == 5.0
    machine.clock.pass_by(4.0)
    second = Waiter(runner)
    assert (len(machine.processes), second.failures[0].retry_after) == (1, 1.0)
    machine.clock.pass_by(1.0)
    Waiter(runner)
    assert len(machine.processes) == 2
    assert runner.active == 1


def test_refusals_double_and_are_forgotten_once_it_served(machine: Machine) -> None:
    runner = machine.runner(idle=0.0)
    rests = []
    for _ in range(8):
        waiter = Waiter(runner)
        machine.processes[-1].end(1)
        rests.append(waiter.failures[0].retry_after)
        machine.clock.pass_by(rests[-1] or 0.0)
    assert rests == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    runner.leave(Waiter(runner))
    machine.processes[-1].ready()
    machine.clock.pass_by(0.0)
    machine.processes[-1].end()
    waiter = Waiter(runner)
    machine.processes[-1].end(1)
    assert waiter.failures[0].retry_after == 5.0


def test_nothing_is_loaded_that_nobody_asked_for_after_a_failure(machine: Machine) -> None:
    Waiter(machine.runner())
    machine.processes[0].end(1)
    machine.clock.pass_by(1e6)
    assert len(machine.processes) == 1


def test_a_crash_restarts_it_with_growing_rests(machine: Machine) -> None:
    runner = ready(machine)
    for rest in (0.5, 1.0, 2.0, 4.0):
        started = len(machine.processes)
        machine.processes[-1].end(-6)
        assert runner.state == RESTING
        machine.clock.pass_by(rest * 0.99)
        assert len(machine.processes) == started
        machine.clock.pass_by(rest * 0.02)
        assert len(machine.processes) == started + 1
        machine.processes[-1].ready()
    machine.clock.pass_by(STEADY_SECONDS + 1.0)
    machine.processes[-1].end(-6)
    crashes = [facts for event, facts in machine.said if event == "engine.crash"]
    assert [facts["again_in"] for facts in crashes] == [0.5, 1.0, 2.0, 4.0, 0.5]
    assert crashes[0] == {"status": -6, "reason": "out of luck", "again_in": 0.5}


def test_a_request_during_the_rest_waits_for_the_restart(machine: Machine) -> None:
    runner = ready(machine)
    machine.processes[0].end(-6)
    waiter = Waiter(runner)
    assert (waiter.gone, waiter.failures) == ([], [])
    machine.clock.pass_by(0.5)
    machine.processes[1].ready()
    assert waiter.gone == ["unix:///1"]


def test_nobody_is_sent_to_one_that_is_about_to_be_gone(machine: Machine) -> None:
    runner = ready(machine, idle=60.0)
    machine.processes[0].heard.fading()
    waiter = Waiter(runner)
    assert (waiter.gone, waiter.failures) == ([], [])
    machine.processes[0].end(-6)
    machine.clock.pass_by(0.5)
    machine.processes[1].ready()
    assert waiter.gone == ["unix:///1"]
    assert machine.events == ["engine.load", "engine.ready", "engine.crash", "engine.load", "engine.ready"]


def test_a_restart_that_fails_to_load_ends_it(machine: Machine) -> None:
    runner = ready(machine)
    machine.processes[0].end(-6)
    machine.clock.pass_by(0.5)
    machine.processes[1].end(1)
    machine.clock.pass_by(1e6)
    assert (runner.state, len(machine.processes)) == (COLD, 2)


def test_one_that_is_not_ready_in_time_is_killed(machine: Machine) -> None:
    runner = machine.runner(start_time=30.0)
    waiter = Waiter(runner)
    machine.clock.pass_by(30.0)
    assert machine.processes[0].killed
    assert waiter.failures[0].message.endswith("it was not ready within 30 s")
    assert runner.state == COLD


def test_a_process_that_cannot_be_started_is_a_refusal(machine: Machine) -> None:
    machine.broken = "Cannot allocate memory"
    waiter = Waiter(machine.runner())
    assert waiter.failures[0].message.endswith("its process could not be started: Cannot allocate memory")


def test_an_obstacle_is_told_and_nothing_is_started(machine: Machine) -> None:
    machine.obstacles = ["it needs about 9.0 GB of memory, 1.0 GB are free"]
    waiter = Waiter(machine.runner())
    assert waiter.failures[0].message.endswith("it needs about 9.0 GB of memory, 1.0 GB are free")
    assert machine.processes == []


def test_it_waits_for_room_that_others_make(machine: Machine) -> None:
    idle = ready(machine)
    machine.obstacles = [""]
    wanted = machine.runner()
    waiter = Waiter(wanted)
    assert (wanted.state, len(machine.processes)) == (ROOM, 1)
    idle.unload()
    assert wanted.state == ROOM
    machine.processes[0].end()
    assert (idle.state, wanted.state) == (COLD, LOADING)
    machine.processes[1].ready()
    assert waiter.gone == ["unix:///1"]


def test_who_no_longer_waits_is_not_sent_on(machine: Machine) -> None:
    runner = machine.runner()
    gone, kept = Waiter(runner), Waiter(runner)
    runner.leave(gone)
    machine.processes[0].ready()
    assert (gone.gone, kept.gone, runner.active) == ([], ["unix:///0"], 1)


@pytest.mark.parametrize("moment", ["loading", "ready", "resting"])
def test_closing_kills_it_and_nothing_starts_again(machine: Machine, moment: str) -> None:
    runner = machine.runner(idle=5.0)
    Waiter(runner)
    if moment != "loading":
        machine.processes[0].ready()
    if moment == "resting":
        machine.processes[0].end(-6)
    runner.close()
    machine.clock.pass_by(1e6)
    Waiter(runner)
    assert len(machine.processes) == 1
    assert machine.processes[0].killed is (moment != "resting")
