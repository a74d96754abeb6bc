"""A clock, processes and requests of our own, with which the life of an engine is played through."""

from collections.abc import Callable
from typing import Any

from parley.failure import Failure
from parley.io.local.runner import ROOM, Listener, Runner
from parley.settings import Engine


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.live = at, call, True

    def cancel(self) -> None:
        self.live = False


class Clock:
    def __init__(self) -> None:
        self.time = 100.0
        self.timers: list[Timer] = []

    def now(self) -> float:
        return self.time

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.time + delay, call))
        return self.timers[-1]

    def pass_by(self, seconds: float) -> None:
        end = self.time + seconds
        while due := [timer for timer in self.timers if timer.live and timer.at <= end]:
            timer = min(due, key=lambda timer: timer.at)
            timer.live = False
            self.time = max(self.time, timer.at)
            timer.call()
        self.time = end


class Process:
    def __init__(self, number: int, heard: Listener) -> None:
        self.origin, self.pid = f"unix:///{number}", number
        self.heard = heard
        self.status: int | None = None
        self.stopped = self.killed = False

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        self.killed = True

    def words(self) -> str:
        return "out of luck"

    def end(self, status: int = -15) -> None:
        self.status = status
        self.heard.fading()
        self.heard.ended()

    def ready(self) -> None:
        self.heard.ready()


class Machine:
    """What runners share, with everything they did."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.processes: list[Process] = []
        self.obstacles: list[str] = []
        self.runners: list[Runner] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.broken = ""

    def runner(self, **settings: Any) -> Runner:
        self.runners.append(Runner(Engine(model=f"/m/{len(self.runners)}.gguf", **settings), self))
        return self.runners[-1]

    def launch(self, engine: Engine, heard: Listener) -> Process:
        if self.broken:
            raise OSError(12, self.broken)
        self.processes.append(Process(len(self.processes), heard))
        return self.processes[-1]

    def obstacle(self, runner: Runner) -> str | None:
        return self.obstacles.pop(0) if self.obstacles else None

    def left(self) -> None:
        for runner in self.runners:
            if runner.state == ROOM:
                runner.begin()

    def progress(self, process: Any) -> dict[str, Any]:
        return {"resident": 7}

    def say(self, event: str, engine: Engine, **facts: Any) -> None:
        self.said.append((event, facts))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.said]


class Waiter:
    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.gone: list[str] = []
        self.failures: list[Failure] = []
        runner.take(self)

    def go(self, origin: str) -> None:
        self.gone.append(origin)

    def refuse(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.runner.leave(self)


def ready(machine: Machine, **settings: Any) -> Runner:
    """A runner that serves, and that nobody asks."""
    runner = machine.runner(**settings)
    waiter = Waiter(runner)
    machine.processes[-1].ready()
    runner.leave(waiter)
    return runner
