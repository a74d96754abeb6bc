"""An answer's text on its way to the caller: ended at stop strings, patterns cut out, its ends trimmed.

The parts work one behind the other, each on what the one before lets go. However the text is divided into
pieces, what comes out is the same; only text that a match may still change is held back:

    stop strings    fewer characters than the longest of them
    cut patterns    at most cut.HELD bytes for each pattern
    trims           a prefix that may still be complete; at most SPACES white space at the end
"""

from collections.abc import Sequence
from typing import Protocol

from parley.shaping.cut import Cutter

SPACES = 4096


class Stage(Protocol):
    """One part of the way."""

    def feed(self, text: str) -> str:
        """What may be let go now."""

    def close(self) -> str:
        """The rest."""


class Shaper:
    """Shapes one answer. ``stop`` ends the text and is not part of it; what matches a pattern of ``cut`` (linear-time
    regular expressions) is removed; for each of ``trim`` that prefix is removed, then white space at both ends.

    ``stopped`` tells that a stop string was met: what comes after is ignored. Raises ``invalid_request`` for a
    pattern that cannot be used.
    """

    def __init__(self, cut: Sequence[str] = (), trim: Sequence[str] = (), stop: Sequence[str] = ()) -> None:
        self._stop = Stop(stop)
        self._stages: list[Stage] = [self._stop] if stop else []
        self._stages += [Cutter(pattern) for pattern in cut]
        self._stages += [Trim(prefix) for prefix in trim]

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._stop.met

    def feed(self, text: str) -> str:
        """What may go out after this piece."""
        for stage in self._stages:
            text = stage.feed(text)
        return text

    def close(self) -> str:
        """What was held back, when no more comes."""
        rest = ""
        for stage in self._stages:
            rest = stage.feed(rest) + stage.close()
        return rest


class Stop:
    """Ends the text where the first stop string is complete (of several that end there: the longest)."""

    __slots__ = ("_held", "_words", "met")

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [word for word in words if word]
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        """The text up to a stop string or to what may become one."""
        if self.met:
            return ""
        text = self._held + text
        found = [(start + len(word), start) for word in self._words if (start := text.find(word)) >= 0]
        if found:
            self.met, self._held = True, ""
            return text[: min(found)[1]]
        start = min([_begun(text, word) for word in self._words], default=len(text))
        self._held = text[start:]
        return text[:start]

    def close(self) -> str:
        """What only looked like a stop string."""
        rest, self._held = self._held, ""
        return rest


class Trim:
    """Removes a prefix and then white space at both ends."""

    __slots__ = ("_bare", "_begun", "_held", "_prefix")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._held = ""
        self._bare = not prefix
        self._begun = False

    def feed(self, text: str) -> str:
        """The text without its prefix and, so far, without white space at the end."""
        text = self._held + text
        if not self._bare and len(text) < len(self._prefix) and self._prefix.startswith(text):
            self._held = text
            return ""
        return self._trimmed(text)

    def close(self) -> str:
        """What only looked like the prefix; white space at the end is gone."""
        rest = "" if self._bare else self._trimmed(self._held)
        self._held, self._bare = "", True
        return rest

    def _trimmed(self, text: str) -> str:
        if not self._bare:
            text, self._bare = text.removeprefix(self._prefix), True
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        kept = len(text.rstrip())
        kept = max(kept, len(text) - SPACES)
        self._held = text[kept:]
        return text[:kept]


def _begun(text: str, word: str) -> int:
    """Where the longest end of the text begins that is a beginning of the word; the text's length where none is."""
    start = text.find(word[0], max(0, len(text) - len(word) + 1))
    while start >= 0:
        if word.startswith(text[start:]):
            return start
        start = text.find(word[0], start + 1)
    return len(text)
