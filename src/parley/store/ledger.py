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
    """Part of a journal: from one place to another, in bytes. ``served`` are names of models that have sums of their
    own also for requests that nobody answered."""

    journal: str
    begin: int
    end: int
    served: frozenset[str] = frozenset()


# Values of a Row, all of them in its order.
Values: TypeAlias = tuple[Any, ...]

# Places in a Row.
_AT: Final = Row.__struct_fields__.index("at")
_REQUEST_ID: Final = Row.__struct_fields__.index("request_id")
_KEY: Final = Row.__struct_fields__.index("key")
_TAGS: Final = Row.__struct_fields__.index("tags")
_MODEL: Final = Row.__struct_fields__.index("model")
_PROVIDER: Final = Row.__struct_fields__.index("provider")
# What a row alone says: the id of its request and, from there on, how it ended.
_HOW: Final = Row.__struct_fields__.index("status")
_OUTCOME: Final = Row.__struct_fields__.index("outcome")
_MS: Final = Row.__struct_fields__.index("ms")
_ESTIMATED: Final = Row.__struct_fields__.index("estimated")
_COST: Final = Row.__struct_fields__.index("cost")
_PARTS: Final = Row.__struct_fields__.index("cached")
_COLUMNS: Final = ("id", "at", "course", "asked", "request_id", *Row.__struct_fields__[_HOW:])
# What may be unknown, and mostly is.
_OPEN: Final = frozenset(("asked", "ttfb_ms", "cost", *Row.__struct_fields__[_PARTS:]))


def _insert(table: str, *columns: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own


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
    return enter(link, span, [name for name, _ in rows], [astuple(row) for _, row in rows])


def enter(link: Link, span: Span, ids: Sequence[bytes], rows: Sequence[Values]) -> int:
    """The same for rows that are known by their values."""
    reached = _reach(link, span)
    if reached is not None or not rows:
        return span.end if reached is None else reached
    batch = _Batch(rows, span.served)
    # Always in one order: who else does the same at the same time waits, and there is no deadlock.
    link.each(_NEW_COURSE, batch.courses())
    link.insert("ledger", batch.columns(ids))
    link.each(_ADD, batch.sums())
    return span.end


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
    """Rows of one transaction, their courses and their sums. They are counted by columns: what is done for each value
    by itself costs more than to write it."""

    def __init__(self, rows: Sequence[Values], served: frozenset[str]) -> None:
        self._served = served
        self._columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        self._course = [0] * len(rows)
        self._asked: list[str | None] = [None] * len(rows)
        self._hours: Sums = {}
        self._texts: dict[int, tuple[Any, ...]] = {}
        for said, places in _alike(self._columns).items():
            self._take(said, places, rows)

    def _take(self, said: tuple[Any, ...], places: list[int], rows: Sequence[Values]) -> None:
        """Rows of one course and one hour."""
        columns = (
            self._columns if len(places) == len(rows) else list(zip(*[rows[place] for place in places], strict=True))
        )
        # Names that nobody serves are a caller's invention: they make no course of their own.
        own = columns[_PROVIDER][0] or columns[_MODEL][0] in self._served
        asked = None if own else columns[_MODEL][0][:MAX_TEXT]
        key, name, tags, dialect, operation, model, provider, target, start = said
        shared = (
            key,
            name[:MAX_TEXT],
            tags,
            dialect,
            operation,
            model[:MAX_TEXT] if asked is None else "",
            provider[:MAX_TEXT],
            target[:MAX_TEXT],
        )
        parts, counts = _parts(shared), _counts(columns)
        for place in places:
            self._course[place] = parts[0][0]
            self._asked[place] = asked
        for number, kind, common in parts:
            self._texts[number] = (kind, *common)
            _put(self._hours, (number, start), counts)

    def courses(self) -> list[tuple[Any, ...]]:
        """The courses that there are sums of."""
        return sorted((number, *text) for number, text in self._texts.items())

    def columns(self, ids: Sequence[bytes]) -> dict[str, Sequence[Any]]:
        """What stands in the table, without the columns in which nothing is known of any."""
        own = self._columns
        made = (ids, own[_AT], self._course, self._asked, own[_REQUEST_ID], *own[_HOW:])
        return {
            name: column
            for name, column in zip(_COLUMNS, made, strict=True)
            if name not in _OPEN or column[0] is not None or column.count(None) < len(column)
        }

    def sums(self) -> list[tuple[int, ...]]:
        """By hour and by day of every course and kind."""
        days: Sums = {}
        for (number, start), counts in self._hours.items():
            _put(days, (number, start // DAY * DAY), counts)
        made = ((HOUR, self._hours), (DAY, days))
        return sorted((span, *place, *counts) for span, sums in made for place, counts in sums.items())


def _alike(columns: Sequence[Sequence[Any]]) -> dict[tuple[Any, ...], list[int]]:
    """The places of rows that have all in common what makes a course, and the hour."""
    at, tags = columns[_AT], columns[_TAGS]
    first, last = int(min(at)) // HOUR * HOUR, int(max(at)) // HOUR * HOUR
    hours = [first] * len(at) if first == last else [int(one) // HOUR * HOUR for one in at]
    texts = [msgspec.json.encode(one, order="sorted") if one else b"" for one in tags]
    found: dict[tuple[Any, ...], list[int]] = {}
    for place, said in enumerate(zip(*columns[_KEY:_TAGS], texts, *columns[_TAGS + 1 : _HOW], hours, strict=True)):
        known = found.get(said)
        if known is None:
            found[said] = [place]
        else:
            known.append(place)
    return found


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


def _counts(columns: Sequence[Sequence[Any]]) -> list[int]:
    """Those of some rows, in the order of COUNTS."""
    outcomes, cost = columns[_OUTCOME], columns[_COST]
    *parts, seconds = columns[_PARTS:]
    return [
        len(outcomes),
        outcomes.count("error"),
        outcomes.count("client_abort"),
        sum(columns[_COST + 1]),
        sum(columns[_COST + 2]),
        *(_known(part) for part in parts),
        sum([round(each * 1000) for each in seconds if each]),
        _known(cost),
        cost.count(None),
        columns[_ESTIMATED].count(True),
        sum(map(round, columns[_MS])),
    ]


def _known(column: Sequence[int | None]) -> int:
    return sum(filter(None, column))
