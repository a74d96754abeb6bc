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
    ``told`` and ``others`` are the ids of the deliveries' messages that have had it, ``idle`` says that it is not being
    sent. It is nothing for the garbage collector."""

    answer: bytes | None = None
    kept: bool = True
    told: str = ""
    others: frozenset[str] = frozenset()
    until: float = 0.0
    idle: bool = False

    def had(self, message: str) -> bool:
        """Whether that delivery's message has had it."""
        return message == self.told or message in self.others

    def goes_on(self) -> bool:
        """Whether it is in work, or its answer on its way to whom it was made for."""
        return self.answer is None or not (self.told or self.idle)


class Window:
    """Answers are remembered for ``seconds``, ``most`` of them and ``size`` bytes at most; what is in work always
    is. ``own``: messages are known by their own ids alone, so that nobody else wants an answer that one has had."""

    def __init__(self, seconds: float, most: int = MOST, size: int = SIZE, *, own: bool = False) -> None:
        self._seconds, self._most, self._size, self._own = seconds, most, size, own
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._work: dict[str, Known] = {}
        self._bytes = 0
        # Nothing is over before that.
        self._due = 0.0
        # Until when those are remembered that have had answers which nobody else wants. They end all at once: one by
        # one costs more than all the rest of the window.
        self._had: dict[str, float] = {}
        self._had_before: dict[str, float] = {}
        self._turns = 0.0

    def __len__(self) -> int:
        return len(self._known) + len(self._work) + len(self._had) + len(self._had_before)

    def find(self, identity: str, now: float) -> Known | None:
        """What is known of it, None where nothing is: then it is in work from now on."""
        found = self._work.get(identity)
        if found is None:
            found = self._known.get(identity)
            if found is not None and found.until <= now:
                self.drop(identity)
                found = None
        if found is None and self._own:
            until = self._had.get(identity, 0.0) or self._had_before.get(identity, 0.0)
            if until > now:
                return Known(b"", kept=False, told=identity)
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
        if known is None:
            return
        if self._own:
            self.drop(identity)
            self._tell(identity, known.until)
        elif not known.told:
            known.told = message
        else:
            known.others = known.others | {message}

    def ended(self, identity: str, now: float) -> None:
        """It was answered, and the broker has the answer, which nobody else can want."""
        self._work.pop(identity, None)
        if self._seconds > 0:
            self._tell(identity, now + self._seconds)

    def _tell(self, identity: str, until: float) -> None:
        """No more of it than its name is kept."""
        if until >= self._turns or len(self._had) >= self._most:
            self._had_before, self._had = self._had, {}
            self._turns = until + self._seconds
        self._had[identity] = until

    def forget(self, identity: str) -> None:
        """It was given back, or its answer was."""
        self._work.pop(identity, None)
        known = self._known.get(identity)
        if known is not None:
            known.idle = True

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
