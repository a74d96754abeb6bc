"""``Resiliency`` documents: timeouts and retries of the components they name. Source: conversation contract 3.4."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from parley.config.components.durations import go_seconds
from parley.config.components.resource import texts_of
from parley.config.document import Path
from parley.config.report import Report

_SPEC: Final[Path] = ("spec",)
# The rule that is meant where none is given.
RULE: Final = "consecutiveFailures > 5"
_PREFIXES: Final = ("DefaultConversationComponentOutbound", "DefaultComponentOutbound", "DefaultComponent", "Default")


class Policies(Struct, frozen=True):
    """What holds for one component. ``timeout`` in seconds; ``attempts`` tries in all; ``statuses`` that are tried
    again (empty: the usual ones); ``trips`` failures in a row open the breaker for ``rests`` seconds. None: left
    out."""

    timeout: float | None = None
    attempts: int | None = None
    statuses: tuple[str, ...] = ()
    trips: int | None = None
    rests: float | None = None


class Resiliency:
    """One document."""

    def __init__(self, value: Mapping[str, Any], report: Report) -> None:
        self.report, self.value = report, value
        spec = _mapping(value.get("spec"))
        policies = _mapping(spec.get("policies"))
        self.scopes = texts_of(value.get("scopes"), ("scopes",), report)
        self._timeouts = _mapping(policies.get("timeouts"))
        self._retries = _mapping(policies.get("retries"))
        self._breakers = _mapping(policies.get("circuitBreakers"))
        self._targets = _mapping(_mapping(spec.get("targets")).get("components"))

    @property
    def names(self) -> Iterable[str]:
        """The components that it speaks of."""
        return self._targets

    def of(self, component: str) -> Policies:
        """The policies for a component: those it is given, else those of the well-known names."""
        target = self._targets.get(component)
        outbound = _mapping(_mapping(target).get("outbound"))
        place = None if target is None else (*_SPEC, "targets", "components", component, "outbound")
        timeout = self._policy(outbound, "timeout", "timeouts", place)
        retry = self._policy(outbound, "retry", "retries", place)
        breaker = self._policy(outbound, "circuitBreaker", "circuitBreakers", place)
        attempts, statuses = self._retried(*retry) if retry else (None, ())
        trips, rests = self._tripped(*breaker) if breaker else (None, None)
        seconds = self._seconds(timeout[1], ("policies", "timeouts", timeout[0])) if timeout else None
        return Policies(seconds, attempts, statuses, trips, rests)

    def _policy(
        self, outbound: Mapping[str, Any], member: str, kind: str, place: Path | None
    ) -> tuple[str, Any] | None:
        """A policy's name and body, None where there is none for it; ``place`` is where the component has its own."""
        named = outbound.get(member)
        table = {"timeouts": self._timeouts, "retries": self._retries, "circuitBreakers": self._breakers}[kind]
        if named is not None and place is not None:
            if not isinstance(named, str) or named not in table:
                message = f'there is no policy "{named}" under {kind}'
                self.report.add((*place, member), message, "name one of spec.policies")
                return None
            return named, table[named]
        suffix = {"timeouts": "Timeout", "retries": "Retry", "circuitBreakers": "CircuitBreaker"}[kind]
        names = () if place is not None else (f"{prefix}{suffix}Policy" for prefix in _PREFIXES)
        return next(((name, table[name]) for name in names if name in table), None)

    def _retried(self, name: str, body: Any) -> tuple[int | None, tuple[str, ...]]:
        body = _mapping(body)
        most = body.get("maxRetries", -1)
        place = (*_SPEC, "policies", "retries", name)
        if not isinstance(most, int) or isinstance(most, bool):
            self.report.add((*place, "maxRetries"), "maxRetries is a whole number; -1 for no limit")
            return None, ()
        codes = _mapping(body.get("matching")).get("httpStatusCodes")
        # Without a limit tries go on until the deadline of the request.
        return (most + 1 if most >= 0 else 100), _statuses(codes)

    def _tripped(self, name: str, body: Any) -> tuple[int | None, float | None]:
        """Only ``consecutiveFailures`` is a rule that our breakers know."""
        body = _mapping(body)
        place = (*_SPEC, "policies", "circuitBreakers", name)
        rests = self._seconds(body["timeout"], (*place[1:], "timeout")) if "timeout" in body else None
        trips = trips_of(body.get("trip", RULE))
        if trips is None:
            message = f'the rule "{body.get("trip")}" is not one that is known here'
            self.report.add((*place, "trip"), message, f"write {RULE}")
        return trips, rests

    def _seconds(self, given: Any, place: Path) -> float | None:
        seconds = go_seconds(str(given))
        if seconds is None or seconds <= 0:
            self.report.add((*_SPEC, *place), f'"{given}" is not a duration', "such as 30s")
            return None
        return seconds


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def trips_of(rule: Any) -> int | None:
    """How many failures in a row a rule means, None where it means something else."""
    text = str(rule).replace(" ", "")
    for sign, more in ((">=", 0), (">", 1)):
        left, found, number = text.partition(sign)
        if found and left == "consecutiveFailures" and number.isdecimal():
            return max(1, int(number) + more)
    return None


def _statuses(codes: Any) -> tuple[str, ...]:
    """``429,500-503`` as single statuses; those that are no failures are left out."""
    made: list[str] = []
    for part in str(codes or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            made += [str(one) for one in range(max(400, int(first)), min(599, int(last or first)) + 1)]
    return tuple(made)
