"""Many processes on one account in simulated time: each has a meter, the bank is reached with a delay or not at all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from parley.limits import Answer, Ask, Meter, Rule, State, exchange, meter_of


@dataclass
class Work:
    """A request that a process has let in."""

    process: "Process"
    epoch: float
    reserved: int
    used: int
    alive: bool = True


@dataclass
class Process:
    """One of them; ``waiting`` are estimates and real amounts of requests that wait for a lease."""

    world: "World"
    meter: Meter
    waiting: list[tuple[int, int]] = field(default_factory=list)
    asking: bool = False
    alive: bool = True

    def offer(self, reserved: int, used: int) -> None:
        """A request comes."""
        if not self.let_in(reserved, used):
            self.waiting.append((reserved, used))
            self.ask()

    def let_in(self, reserved: int, used: int) -> bool:
        world, meter = self.world, self.meter
        if not self.alive or reserved > meter.room(world.now, world.wall):
            return False
        meter.take(reserved, world.now)
        world.admit(Work(self, meter.epoch, reserved, used))
        return True

    def end(self, work: Work) -> None:
        """A request is over."""
        world, meter = self.world, self.meter
        if work.alive and self.alive:
            used = 0 if meter.rule.measure == "parallel" else work.used
            meter.settle(work.epoch, work.reserved, used, world.now, world.wall)
        world.ended(work)

    def ask(self) -> None:
        if self.asking or not self.alive:
            return
        meter = self.meter
        meter.room(self.world.now, self.world.wall)
        needs = [need for need, _ in self.waiting]
        meter.step = min(needs, default=0)
        meter.wanted = sum(needs)
        if meter.quiet:
            return
        self.asking = True
        asked = meter.ask(self.world.now)
        self.world.reach(asked, lambda answer: self.hear(asked, answer))

    def hear(self, ask: Ask, answer: Answer | None) -> None:
        self.asking = False
        if not self.alive:
            return
        if answer is not None:
            self.meter.hear(ask, answer, self.world.now)
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            if not self.let_in(*one) and not (answer is not None and answer.dry):
                self.waiting.append(one)
        if self.waiting:
            self.world.later(0.02, self.ask)

    def crash(self) -> None:
        self.alive = False
        for work in self.world.working:
            if work.process is self:
                work.alive = False


class World:
    """Time, the bank's one account, what has been let in."""

    def __init__(self, rule: Rule, processes: int, delay: float = 0.01) -> None:
        self.rule = rule
        self.now, self.wall, self.delay = 1000.0, 1_700_000_000.0, delay
        self.state: State | None = None
        self.away = self.lost = False
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.count = self.starts = 0
        self.working: list[Work] = []
        self.most = self.total = self.excess = 0
        self.processes = [self.process(f"p{number}") for number in range(processes)]
        self.later(0.0, self.beat)

    def process(self, name: str) -> Process:
        return Process(self, meter_of(self.rule, told=True, leases=True, process=name))

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.count += 1
        heappush(self.events, (self.now + seconds, self.count, call))

    def beat(self) -> None:
        for process in self.processes:
            process.ask()
        self.later(0.25, self.beat)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.events and self.events[0][0] <= end:
            at, _, call = heappop(self.events)
            self.wall += at - self.now
            self.now = at
            call()
        self.wall += end - self.now
        self.now = end

    def reach(self, ask: Ask, then: Callable[[Answer | None], None]) -> None:
        """The bank answers after a while; what is asked may get lost, and so may the answer."""
        away, lost = self.away, self.lost

        def arrive() -> None:
            answer = None
            if not away:
                self.state, answer = exchange(self.state, ask, self.now)
            self.later(self.delay, lambda: then(None if lost else answer))

        self.later(self.delay, arrive)

    def admit(self, work: Work) -> None:
        self.working.append(work)
        self.total += work.reserved
        self.most = max(self.most, sum(one.reserved for one in self.working if one.alive))

    def ended(self, work: Work) -> None:
        self.working.remove(work)
        if work.alive:
            # What a dead process had reserved is what it may have used.
            self.total += work.used - work.reserved
            self.excess = max(self.excess, work.used - work.reserved)

    def restart(self, number: int) -> None:
        self.processes[number].crash()
        # No two of them ever have one name, as processes have not.
        self.starts += 1
        self.processes[number] = self.process(f"q{self.starts}")
