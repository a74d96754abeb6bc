"""Which messages are in work and which were answered not long ago, so that none is run twice. Pure.

Sources: messaging contract section 8.5; fault contract P7.
"""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

MOST: Final = 10_000
SIZE: Final = 64 * 1024 * 1024


class Known(Struct, gc=False):
    """What is known of a message. ``answer`` is None while it is in work, b"" where it was too large to be ``kept``;
    ``told`` and ``others`` are the ids of the deliveries' messages that have had it. It is nothing for the garbage
    collector."""

    answer: bytes | None = None
    kept: bool = True
    told: str = ""
    others: frozenset[str] = frozenset()
    until: float = 0.0

    def had(self, message: str) -> bool:
        """Whether that delivery's message has had it."""
        return message == self.told or message in self.others


class Window:
    """Answers are remembered for ``seconds``, ``most`` of them and ``size`` bytes at most; what is in work always
    is."""

    def __init__(self, seconds: float, most: int = MOST, size: int = SIZE) -> None:
        self._seconds, self._most, self._size = seconds, most, size
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._work: dict[str, Known] = {}
        self._bytes = 0
        # Nothing is over before that.
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._known) + len(self._work)

    def find(self, identity: str, now: float) -> Known | None:
        """What is known of it, None where nothing is: then it is in work from now on."""
        found = self._work.get(identity)
        if found is None:
            found = self._known.get(identity)
            if found is not None and found.until <= now:
                self.drop(identity)
                found = None
        if found is None:
            self._work[identity] = Known()
        return found

    def answered(self, identity: str, answer: bytes, now: float) -> None:
        """It is no longer in work."""
        known = self._work.pop(identity, None)
        if known is None or self._seconds <= 0:
            return
        known.kept = len(answer) <= self._size // 4
        known.answer = answer if known.kept else b""
        known.until = now + self._seconds
        self._known[identity] = known
        self._bytes += len(known.answer)
        if now >= self._due or len(self._known) > self._most or self._bytes > self._size:
            self._expire(now)

    def told(self, identity: str, message: str) -> None:
        """The answer has reached the broker, for that message."""
        known = self._known.get(identity)
        if known is not None:
            if not known.told:
                known.told = message
            else:
                known.others = known.others | {message}

    def forget(self, identity: str) -> None:
        """It was given back without an answer."""
        self._work.pop(identity, None)

    def drop(self, identity: str) -> None:
        """Its answer is of no use."""
        known = self._known.pop(identity, None)
        if known is not None:
            self._bytes -= len(known.answer or b"")

    def _expire(self, now: float) -> None:
        known = self._known
        while known:
            first = next(iter(known.values()))
            if first.until > now and len(known) <= self._most and self._bytes <= self._size:
                self._due = first.until
                return
            known.popitem(last=False)
            self._bytes -= len(first.answer or b"")
