"""What is begun next, what is tried again and when, and what is over. Time and chance are given.

An answer that only says that there is no room now (our own limits) is no try: its line waits as long as there is time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from parley.batches.line import Line
from parley.streams.backoff import jittered, pause_of

# Our own word for "not now"; a provider that says so has answered.
PATIENT: Final = frozenset({"rate_limited", "overloaded", "model_loading", "budget_exceeded"})
_HOPELESS: Final = frozenset({"upstream_auth", "upstream_tls", "upstream_redirect", "url_not_allowed"})
_RETRIED: Final = frozenset({408, 409, 429})
_NOT_IMPLEMENTED: Final = 501
# After a refusal of ours that says nothing of when to come again.
_MOMENT: Final = 1.0


class Policy(Struct, frozen=True):
    """``attempts`` of a line in all; the pause before another try is by chance and doubles from ``first`` to ``most``
    seconds."""

    attempts: int = 5
    first: float = 1.0
    most: float = 60.0


class Work:
    """A line under way. ``tries`` are those that were answered, ``waits`` refusals of our own."""

    __slots__ = ("line", "tries", "waits")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.tries = 0
        self.waits = 0


class Verdict(NamedTuple):
    """What an answer means: another try after so many seconds, None: it is the last. ``pause`` is what the answer asks
    for; ``ours``: it is a refusal of our own."""

    again: float | None
    pause: float | None
    ours: bool


class Queue:
    """Lines to be asked. ``until``: nothing is tried again later than that, in the seconds of ``now``."""

    def __init__(self, policy: Policy, rand: Callable[[], float], until: float) -> None:
        self._policy, self._rand, self._until = policy, rand, until
        self._fresh: deque[Work] = deque()
        self._later: list[tuple[float, int, Work]] = []
        self._count = 0
        self.retrying = 0

    def __len__(self) -> int:
        return len(self._fresh) + len(self._later)

    @property
    def fresh(self) -> int:
        """How many were never begun."""
        return len(self._fresh)

    def add(self, lines: Iterable[Line]) -> None:
        """More to be done."""
        self._fresh.extend(map(Work, lines))

    def next(self, now: float) -> Work | None:
        """What is to be begun now: first what is due again."""
        if self._later and self._later[0][0] <= now:
            self.retrying -= 1
            return heappop(self._later)[2]
        return self._fresh.popleft() if self._fresh else None

    def due(self) -> float | None:
        """When something is due again."""
        return self._later[0][0] if self._later else None

    def answered(self, work: Work, status: int, headers: Mapping[bytes, bytes], body: bytes, now: float) -> Verdict:
        """A try has ended. Where there is to be another one, it is in the queue again."""
        if status < 300:
            return Verdict(None, None, False)
        code = code_of(body)
        pause = pause_of(headers)
        patient = code in PATIENT and status in (429, 503)
        if patient:
            work.waits += 1
            again = self._later_than(pause if pause is not None else _MOMENT, min(work.waits, 6), now)
        else:
            work.tries += 1
            again = None
            if work.tries < self._policy.attempts and retried(status, code):
                again = self._later_than(pause or 0.0, work.tries, now)
        if again is not None:
            self._count += 1
            self.retrying += 1
            heappush(self._later, (now + again, self._count, work))
        return Verdict(again, pause, patient)

    def _later_than(self, pause: float, attempt: int, now: float) -> float | None:
        policy = self._policy
        seconds = pause + jittered(attempt, self._rand, policy.first, policy.most)
        return seconds if now + seconds < self._until else None


def retried(status: int, code: str) -> bool:
    """Whether the same request may be answered otherwise later. The gateway's own tries, within seconds, are over by
    then: what it says of them (x-should-retry) is not meant for hours."""
    return (status in _RETRIED or (status >= 500 and status != _NOT_IMPLEMENTED)) and code not in _HOPELESS


class _Error(Struct):
    code: Any = None


class _Errors(Struct):
    error: _Error | None = None


def code_of(body: bytes) -> str:
    """The code of an error's body, "" where it has none."""
    try:
        found = msgspec.json.decode(body, type=_Errors).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return found.code if found is not None and isinstance(found.code, str) else ""
