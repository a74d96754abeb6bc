"""The ledger in the store: one small row per request, and sums of them by hour and by day. See docs/ledger.md.

What many rows say alike (key, tags, model, target, ...) is a ``course``, written once; rows and sums refer to it by a
number made of its text. Rows come from a journal: how far one was written stands in the store and is changed in the
same transaction, so that nothing is counted twice however often it is tried.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import add
from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from parley.store.port import Link

HOUR: Final = 3600
DAY: Final = 86400
# The values of COURSE; tags are JSON, nothing where there are none.
Shared: TypeAlias = tuple[str, str, bytes, str, str, str, str, str]
# By course and start.
Sums: TypeAlias = dict[tuple[int, int], list[int]]
MAX_TEXT: Final = 256
# Rows that one transaction removes.
CHUNK: Final = 1000
COUNTS: Final = (
    "requests",
    "errors",
    "aborts",
    "input",
    "output",
    "cached",
    "cache_write",
    "reasoning",
    "audio_input",
    "audio_output",
    "images",
    "sound_ms",
    "cost",
    "unpriced",
    "estimated",
    "ms",
)
COURSE: Final = ("key", "key_name", "tags", "dialect", "operation", "model", "provider", "target")
# Sums are kept for each course, and for what many of them have in common: little is read where little is asked.
EACH: Final = "each"
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "all": (),
    "key": ("key", "key_name", "tags"),
    "model": ("model",),
    "provider": ("provider",),
}


class Row(Struct, frozen=True, array_like=True):
    """One request that has ended, as it stands in a journal. ``at`` is its beginning in seconds since 1970, ``cost`` in
    picodollars, None where it is not known; ``seconds`` of sound. ``model`` is as it was asked for; ``estimated``:
    nobody counted the tokens; ``replayed``: the answer came out of our own cache."""

    at: float
    request_id: str
    key: str
    key_name: str
    tags: Mapping[str, str]
    dialect: str
    operation: str
    model: str
    provider: str
    target: str
    status: int
    outcome: str
    kind: str
    attempts: int
    ms: float
    ttfb_ms: float | None
    stream: bool
    bytes_out: int
    estimated: bool
    replayed: bool
    cost: int | None
    input: int
    output: int
    cached: int | None
    cache_write: int | None
    reasoning: int | None
    audio_input: int | None
    audio_output: int | None
    images: int | None
    seconds: float | None


class Span(Struct, frozen=True):
    """Part of a journal: from one place to another, in bytes."""

    journal: str
    begin: int
    end: int


# What a row alone says: the id of its request and, from there on, how it ended. Places in a Row.
_REQUEST_ID: Final = Row.__struct_fields__.index("request_id")
_HOW: Final = Row.__struct_fields__.index("status")
_PARTS: Final = Row.__struct_fields__.index("cached")
_OWN: Final = ("request_id", *Row.__struct_fields__[_HOW:])


def _insert(table: str, *columns: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own


_COLUMNS: Final = ("id", "at", "course", "asked", *_OWN)
# What may be unknown, and mostly is.
_OPEN: Final = frozenset(("asked", "ttfb_ms", "cost", *Row.__struct_fields__[_PARTS:]))
_ADD: Final = (
    _insert("ledger_sums", "span", "course", "start", *COUNTS)
    + " ON CONFLICT (span, course, start) DO UPDATE SET "
    + ", ".join(f"{name} = ledger_sums.{name} + excluded.{name}" for name in COUNTS)
)
_NEW_COURSE: Final = _insert("ledger_courses", "id", "kind", *COURSE) + " ON CONFLICT (id) DO NOTHING"


def write(link: Link, span: Span, rows: Sequence[tuple[bytes, Row]]) -> int:
    """Write rows and their sums unless they were written before; the place in the journal that is reached.

    Each row comes with its id, which sorts by time.
    """
    reached = _reach(link, span)
    if reached is not None:
        return reached
    batch = _Batch()
    made = [batch.take(name, row) for name, row in rows]
    sums, courses = batch.totals()
    # Always in one order: who else does the same at the same time waits, and there is no deadlock.
    link.each(_NEW_COURSE, courses)
    link.each(*_filled(made))
    link.each(_ADD, sums)
    return span.end


def _filled(rows: Sequence[tuple[Any, ...]]) -> tuple[str, list[tuple[Any, ...]]]:
    """What inserts them, without the columns in which nothing is known of any."""
    if not rows:
        return "", []
    columns = [
        (name, column)
        for name, column in zip(_COLUMNS, zip(*rows, strict=True), strict=True)
        if name not in _OPEN or column[0] is not None or column.count(None) < len(column)
    ]
    names = [name for name, _ in columns]
    return _insert("ledger", *names), list(zip(*[column for _, column in columns], strict=True))


def _reach(link: Link, span: Span) -> int | None:
    """Move on to the end of the span; where somebody did before, how far that is."""
    moved = link.run(
        "UPDATE ledger_journals SET applied = :upto WHERE id = :id AND applied = :begin",
        id=span.journal,
        begin=span.begin,
        upto=span.end,
    )
    if moved:
        return None
    row = link.one("SELECT applied FROM ledger_journals WHERE id = :id", id=span.journal)
    if row is not None:
        return int(row.applied)
    # A store that knows nothing of it is a new one, whatever was written into another.
    link.run("INSERT INTO ledger_journals (id, applied) VALUES (:id, :upto)", id=span.journal, upto=span.end)
    return None


def applied(link: Link, journal: str) -> int:
    """How far a journal was written."""
    row = link.one("SELECT applied FROM ledger_journals WHERE id = :id", id=journal)
    return 0 if row is None else int(row.applied)


def forget(link: Link, journals: Iterable[str]) -> None:
    """Journals whose files are gone."""
    link.many("DELETE FROM ledger_journals WHERE id = :id", [{"id": one} for one in journals])


def sweep(link: Link, before: float) -> bool:
    """Remove some of what began before; whether that was all."""
    first = _first_id(before)
    gone = link.run(
        "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE id < :first ORDER BY id LIMIT :chunk)",
        first=first,
        chunk=CHUNK,
    )
    hours = link.run(
        "DELETE FROM ledger_sums WHERE (span, course, start) IN (SELECT span, course, start FROM ledger_sums"
        " WHERE span = :span AND start < :before LIMIT :chunk)",
        span=HOUR,
        before=int(before) // HOUR * HOUR,
        chunk=CHUNK,
    )
    return gone < CHUNK and hours < CHUNK


def _first_id(at: float) -> bytes:
    """Ids of what ended later are above it."""
    return max(0, int(at * 1000)).to_bytes(6) + bytes(10)


class _Batch:
    """Rows of one transaction, their courses and their sums."""

    def __init__(self) -> None:
        self._hours: dict[tuple[Shared, int], list[tuple[int, ...]]] = {}

    def take(self, id: bytes, row: Row) -> tuple[Any, ...]:
        """The values of one row; ``id`` is its own."""
        # Names that nobody serves are a caller's invention: they make no course of their own.
        asked = None if row.provider else row.model[:MAX_TEXT]
        shared = (
            row.key,
            row.key_name[:MAX_TEXT],
            msgspec.json.encode(row.tags, order="sorted") if row.tags else b"",
            row.dialect,
            row.operation,
            row.model[:MAX_TEXT] if asked is None else "",
            row.provider[:MAX_TEXT],
            row.target[:MAX_TEXT],
        )
        course = _parts(shared)[0][0]
        place = (shared, int(row.at) // HOUR * HOUR)
        known = self._hours.get(place)
        if known is None:
            known = self._hours[place] = []
        values: tuple[Any, ...] = astuple(row)
        known.append(_counts(row, values))
        return (id, row.at, course, asked, values[_REQUEST_ID], *values[_HOW:])

    def totals(self) -> tuple[list[tuple[int, ...]], list[tuple[Any, ...]]]:
        """The sums by hour and by day of every course and kind, and the courses they are of."""
        hours: Sums = {}
        courses: dict[int, tuple[Any, ...]] = {}
        for (shared, start), several in self._hours.items():
            counts = [sum(column) for column in zip(*several, strict=True)]
            for number, kind, common in _parts(shared):
                courses[number] = (kind, *common)
                _put(hours, (number, start), counts)
        days: Sums = {}
        for (number, start), counts in hours.items():
            _put(days, (number, start // DAY * DAY), counts)
        sums = sorted(
            (span, *place, *counts) for span, made in ((HOUR, hours), (DAY, days)) for place, counts in made.items()
        )
        return sums, sorted((number, *text) for number, text in courses.items())


def _put(sums: Sums, place: tuple[int, int], counts: list[int]) -> None:
    known = sums.get(place)
    sums[place] = counts if known is None else list(map(add, known, counts))


@lru_cache(maxsize=4096)
def _parts(shared: Shared) -> tuple[tuple[int, str, Shared], ...]:
    """A course and what it has in common with others, each with its number."""
    made = [(EACH, shared)]
    for kind, names in KINDS.items():
        pairs = zip(COURSE, shared, strict=True)
        made.append((kind, cast(Shared, tuple(text if name in names else type(text)() for name, text in pairs))))
    return tuple((_number(kind, common), kind, common) for kind, common in made)


def _number(kind: str, shared: Shared) -> int:
    """63 bits of its digest."""
    return int.from_bytes(blake2b(msgspec.msgpack.encode((kind, shared)), digest_size=8).digest()) >> 1


def _counts(row: Row, values: tuple[Any, ...]) -> tuple[int, ...]:
    """In the order of COUNTS; ``values`` are all of the row, which is cheaper than to ask for each."""
    cached, written, reasoning, heard, spoken, images, seconds = values[_PARTS:]
    outcome, cost = row.outcome, row.cost
    return (
        1,
        1 if outcome == "error" else 0,
        1 if outcome == "client_abort" else 0,
        row.input,
        row.output,
        cached or 0,
        written or 0,
        reasoning or 0,
        heard or 0,
        spoken or 0,
        images or 0,
        round(seconds * 1000) if seconds else 0,
        cost or 0,
        1 if cost is None else 0,
        1 if row.estimated else 0,
        round(row.ms),
    )
