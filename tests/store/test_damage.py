"""A file that is damaged: it is noticed before anybody is served from it, and what can be read of it is saved."""

import asyncio
import os
import sqlite3
import time
from pathlib import Path

import pytest

from parley.keys import Holder, digest_of
from parley.store import Store, keys, responses
from parley.store.damage import Unreadable, damage_of
from parley.store.keys import Key
from parley.store.link import opened
from parley.store.recovery import recover
from store.parts import kept

PAGE = 4096
COUNT = 300
BODY = "what was said " * 60


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file with responses and keys in it, closed as it should be."""
    path = tmp_path_factory.mktemp("full") / "parley.db"
    link = opened(path, 1.0, folder=False)
    with link.transaction(writes=True):
        for number in range(COUNT):
            responses.keep(link, kept(f"resp_{number}", f"{number} {BODY}"), 1000.0 + number)
        for number in range(40):
            key = Key(holder=Holder(id=f"key_{number}", name=f"name {number}"), created=1.0)
            keys.create(link, key, digest_of(b"%d" % number))
    link.close()
    return path.read_bytes()


@pytest.fixture
def path(full: bytes, tmp_path: Path) -> Path:
    made = tmp_path / "parley.db"
    made.write_bytes(full)
    return made


def pages_of(path: Path, table: str) -> list[int]:
    """Pages on which rows of a table are, without the root; by their place in the file."""
    with sqlite3.connect(path) as raw:
        (root,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    raw.close()
    data = path.read_bytes()
    found: list[int] = []
    waiting = [root]
    while waiting:
        page = waiting.pop()
        text = data[(page - 1) * PAGE : page * PAGE]
        start = 100 if page == 1 else 0
        if text[start] == 13:
            found.append(page)
        elif text[start] == 5:
            count = int.from_bytes(text[start + 3 : start + 5], "big")
            places = [int.from_bytes(text[start + 12 + 2 * n : start + 14 + 2 * n], "big") for n in range(count)]
            waiting += [int.from_bytes(text[place : place + 4], "big") for place in places]
            waiting.append(int.from_bytes(text[start + 8 : start + 12], "big"))
    return sorted(found)


def overwrite(path: Path, *pages: int) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(b"\xa5" * PAGE)


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as raw:
        (number,) = raw.execute(f"SELECT count(*) FROM {table}").fetchone()
    raw.close()
    return int(number)


def test_a_sound_file_is_sound_and_stays_as_it_was(path: Path, full: bytes) -> None:
    assert damage_of(path, None) is None
    assert path.read_bytes() == full


def test_four_kilobytes_in_the_middle_are_noticed(path: Path) -> None:
    overwrite(path, len(path.read_bytes()) // PAGE // 2)
    assert damage_of(path, 5.0)


@pytest.mark.parametrize("wrong", [b"no database at all " * 400, b"SQLite format 3\0" + b"\xa5" * 8000])
def test_what_is_no_database_is_damaged(tmp_path: Path, wrong: bytes) -> None:
    (tmp_path / "parley.db").write_bytes(wrong)
    assert damage_of(tmp_path / "parley.db", 1.0)
    with pytest.raises(Unreadable):
        recover(tmp_path / "parley.db")
    assert [one.name for one in tmp_path.iterdir()] == ["parley.db"]
    assert (tmp_path / "parley.db").read_bytes() == wrong


def test_a_look_that_takes_too_long_ends(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE large AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 30000)"
                    " SELECT x, zeroblob(3000) AS b FROM n")  # fmt: skip
    raw.close()
    # SQLite begins at the other end.
    overwrite(path, pages_of(path, "large")[0])
    assert damage_of(path, 0.02) is None
    assert damage_of(path, None)


def test_a_file_that_another_one_has_locked_is_not_waited_for(path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    assert damage_of(path, 1.0) is None
    # SQLite itself would wait for five.
    assert time.monotonic() - begun < 4.5
    holder.close()


@pytest.mark.parametrize("broken", [[0], [-1], [5, 6, 7], [3, 9, 20]])
def test_a_damaged_page_costs_its_own_rows(path: Path, full: bytes, broken: list[int]) -> None:
    pages = pages_of(path, "responses")
    assert len(pages) > 25
    overwrite(path, *(pages[number] for number in broken))
    damaged = path.read_bytes()
    done = recover(path)
    rows = count(path, "responses")
    # A page of ours holds some responses; what else is lost is nothing.
    assert COUNT - 30 * len(broken) <= rows < COUNT
    assert done.rows["responses"] == rows
    assert done.rows["keys"] == done.rows["key_digests"] == count(path, "keys") == 40
    assert set(done.broken) == {"responses", "response_items"}
    assert done.aside.read_bytes() == damaged
    assert damage_of(path, None) is None
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = {name for (name,) in raw.execute("SELECT id FROM responses")}
    raw.close()
    assert names <= {f"resp_{number}" for number in range(COUNT)}


async def test_what_was_saved_is_served(path: Path) -> None:
    pages = pages_of(path, "responses")
    overwrite(path, pages[4])
    recover(path)
    store = Store(f"sqlite:///{path}", asyncio.get_running_loop())
    found = await store.ask(lambda link: responses.fetch(link, "", f"resp_{COUNT - 1}"))
    assert BODY.strip().encode() in found.body
    table = await store.ask(keys.table)
    assert len(table.holders) == 40
    await store.close()


def test_an_index_that_is_damaged_costs_nothing(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        (root,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'responses_thread'").fetchone()
    raw.close()
    overwrite(path, root)
    assert damage_of(path, None)
    done = recover(path)
    assert (done.rows["responses"], done.broken) == (COUNT, ())


def test_keys_that_are_saved_look_new_to_gateways(path: Path) -> None:
    link = opened(path, 1.0, folder=False)
    before = keys.version(link)
    link.close()
    overwrite(path, pages_of(path, "responses")[0])
    recover(path)
    link = opened(path, 1.0, folder=False)
    assert keys.version(link) != before
    link.close()


def test_what_was_not_written_into_the_file_yet_is_saved_too(path: Path) -> None:
    """A process that was killed leaves a second file beside it."""
    link = opened(path, 1.0, folder=False)
    with link.transaction(writes=True):
        responses.keep(link, kept("resp_last", "the last words"), 5000.0)
    other = path.with_name("copy.db")
    for end in ("", "-wal"):
        Path(f"{other}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    link.close()
    overwrite(other, pages_of(path, "responses")[3])
    assert os.path.getsize(f"{other}-wal")
    recover(other)
    with sqlite3.connect(other) as raw:
        assert raw.execute("SELECT count(*) FROM responses WHERE id = 'resp_last'").fetchone() == (1,)
    raw.close()
