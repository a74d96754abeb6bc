"""A place for answers that is not in this process, so that it can be slow or away: nobody waits for it long."""

from collections.abc import Callable
from typing import Final

from parley.cache.shelf import Found, Shelf
from parley.failure import Failure
from parley.ports import Clock, Timer

# Requests are held up for so long at most.
DEADLINE: Final = 0.05
# After so many failures in a row it is left alone for a while, then one request tries it.
FAILURES: Final = 3
PAUSE: Final = 5.0
# Bytes on their way there; what comes beyond is not kept.
MOST_PENDING: Final = 32 * 1024 * 1024
LATE: Final = Failure("overloaded", "it does not answer in time", detail="cache")


class Patient:
    """A shelf elsewhere, asked with a deadline. ``name`` is what an operator calls it."""

    def __init__(self, shelf: Shelf, clock: Clock, name: str) -> None:
        self._shelf, self._clock, self._name = shelf, clock, name
        self._failures = 0
        self._rests_until: float | None = None
        self._probing = False
        self._pending = 0
        self._reason = ""

    def get(self, key: bytes, then: Callable[[Found], None]) -> None:
        """See Shelf. Nothing is found where it is known to be away."""
        if not self._asks():
            then(None)
            return
        look = _Look(self, then)
        look.timer = self._clock.later(DEADLINE, look.late)
        self._shelf.get(key, look.heard)

    def put(self, key: bytes, value: bytes, ttl: float, then: Callable[[Failure | None], None]) -> None:
        """See Shelf. What cannot be kept is not."""
        if self._rests_until is not None or self._pending + len(value) > MOST_PENDING:
            then(None)
            return
        self._pending += len(value)

        def done(failure: Failure | None) -> None:
            self._pending -= len(value)
            if failure is not None:
                self.failed(failure)
            then(failure)

        self._shelf.put(key, value, ttl, done)

    def problem(self) -> str | None:
        """See Shelf."""
        resting = self._rests_until is not None
        return f"answers are not kept, as {self._name} is not available: {self._reason}" if resting else None

    def answered(self) -> None:
        """It works."""
        self._failures = 0
        self._rests_until = None
        self._probing = False

    def failed(self, failure: Failure) -> None:
        """It does not, or too slowly."""
        self._failures += 1
        self._probing = False
        self._reason = failure.message
        if self._failures >= FAILURES:
            self._rests_until = self._clock.now() + PAUSE

    def _asks(self) -> bool:
        if self._rests_until is None:
            return True
        if self._probing or self._clock.now() < self._rests_until:
            return False
        self._probing = True
        return True


class _Look:
    """One question under way."""

    def __init__(self, patient: Patient, then: Callable[[Found], None]) -> None:
        self._patient = patient
        self._then: Callable[[Found], None] | None = then
        self.timer: Timer | None = None

    def heard(self, found: Found) -> None:
        """An answer; one that comes too late is nobody's."""
        then, self._then = self._then, None
        if then is None:
            return
        if self.timer is not None:
            self.timer.cancel()
        if isinstance(found, Failure):
            self._patient.failed(found)
        else:
            self._patient.answered()
        then(found)

    def late(self) -> None:
        """Nobody waits any longer."""
        then, self._then = self._then, None
        if then is not None:
            self._patient.failed(LATE)
            then(LATE)
