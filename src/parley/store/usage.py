"""Questions about the ledger: sums by key, model, tag and time, and single requests. All of them only read.

Sums come from the roll-ups and never from the rows, so that it does not matter how many requests there were.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from parley.store.ledger import COUNTS, COURSE, DAY, EACH, HOUR, KINDS, Row
from parley.store.port import Link

Grain: TypeAlias = Literal["hour", "day"]
DIMENSIONS: Final = ("key", "dialect", "operation", "model", "provider", "target")
GRAINS: Final[Mapping[str, int]] = {"hour": HOUR, "day": DAY}
TAG: Final = "tag:"
# Of so many courses each is asked for its newest rows; of more the newest rows are asked for their course.
MAX_COURSES: Final = 64
# Sums of money may be larger than a database's numbers: they are added in two parts.
_SPLIT: Final = 10**6
_SUMS: Final = ", ".join(
    f"sum(s.cost / {_SPLIT}) AS cost_high, sum(s.cost % {_SPLIT}) AS cost_low" if name == "cost" else f"sum(s.{name})"
    for name in COUNTS
)


class Sums(Struct, frozen=True, kw_only=True):
    """What is asked: sums from ``since`` until before ``until`` (seconds since 1970, to the hour), one for each value
    of what stands in ``by``: DIMENSIONS, ``hour`` or ``day``, ``tag:NAME``. ``only`` are values of DIMENSIONS and
    tags that count alone; a key is meant by its id or its name."""

    since: float
    until: float
    by: tuple[str, ...] = ()
    only: Mapping[str, str] = {}


class Sum(Struct, frozen=True):
    """One of them. ``of`` are the values it is for, in the order of ``by``; None: no such tag. ``counts`` are COUNTS by
    name, ``names`` the names of keys by their ids."""

    of: tuple[str | int | None, ...]
    counts: Mapping[str, int]
    name: str = ""


class Requests(Struct, frozen=True, kw_only=True):
    """What is asked: the newest requests, ``before`` an id or ``after`` one, that ended in that time. ``only`` are
    values of DIMENSIONS as for Sums, ``failed`` means every outcome but ok."""

    limit: int
    before: bytes | None = None
    after: bytes | None = None
    since: float | None = None
    until: float | None = None
    only: Mapping[str, str] = {}
    request_id: str | None = None
    status: int | None = None
    outcome: str | None = None
    failed: bool = False


def sums(link: Link, asked: Sums) -> list[Sum]:
    """In the order of time, then by the number of requests."""
    found: dict[tuple[Any, ...], list[int]] = {}
    names: dict[tuple[Any, ...], str] = {}
    for span, begin, end in _spans(asked):
        for of, name, counts in _grouped(link, asked, span, begin, end):
            known = found.get(of)
            found[of] = counts if known is None else [one + more for one, more in zip(known, counts, strict=True)]
            names[of] = name
    made = [Sum(of, dict(zip(COUNTS, counts, strict=True)), names[of]) for of, counts in found.items()]
    times = [place for place, name in enumerate(asked.by) if name in GRAINS]
    return sorted(made, key=lambda one: (*(one.of[place] for place in times), -one.counts["requests"]))


def _spans(asked: Sums) -> Iterator[tuple[int, int, int]]:
    """Sums of days where a day is asked for as a whole, of hours at its edges."""
    # A part of a second counts: what has just happened is before now.
    begin, end = int(asked.since // HOUR) * HOUR, -int(-asked.until // HOUR) * HOUR
    first, last = -(-begin // DAY) * DAY, end // DAY * DAY
    if "hour" in asked.by or first >= last:
        yield HOUR, begin, end
        return
    if begin < first:
        yield HOUR, begin, first
    yield DAY, first, last
    if last < end:
        yield HOUR, last, end


def _grouped(
    link: Link, asked: Sums, span: int, begin: int, end: int
) -> Iterator[tuple[tuple[Any, ...], str, list[int]]]:
    """The sums of one span, those of each course by themselves. Tags are taken apart here: they are one text there."""
    only = {name: text for name, text in asked.only.items() if name in DIMENSIONS}
    tags = {name.removeprefix(TAG): text for name, text in asked.only.items() if name.startswith(TAG)}
    timed = any(name in GRAINS for name in asked.by)
    statement = (
        f"SELECT {', '.join(f'c.{name}' for name in COURSE)}, {'s.start' if timed else '0'}, {_SUMS}"  # noqa: S608
        # In this order: the sums of a course stand together.
        " FROM ledger_courses c CROSS JOIN ledger_sums s"
        " WHERE c.kind = :kind AND s.course = c.id AND s.span = :span AND s.start >= :begin AND s.start < :upto"
        f"{''.join(f' AND {_is(name)}' for name in only)} GROUP BY c.id{', s.start' if timed else ''}"
    )
    for row in link.rows(statement, kind=_kind(asked), span=span, begin=begin, upto=end, **only):
        shared = dict(zip(COURSE, row, strict=False))
        own = _tags(shared["tags"])
        if all(own.get(name) == text for name, text in tags.items()):
            of = tuple(_value(name, shared, own, row[len(COURSE)]) for name in asked.by)
            yield of, shared["key_name"], _counted(row, len(COURSE) + 1)


def _is(name: str) -> str:
    return "(c.key = :key OR c.key_name = :key)" if name == "key" else f"c.{name} = :{name}"


def _tags(text: bytes) -> dict[str, str]:
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}


def _kind(asked: Sums) -> str:
    """The sums that tell what is asked with the fewest rows."""
    names = {"tags" if name.startswith(TAG) else name for name in (*asked.by, *asked.only) if name not in GRAINS}
    return next((kind for kind, parts in KINDS.items() if names <= set(parts)), EACH)


def _value(name: str, shared: Mapping[str, Any], tags: Mapping[str, str], start: int) -> Any:
    if name in GRAINS:
        return int(start) // GRAINS[name] * GRAINS[name]
    return tags.get(name[len(TAG) :]) if name.startswith(TAG) else shared[name]


def _counted(row: Sequence[Any], first: int) -> list[int]:
    """In the order of COUNTS."""
    numbers = [int(number) for number in row[first:]]
    place = COUNTS.index("cost")
    return [*numbers[:place], numbers[place] * _SPLIT + numbers[place + 1], *numbers[place + 2 :]]


_OWN: Final = tuple(name for name in Row.__struct_fields__ if name not in {*DIMENSIONS, "key_name", "tags"})
_SELECT: Final = (
    f"SELECT l.id, l.asked, {', '.join(f'l.{name}' for name in _OWN)}, {', '.join(f'c.{name}' for name in COURSE)}"  # noqa: S608
    # In this order: rows are found by their own index, then looked up in the courses.
    " FROM ledger l CROSS JOIN ledger_courses c WHERE c.id = l.course AND "
)


def requests(link: Link, asked: Requests) -> list[tuple[bytes, Row]]:
    """Single requests with their ids, the newest first; of those ``after`` an id the oldest, in the order of time."""
    conditions, values = _conditions(asked)
    if not asked.only:
        return _selected(link, conditions, values, asked)
    same = " AND ".join(map(_is, asked.only))
    statement = f"SELECT c.id FROM ledger_courses c WHERE c.kind = '{EACH}' AND {same}"  # noqa: S608 - names of our own
    courses = [int(row[0]) for row in link.rows(statement, **asked.only)]
    if len(courses) > MAX_COURSES or _failed(asked):
        return _selected(link, [*conditions, *map(_is, asked.only)], {**values, **asked.only}, asked)
    found: list[tuple[bytes, Row]] = []
    for course in courses:
        found += _selected(link, [*conditions, "l.course = :course"], {**values, "course": course}, asked)
    found.sort(key=lambda pair: pair[0], reverse=asked.after is None)
    return found[: asked.limit]


def _conditions(asked: Requests) -> tuple[list[str], dict[str, Any]]:
    given: dict[str, tuple[str, Any]] = {
        "before": ("l.id < :before", asked.before),
        "after": ("l.id > :after", asked.after),
        "first": ("l.id >= :first", None if asked.since is None else _edge(asked.since)),
        "last": ("l.id < :last", None if asked.until is None else _edge(asked.until)),
        "request": ("l.request_id = :request", asked.request_id),
        "status": ("l.status = :status", asked.status),
        "outcome": ("l.outcome = :outcome", asked.outcome),
    }
    conditions = [condition for condition, value in given.values() if value is not None]
    if _failed(asked):
        # In the words of the index of those.
        conditions.append("l.outcome <> 'ok'")
    return conditions or ["1 = 1"], {name: value for name, (_, value) in given.items() if value is not None}


def _failed(asked: Requests) -> bool:
    """Whether every request that is meant has failed: these are few, and have an index of their own."""
    return asked.failed or asked.outcome not in (None, "ok") or (asked.status or 0) >= 400


def _selected(
    link: Link, conditions: Sequence[str], values: Mapping[str, Any], asked: Requests
) -> list[tuple[bytes, Row]]:
    order = "DESC" if asked.after is None else "ASC"
    statement = f"{_SELECT}{' AND '.join(conditions)} ORDER BY l.id {order} LIMIT :limit"
    return [_row(row) for row in link.rows(statement, **values, limit=asked.limit)]


def _row(found: Any) -> tuple[bytes, Row]:
    own = dict(zip(_OWN, found[2:], strict=False))
    shared = dict(zip(COURSE, found[2 + len(_OWN) :], strict=True))
    model = shared["model"] if found[1] is None else found[1]
    for name in ("stream", "estimated", "replayed"):
        own[name] = bool(own[name])
    tags = _tags(shared["tags"])
    return bytes(found[0]), Row(**{**shared, **own, "model": model, "tags": tags})


def _edge(at: float) -> bytes:
    return max(0, int(at * 1000)).to_bytes(6) + bytes(10)
