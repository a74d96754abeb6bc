"""What is known of an upstream's health: its load and pace, its breaker, what is parked for a while.

Times are monotonic seconds passed in by the caller. None of it grows with traffic.
"""

from typing import Final

from parley.failure import NODE_LOOP, Failure
from parley.plan.policy import Policy

CLOSED: Final = 0
OPEN: Final = 1
HALF_OPEN: Final = 2

FAILED_PACE = 10.0  # seconds a failed try counts as, so that failing at once is not "fastest"
PARKED_MODELS = 16  # per lane: names come from callers, so their number must not
_NEWEST = 0.3  # share of the newest sample in a moving average
# Refused by a live endpoint, or by an engine of this machine that keeps its own time.
SPOKEN: Final = frozenset({"upstream_rejected", "upstream_rate_limited", "upstream_auth", "model_loading"})
OWN_TIME: Final = "engine_down"
# A node that was only sent what comes back to it is as good as ever.
_UNCOUNTED: Final = frozenset({OWN_TIME, NODE_LOOP})


def counts(failure: Failure) -> bool:
    """Whether a breaker counts this: the endpoint's own fault, so neither the caller's, nor a key's, nor a limit's."""
    if failure.final or failure.detail in _UNCOUNTED:
        return False
    return failure.code.retry == "transient" and failure.kind not in SPOKEN


class Gauge:
    """Load and pace of one place to send to. ``pace`` is a moving average of seconds to the first byte; ``beside`` is
    how much more is at work there than we have sent, as it tells."""

    __slots__ = ("beside", "in_flight", "pace")

    def __init__(self) -> None:
        self.in_flight = self.beside = 0
        self.pace: float | None = None

    def observe(self, seconds: float) -> None:
        """Take one more sample."""
        pace = self.pace
        self.pace = seconds if pace is None else pace + _NEWEST * (seconds - pace)


class Breaker:
    """Keeps requests from an endpoint that fails. ``until`` is None while closed, else when it is half-open.

    A probe is a try made while not closed; there is at most one (``probing``), and only its end can close.
    """

    __slots__ = ("failures", "last", "policy", "probing", "until")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.failures = 0
        self.last = 0.0
        self.probing = False
        self.until: float | None = None

    def state(self, now: float) -> int:
        """CLOSED, OPEN or HALF_OPEN."""
        if self.until is None:
            return CLOSED
        return HALF_OPEN if now >= self.until else OPEN

    def admits(self, now: float) -> bool:
        """Whether a request may go: closed, or half-open and nobody else is probing."""
        return self.until is None or (now >= self.until and not self.probing)

    def probe_in(self, now: float) -> float:
        """Seconds until it may be probed though open, for want of anything better; 0 is now."""
        if self.probing:
            return self.policy.probe_pause
        wait = self.last + self.policy.probe_pause - now
        return max(0.0, wait if self.until is None else min(wait, self.until - now))

    def failed(self, now: float, probe: bool) -> None:
        """A try failed by the endpoint's own fault."""
        self.last = now
        self.failures += 1
        if probe:
            self.probing = False
        opens = self.failures >= self.policy.opens_after if self.until is None else probe and now >= self.until
        if opens:
            self.until = now + self.policy.open_for

    def succeeded(self, probe: bool) -> None:
        """A try ended well. One that began before the breaker opened says nothing about now."""
        if probe:
            self.probing = False
            self.until = None
        if self.until is None:
            self.failures = 0

    def answered(self, probe: bool) -> None:
        """The endpoint spoke, but has not shown yet that it can finish: a probe closes, one more failure reopens."""
        if probe:
            self.probing = False
            self.until = None
            self.failures = self.policy.opens_after - 1

    def released(self, probe: bool) -> None:
        """The try ended without saying anything about the endpoint."""
        if probe:
            self.probing = False


def park(parked: dict[str, float], model: str, now: float, until: float) -> None:
    """Let ``model`` rest until then, or longer where it already must; never more than PARKED_MODELS are kept."""
    forget(parked, now)
    if until <= now:
        return
    parked[model] = max(until, parked.get(model, until))
    if len(parked) > PARKED_MODELS:
        del parked[min(parked, key=parked.__getitem__)]


def forget(parked: dict[str, float], now: float) -> None:
    """Drop what has rested long enough."""
    for name in [name for name, end in parked.items() if end <= now]:
        del parked[name]
