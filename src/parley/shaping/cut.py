"""Removal of what matches a regular expression from a text that comes in pieces, in linear time.

What is removed does not depend on the pieces: from left to right, at each place what the pattern prefers there among
matches of at most LONGEST bytes of UTF-8. A second expression made of the pattern (``growth``) tells what is decided
while more may come: everything before the first match of it that reaches the end. When more than HELD bytes wait, the
places that have LONGEST bytes behind them are decided, whatever may follow.

Work for each byte is bounded by a few passes over HELD bytes; typical patterns take one.
"""

from typing import Any, Final

from parley.failure import invalid
from parley.shaping.growth import UnsupportedError, growing

LONGEST: Final = 2048
HELD: Final = 2 * LONGEST
# Characters taken at a time: never more than HELD bytes.
_STRIDE: Final = HELD // 4
# What one pattern may weigh when compiled: instructions, bytes.
MOST_INSTRUCTIONS: Final = 2000
MOST_MEMORY: Final = 1024 * 1024
_CONTINUES: Final = range(0x80, 0xC0)


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern cannot be used, in words; None where it can."""
    if not pattern:
        return "the pattern is empty"
    _, problem = _compiled(pattern)
    return problem or _unsafe(pattern)


class Cutter:
    """Removes what matches one pattern. Raises ``invalid_request`` for a pattern that cannot be used."""

    __slots__ = ("_from", "_grows", "_pattern", "_text")

    def __init__(self, pattern: str) -> None:
        problem = pattern_problem(pattern)
        if problem is not None:
            raise invalid(f"cutstrings: {pattern!r}: {problem}", "cutstrings")
        self._pattern, _ = _compiled(pattern)
        self._grows = _growing(pattern)
        # One character that has gone stays in front, for what looks behind itself: ^ and \b.
        self._text = b""
        self._from = 0

    def feed(self, text: str) -> str:
        """What no match can take any more."""
        gone: list[bytes] = []
        for start in range(0, len(text), _STRIDE):
            self._text += text[start : start + _STRIDE].encode("utf-8", "surrogatepass")
            self._force(gone)
            if self._grows is not None:
                self._decide(gone)
            self._forget()
        return b"".join(gone).decode("utf-8", "surrogatepass")

    def close(self) -> str:
        """The rest, without what matches in it."""
        gone: list[bytes] = []
        self._force(gone)
        end = len(self._text)
        self._remove(gone, self._pattern, end, end)
        self._forget()
        return b"".join(gone).decode("utf-8", "surrogatepass")

    def _decide(self, gone: list[bytes]) -> None:
        """Let go what comes before a match that reaches the end; there is always one, if only of nothing."""
        self._remove(gone, self._grows, len(self._text), len(self._text), growing=True)

    def _force(self, gone: list[bytes]) -> None:
        """Places that have LONGEST bytes and one more behind them cannot change."""
        end = len(self._text) - 1
        if end >= self._from + HELD:
            self._remove(gone, self._pattern, end, _boundary(self._text, end - LONGEST + 1))

    def _remove(self, gone: list[bytes], pattern: Any, end: int, limit: int, *, growing: bool = False) -> None:
        """Let go the text up to ``limit`` without what matches from a place before it, looking as far as ``end``;
        ``growing``: only up to a match that reaches the end."""
        start = self._from
        while start < limit and (found := pattern.search(self._text, start, end)) is not None:
            first, last = found.span()
            if growing and last == end:
                limit = first
            if first >= limit:
                break
            last = self._shortened(first, last)
            if last > first:
                gone.append(self._text[self._from : first])
                self._from = start = last
            else:
                start = _boundary(self._text, first + 1)
        if limit > self._from:
            gone.append(self._text[self._from : limit])
            self._from = limit

    def _shortened(self, first: int, last: int) -> int:
        """Where a match of at most LONGEST bytes from that place ends."""
        if last - first <= LONGEST:
            return last
        found = self._pattern.match(self._text, first, first + LONGEST)
        return first if found is None else int(found.end())

    def _forget(self) -> None:
        """Drop what has gone, but for its last character."""
        start = self._from - 1
        while start > 0 and self._text[start] in _CONTINUES:
            start -= 1
        if start > 0:
            self._text, self._from = self._text[start:], self._from - start


def _boundary(text: bytes, place: int) -> int:
    """The first place from there where a character begins."""
    while place < len(text) and text[place] in _CONTINUES:
        place += 1
    return place


def _unsafe(pattern: str) -> str | None:
    try:
        growing(pattern)
    except UnsupportedError as error:
        return str(error)
    return None


def _growing(pattern: str) -> Any:
    """The expression that finds what may still grow; None where there is none: then everything is held back."""
    source = growing(pattern)
    return None if source is None else _compiled(source, 4 * MOST_INSTRUCTIONS)[0]


def _compiled(pattern: str, most: int = MOST_INSTRUCTIONS) -> tuple[Any, str | None]:
    """The pattern ready for bytes, or what is wrong with it."""
    try:
        import re2
    except ImportError:
        return None, "patterns need the extra local: pip install 'parley[local]'"
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MOST_MEMORY
    try:
        made = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not a regular expression"
        return None, reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    if max(made.programsize, made.reverseprogramsize) > most:
        return None, "too large"
    return made, None
