"""A rule as one process keeps it. ``lease`` is what this process may use and has not used yet, ``held`` the part of it
that requests under way have reserved; where it counts alone, the lease is all that is left.

Windows of requests and tokens open with the first request and are told by monotonic time; periods of money go by the
calendar. ``epoch`` tells one from the next: what was reserved in another one is not given back to this one.
"""

from math import floor, inf
from typing import Final

from parley.limits.bank import FORGOTTEN, Answer, Ask
from parley.limits.rule import Rule

# After the bank has said that there is nothing, nobody asks it again for so long.
DRY_SECONDS: Final = 0.1
# A meter's ``kind`` is the place of its measure here.
KINDS: Final = ("requests", "tokens", "parallel", "money")
REQUESTS: Final = 0
TOKENS: Final = 1
MONEY: Final = 3
# An epoch before all others.
NEVER: Final = -1.0


class Meter:
    """Of places at one time, which have neither window nor period. ``told``: a bank keeps account of it; ``leases``:
    others count on the same account. ``wanted`` is what requests that wait for a lease need in all, ``step`` the least
    of them. Times are monotonic (``now``) and since 1970 (``wall``). An epoch below 0 is one that the bank does not
    know.
    """

    __slots__ = (
        "alias", "asked", "dry_until", "ends", "epoch", "flow", "heard", "held", "kind", "known", "lease", "leases",
        "limit", "others_wait", "pace", "process", "rest", "rule", "step", "stored", "told", "total", "turn", "unheard",
        "used", "wanted",
    )  # fmt: skip

    def __init__(self, rule: Rule, *, told: bool = False, leases: bool = False, process: str = "") -> None:
        self.rule = rule
        self.kind = KINDS.index(rule.measure)
        self.limit = rule.limit
        self.told = told
        self.leases = leases
        self.process = process
        self.epoch = self.alias = self.asked = 0.0
        self.dry_until = self.heard = -inf
        self.turn = self.flow = self.pace = self.wanted = self.step = 0
        self.others_wait = self.unheard = False
        self._clear()

    def _clear(self) -> None:
        self.known = not self.told
        self.lease = self.limit if self.known else 0
        self.rest = self.held = self.total = self.stored = self.used = 0
        self.ends = inf
        self.dry_until = -inf

    def allow(self, rule: Rule) -> None:
        """The operator has changed it."""
        if self.known and not self.leases:
            self.lease += rule.limit - self.limit
        if rule.since != self.rule.since:
            self.epoch = NEVER
        self.rule, self.limit, self.dry_until = rule, rule.limit, -inf

    def room(self, now: float, wall: float) -> int:
        """How much may be reserved now."""
        return self.lease - self.held

    def left(self) -> int:
        """The same for people, with what other processes would give."""
        return max(0, self.lease - self.held + self.rest)

    def pause(self, now: float, wall: float) -> float | None:
        """Seconds until there is room again, None where nobody knows."""
        return 1.0

    def take(self, amount: int, now: float) -> None:
        """Reserve it; requests are taken for good."""
        self.held += amount
        self.flow += amount

    def settle(self, epoch: float, reserved: int, used: int, now: float, wall: float) -> None:
        """Give back what was reserved in that epoch; of it so much was used, or more than it."""
        self.room(now, wall)
        if epoch in (self.epoch, self.alias):
            self.held -= reserved
            self.lease -= used
            self.total += used
        else:
            self._late(used - reserved)

    def _late(self, beyond: int) -> None:
        """Reserved in a window or period that is over."""

    def _renew(self, epoch: float) -> None:
        """Another window or period."""
        self.epoch = self.alias = epoch
        self.turn += 1
        self.unheard = False
        self._clear()

    # What a bank is told, and what it says

    @property
    def quiet(self) -> bool:
        """There is nothing to tell, to ask or to give back."""
        busy = self.unheard or self.wanted or self.total != self.stored
        return not busy and not (self.leases and (self.lease or self.held))

    def ask(self, now: float) -> Ask:
        """What to tell the bank: leases that are not needed go back with it."""
        if self.heard + FORGOTTEN / 2 < now and self.total == self.stored and not (self.lease or self.unheard):
            self.turn += 1
            self.total = self.stored = 0
        ahead = keep = least = 0
        if self.leases:
            self.pace, self.flow = max(self.flow, self.pace // 4), 0
            ahead = 0 if self.others_wait else 2 * self.pace
            keep = max(0, min(self.lease, self.held + ahead))
            # What goes back is free there; should nobody be there, it is still what was left.
            self.rest += max(0, self.lease - keep)
            self.lease = keep
            ahead = max(0, self.held + ahead - keep)
            # Beside what is kept: who waits has nothing of what goes back.
            least = max(0, self.wanted - keep + self.held) if self.wanted else 0
        self.asked, self.unheard = self.epoch, True
        return Ask(
            account=self.rule.account,
            process=f"{self.process}.{self.turn}",
            measure=self.rule.measure,
            limit=self.limit,
            span=self.rule.span,
            epoch=None if self.epoch < 0 else self.epoch,
            total=self.total,
            keep=keep,
            held=self.held if self.leases else 0,
            least=least,
            step=max(1, self.step),
            ahead=ahead,
            leases=self.leases,
        )

    def hear(self, ask: Ask, answer: Answer, now: float) -> None:
        """The answer to what was asked."""
        if self.epoch != self.asked:
            # It is over meanwhile.
            return
        if ask.epoch is None:
            self.epoch = answer.epoch
            self.stored = ask.total
        elif answer.epoch == ask.epoch:
            self.stored = ask.total
        else:
            self._renew(answer.epoch)
            self.turn -= 1
        self.heard, self.known, self.unheard = now, True, False
        self._take(answer, now)

    def _take(self, answer: Answer, now: float) -> None:
        self.used, self.others_wait = answer.used, answer.crowded
        if self.leases:
            self.lease += answer.granted
            self.rest = max(0, answer.free)
        else:
            self.lease = answer.free - (self.total - self.stored)
        self.dry_until = now + DRY_SECONDS if answer.dry else -inf
        if answer.left is not None:
            self.ends = now + answer.left

    def release(self) -> None:
        """This process ends: nothing is leased ahead any more."""
        self.flow = self.pace = self.wanted = 0

    def alone(self) -> None:
        """The bank cannot be reached: go on with what was left when it was heard of last."""
        if not self.known:
            self.known = True
            self.lease += self.limit
        else:
            self.lease, self.rest = self.lease + self.rest, 0


class Window(Meter):
    """Of requests or tokens in some time."""

    __slots__ = ()

    def room(self, now: float, wall: float) -> int:
        """See Meter."""
        if now >= self.ends:
            self._renew(-2.0 - self.turn if self.told else self.epoch + 1)
        return self.lease - self.held

    def pause(self, now: float, wall: float) -> float | None:
        """Until the window closes; it opens with the first request."""
        return self.rule.span if self.ends == inf else max(0.0, self.ends - now)

    def take(self, amount: int, now: float) -> None:
        """See Meter."""
        if self.ends == inf:
            self.ends = now + self.rule.span
        if self.kind == REQUESTS:
            self.lease -= amount
            self.total += amount
        else:
            self.held += amount
        self.flow += amount

    def settle(self, epoch: float, reserved: int, used: int, now: float, wall: float) -> None:
        """See Meter."""
        if self.kind != REQUESTS:
            super().settle(epoch, reserved, used, now, wall)

    def _late(self, beyond: int) -> None:
        """What was used beyond the estimate was used now."""
        if beyond > 0:
            self.lease -= beyond
            self.total += beyond


class Purse(Meter):
    """Of money."""

    __slots__ = ()

    def room(self, now: float, wall: float) -> int:
        """See Meter."""
        span = self.rule.span
        if span:
            number = float(floor((wall - self.rule.since) / span))
            # A clock that is set back does not bring back what was spent.
            if number > self.epoch or number < self.epoch - 1:
                self._moved(number)
        return self.lease - self.held

    def pause(self, now: float, wall: float) -> float | None:
        """Until the next period begins."""
        span = self.rule.span
        return self.rule.since + (self.epoch + 1) * span - wall if span else None

    def _moved(self, number: float) -> None:
        if number > self.epoch:
            self._renew(number)
        else:
            self.epoch = self.alias = number


def meter_of(rule: Rule, *, told: bool = False, leases: bool = False, process: str = "") -> Meter:
    """The kind of meter that a rule needs."""
    if rule.measure == "parallel":
        return Meter(rule, told=told, leases=leases, process=process)
    kind = Purse if rule.measure == "money" else Window
    made = kind(rule, told=told, leases=leases, process=process)
    if told or (rule.span and rule.measure == "money"):
        # Until the bank was heard, or the calendar looked at.
        made.epoch = made.alias = NEVER
    if rule.measure == "money" and not rule.span:
        made.epoch = made.alias = 0.0
    return made
