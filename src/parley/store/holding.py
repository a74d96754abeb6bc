"""Conversations that callers continue by an id, one request at a time: others wait, in this process and in every other
one that shares the store.

Within a process those who wait stand in a line; the hold itself is in the store, see parley.store.contexts.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol
from uuid import uuid4

from parley.failure import Failure
from parley.ports import Timer
from parley.store import contexts
from parley.store.contexts import Hold, Named
from parley.store.port import Link

# A hold ends so long after its last renewal, should its gateway be no more.
HELD_SECONDS: Final = 30.0
RENEW_SECONDS: Final = 8.0
# Between two looks at one that another process holds, growing.
LOOK_SECONDS: Final = 0.02
MOST_LOOK_SECONDS: Final = 0.5
# As long as a request may take.
PATIENCE_SECONDS: Final = 600.0
# Somebody else may only just be changing the store.
AWAY_SECONDS: Final = 2.0
MISSING: Final = Failure("invalid_request", "there is no such conversation", status=404, detail="no_context")
_WAITED: Final = Failure("overloaded", "the conversation is still being continued by another request", retry_after=1.0)
_LOST: Final = Failure("overloaded", "the conversation was continued by another request meanwhile", detail="context")


class Keeper(Protocol):
    """The part of the store that is needed."""

    @property
    def exists(self) -> bool:
        """Whether there may be something in it already."""

    def change_then(self, work: Callable[[Link], Any], then: Callable[[Any], None]) -> None:
        """Write; ``then`` hears the result or a Failure."""

    def wall(self) -> float:
        """Seconds since 1970."""


class Contexts:
    """See parley.ports.Contexts. ``later`` calls back after some seconds; ``retention`` tells for how many seconds a
    conversation that nobody continues is kept."""

    def __init__(
        self,
        store: Keeper,
        later: Callable[[float, Callable[[], None]], Timer],
        retention: Callable[[], float],
        made: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._store, self._later, self._retention, self._made = store, later, retention, made
        self._lines: dict[Named, deque[Held]] = {}

    def enter(self, owner: str, place: str, id: str, then: Callable[[Failure | None], None]) -> "Held":
        """See parley.ports.Contexts."""
        named = Named(owner, place, id or self._made())
        held = Held(self, named, then, fresh=not id)
        if id and not self._store.exists:
            held.over = True
            then(MISSING)
            return held
        line = self._lines.setdefault(named, deque())
        line.append(held)
        held.begun = self._store.wall()
        if line[0] is held:
            self._take(held)
        return held

    def hold(self, held: "Held") -> Hold:
        """What the store is told of it now."""
        now = self._store.wall()
        return Hold(held.holder, now, now + HELD_SECONDS, now - self._retention())

    def change(self, work: Callable[[Link], Any], then: Callable[[Any], None]) -> None:
        """Ask the store."""
        self._store.change_then(work, then)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """After a while."""
        return self._later(seconds, call)

    def new_holder(self) -> str:
        """A name that nobody else has."""
        return self._made()

    def gone(self, held: "Held") -> None:
        """It no longer stands in the line: the next one may."""
        line = self._lines.get(held.named)
        if line is None or held not in line:
            return
        first = line[0] is held
        line.remove(held)
        if not line:
            del self._lines[held.named]
        elif first:
            self._take(line[0])

    def _take(self, held: "Held") -> None:
        if held.over:
            self.gone(held)
            return
        work = contexts.begin if held.fresh else contexts.take
        held.asked = True
        hold = self.hold(held)
        self._store.change_then(lambda link: work(link, held.named, hold), partial(self._taken, held))

    def _taken(self, held: "Held", outcome: Any) -> None:
        held.asked = False
        if isinstance(outcome, list):
            held.taken(outcome)
        elif held.over:
            self.gone(held)
        else:
            self._in_vain(held, outcome)

    def _in_vain(self, held: "Held", outcome: Any) -> None:
        """It is held elsewhere, or there is none, or the store is away."""
        waited = self._store.wall() - held.begun
        away = isinstance(outcome, Failure)
        if outcome == "missing":
            held.refused(MISSING)
        elif away and (outcome.kind != "overloaded" or waited > AWAY_SECONDS):
            held.refused(outcome)
        elif waited > PATIENCE_SECONDS:
            held.refused(_WAITED)
        else:
            held.pause = min(held.pause * 2, MOST_LOOK_SECONDS) if held.pause else LOOK_SECONDS
            held.timer = self._later(held.pause, lambda: self._take(held))


class Held:
    """One request's place in the line, then its hold. ``turns`` are what was said before, once it has it."""

    def __init__(self, home: Contexts, named: Named, then: Callable[[Failure | None], None], *, fresh: bool) -> None:
        self.named, self.fresh = named, fresh
        self.id = named.id
        self.turns: list[bytes] = []
        self.holder = home.new_holder()
        self.over = self.asked = False
        self.begun = self.pause = 0.0
        self.timer: Timer | None = None
        self._has = False
        self._home, self._then = home, then

    def keep(self, turns: Sequence[bytes], then: Callable[[Failure | None], None]) -> None:
        """Write what was said; ``then`` hears None once it is on disk. The hold is over in any case."""
        self._stop()
        home, hold = self._home, self._home.hold(self)

        def told(outcome: Any) -> None:
            if isinstance(outcome, Failure):
                # It may have been written or not; nobody shall wait for that.
                home.change(lambda link: contexts.let_go(link, self.named, hold), _nothing)
            home.gone(self)
            then(outcome if isinstance(outcome, Failure) else None if outcome else _LOST)

        home.change(lambda link: contexts.finish(link, self.named, hold, turns), told)

    def leave(self) -> None:
        """Nothing is written: it failed, or nobody waits any more."""
        if self.over:
            return
        had = self._has
        self._stop()
        if had:
            self._let_go()
        elif not self.asked:
            self._home.gone(self)

    def taken(self, turns: list[bytes]) -> None:
        """The store says that it is ours."""
        if self.over:
            self._let_go()
            return
        self.turns, self._has = turns, True
        self._renew_later()
        self._then(None)

    def refused(self, failure: Failure) -> None:
        """It is not, and will not be."""
        self.over = True
        self._home.gone(self)
        self._then(failure)

    def _stop(self) -> None:
        self.over, self._has = True, False
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()

    def _let_go(self) -> None:
        hold = self._home.hold(self)
        self._home.change(lambda link: contexts.let_go(link, self.named, hold), lambda outcome: self._home.gone(self))

    def _renew_later(self) -> None:
        self.timer = self._home.later(RENEW_SECONDS, self._renew)

    def _renew(self) -> None:
        if not self.over:
            hold = self._home.hold(self)
            self._home.change(lambda link: contexts.renew(link, self.named, hold), _nothing)
            self._renew_later()


def _nothing(outcome: Any) -> None:
    """Whether it went well shows when it is written."""
