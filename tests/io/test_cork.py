"""Writes of one turn of the loop leave together, in their order, and none waits for long."""

import asyncio

import pytest

from parley.io.cork import LARGE, MOST, Cork


class Wire:
    """A transport that notes what it is given, in a book that all share."""

    def __init__(self, book: list[tuple[str, bytes]], name: str) -> None:
        self.book, self.name = book, name
        self.closed = self.broken = self.aborted = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        if self.broken:
            raise RuntimeError("the handler is closed")
        self.book.append((self.name, bytes(data)))

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.write(b"".join(parts))

    def abort(self) -> None:
        self.aborted = True


class Table:
    """A cork and two wires."""

    def __init__(self) -> None:
        self.book: list[tuple[str, bytes]] = []
        self.one, self.two = Wire(self.book, "one"), Wire(self.book, "two")
        self.cork = Cork(asyncio.get_running_loop())


async def test_what_is_written_in_a_turn_leaves_at_its_end_in_order() -> None:
    table = Table()
    table.cork.write(table.one, (b"a",))
    table.cork.write(table.two, (b"b", b"c"))
    table.cork.write(table.one, (b"d",))
    assert table.book == []
    await asyncio.sleep(0)
    assert table.book == [("one", b"a"), ("two", b"bc"), ("one", b"d")]
    table.cork.write(table.two, (b"e",))
    await asyncio.sleep(0)
    assert table.book[3:] == [("two", b"e")]


async def test_whoever_closes_flushes_and_nothing_leaves_twice() -> None:
    table = Table()
    table.cork.write(table.one, (b"a",))
    table.cork.flush()
    table.one.closed = True
    assert table.book == [("one", b"a")]
    table.cork.write(table.two, (b"b",))
    await asyncio.sleep(0)
    assert table.book == [("one", b"a"), ("two", b"b")]


async def test_nobody_waits_for_many_or_for_much() -> None:
    table = Table()
    for _ in range(MOST - 1):
        table.cork.write(table.one, (b"a",))
    assert table.book == []
    table.cork.write(table.two, (b"b",))
    assert table.book == [("one", b"a")] * (MOST - 1) + [("two", b"b")]
    table.cork.write(table.one, (b"c",))
    table.cork.write(table.two, (b"head", bytes(LARGE + 1)))
    assert [name for name, _ in table.book[MOST:]] == ["one", "two"]


async def test_what_closes_first_gets_nothing_more() -> None:
    table = Table()
    table.cork.write(table.one, (b"a",))
    table.cork.write(table.two, (b"b",))
    table.one.closed = True
    await asyncio.sleep(0)
    assert table.book == [("two", b"b")]


async def test_one_that_fails_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.one.broken = True
    table.cork.write(table.one, (b"a",))
    table.cork.write(table.two, (b"b",))
    await asyncio.sleep(0)
    assert table.book == [("two", b"b")]
    assert table.one.aborted
    assert "could not be written" in caplog.text
