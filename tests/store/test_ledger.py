"""Rows of the ledger and their sums in the store: written once, added up right, found again, removed in time."""

import random
from typing import Any

import pytest
from msgspec.structs import replace

from parley.store import ledger, usage
from parley.store.ledger import DAY, HOUR, Row, Span
from parley.store.usage import Requests, Sums
from store.parts import Shelf

# 2026-01-01T00:00:00Z
NEW_YEAR = 1_767_225_600
ROW = Row(
    at=float(NEW_YEAR), request_id="req_1", key="key_a", key_name="alice", tags={"team": "blue"}, dialect="openai",
    operation="chat", model="fast", provider="openai", target="openai/gpt", status=200, outcome="ok", kind="",
    attempts=1, ms=12.5, ttfb_ms=3.25, stream=False, bytes_out=100, estimated=False, replayed=False, cost=7, input=10,
    output=5, cached=4, cache_write=None, reasoning=None, audio_input=None, audio_output=None, images=None,
    seconds=None,
)  # fmt: skip
NOBODY = replace(ROW, key="", key_name="", tags={}, provider="", target="", outcome="error", kind="model_not_found")


def numbered(rows: list[Row]) -> list[tuple[bytes, Row]]:
    return [
        (int(row.at * 1000 + row.ms).to_bytes(6) + number.to_bytes(10), row) for number, row in enumerate(rows, start=1)
    ]


async def write(shelf: Shelf, rows: list[Row], begin: int = 0, end: int = 100, journal: str = "j") -> int:
    return await shelf.store.change(lambda link: ledger.write(link, Span(journal, begin, end), numbered(rows)))


async def sums(shelf: Shelf, *by: str, since: float = 0, until: float = 4e9, **only: str) -> dict[Any, dict[str, int]]:
    asked = Sums(since=since, until=until, by=by, only=only)
    found = await shelf.store.ask(lambda link: usage.sums(link, asked))
    assert len({one.of for one in found}) == len(found)
    return {one.of[0] if len(by) == 1 else one.of: dict(one.counts) for one in found}


async def asked(shelf: Shelf, **what: Any) -> list[Row]:
    found = await shelf.store.ask(lambda link: usage.requests(link, Requests(**{"limit": 100, **what})))
    return [row for _, row in found]


async def test_a_row_is_found_as_it_was(shelf: Shelf) -> None:
    full = replace(
        ROW, request_id="req_2", at=ROW.at + 1, cache_write=1, reasoning=2, audio_input=3, audio_output=4, images=5,
        seconds=1.5, stream=True, estimated=True, replayed=True, ttfb_ms=None, cost=None, tags={"b": "2", "a": "1"},
    )  # fmt: skip
    assert await write(shelf, [ROW, full, NOBODY]) == 100
    assert await asked(shelf) == [full, NOBODY, ROW]


async def test_a_request_that_nobody_answered_counts_for_its_model_if_that_is_served(shelf: Shelf) -> None:
    full = replace(NOBODY, kind="rate_limited", status=429, model="fast")
    made_up = replace(full, model="x" * 300)
    span = Span("j", 0, 100, frozenset({"fast"}))
    await shelf.store.change(lambda link: ledger.write(link, span, numbered([ROW, full, made_up, replace(full)])))
    assert {model: found["requests"] for model, found in (await sums(shelf, "model")).items()} == {"fast": 3, "": 1}
    assert [row.model for row in await asked(shelf)] == ["fast", "x" * ledger.MAX_TEXT, "fast", "fast"]
    assert [row.kind for row in await asked(shelf, only={"model": "fast"})] == ["rate_limited", "rate_limited", ""]


async def test_what_was_written_is_not_written_again(shelf: Shelf) -> None:
    assert await write(shelf, [ROW], 0, 100) == 100
    assert await write(shelf, [ROW], 0, 100) == 100
    assert await write(shelf, [replace(ROW, at=ROW.at + 1)], 100, 150) == 150
    # Somebody else has been further than this one knows.
    assert await write(shelf, [replace(ROW, at=ROW.at + 2)], 0, 100) == 150
    assert len(await asked(shelf)) == 2
    assert (await sums(shelf))[()]["requests"] == 2
    assert await shelf.store.ask(lambda link: ledger.applied(link, "j")) == 150
    assert await shelf.store.ask(lambda link: ledger.applied(link, "other")) == 0


async def test_a_piece_that_fails_leaves_nothing(shelf: Shelf) -> None:
    twice = numbered([ROW]) * 2
    with pytest.raises(Exception, match="failed to handle"):
        await shelf.store.change(lambda link: ledger.write(link, Span("j", 0, 100), twice))
    assert await asked(shelf) == []
    assert await sums(shelf) == {}
    assert await write(shelf, [ROW]) == 100
    assert len(await asked(shelf)) == 1


@pytest.mark.parametrize("many", [1, 5, 8, 36, 37, 300])
async def test_however_many_rows_are_written_at_once_each_is_there(shelf: Shelf, many: int) -> None:
    rows = [replace(ROW, at=ROW.at + n, request_id=f"req_{n}", stream=n % 2 == 0, cost=n or None) for n in range(many)]
    await write(shelf, rows)
    assert await asked(shelf, limit=1000) == rows[::-1]


async def test_a_row_that_fails_among_many_leaves_nothing(shelf: Shelf) -> None:
    found = numbered([replace(ROW, at=ROW.at + n) for n in range(200)])
    found[150] = found[3]
    with pytest.raises(Exception, match="failed to handle"):
        await shelf.store.change(lambda link: ledger.write(link, Span("j", 0, 100), found))
    assert await asked(shelf) == []
    assert await sums(shelf) == {}


def many() -> list[Row]:
    """Requests of three days, of several keys, models, tags and outcomes."""
    rng = random.Random(7)
    return [
        replace(
            ROW, at=NEW_YEAR + rng.random() * 3 * DAY, key=rng.choice(("key_a", "key_b", "")),
            model=rng.choice(("fast", "good")), tags=rng.choice(({}, {"team": "blue"}, {"team": "red"})),
            cost=rng.choice((None, 0, rng.randrange(10**12))), input=rng.randrange(1000),
            seconds=rng.choice((None, 2.5)),
            outcome=rng.choice(("ok", "ok", "error", "client_abort")), estimated=rng.random() < 0.5,
        )
        for _ in range(300)
    ]  # fmt: skip


def expected(chosen: list[Row]) -> dict[str, int]:
    return {
        "requests": len(chosen),
        "errors": sum(row.outcome == "error" for row in chosen),
        "aborts": sum(row.outcome == "client_abort" for row in chosen),
        "input": sum(row.input for row in chosen),
        "cached": 4 * len(chosen),
        "cost": sum(row.cost or 0 for row in chosen),
        "unpriced": sum(row.cost is None for row in chosen),
        "estimated": sum(row.estimated for row in chosen),
        "sound_ms": sum(2500 for row in chosen if row.seconds),
    }


BY: list[tuple[tuple[str, ...], Any]] = [
    ((), lambda row: ()),
    (("key",), lambda row: row.key),
    (("provider",), lambda row: row.provider),
    (("tag:team",), lambda row: row.tags.get("team")),
    (("day",), lambda row: int(row.at) // DAY * DAY),
    (("hour",), lambda row: int(row.at) // HOUR * HOUR),
    (("model", "key"), lambda row: (row.model, row.key)),
    (("day", "tag:team"), lambda row: (int(row.at) // DAY * DAY, row.tags.get("team"))),
    (("operation", "hour"), lambda row: (row.operation, int(row.at) // HOUR * HOUR)),
]


async def test_sums_are_those_of_the_rows(shelf: Shelf) -> None:
    rows = many()
    for place in range(3):
        await write(shelf, rows[place * 100 : place * 100 + 100], place, place + 1)
    for by, of in BY:
        found = await sums(shelf, *by)
        groups: dict[Any, list[Row]] = {}
        for row in rows:
            groups.setdefault(of(row), []).append(row)
        assert found.keys() == groups.keys(), by
        assert all(expected(chosen).items() <= found[values].items() for values, chosen in groups.items()), by


async def test_sums_of_some_and_of_some_time(shelf: Shelf) -> None:
    rows = many()
    await write(shelf, rows)
    some = [row for row in rows if row.key == "key_a" and row.tags.get("team") == "red"]
    found = await sums(shelf, **{"key": "key_a", "tag:team": "red"})
    assert expected(some).items() <= found[()].items()
    # Days as a whole, hours at the edges.
    since, until = NEW_YEAR + 5 * HOUR, NEW_YEAR + 2 * DAY + 3 * HOUR
    some = [row for row in rows if since <= row.at < until]
    assert expected(some).items() <= (await sums(shelf, since=since, until=until))[()].items()
    within = await sums(shelf, "model", since=NEW_YEAR + HOUR, until=NEW_YEAR + 3 * HOUR)
    assert sum(one["requests"] for one in within.values()) == sum(HOUR <= row.at - NEW_YEAR < 3 * HOUR for row in rows)


async def test_what_happened_in_the_first_second_of_an_hour_is_there_at_once(shelf: Shelf) -> None:
    await write(shelf, [replace(ROW, at=NEW_YEAR + 0.1)])
    assert (await sums(shelf, until=NEW_YEAR + 0.5))[()]["requests"] == 1
    assert await sums(shelf, until=NEW_YEAR) == {}


async def test_money_beyond_a_databases_numbers_is_added_up(shelf: Shelf) -> None:
    for place in range(3):
        rows = [replace(ROW, at=NEW_YEAR + place * DAY + n, cost=2**53) for n in range(1000)]
        await write(shelf, rows, place, place + 1)
    assert (await sums(shelf))[()]["cost"] == 3000 * 2**53 > 2**63


async def test_requests_are_found_by_what_they_were(shelf: Shelf) -> None:
    rows = [
        replace(ROW, at=NEW_YEAR + n, request_id=f"req_{n}", model=f"m{n % 3}", status=200 + n % 2) for n in range(30)
    ]
    failed = replace(rows[7], outcome="error", kind="upstream_error", status=502)
    rows[7] = failed
    await write(shelf, [*rows, replace(NOBODY, at=NEW_YEAR + 31)])
    assert [row.request_id for row in await asked(shelf, limit=3)] == ["req_1", "req_29", "req_28"]
    assert [row.request_id for row in await asked(shelf, only={"model": "m1"}, limit=2)] == ["req_28", "req_25"]
    assert await asked(shelf, outcome="error", only={"provider": "openai"}) == [failed]
    assert [row.model for row in await asked(shelf, failed=True)] == ["fast", "m1"]
    assert await asked(shelf, request_id="req_4") == [rows[4]]
    assert await asked(shelf, status=502) == [failed]
    assert await asked(shelf, only={"key": "nobody's"}) == []
    between = await asked(shelf, since=NEW_YEAR + 3, until=NEW_YEAR + 5)
    assert [row.request_id for row in between] == ["req_4", "req_3"]
    page = await shelf.store.ask(lambda link: usage.requests(link, Requests(limit=10)))
    older = await asked(shelf, before=page[-1][0], limit=2)
    assert [row.request_id for row in older] == ["req_20", "req_19"]
    newer = await asked(shelf, after=page[-1][0], limit=2, only={"key": "key_a"})
    assert [row.request_id for row in newer] == ["req_22", "req_23"]


async def test_many_courses_are_searched_all_the_same(shelf: Shelf) -> None:
    rows = [replace(ROW, at=NEW_YEAR + n, request_id=f"req_{n}", model=f"m{n}") for n in range(usage.MAX_COURSES + 9)]
    await write(shelf, rows)
    found = await asked(shelf, only={"key": "key_a"}, limit=2)
    assert [row.request_id for row in found] == [rows[-1].request_id, rows[-2].request_id]


async def test_names_that_callers_invent_make_no_course(shelf: Shelf) -> None:
    await write(shelf, [replace(NOBODY, model=f"made up {n}" * 100) for n in range(50)])
    assert shelf.tables("SELECT count(*) FROM ledger_courses WHERE kind = 'each'") == [(1,)]
    assert {len(row.model) for row in await asked(shelf)} == {ledger.MAX_TEXT}


async def test_what_is_too_old_goes_in_pieces(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CHUNK", 3)
    rows = [replace(ROW, at=NEW_YEAR + n * 600) for n in range(20)]
    await write(shelf, rows)
    before = NEW_YEAR + 2 * HOUR
    left = [20]
    while not await shelf.store.change(lambda link: ledger.sweep(link, before)):
        left.append(len(await asked(shelf)))
        assert left[-2] - left[-1] <= 3
    assert [row.at for row in await asked(shelf)] == [row.at for row in reversed(rows) if row.at + 0.0125 > before]
    assert min(await sums(shelf, "hour")) == before
    # Days stay: they are few.
    assert (await sums(shelf, "day"))[NEW_YEAR]["requests"] == 20


@pytest.mark.parametrize("by", [(), ("key",), ("tag:team",), ("day",), ("hour",), ("model", "key")])
async def test_no_question_about_sums_looks_at_the_rows(shelf: Shelf, by: tuple[str, ...]) -> None:
    await write(shelf, many())
    asked: list[str] = []

    def work(link: Any) -> None:
        class Watched:
            def rows(self, statement: str, **values: Any) -> Any:
                asked.append(statement)
                return link.rows(statement, **values)

        usage.sums(Watched(), Sums(since=0, until=4e9, by=by))  # type: ignore[arg-type]

    await shelf.store.ask(work)
    assert asked
    assert not any("ledger l" in statement or "FROM ledger " in statement for statement in asked)
