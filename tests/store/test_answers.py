"""Kept answers in a real store, of each kind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley.failure import Failure
from parley.store import Link
from parley.store.answers import StoreShelf, expire, found, put, sweep
from parley.store.link import linked
from parley.store.place import place_of
from parley.store.store import SWEEP_SECONDS
from store.parts import Shelf, until, within

NOW = 1_000_000.0


@pytest.fixture
def link(url: str) -> Any:
    made = linked(place_of(url), 1.0)
    yield made
    made.close()


def do(link: Link, work: Any, *values: Any) -> Any:
    with link.transaction(writes=True):
        return work(link, *values)


def test_what_was_put_is_found_until_its_time_is_over(link: Link) -> None:
    do(link, put, b"\x00key", b"\xffvalue", NOW + 10)
    assert do(link, found, b"\x00key", NOW + 9.9) == b"\xffvalue"
    assert do(link, found, b"\x00key", NOW + 10) is None
    assert do(link, found, b"other", NOW) is None


def test_a_new_value_takes_the_place_of_the_old_one(link: Link) -> None:
    do(link, put, b"key", b"one", NOW + 10)
    do(link, put, b"key", b"other", NOW + 20)
    assert do(link, found, b"key", NOW + 15) == b"other"
    assert do(link, lambda link: link.one("SELECT count(*) AS n, sum(size) AS size FROM cached_answers")) == (1, 5)


def test_a_sweep_takes_what_has_expired_then_what_would_be_next(link: Link) -> None:
    for number in range(1200):
        do(link, put, b"%d" % number, b"v" * 10, NOW + number)
    do(link, sweep, NOW + 99, 6_000)
    kept = do(link, lambda link: link.rows("SELECT expires FROM cached_answers ORDER BY expires"))
    assert len(kept) == 600
    assert kept[0].expires == NOW + 600
    do(link, sweep, NOW, 0)
    assert do(link, lambda link: link.rows("SELECT id FROM cached_answers")) == []


def test_what_has_expired_goes_in_pieces(link: Link) -> None:
    for number in range(700):
        do(link, put, b"%d" % number, b"v", NOW + number % 2 * 100)
    for number in range(700, 1000):
        do(link, put, b"%d" % number, b"v", NOW)
    assert do(link, expire, NOW) is False
    assert do(link, expire, NOW) is True
    assert do(link, lambda link: link.one("SELECT count(*) AS n FROM cached_answers")).n == 350


async def asked(call: Callable[[Callable[[Any], None]], None]) -> Any:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    call(future.set_result)
    return await within(future)


async def test_a_shelf_in_the_store_is_shared_and_outlives_its_process(opened: Callable[..., Shelf]) -> None:
    one, two = opened(), opened()
    first = StoreShelf(one.store, 1 << 20, lambda: one.seconds)
    second = StoreShelf(two.store, 1 << 20, lambda: two.seconds)
    assert await asked(lambda then: first.get(b"k", then)) is None
    assert await asked(lambda then: first.put(b"k", b"value", 60.0, then)) is None
    assert await asked(lambda then: second.get(b"k", then)) == b"value"
    two.seconds += 60
    assert await asked(lambda then: second.get(b"k", then)) is None


async def test_what_is_too_much_goes(shelf: Shelf) -> None:
    kept = StoreShelf(shelf.store, 10_000, lambda: shelf.seconds)
    for number in range(100):
        await asked(lambda then, number=number: kept.put(b"%d" % number, b"v" * 500, 60.0 + number, then))  # type: ignore[misc]
    (size,) = shelf.tables("SELECT sum(size) FROM cached_answers")[0]
    assert 5_000 <= size <= 11_000
    assert await asked(lambda then: kept.get(b"99", then)) == b"v" * 500


async def test_a_store_that_is_away_says_so(opened: Callable[..., Shelf], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    away = opened(f"sqlite:///{tmp_path / 'file' / 'parley.db'}")
    kept = StoreShelf(away.store, 10_000, lambda: away.seconds)
    assert isinstance(await asked(lambda then: kept.get(b"k", then)), Failure)
    assert isinstance(await asked(lambda then: kept.put(b"k", b"v", 1.0, then)), Failure)


async def test_answers_end_where_all_else_is_kept_for_ever(opened: Callable[..., Shelf]) -> None:
    shelf = opened(retention=None)
    kept = StoreShelf(shelf.store, 10_000, lambda: shelf.seconds)
    await asked(lambda then: kept.put(b"k", b"v", 60.0, then))
    await asked(lambda then: kept.put(b"later", b"v", 7200.0, then))
    shelf.seconds += 61
    shelf.ticks += SWEEP_SECONDS

    async def gone() -> bool:
        # What is asked sets off what is due.
        await shelf.store.ask(lambda link: None)
        return len(shelf.tables("SELECT id FROM cached_answers")) == 1

    await until(gone)
