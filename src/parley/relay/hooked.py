"""What carries an answer that hooks look at: the carrier that was there, and a change of what it gives."""

from collections.abc import Callable
from typing import Protocol

from parley.failure import Failure
from parley.relay.carrier import Relay


class Change(Protocol):
    """What the bytes for the caller go through."""

    def feed(self, data: bytes) -> bytes:
        """More of them; what may go out now."""

    def close(self) -> bytes:
        """There is no more; the rest."""


class Changed(Relay):
    """The answer of ``inner``, changed. ``takes`` is asked once all of it has come: where it says yes the rest is made
    by ``taken``, elsewhere; here nothing more is given then, and it ``waits``."""

    __slots__ = ("_change", "_closed", "_inner", "_rest", "_takes", "waits")

    def __init__(self, inner: Relay, change: Change, takes: Callable[[], bool]) -> None:
        super().__init__()
        self._inner = inner
        self._change = change
        self._takes = takes
        self._rest: bytes | None = None
        self._closed = False
        self.waits = False

    def feed(self, data: bytes) -> bytes:
        """See Relay."""
        if self._rest is not None:
            self.trailing = True
            return b""
        out = self._inner.feed(data)
        if out:
            out = self._change.feed(out)
        self._look()
        if not self._inner.ended or self.failure is not None:
            return out
        self._rest = b""
        self.waits = self._takes()
        if self.waits:
            return out
        self.ended = True
        return out + self._change.close()

    def close(self) -> bytes:
        """See Relay."""
        self.finish()
        if self.failure is not None or self._rest is None or self.ended or self.waits:
            return b""
        self.ended = True
        return self._rest + self._change.close()

    def finish(self) -> None:
        """The provider has sent everything: what was still owed is taken in."""
        if self._rest is not None or self._closed:
            return
        self._closed = True
        out = self._inner.close()
        self._look()
        if self.failure is None:
            self._rest = self._change.feed(out) if out else b""
            self.waits = self._takes()

    def taken(self) -> bytes:
        """The rest, changed. Called wherever it may take its time."""
        return self._change.close()

    def fail(self, failure: Failure) -> bytes:
        """See Relay."""
        return self._inner.fail(failure)

    def _look(self) -> None:
        inner = self._inner
        self.pieces, self.usage, self.failure = inner.pieces, inner.usage, inner.failure
        self.content, self.trailing = inner.content, inner.trailing
