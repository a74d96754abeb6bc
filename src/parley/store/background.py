"""Responses that are made while nobody waits: queued, in progress, then whatever came of them.

The gateway's job answers a Background instead of a connection. How far it is stands in the store, so that any
process may be asked; while it is made its maker says every few seconds that it is alive.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from parley.failure import Failure
from parley.ports import Kept, Timer
from parley.store import responses
from parley.store.items import changed
from parley.store.port import Link

MAX_RUNNING: Final = 1000
BEAT_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 2.0
MAX_TRIES: Final = 60
Key: TypeAlias = tuple[str, str]
# Work, who hears of it, and what it is about.
Change: TypeAlias = Callable[[Callable[[Link], Any], Callable[[Any], None], tuple[str, ...]], None]
Later: TypeAlias = Callable[[float, Callable[[], None]], Timer]

_BUSY: Final = Failure("overloaded", "too many background responses are being made", retry_after=10.0)
_CODES: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}


def _queued(response: bytes) -> bytes:
    """The object before anything has been made; what only a finished one has is null."""
    return changed(response, status="queued", background=True, completed_at=None, usage=None, output=[])


class Background:
    """One of them; the Caller of its job. Tell it with ``runs`` how the job is stopped."""

    def __init__(self, backgrounds: "Backgrounds", kept: Kept) -> None:
        self._backgrounds = backgrounds
        self.kept = kept
        self._stop: Callable[[], None] | None = None
        self._over = False
        self._broken = False

    def runs(self, stop: Callable[[], None]) -> None:
        """The job has been started; ``stop`` ends it without an answer."""
        self._stop = stop
        if not self._over:
            self._backgrounds.write(self, changed(self.kept.response, status="in_progress"), last=False)

    def stop(self) -> None:
        """Nobody wants it any more."""
        if not self._over:
            self._over = True
            if self._stop is not None:
                self._stop()

    # The Caller of the job

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """What came of it: a response object, or an error."""
        made = self._made(body) if status == 200 else None
        self._end(made if made is not None else self._failed(status, body))

    def open(self, status: int, head: bytes) -> None:
        """A background response is never asked for as a stream."""
        self._broken = True

    def send(self, data: bytes) -> None:
        """See ``open``."""

    def finish(self, *, close: bool = False) -> None:
        """See ``open``."""
        self._end(self._failed(502, b""))

    def cut(self) -> None:
        """See ``open``."""
        self._end(self._failed(502, b""))

    def _end(self, body: bytes) -> None:
        if not self._over:
            self._over = True
            self._backgrounds.write(self, body, last=True)

    def _made(self, body: bytes) -> bytes | None:
        """The response under the id that the caller was told."""
        try:
            return changed(body, id=self.kept.id, background=True, created_at=self.kept.created)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return None

    def _failed(self, status: int, body: bytes) -> bytes:
        message = "the provider did not answer with a response"
        try:
            told = msgspec.json.decode(body)["error"]["message"]
            message = told if isinstance(told, str) else message
        except (msgspec.DecodeError, KeyError, TypeError):
            pass
        code = _CODES.get(status) or ("invalid_prompt" if 400 < status < 500 else "server_error")
        return changed(self.kept.response, status="failed", error={"code": code, "message": message})


class Backgrounds:
    """All that this process makes. ``change`` queues a write in the store, ``later`` makes a timer."""

    def __init__(self, change: Change, later: Later, wall: Callable[[], float]) -> None:
        self._change, self._later, self._wall = change, later, wall
        self._running: dict[Key, Background] = {}
        self._timer: Timer | None = None
        self._closed = False

    @property
    def running(self) -> int:
        """How many are being made."""
        return len(self._running)

    def begin(self, kept: Kept, then: Callable[[Background | Failure], None]) -> None:
        """Store a queued response; once it is stored ``then`` hears what shall be the Caller of its job."""
        if len(self._running) >= MAX_RUNNING:
            then(_BUSY)
            return
        made = Background(self, kept)
        queued = made.kept = replace(kept, response=_queued(kept.response), native=False)
        now = self._wall()

        def stored(outcome: object) -> None:
            if isinstance(outcome, Failure):
                then(outcome)
                return
            self._running[kept.owner, kept.id] = made
            self._watch()
            then(made)

        self._change(lambda link: responses.keep(link, queued, now), stored, responses.names(queued))

    def stop(self, owner: str, id: str) -> None:
        """Stop one if it is made here; its row in the store has been changed already."""
        made = self._running.pop((owner, id), None)
        if made is not None:
            made.stop()

    def write(self, made: Background, body: bytes, *, last: bool, tries: int = MAX_TRIES) -> None:
        """Write down how far it is; the last word is written again while the store is away."""
        (owner, name), now = (made.kept.owner, made.kept.id), self._wall()

        def written(outcome: object) -> None:
            if outcome is False:
                self.stop(owner, name)
            elif last and isinstance(outcome, Failure) and tries > 1 and not self._closed:
                self._later(AGAIN_SECONDS, lambda: self.write(made, body, last=True, tries=tries - 1))
            elif last:
                self._running.pop((owner, name), None)

        work = lambda link: responses.progress(link, owner, name, body, now)  # noqa: E731
        self._change(work, written, responses.names(made.kept))

    def close(self) -> None:
        """No more signs of life."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        if self._timer is None and self._running and not self._closed:
            self._timer = self._later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        """Say that they are alive; stop those that were cancelled by way of another process."""
        self._timer = None
        keys, now = list(self._running), self._wall()

        def beaten(outcome: object) -> None:
            for key in outcome if isinstance(outcome, list) else ():
                self.stop(*key)

        if keys:
            self._change(lambda link: responses.beat(link, keys, now), beaten, ())
        self._watch()
