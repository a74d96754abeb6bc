"""Limits and budgets in front of the first try: who may go on, who waits, who is refused, and what it costs in the end.

A request passes all meters of its key, tags and model at once or none. Where a lease is short it waits for the
bank, a moment only; what has passed waits for a place where the process is at its limit (see line).
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from parley.failure import Failure, ParleyError
from parley.gateway.estimates import tokens_of
from parley.gateway.lobby import Lobby
from parley.gateway.toll import Meters, Toll, toll_for
from parley.ir import Usage
from parley.limits import MONEY, TOKENS, Answer, Ask, Meter
from parley.limits.spoken import reason, refusal, said
from parley.ports import Timer

if TYPE_CHECKING:
    from parley.gateway import Gateway
    from parley.gateway.delivery import Delivery
    from parley.gateway.job import Job

REMEMBERED: Final = 1024
# How long a request waits for a lease, how many do, and how often the bank is asked meanwhile.
WAIT_SECONDS: Final = 1.0
MOST_WAITING: Final = 1000
AGAIN_SECONDS: Final = 0.02
BEAT_SECONDS: Final = 0.25
PROBE_SECONDS: Final = 1.0
AWAY: Final = Failure(
    "overloaded", "what is left of a limit cannot be told: the store is not available", detail="store", retry_after=1.0
)
FULL: Final = Failure("overloaded", "too many requests wait already", retry_after=1.0)


class Counters(Protocol):
    """Where processes count together. ``then`` is called once, later, on the loop's thread."""

    def exchange(self, asks: Sequence[Ask], then: Callable[[Sequence[Answer] | Failure], None]) -> None:
        """Have a bank answer, one for one."""


class Ticket:
    """What a request has reserved. ``needs`` and ``epochs`` go with the toll's meters; no epochs: nothing yet. It is
    ``inside`` the lobby's count, or ``waits`` to be."""

    __slots__ = ("epochs", "inside", "job", "lines", "needs", "toll", "until", "waits")

    def __init__(self, job: "Job", toll: Toll) -> None:
        # Until it has left: the two must not keep one another alive.
        self.job: Job | None = job
        self.toll = toll
        self.needs: list[int] = toll.ones
        self.epochs: list[float] | None = None
        self.inside = self.waits = False
        self.lines = b""
        self.until = 0.0

    def admit(self) -> None:
        """Its job goes on after it has waited. Whatever it comes to, others wait as well."""
        job = self.job
        assert job is not None
        try:
            job.admitted()
        except Exception:
            logging.getLogger("parley").exception("a request that had waited could not be handled")
            job.cut(Failure("internal", "the gateway failed to handle the request"))

    def cut(self, failure: Failure) -> None:
        """Its job ends while it waits."""
        assert self.job is not None
        self.job.cut(failure)


class Gate:
    """See the module. ``counters`` keep what is not known to this process alone, None: there is nothing else."""

    def __init__(self, gateway: "Gateway", meters: Meters, counters: Counters | None = None) -> None:
        self._gateway = gateway
        self._meters = meters
        self._counters = counters
        self._settings = gateway.settings
        self._tariffs = gateway.tariffs
        self._tolls: dict[tuple[str, str], Toll] = {}
        self._unbounded = gateway.settings.admission.parallel is None
        self.lobby = Lobby(gateway)
        # Meters that the bank has to hear of, requests that wait for it, whether it is being asked.
        self._told: dict[Meter, None] = {}
        self._waiting: dict[Ticket, None] = {}
        self._asking = False
        # Whether somebody came who waits, while it was being asked.
        self._came = False
        self._away = False
        self._closed = False
        self._timer: list[Timer] = []
        self._due = 0.0

    @property
    def away(self) -> bool:
        """Whether the bank could not be reached when it was asked last."""
        return self._away

    @property
    def waiting(self) -> int:
        """Requests that wait for a lease."""
        return len(self._waiting)

    def enter(self, job: "Job") -> bool:
        """See parley.gateway.ended.Gate."""
        gateway = self._gateway
        if gateway.settings is not self._settings or gateway.tariffs is not self._tariffs:
            self._adopt()
        key = job.key
        tolls = self._tolls if key is None else key.tolls
        toll = tolls.get((job.inlet.operation, job.model))
        if toll is None:
            toll = self._toll(job, tolls)
        ticket = job.ticket = Ticket(job, toll)
        if toll.weighs:
            self._weigh(ticket, job)
        if toll.meters and not self._take(ticket):
            return self._wait(ticket)
        return self._unbounded or self.lobby.enter(ticket)

    def leave(self, job: "Delivery", usage: Usage, cost: int | None) -> None:
        """See parley.gateway.ended.Gate."""
        ticket = job.ticket
        assert isinstance(ticket, Ticket)
        ticket.job = None
        if ticket.epochs is not None:
            tokens = usage.input + usage.output
            if job.replayed is not None:
                tokens = cost = 0
            self._settle(ticket, tokens, cost or 0)
        elif ticket in self._waiting:
            del self._waiting[ticket]
        if ticket.inside or ticket.waits:
            self.lobby.leave(ticket)

    def close(self, then: Callable[[], None]) -> None:
        """Tell the bank everything and give all leases back; ``then`` is called in any case."""
        self._closed = True
        self._cancel()
        meters = [meter for meter in self._told if not meter.quiet]
        for meter in meters:
            meter.release()
        asks = [meter.ask(self._gateway.now()) for meter in meters]
        if asks and self._counters is not None:
            self._counters.exchange(asks, lambda outcome: then())
        else:
            then()

    # Who pays what

    def _adopt(self) -> None:
        self._settings, self._tariffs = self._gateway.settings, self._gateway.tariffs
        self._tolls = {}
        self._unbounded = self._settings.admission.parallel is None
        self._gateway.keyring.untoll()

    def _toll(self, job: "Job", tolls: dict[tuple[str, str], Toll]) -> Toll:
        if len(tolls) >= REMEMBERED:
            tolls.clear()
        settings = self._settings
        prices = (self._tariffs, dict(settings.providers))
        holder = None if job.key is None else job.key.holder
        toll = toll_for(self._meters, settings.quotas, holder, job.registration, prices)
        tolls[(job.inlet.operation, job.model)] = toll
        return toll

    def _weigh(self, ticket: Ticket, job: "Job") -> None:
        toll = ticket.toll
        if toll.money and toll.unpriced and self._settings.quotas.unknown_price == "refuse":
            message = f"what {job.model[:200]!r} costs is not known, and the budget allows only what is"
            raise self._shed(ticket, "budget", Failure("budget_exceeded", message))
        read, made = tokens_of(job)
        cost = toll.cost(read, made) if toll.money else 0
        tokens = read + made
        needs = ticket.needs = []
        for meter in toll.meters:
            kind = meter.kind
            if kind == TOKENS:
                # More than a whole window holds is let into an empty one.
                needs.append(tokens if tokens < meter.limit else meter.limit)
            else:
                needs.append(cost if kind == MONEY else 1)

    # Passing

    def _take(self, ticket: Ticket) -> bool:
        """Whether it has passed; if not, it has to wait for the bank. Raises what it is refused with."""
        gateway, toll, needs = self._gateway, ticket.toll, ticket.needs
        now, wall = gateway.now(), gateway.wall() if toll.money else 0.0
        # By their places: pairs of them would have to be made.
        for place, meter in enumerate(toll.meters):
            if needs[place] > meter.room(now, wall):
                if not self._hopeful(ticket, now, wall):
                    return False
                break
        epochs: list[float] = []
        for place, meter in enumerate(toll.meters):
            meter.take(needs[place], now)
            epochs.append(meter.epoch)
        ticket.epochs = epochs
        if toll.shown:
            ticket.lines = said(toll.shown, now)
        if toll.told:
            self._tell(toll)
        return True

    def _tell(self, toll: Toll) -> None:
        """The bank will hear of it."""
        for meter in toll.meters:
            if meter.told:
                self._told[meter] = None
        if not self._timer and not self._asking:
            self._later(BEAT_SECONDS)

    def _hopeful(self, ticket: Ticket, now: float, wall: float) -> bool:
        """Whether there is room after all, False where the bank may know of some. Raises where there is none."""
        short = self._short(ticket, now, wall)
        if self._away:
            self._without(ticket, [meter for meter, _ in short])
            short = self._short(ticket, now, wall)
        none = [(meter, need) for meter, need in short if self._away or not self._asks(meter, now)]
        if none:
            raise self._refused(ticket, none, now, wall)
        return not short

    def _short(self, ticket: Ticket, now: float, wall: float) -> list[tuple[Meter, int]]:
        pairs = zip(ticket.toll.meters, ticket.needs, strict=True)
        return [(meter, need) for meter, need in pairs if need > meter.room(now, wall)]

    def _asks(self, meter: Meter, now: float) -> bool:
        """Whether the bank could know of more than this meter does."""
        if not meter.told or self._counters is None or now < meter.dry_until:
            return False
        return meter.leases or not meter.known

    def _without(self, ticket: Ticket, meters: Sequence[Meter]) -> None:
        """The bank is away: by what was known last, or not at all."""
        for meter in meters:
            if meter.told and self._settings.quotas.away == "closed":
                raise self._shed(ticket, "overload", AWAY)
            if meter.told:
                meter.alone()

    def _refused(self, ticket: Ticket, none: Sequence[tuple[Meter, int]], now: float, wall: float) -> ParleyError:
        """By the limit that has room again the last."""
        pauses = [(meter.pause(now, wall), meter, need) for meter, need in none]
        endless = [(meter, need) for pause, meter, need in pauses if pause is None]
        longest = max((pause for pause, _, _ in pauses if pause is not None), default=0.0)
        meter, need = endless[0] if endless else next(one[1:] for one in pauses if one[0] == longest)
        ticket.lines = said(ticket.toll.shown, now)
        return self._shed(ticket, reason(meter.rule), refusal(meter, need, now, wall))

    def _shed(self, ticket: Ticket, why: str, failure: Failure) -> ParleyError:
        self._gateway.metrics.count("parley_shed_total", why)
        return ParleyError(failure)

    def _settle(self, ticket: Ticket, tokens: int, cost: int) -> None:
        """What was reserved is given back, what was used is kept."""
        gateway, epochs, toll, needs = self._gateway, ticket.epochs, ticket.toll, ticket.needs
        assert epochs is not None
        ticket.epochs = None
        now, wall = gateway.now(), gateway.wall() if toll.money else 0.0
        for place, meter in enumerate(toll.meters):
            kind = meter.kind
            used = tokens if kind == TOKENS else cost if kind == MONEY else 0
            meter.settle(epochs[place], needs[place], used, now, wall)
        if toll.told:
            self._tell(toll)

    # The bank

    def _wait(self, ticket: Ticket) -> bool:
        if len(self._waiting) >= MOST_WAITING:
            raise self._shed(ticket, "overload", FULL)
        ticket.until = self._gateway.now() + WAIT_SECONDS
        self._waiting[ticket] = None
        self._came = True
        self._ask()
        self._expect()
        return False

    def _expect(self) -> None:
        """Nobody waits for an answer of the bank longer than that."""
        if self._asking and self._waiting and not self._timer:
            self._later(WAIT_SECONDS)

    def _later(self, seconds: float) -> None:
        due = self._gateway.now() + seconds
        if self._closed or (self._timer and self._due <= due):
            return
        self._cancel()
        self._due = due
        self._timer.append(self._gateway.clock.later(seconds, self._fire))

    def _cancel(self) -> None:
        while self._timer:
            self._timer.pop().cancel()

    def _fire(self) -> None:
        self._timer.clear()
        if self._asking:
            # It is as good as away, until it has answered.
            self._away = True
            self._retry(self._gateway.now())
        else:
            self._ask()

    def _ask(self) -> None:
        """Tell the bank what there is to tell, and ask for what is wanted; one question at a time."""
        if self._asking or self._counters is None or self._closed:
            return
        now, wall = self._gateway.now(), self._gateway.wall()
        for meter in self._told:
            # Of a window that is over nothing has to be told.
            meter.room(now, wall)
        self._want()
        meters = [meter for meter in self._told if not meter.quiet]
        self._told = dict.fromkeys(meters)
        if not meters:
            self._away = False
            return
        self._asking, self._came = True, False
        self._cancel()
        asks = [meter.ask(now) for meter in meters]
        self._counters.exchange(asks, lambda outcome: self._heard(meters, asks, outcome))
        self._expect()

    def _want(self) -> None:
        """What those who wait need in all."""
        for meter in self._told:
            meter.wanted = meter.step = 0
        for ticket in self._waiting:
            for meter, need in zip(ticket.toll.meters, ticket.needs, strict=True):
                if meter.told:
                    self._told[meter] = None
                    meter.wanted += need
                    meter.step = min(meter.step or need, need)

    def _heard(self, meters: Sequence[Meter], asks: Sequence[Ask], outcome: Sequence[Answer] | Failure) -> None:
        self._asking = False
        now = self._gateway.now()
        self._away = isinstance(outcome, Failure)
        if not isinstance(outcome, Failure):
            for meter, ask, answer in zip(meters, asks, outcome, strict=True):
                meter.hear(ask, answer, now)
        self._retry(now)
        if self._waiting and self._came and not self._away and not self._short_of(asks, outcome):
            self._ask()
        elif self._waiting:
            self._later(AGAIN_SECONDS)
        elif self._told:
            crowded = any(meter.others_wait for meter in meters)
            self._later(PROBE_SECONDS if self._away else AGAIN_SECONDS if crowded else BEAT_SECONDS)

    def _short_of(self, asks: Sequence[Ask], outcome: Sequence[Answer] | Failure) -> bool:
        """Whether there was less than was asked for."""
        if isinstance(outcome, Failure):
            return True
        return any(ask.leases and answer.granted < ask.least for ask, answer in zip(asks, outcome, strict=True))

    def _retry(self, now: float) -> None:
        """Those who wait, in the order in which they came."""
        for ticket in tuple(self._waiting):
            if ticket not in self._waiting:
                continue
            try:
                if self._take(ticket):
                    self._passed(ticket)
                elif now >= ticket.until:
                    raise self._missed(ticket, now)
            except ParleyError as error:
                self._waiting.pop(ticket, None)
                ticket.cut(error.failure)

    def _passed(self, ticket: Ticket) -> None:
        del self._waiting[ticket]
        if self.lobby.enter(ticket):
            ticket.admit()

    def _missed(self, ticket: Ticket, now: float) -> ParleyError:
        """It has waited long enough: for now there is nothing."""
        wall = self._gateway.wall()
        return self._refused(ticket, self._short(ticket, now, wall), now, wall)
