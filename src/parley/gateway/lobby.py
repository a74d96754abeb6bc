"""Where requests wait while the process works on as many as it should: bounded, first those of higher priority."""

from typing import TYPE_CHECKING, Final

from parley.failure import Failure, ParleyError
from parley.gateway.toll import PRIORITIES
from parley.ports import Timer

if TYPE_CHECKING:
    from parley.gateway import Gateway
    from parley.gateway.gate import Ticket

SHED: Final = "parley_shed_total"
OVERLOAD: Final = "overload"
_FULL: Final = "the gateway works on as many requests as it can, and no more of them may wait"
_LATE: Final = "the gateway works on as many requests as it can, and this one has waited long enough"


class Lobby:
    """Each priority has its own line. A request of higher priority takes the place of the last one of the lowest."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._lines: tuple[dict[Ticket, None], ...] = tuple({} for _ in PRIORITIES)
        self.inside = 0
        self.waiting = 0
        self._calling = False
        self._timer: list[Timer] = []

    def enter(self, ticket: "Ticket") -> bool:
        """Whether it may go on at once; else it waits. Raises ``overloaded``."""
        admission = self._gateway.settings.admission
        if admission.parallel is None or (self.inside < admission.parallel and not self.waiting):
            self.inside += 1
            ticket.inside = True
            return True
        priority = ticket.toll.priority
        last = self._last() if self.waiting >= admission.queue else None
        if self.waiting >= admission.queue and (last is None or last.toll.priority <= priority):
            self._gateway.metrics.count(SHED, OVERLOAD)
            raise ParleyError(self._failure(_FULL))
        ticket.until = self._gateway.now() + admission.wait
        self._lines[priority][ticket] = None
        ticket.waits = True
        self.waiting += 1
        self._watch()
        if last is not None:
            self._cut(last, _FULL)
        return False

    def leave(self, ticket: "Ticket") -> None:
        """It is over: whoever waits may come in."""
        if ticket.inside:
            ticket.inside = False
            self.inside -= 1
        else:
            self._drop(ticket)
        if self.waiting:
            self._call()

    def _drop(self, ticket: "Ticket") -> None:
        if ticket.waits:
            del self._lines[ticket.toll.priority][ticket]
            ticket.waits = False
            self.waiting -= 1

    def _call(self) -> None:
        """Let in as many as there is room for; a request that ends at once calls this again."""
        if self._calling:
            return
        self._calling = True
        try:
            while self.waiting and self._room():
                ticket = next(iter(next(line for line in self._lines if line)))
                self._drop(ticket)
                self.inside += 1
                ticket.inside = True
                ticket.admit()
        finally:
            self._calling = False

    def _room(self) -> bool:
        most = self._gateway.settings.admission.parallel
        return most is None or self.inside < most

    def _last(self) -> "Ticket | None":
        """The one that came last of those with the lowest priority."""
        line = next((line for line in reversed(self._lines) if line), None)
        return None if line is None else next(reversed(line))

    def _cut(self, ticket: "Ticket", message: str) -> None:
        self._drop(ticket)
        self._gateway.metrics.count(SHED, OVERLOAD)
        ticket.cut(self._failure(message))

    def _failure(self, message: str) -> Failure:
        return Failure("overloaded", message, retry_after=self._gateway.settings.admission.wait)

    def _watch(self) -> None:
        """One timer for all: who came first has waited longest, in each line."""
        if self._timer:
            return
        first = [next(iter(line)).until for line in self._lines if line]
        if first:
            delay = max(0.0, min(first) - self._gateway.now())
            self._timer.append(self._gateway.clock.later(delay, self._look))

    def _look(self) -> None:
        self._timer.clear()
        now = self._gateway.now()
        for line in self._lines:
            while line and (ticket := next(iter(line))).until <= now:
                self._cut(ticket, _LATE)
        self._watch()
