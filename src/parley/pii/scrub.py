"""A text without personal data, also one that comes in pieces, cut anywhere. Pure."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from parley.pii.shapes import ENTITIES
from parley.pii.spans import Span, links_in, spans

# Of a piece no more is held back than this: no entity is longer, but for ones that nobody has.
MOST_HELD: Final = 1024
# The longest shape with spaces in it, and more.
_REACH: Final = 160
# What stands in no shape that has no bound: neither an address nor the name of a repository.
_SPACE: Final = re.compile(r"[^!-~]")
# What may be the beginning of a shape that goes on behind a space: a number with what stands between numbers, an
# extension, up to twenty characters before the word for a street, a post box.
_OPEN: Final = re.compile(
    r"""
    [+(]* [0-9] [0-9\s().*+-]* (?: [#x] [.]? \s* [0-9]* | e (?: x (?: t \w{0,6} [.]? \s* [0-9]* )? )? )?\Z
    | [0-9] [ ] [\w\s]{0,30}\Z
    | p (?: [.]? [ ]? o? [.]? [ ]? (?: b | bo | box )? [ ]? [0-9]* )\Z
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)


def scrubbed(text: str, entities: Collection[str] = ENTITIES) -> str:
    """The text with words such as ``<EMAIL_ADDRESS>`` in place of personal data."""
    return _replaced(text, spans(text, entities, links_in(text)))


class Scrubbed:
    """The same for a text in pieces: what ``feed`` and ``close`` give, joined, is the whole text scrubbed.

    Nothing is given before it is known what it is, so the last word is always held back; only of one longer than
    ``MOST_HELD`` the beginning goes out.
    """

    def __init__(self, entities: Collection[str] = ENTITIES) -> None:
        self._entities = entities
        self._held = ""
        # The text before what is held ends within a link.
        self._inside = False

    def feed(self, piece: str) -> str:
        """More of the text; what is certain now."""
        text = self._held + piece
        links = links_in(text, self._inside)
        found = [*spans(text, self._entities, links)]
        cut = _cut(text, found)
        self._held = text[cut:]
        if not cut:
            return ""
        self._inside = any(start < cut <= end for start, end in links)
        sure = [span for span in found if span.start < cut]
        if sure and sure[-1].end > cut:
            # It is longer than what is held back.
            return _replaced(text[:cut], spans(text[:cut], self._entities, links))
        return _replaced(text[:cut], sure)

    def close(self) -> str:
        """The rest."""
        rest, self._held = self._held, ""
        return _replaced(rest, spans(rest, self._entities, links_in(rest, self._inside)))


def _cut(text: str, found: Sequence[Span]) -> int:
    """The place before which no more text changes anything."""
    floor = max(0, len(text) - MOST_HELD)
    cut = _word(text, floor, len(text))
    begins = _OPEN.search(text, max(floor, len(text) - _REACH))
    if begins is not None:
        cut = min(cut, _word(text, floor, begins.start()))
    for span in reversed(found):
        if span.end < floor:
            break
        # One that reaches the end may become longer, one around the place stays whole.
        if span.end > cut or span.end == len(text):
            cut = min(cut, _word(text, floor, span.start))
    return cut


def _word(text: str, floor: int, position: int) -> int:
    """Where the word around a position begins, not before ``floor``."""
    last = floor
    for space in _SPACE.finditer(text, floor, position):
        last = space.end()
    return last


def _replaced(text: str, found: Iterable[Span]) -> str:
    parts: list[str] = []
    position = 0
    for span in found:
        parts += (text[position : span.start], f"<{span.entity}>")
        position = span.end
    return "".join((*parts, text[position:])) if parts else text
