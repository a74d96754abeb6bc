"""A store that is locked, full, broken, missing or too slow: counted, told, and back by itself."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley.failure import Failure, ParleyError
from parley.store import Link, conversations, link, worker
from parley.store.conversations import Conversation
from parley.store.store import all_of
from store.parts import Shelf, kept, until, within, words

SECRET = "what the caller asked"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A file: what happens to it is what these tests are about."""
    return f"sqlite:///{tmp_path / 'parley.db'}"


async def settled(shelf: Shelf) -> None:
    """Until everything queued so far was tried."""
    with pytest.raises(ParleyError) as caught:
        await within(shelf.store.change(lambda link: None, (all_of(""),)))
    assert caught.value.failure.http_status == 503


def told(shelf: Shelf) -> list[str]:
    return [line["event"] for line in shelf.log]


async def test_what_a_locked_file_cannot_take_is_written_once_it_is_free(shelf: Shelf) -> None:
    shelf.store.keep(kept("before", "one"))
    await shelf.recall("before")
    holder = sqlite3.connect(shelf.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    shelf.store.keep(kept("held", SECRET))
    await settled(shelf)
    assert shelf.store.problems() == [
        {"kind": "store", "message": "the store cannot be written: database is locked", "dropped": 0, "waiting": 1}
    ]
    # Reading goes on as always.
    assert words((await shelf.recall("before")).items)[0] == "one"
    shelf.store.keep(kept("later", "two"))
    shelf.ticks += worker.RETRY_SECONDS
    await settled(shelf)
    holder.execute("ROLLBACK")
    holder.close()
    shelf.ticks += worker.MAX_RETRY_SECONDS
    assert words((await shelf.recall("later")).items)[0] == "two"
    assert words((await shelf.recall("held")).items)[0] == SECRET
    assert (shelf.store.problems(), shelf.store.dropped) == ([], 0)
    assert (told(shelf), set(shelf.errors)) == (["store.away", "store.back"], {"locked"})
    assert SECRET not in str(shelf.log)


async def test_a_lock_that_was_waited_for_once_is_not_waited_for_again(opened: Callable[..., Shelf]) -> None:
    shelf = opened(busy=1.0)
    await shelf.store.ask(lambda link: None)
    holder = sqlite3.connect(shelf.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    taken = []
    for _ in range(3):
        begun = time.monotonic()
        await settled(shelf)
        taken.append(time.monotonic() - begun)
        shelf.ticks += worker.MAX_RETRY_SECONDS
    holder.close()
    assert taken[0] >= 1.0
    assert max(taken[1:]) < 0.9


async def test_another_programs_short_lock_is_waited_for(opened: Callable[..., Shelf]) -> None:
    shelf = opened(busy=5.0)
    shelf.store.keep(kept("r1", "one"))
    await shelf.recall("r1")
    holder = sqlite3.connect(shelf.path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.1, lambda: holder.execute("COMMIT"))
    timer.start()
    shelf.store.keep(kept("r2", "two"))
    assert words((await shelf.recall("r2")).items)[0] == "two"
    timer.join()
    holder.close()
    assert (shelf.store.dropped, shelf.log) == (0, [])


def limited(monkeypatch: pytest.MonkeyPatch, pragma: str) -> None:
    """Every connection that is made from now on is so."""
    prepare = link._prepare

    def prepared(raw: Any, busy: float) -> None:
        prepare(raw, busy)
        raw.execute(f"PRAGMA {pragma}")

    monkeypatch.setattr(link, "_prepare", prepared)


@pytest.mark.parametrize(
    ("pragma", "said", "kind"),
    [
        ("max_page_count = 1", "database or disk is full", "full"),
        ("query_only = ON", "attempt to write a readonly database", "away"),
    ],
)
async def test_a_full_or_read_only_file_is_read_and_gets_its_writes_later(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, pragma: str, said: str, kind: str
) -> None:
    shelf.store.keep(kept("r1", "one"))
    await shelf.recall("r1")
    await shelf.store.ask(lambda link: link.run(f"PRAGMA {pragma}"))
    with monkeypatch.context() as patch:
        limited(patch, pragma)
        for number in range(3):
            shelf.store.keep(kept(f"more{number}", SECRET * 5000))
            with pytest.raises(ParleyError):
                # What has to be written to be true is refused.
                await shelf.store.change(lambda link: link.run("UPDATE responses SET model = 'x'"), (all_of(""),))
            assert shelf.store.problems()[0]["message"] == f"the store cannot be written: {said}"
            assert words((await shelf.recall("r1")).items)[0] == "one"
            shelf.ticks += worker.MAX_RETRY_SECONDS
        assert shelf.store.dropped == 0
    # The connection that is open still was limited; after it another one is made.
    for _ in range(2):
        shelf.ticks += worker.MAX_RETRY_SECONDS
        await shelf.recall("r1")
    for number in range(3):
        assert words((await shelf.recall(f"more{number}")).items)[0] == SECRET * 5000
    assert (shelf.store.problems(), told(shelf)) == ([], ["store.away", "store.back"])
    assert set(shelf.errors) == {kind}
    assert SECRET not in str(shelf.log)


async def test_what_finds_no_place_to_wait_is_counted(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_TASKS", 4)
    monkeypatch.setattr(worker, "MAX_BATCH", 2)
    await shelf.recall()
    await shelf.store.ask(lambda link: None)
    holder = sqlite3.connect(shelf.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    await settled(shelf)
    for number in range(6):
        shelf.store.keep(kept(f"r{number}", "text"))
    assert shelf.store.problems()[0] | {"message": ""} == {
        "kind": "store", "message": "", "dropped": 2, "waiting": 4
    }  # fmt: skip
    holder.close()
    shelf.ticks += worker.MAX_RETRY_SECONDS
    assert [isinstance(await shelf.told(f"r{number}"), Failure) for number in range(6)] == [False] * 4 + [True] * 2
    assert shelf.tables("SELECT id FROM responses ORDER BY rowid") == [("r0",), ("r1",), ("r2",), ("r3",)]


async def test_it_is_back_without_anybody_asking(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.01)
    await shelf.store.ask(lambda link: None)
    holder = sqlite3.connect(shelf.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    shelf.store.keep(kept("r1", "one"))
    await settled(shelf)
    holder.close()
    shelf.ticks += worker.MAX_RETRY_SECONDS

    async def back() -> bool:
        return shelf.store.problems() == [] and shelf.tables("SELECT id FROM responses") == [("r1",)]

    await until(back)


async def test_what_is_still_held_at_the_end_is_tried_once_more(opened: Callable[..., Shelf]) -> None:
    for freed in (True, False):
        shelf = opened()
        await shelf.store.ask(lambda link: None)
        holder = sqlite3.connect(shelf.path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        shelf.store.keep(kept(f"r{freed}", "one"))
        await settled(shelf)
        if freed:
            holder.close()
        await shelf.store.close()
        await asyncio.sleep(0)
        holder.close()
        lost = [line for line in shelf.log if line["event"] == "store.lost"]
        assert lost == ([] if freed else [{"event": "store.lost", "count": 1}])
        assert shelf.store.dropped == (not freed)
    assert shelf.tables("SELECT id FROM responses") == [("rTrue",)]


async def test_the_same_write_done_twice_is_done_once(shelf: Shelf) -> None:
    await shelf.store.change(lambda link: conversations.create(link, "", Conversation("conv_1", 1, b"{}"), []))
    for _ in range(2):
        shelf.store.keep(kept("r1", "one", conversation="conv_1"))
    assert words((await shelf.recall(conversation="conv_1")).items) == ["one", "answer to one"]


async def test_a_file_that_is_no_database(opened: Callable[..., Shelf], tmp_path: Path) -> None:
    (tmp_path / "not.db").write_bytes(b"not a database, but long enough to be looked at " * 50)
    shelf = opened(tmp_path / "not.db")
    shelf.store.wake()
    await settled(shelf)
    assert shelf.store.problems()[0]["message"] == "the store is not available: file is not a database"
    assert (tmp_path / "not.db").read_bytes().startswith(b"not a database")


async def test_a_folder_that_is_not_there_is_not_invented(opened: Callable[..., Shelf], tmp_path: Path) -> None:
    shelf = opened(tmp_path / "none" / "parley.db")
    await settled(shelf)
    assert shelf.store.problems()[0]["message"] == "the store is not available: No such file or directory"
    assert not (tmp_path / "none").exists()
    (tmp_path / "none").mkdir()
    shelf.ticks += worker.RETRY_SECONDS
    shelf.store.keep(kept("r1", "one"))
    assert words((await shelf.recall("r1")).items)[0] == "one"


async def test_a_file_taken_away_is_made_anew_and_reported(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "one"))
    await shelf.recall("r1")
    for name in os.listdir(Path(shelf.path).parent):
        (Path(shelf.path).parent / name).unlink()
    shelf.store.keep(kept("r2", "two"))
    assert words((await shelf.recall("r2")).items)[0] == "two"
    assert shelf.tables("SELECT id FROM responses") == [("r2",)]
    assert told(shelf) == ["store.replaced"]


async def test_a_full_queue_refuses_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_TASKS", 3)
    held, going = threading.Event(), threading.Event()

    def hold(link: Link) -> None:
        going.set()
        assert held.wait(30)

    waiting = asyncio.ensure_future(shelf.store.ask(hold))
    await asyncio.sleep(0)
    await asyncio.to_thread(going.wait, 30)
    for number in range(5):
        shelf.store.keep(kept(f"r{number}", SECRET))
    heard: list[Any] = []
    for _ in range(4):
        shelf.store.recall("r0", None, "", heard.append)
    assert [failure.http_status for failure in heard] == [503]
    assert shelf.store.dropped == 2
    assert "does not keep up" in shelf.store.problems()[0]["message"]
    held.set()
    await waiting
    monkeypatch.undo()
    assert not isinstance(await shelf.told("r2"), Failure)
    assert isinstance(await shelf.told("r3"), Failure)
    assert (shelf.store.problems(), told(shelf)) == ([], ["store.full"])


async def test_a_queue_has_a_limit_in_bytes_but_takes_one_large_thing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_BYTES", 5000)
    shelf.store.keep(kept("large", "x" * 20_000))
    assert not isinstance(await shelf.told("large"), Failure)
    held, going = threading.Event(), threading.Event()
    waiting = asyncio.ensure_future(shelf.store.ask(lambda link: (going.set(), held.wait(30))))
    await asyncio.to_thread(going.wait, 30)
    shelf.store.keep(kept("one", "x" * 3000))
    shelf.store.keep(kept("two", "x" * 3000))
    held.set()
    await waiting
    assert not isinstance(await shelf.told("one"), Failure)
    assert isinstance(await shelf.told("two"), Failure)
    assert shelf.store.dropped == 1


async def test_one_bad_write_does_not_take_its_neighbours_along(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "one"))
    shelf.store.keep(kept("bad", SECRET, input=b"{not an array"))
    shelf.store.keep(kept("r2", "two"))
    assert words((await shelf.recall("r2")).items)[0] == "two"
    assert words((await shelf.recall("r1")).items)[0] == "one"
    assert isinstance(await shelf.told("bad"), Failure)
    assert (told(shelf), shelf.store.dropped) == (["store.error"], 1)
    assert SECRET not in str(shelf.log)


async def test_a_write_that_raises_leaves_nothing_behind(shelf: Shelf) -> None:
    def half(link: Link) -> None:
        link.run("INSERT INTO conversations VALUES ('', 'half', 1, x'7b7d', 1.0)")
        raise ParleyError(Failure("invalid_request", "no"))

    with pytest.raises(ParleyError) as caught:
        await shelf.store.change(half)
    assert caught.value.failure.message == "no"
    assert await shelf.store.ask(lambda link: link.one("SELECT count(*) FROM conversations")[0]) == 0


async def test_the_loop_goes_on_while_the_file_is_slow(shelf: Shelf) -> None:
    held = threading.Event()
    slow = asyncio.ensure_future(shelf.store.ask(lambda link: held.wait(30)))
    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    assert (turns, slow.done()) == (100, False)
    held.set()
    assert await slow is True


async def test_a_store_that_is_opened_for_the_first_time_is_waited_for(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, held, going = link.linked, threading.Event(), threading.Event()

    def linked(*place: Any) -> Link:
        going.set()
        assert held.wait(60)
        return real(*place)

    monkeypatch.setattr(link, "linked", linked)
    monkeypatch.setattr(worker, "SLOW_SECONDS", 0.0)
    first = asyncio.ensure_future(shelf.store.ask(lambda there: 1))
    await asyncio.sleep(0)
    assert await asyncio.to_thread(going.wait, 60)
    second = asyncio.ensure_future(shelf.store.ask(lambda there: 2))
    await asyncio.sleep(0)
    held.set()
    assert await asyncio.gather(first, second) == [1, 2]


async def test_two_processes_may_use_one_file(opened: Callable[..., Shelf]) -> None:
    first, second = opened(busy=5.0), opened(busy=5.0)
    first.store.keep(kept("r1", "one"))
    second.store.keep(kept("r2", "two"))
    await first.recall("r1")
    await second.recall("r2")
    assert words((await second.recall("r1")).items)[0] == "one"
    assert words((await first.recall("r2")).items)[0] == "two"


async def test_memory_will_do_where_nothing_shall_stay(opened: Callable[..., Shelf]) -> None:
    shelf = opened("sqlite://")
    shelf.store.keep(kept("r1", "one"))
    assert words((await shelf.recall("r1")).items)[0] == "one"
    assert not shelf.store.exists


KILLED = """
import asyncio, os, signal, sys
from parley.store import Store, conversations
from parley.store.conversations import Conversation

async def main():
    store = Store(sys.argv[1], asyncio.get_running_loop())
    for number in range(20):
        new = Conversation(f"conv_{number}", int(store.wall()), b"{}")
        await store.change(lambda link: conversations.create(link, "", new, [b'{"role":"user","content":"hi"}']))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_confirmed_survives_a_killed_process(opened: Callable[..., Shelf], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, url)
    assert await within(child.wait(), 20.0) == -signal.SIGKILL
    shelf = opened(retention=None)
    assert words((await shelf.recall(conversation="conv_19")).items) == ["hi"]
    assert await shelf.store.ask(lambda link: link.one("SELECT count(*) FROM conversation_items")[0]) == 20


def test_nothing_of_a_database_is_imported_before_the_first_use() -> None:
    code = (
        "import asyncio, sys, parley.serve.stateful; from parley.store import Store;"
        "store = Store(None, asyncio.new_event_loop()); store.problems();"
        "print({'sqlalchemy', 'platformdirs', 'sqlite3'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
