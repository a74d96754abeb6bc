"""Where personal data stands in a text. Of what is found the earliest is taken, of these the longest, then the search
goes on behind it. Links and addresses of repositories are left alone. Pure; linear in the length of the text."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from parley.pii.shapes import (
    AFTER_LINK,
    DIGIT,
    DOMAIN,
    EMAIL,
    LINK,
    LINKED,
    LOCAL,
    REPOSITORY_BEGIN,
    REPOSITORY_RUN,
    SHAPES,
    STREET,
    STREET_BETWEEN,
    STREET_REACH,
    STREET_WHOLE,
    STREET_WORD,
)

_REPOSITORY_END: Final = ".git"
_NOWHERE: Final = (-1, -1)


class Span(NamedTuple):
    """``text[start:end]`` is of that kind, and replaced by its name."""

    start: int
    end: int
    entity: str


# The first place at or behind a position, None where there is none.
Search = Callable[[str, int], tuple[int, int] | None]


def spans(text: str, entities: Collection[str], links: list[tuple[int, int]]) -> Iterator[Span]:
    """Every place to be replaced, in order; ``links`` are those to be left alone, in order."""
    searches = [(entity, search) for entity, search in _SEARCHES if entity in entities]
    if not DIGIT.search(text):
        searches = [(entity, search) for entity, search in searches if entity in _WITHOUT_DIGITS]
    ahead = [(entity, search, _NOWHERE) for entity, search in searches]
    position = 0
    untouched = iter([*links, (len(text) + 1, len(text) + 1)])
    link = next(untouched)
    while (best := _best(text, position, ahead)) is not None:
        while link[1] <= best.start:
            link = next(untouched)
        if link[0] < best.end:
            position = link[1]
            continue
        yield best
        position = best.end


def links_in(text: str, inside: bool = False) -> list[tuple[int, int]]:
    """Links and addresses of repositories, in order and apart. ``inside``: the text begins within one."""
    found: list[tuple[int, int]] = []
    if inside:
        rest = LINKED.match(text)
        found.append((0, 0 if rest is None else len(rest[0].rstrip(AFTER_LINK))))
    if "://" in text:
        for match in LINK.finditer(text):
            found.append((match.start(), match.start() + len(match[0].rstrip(AFTER_LINK))))
    if _REPOSITORY_END in text:
        found += _repositories(text)
    return _merged(found)


def _best(text: str, position: int, ahead: list[tuple[str, Search, tuple[int, int]]]) -> Span | None:
    """The next of all. ``ahead`` remembers what was found before, and loses what is not there at all."""
    best: Span | None = None
    gone = False
    for index, (entity, search, known) in enumerate(ahead):
        place = known if known[0] >= position else search(text, position)
        if place is None:
            place = (len(text) + 1, len(text) + 1)
            gone = True
        elif best is None or place[0] < best.start or (place[0] == best.start and place[1] > best.end):
            best = Span(place[0], place[1], entity)
        ahead[index] = (entity, search, place)
    if gone:
        ahead[:] = [entry for entry in ahead if entry[2][0] <= len(text)]
    return best


def _by(pattern: re.Pattern[str]) -> Search:
    def search(text: str, position: int) -> tuple[int, int] | None:
        found = pattern.search(text, position)
        return None if found is None else found.span()

    return search


def _address(text: str, position: int) -> tuple[int, int] | None:
    """An address of mail, by its @."""
    floor, at = position, text.find("@", position)
    while at >= 0:
        domain = DOMAIN.match(text, at + 1)
        if domain is not None:
            start = floor + len(text[floor:at].rstrip(LOCAL))
            if start < at:
                return start, domain.end()
        floor = at + 1
        at = text.find("@", floor)
    return None


def _street(text: str, position: int) -> tuple[int, int] | None:
    """A street, by the word for one: numbers that no such word follows are not even looked at."""
    word = STREET_WORD.search(text, position)
    while word is not None:
        start = max(position, word.start() - STREET_REACH)
        start += len(text[start : word.start()].rstrip(STREET_BETWEEN))
        begins = STREET_WHOLE.search(text, start, word.end())
        if begins is not None:
            # There may be a longer one from there.
            whole = STREET_WHOLE.match(text, begins.start())
            return (whole or begins).span()
        word = STREET_WORD.search(text, word.start() + 1)
    return None


def _repositories(text: str) -> Iterator[tuple[int, int]]:
    for run in REPOSITORY_RUN.finditer(text):
        end = run[0].rfind(_REPOSITORY_END)
        begin = REPOSITORY_BEGIN.search(run[0]) if end > 0 else None
        if begin is not None and end > begin.end():
            yield run.start() + begin.start(), run.start() + end + len(_REPOSITORY_END)


def _merged(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


_SEARCHES: Final[tuple[tuple[str, Search], ...]] = (
    (EMAIL, _address),
    (STREET, _street),
    *((entity, _by(pattern)) for entity, patterns in SHAPES.items() for pattern in patterns),
)
_WITHOUT_DIGITS: Final = frozenset({EMAIL, "IP", "MAC_ADDRESS"})
