"""Long work on the loop in slices: one slice for each of its turns, whoever asks for it, so that nobody else waits
longer than for one. Pure.
"""

from collections import deque
from collections.abc import Callable, Iterator

from parley.ports import Clock


class Work:
    """Something to be done: ``steps`` does a slice each time it is asked for its next, ``then`` follows the last."""

    __slots__ = ("steps", "stopped", "then")

    def __init__(self, steps: Iterator[None], then: Callable[[], None]) -> None:
        self.steps = steps
        self.then = then
        self.stopped = False

    def stop(self) -> None:
        """Nobody wants it any more."""
        self.stopped = True


class Slices:
    """All of it, in turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._line: deque[Work] = deque()

    def begin(self, steps: Iterator[None], then: Callable[[], None]) -> Work:
        """Do this beside all else; ``then`` is called on a later turn of the loop."""
        work = Work(steps, then)
        self._line.append(work)
        if len(self._line) == 1:
            self._clock.later(0.0, self._turn)
        return work

    def _turn(self) -> None:
        """One slice of the first in the line, which then stands at its end."""
        while self._line and self._line[0].stopped:
            self._line.popleft()
        if not self._line:
            return
        # It stays in the line meanwhile: who begins something new must not begin a second row of turns.
        work = self._line[0]
        ended = True
        try:
            for _ in work.steps:
                ended = False
                break
        finally:
            self._line.popleft()
            if not ended:
                self._line.append(work)
            if self._line:
                self._clock.later(0.0, self._turn)
        if ended:
            work.then()
