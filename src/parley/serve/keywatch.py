"""Keeps the keyring as the store has it: every second one small question, and none while there is no store.

A store that is away changes nothing: keys that are known stay good. Only one that could not be read at the start
leaves everybody outside, since nobody can tell whether there are keys.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from parley.failure import Failure
from parley.gateway.keyring import Keyring
from parley.store import Store, keys

EVERY_SECONDS: Final = 1.0
# How often the store hears which keys were used, in looks.
TELL_EVERY: Final = 60


class KeyWatch:
    """Belongs to one loop. ``first`` before anything is served, ``close`` before the store's own."""

    def __init__(self, keyring: Keyring, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._keyring = keyring
        self._store = store
        self._loop = loop
        self._version = -1
        self._looks = 0
        self._closed = False
        # Told of keys that have come or changed.
        self.taken: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None

    async def first(self) -> None:
        """Read them for the first time, then go on by itself."""
        if self._there():
            known: asyncio.Future[Any] = self._loop.create_future()
            self._ask(known.set_result)
            outcome = await known
            if isinstance(outcome, Failure):
                self._keyring.missing()
            self._take(outcome)
        self._later()

    def close(self) -> None:
        """Look no more, and tell what is left to be told."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._tell()

    def _later(self) -> None:
        if not self._closed:
            self._timer = self._loop.call_later(EVERY_SECONDS, self._look)

    def _look(self) -> None:
        self._looks += 1
        if self._looks % TELL_EVERY == 0:
            self._tell()
        if self._there():
            self._ask(self._heard)
        else:
            self._later()

    def _there(self) -> bool:
        """Whether there may be keys; what cannot be looked at is asked, and then said to be away."""
        try:
            return self._store.exists
        except OSError:
            return True

    def _ask(self, then: Any) -> None:
        version = self._version
        self._store.ask_then(lambda link: keys.changed(link, version), then)

    def _heard(self, outcome: Any) -> None:
        self._take(outcome)
        self._later()

    def _take(self, outcome: Any) -> None:
        if isinstance(outcome, keys.Table):
            self._version = outcome.version
            self._keyring.fill(outcome.holders, exist=outcome.exist)
            self.taken()

    def _tell(self) -> None:
        used, now = self._keyring.used(), self._store.wall()
        if used:
            self._store.change_then(lambda link: keys.touch(link, used, now), lambda outcome: None)
