"""A store that is locked, full, broken, missing or too slow: counted, told, and back by itself."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley.failure import Failure, ParleyError
from parley.store import steps, worker
from parley.store.link import SqliteLink
from parley.store.place import path_of
from parley.store.worker import Link
from store.parts import Shelf, kept, within, words

SECRET = "what the caller asked"


async def settled(shelf: Shelf) -> None:
    """Until everything queued so far is through."""
    with pytest.raises(ParleyError) as caught:
        await within(shelf.store.change(lambda link: None))
    assert caught.value.failure.http_status == 503


def told(shelf: Shelf) -> list[str]:
    return [line["event"] for line in shelf.log]


async def test_a_locked_file_loses_writes_and_says_so_until_it_is_free(shelf: Shelf) -> None:
    shelf.store.keep(kept("before", "one"))
    await shelf.recall("before")
    holder = sqlite3.connect(shelf.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    shelf.store.keep(kept("lost", SECRET))
    await settled(shelf)
    assert shelf.store.dropped == 2
    assert shelf.store.problems() == [
        {"kind": "store", "message": "the store is not available: database is locked", "dropped": 2}
    ]
    # While it is known to be away nobody waits for it.
    read = await shelf.told("before")
    assert (read.kind, read.http_status, read.message) == ("overloaded", 503, "the store is not available")
    holder.execute("ROLLBACK")
    holder.close()
    shelf.ticks += worker.RETRY_SECONDS
    assert words((await shelf.recall("before")).items)[0] == "one"
    assert shelf.store.problems() == []
    assert isinstance(await shelf.told("lost"), Failure)
    assert told(shelf) == ["store.away", "store.back"]
    assert SECRET not in str(shelf.log)


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


@pytest.mark.parametrize(
    ("pragma", "words"),
    [
        ("max_page_count = 1", "database or disk is full"),
        ("query_only = ON", "attempt to write a readonly database"),
    ],
)
async def test_a_full_or_read_only_file_loses_writes_but_still_reads(shelf: Shelf, pragma: str, words: str) -> None:
    shelf.store.keep(kept("r1", "one"))
    await shelf.recall("r1")
    # Both hold for this connection only: the one that is opened after the loss is as any other.
    await shelf.store.ask(lambda link: link.run(f"PRAGMA {pragma}"))
    shelf.store.keep(kept("r2", SECRET * 5000))
    await settled(shelf)
    assert shelf.store.problems()[0]["message"] == f"the store is not available: {words}"
    assert shelf.store.dropped >= 1
    assert SECRET not in str(shelf.log)
    shelf.ticks += worker.RETRY_SECONDS
    assert isinstance(await shelf.told("r2"), Failure)
    assert not isinstance(await shelf.told("r1"), Failure)


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
        assert held.wait(5)

    waiting = asyncio.ensure_future(shelf.store.ask(hold))
    await asyncio.sleep(0)
    await asyncio.to_thread(going.wait, 5)
    for number in range(5):
        shelf.store.keep(kept(f"r{number}", SECRET))
    heard: list[Any] = []
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
    waiting = asyncio.ensure_future(shelf.store.ask(lambda link: (going.set(), held.wait(5))))
    await asyncio.to_thread(going.wait, 5)
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
    slow = asyncio.ensure_future(shelf.store.ask(lambda link: held.wait(5)))
    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    assert (turns, slow.done()) == (100, False)
    held.set()
    assert await slow is True


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


@pytest.mark.parametrize("url", ["postgresql://x/y", "sqlite:", "sqlite:///", "parley.db", "sqlite:///a?mode=ro", ""])
def test_what_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///FILE"):
        path_of(url)


def test_paths_are_relative_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_of("sqlite:///parley.db") == tmp_path / "parley.db"
    assert path_of("sqlite:////srv/a%20b.db") == Path("/srv/a b.db")
    assert path_of("sqlite:///:memory:") is None


def test_the_chain_of_steps_is_in_order_and_keeps_its_beginning() -> None:
    assert [step.number for step in steps.STEPS] == list(range(1, len(steps.STEPS) + 1))
    assert steps.STEPS[0].name == "responses and conversations"


def test_a_step_added_later_is_applied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        link = SqliteLink(tmp_path / "db", 1.0)
        link.migrate()
        found = [row[0] for row in link.rows("SELECT name FROM parley_schema ORDER BY number")]
        link.close()
        return found

    (tmp_path / "db").touch()
    assert names() == ["responses and conversations", "keys"]
    later = steps.Step(
        len(steps.STEPS) + 1, "later", lambda connection: connection.exec_driver_sql("CREATE TABLE later (x)") and None
    )
    longer = (*steps.STEPS, later)
    monkeypatch.setattr("parley.store.link.STEPS", longer)
    monkeypatch.setattr(steps.migrate, "__defaults__", (longer,))
    assert names() == ["responses and conversations", "keys", "later"]
    assert names() == ["responses and conversations", "keys", "later"]
    monkeypatch.undo()
    with pytest.raises(worker.Away, match="newer version"):
        names()


def test_a_step_that_fails_leaves_the_schema_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: Any) -> None:
        connection.exec_driver_sql("CREATE TABLE half (x)")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        steps.migrate, "__defaults__", ((*steps.STEPS, steps.Step(len(steps.STEPS) + 1, "broken", broken)),)
    )
    (tmp_path / "db").touch()
    link = SqliteLink(tmp_path / "db", 1.0)
    with pytest.raises(worker.Away, match="No space left"):
        link.migrate()
    assert link.rows("SELECT name FROM sqlite_master") == []
    link.close()


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
