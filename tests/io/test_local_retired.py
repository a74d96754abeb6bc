"""Engines that the configuration no longer names."""

import pytest
from engines import Machine, Waiter, ready

from parley.io.local.runner import READY, RESTING, STOPPING


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_retired_one_ends_after_its_last_request(machine: Machine) -> None:
    runner = ready(machine)
    waiters = [Waiter(runner), Waiter(runner)]
    runner.retire(True)
    runner.leave(waiters[0])
    assert (runner.state, machine.processes[0].stopped, runner.over) == (READY, False, False)
    runner.leave(waiters[1])
    assert (runner.state, machine.processes[0].stopped, runner.over) == (STOPPING, True, False)
    machine.processes[0].end()
    assert runner.over
    machine.clock.pass_by(1000.0)
    assert len(machine.processes) == 1


def test_a_retired_one_that_nobody_asks_ends_at_once(machine: Machine) -> None:
    idle, loading, cold = ready(machine), machine.runner(), machine.runner()
    loading.begin()
    for runner in (idle, loading, cold):
        runner.retire(True)
    assert [process.stopped for process in machine.processes] == [True, True]
    assert [runner.over for runner in (idle, loading, cold)] == [False, False, True]
    for process in machine.processes:
        process.end()
    assert (idle.over, loading.over) == (True, True)
    assert "engine.failed" not in machine.events


def test_a_retired_one_does_not_come_back_after_a_crash(machine: Machine) -> None:
    runner = ready(machine)
    waiter = Waiter(runner)
    runner.retire(True)
    machine.processes[0].end(-11)
    assert runner.state == RESTING
    runner.leave(waiter)
    machine.clock.pass_by(1000.0)
    assert (runner.over, len(machine.processes)) == (True, 1)


def test_a_crash_of_a_retired_one_that_nobody_asks_is_its_end(machine: Machine) -> None:
    runner = ready(machine)
    waiter = Waiter(runner)
    machine.processes[0].heard.fading()
    runner.leave(waiter)
    runner.retire(True)
    machine.processes[0].heard.ended()
    machine.clock.pass_by(1000.0)
    assert (runner.over, len(machine.processes)) == (True, 1)


def test_a_retired_one_may_stay_after_all(machine: Machine) -> None:
    runner = ready(machine, idle=60.0)
    waiter = Waiter(runner)
    runner.retire(True)
    runner.retire(False)
    runner.leave(waiter)
    machine.clock.pass_by(59.0)
    assert (runner.state, runner.over) == (READY, False)
    machine.clock.pass_by(2.0)
    assert runner.state == STOPPING
