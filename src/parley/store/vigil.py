"""Background responses whose maker is gone: each gateway on the store looks for them, the first to be sure ends them.

What counts is how long a sign of life has stayed the same, by this process's own steady clock and only while the store
could be asked: neither a clock that is set, nor one that is wrong on another machine, nor a store that was away for a
while ends anything.
"""

from collections.abc import Callable
from typing import Final

from parley.store import responses
from parley.store.port import Link

LOOK_SECONDS: Final = 10.0
# A response that is being made says so every few seconds; this long after the last time its maker is gone.
DEAD_SECONDS: Final = 60.0


class Vigil:
    """``now`` is monotonic time in seconds. Used in the store's thread."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._next = now()
        self._last = self._next
        # Owner and id -> the last sign of life, and for how many seconds it has been the same.
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}

    def due(self) -> bool:
        """Whether it is time to look again; asked once for each look."""
        if self._now() < self._next:
            return False
        self._next = self._now() + LOOK_SECONDS
        return True

    def keep(self, link: Link, wall: float) -> int:
        """Look; how many were ended. ``wall`` is written down as the time of their end."""
        now, before, ended = self._now(), self._seen, 0
        passed = min(now - self._last, 2 * LOOK_SECONDS)
        self._last, self._seen = now, {}
        for owner, name, alive in responses.under_way(link):
            sign, silent = before.get((owner, name), (None, 0.0))
            silent = silent + passed if sign == alive else 0.0
            if silent <= DEAD_SECONDS:
                self._seen[owner, name] = (alive, silent)
            elif responses.bury(link, owner, name, alive, wall):
                ended += 1
        return ended
