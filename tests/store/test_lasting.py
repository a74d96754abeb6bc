"""Writes that nobody waits for stand back behind what somebody waits for, but for what is about the same."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from parley.failure import Failure
from parley.store import Link
from parley.store.lasting import Lasting
from parley.store.port import Task
from parley.store.store import all_of
from parley.store.worker import LEAST_PART
from store.parts import Shelf, kept, until, within, words

COUNT = "SELECT count(*) FROM responses"


def task(*about: str, owner: str = "") -> Task:
    return Task(lambda link: None, None, writes=True, size=1, about=about, owner=owner)


def about(tasks: list[Task]) -> list[str]:
    return [one.about[0] for one in tasks]


def test_what_hangs_together_comes_first_and_keeps_its_order() -> None:
    held = Lasting()
    for one in (task("a"), task("x"), task("b", "a"), task("y", "x"), task("c", "b"), task("z")):
        held.add(one)
    assert held.bring(("c",)) == 3
    assert about(held.first(4)) == ["a", "b", "c", "x"]
    assert held.bring(("a", "nothing")) == 0
    assert (held.knows(("y",)), held.knows(("a", "c", ""))) == (True, False)
    assert about(held.first(9)) == ["y", "z"]
    assert len(held) == 0


def test_what_could_not_be_done_is_first_again_and_found_again() -> None:
    held = Lasting()
    for one in (task("a", "shared"), task("b"), task("c", "shared")):
        held.add(one)
    taken = held.first(2)
    assert not held.knows(("a", "b"))
    held.again(taken)
    assert held.knows(("a",))
    assert held.bring(("a",)) == 2
    assert about(held.first(3)) == ["a", "c", "b"]


def test_an_owner_finds_all_of_his_and_does_not_tie_them_together() -> None:
    held = Lasting()
    for name, owner in (("a", "me"), ("b", "you"), ("c", "me")):
        held.add(task(name, owner=all_of(owner)))
    assert held.bring(("c",)) == 1
    assert held.bring((all_of("me"),)) == 2
    assert about(held.first(3)) == ["a", "c", "b"]


@contextmanager
def standing(shelf: Shelf) -> Iterator[None]:
    """The store's thread does nothing in here."""
    free, there = threading.Event(), threading.Event()

    def wait(link: Link) -> None:
        there.set()
        assert free.wait(30)

    shelf.store.ask_then(wait, lambda outcome: None)
    assert there.wait(30)
    try:
        yield
    finally:
        free.set()


def counted(shelf: Shelf, *names: str) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(shelf.store.ask(lambda link: link.one(COUNT)[0], names))


async def test_who_asks_waits_for_no_write_but_those_about_the_same(shelf: Shelf) -> None:
    with standing(shelf):
        for number in range(300):
            shelf.store.keep(kept(f"r{number}", f"text {number}", previous="r290" if number == 299 else None))
        asked = [counted(shelf), counted(shelf, "r250"), counted(shelf, "r299"), counted(shelf, "r250", "unknown")]
        await asyncio.sleep(0)
    found = [await within(one) for one in asked]
    # The one part that was done before they were looked at.
    done = found[0]
    assert done <= LEAST_PART
    assert found == [done, done + 1, done + 3, done + 3]
    assert words((await shelf.recall("r299")).items)[0] == "text 290"
    assert await within(counted(shelf, all_of(""))) == 300


async def test_a_reference_sees_all_that_its_owner_said(shelf: Shelf) -> None:
    with standing(shelf):
        shelf.store.keep(kept("r1", "one"))
        resolving = asyncio.ensure_future(shelf.resolve([{"type": "item_reference", "id": "msg_of_r1"}]))
        await asyncio.sleep(0)
    found = await within(resolving)
    assert not isinstance(found, Failure)
    assert found[0]["id"] == "msg_of_r1"


async def test_those_who_ask_all_the_time_do_not_keep_writes_from_being_done(shelf: Shelf) -> None:
    await shelf.store.ask(lambda link: None)
    going = True

    async def asking() -> None:
        while going:
            await shelf.store.ask(lambda link: None)

    askers = [asyncio.ensure_future(asking()) for _ in range(20)]
    for number in range(400):
        shelf.store.keep(kept(f"r{number}", "text"))

    async def done() -> bool:
        return shelf.tables(COUNT) == [(400,)]

    try:
        await until(done)
    finally:
        going = False
        await asyncio.gather(*askers)
