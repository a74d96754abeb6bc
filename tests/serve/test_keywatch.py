"""The keyring follows the store: at the start, each second, and while the store is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parley.gateway.keyring import Keyring
from parley.keys import Holder, digest_of, key_text
from parley.serve import keywatch
from parley.serve.keywatch import KeyWatch
from parley.store import Store, keys
from parley.store.keys import Key
from parley.store.link import opened
from store.parts import until

ALICE = key_text("caller", b"a" * 32)
BOB = key_text("caller", b"b" * 32)
NOW = 1_000_000.0


class Watch:
    """A keyring that watches a store of its own."""

    def __init__(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        self.path = path
        self.ring = Keyring(lambda: NOW)
        self.store = Store(f"sqlite:///{path}", loop, wall=lambda: NOW, busy=0.05)
        self.watch = KeyWatch(self.ring, self.store, loop)

    def lets_in(self, key: str = ALICE) -> bool:
        return self.ring.holder([(b"x-api-key", key.encode())], b"") is not None

    def elsewhere(self, work: Any, *values: Any) -> Any:
        """What another process does to the file."""
        link = opened(self.path, 1.0, folder=False)
        with link.transaction(writes=True):
            found = work(link, *values)
        link.close()
        return found

    def make(self, name: str = "alice", text: str = ALICE) -> None:
        key = Key(holder=Holder(id=f"key_{name}", name=name), created=NOW)
        self.elsewhere(keys.create, key, digest_of(text.encode()))


@pytest.fixture
async def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watch]:
    monkeypatch.setattr(keywatch, "EVERY_SECONDS", 0.01)
    (tmp_path / "store").mkdir()
    made = Watch(tmp_path / "store" / "parley.db")
    yield made
    made.watch.close()
    await made.store.close()


async def so(look: Any) -> None:
    async def asked() -> bool:
        return bool(look())

    await until(asked)


async def test_without_a_store_nothing_is_opened_and_nobody_refused(watch: Watch) -> None:
    await watch.watch.first()
    await asyncio.sleep(0.05)
    assert not watch.ring.closed
    assert not watch.path.exists()


async def test_keys_are_known_before_anything_is_served(watch: Watch) -> None:
    watch.make()
    await watch.watch.first()
    assert watch.ring.closed
    assert watch.lets_in()


async def test_the_first_key_and_its_end_are_noticed(watch: Watch) -> None:
    await watch.watch.first()
    watch.make()
    await so(watch.lets_in)
    assert watch.ring.closed
    watch.elsewhere(keys.revoke, "alice", NOW)
    await so(lambda: not watch.lets_in())
    assert watch.ring.closed


async def test_a_store_that_goes_away_leaves_what_is_known(watch: Watch) -> None:
    watch.make()
    await watch.watch.first()
    folder = watch.path.parent
    other = folder.with_name("other")
    (other / watch.path.name).mkdir(parents=True)
    folder.rename(folder.with_name("before"))
    await asyncio.sleep(0.05)
    assert watch.lets_in()
    other.rename(folder)
    await so(watch.store.problems)
    assert watch.lets_in()
    assert watch.ring.closed


async def test_an_empty_file_in_its_place_changes_nothing_one_with_keys_counts(watch: Watch) -> None:
    watch.make()
    await watch.watch.first()
    for path in watch.path.parent.iterdir():
        path.unlink()
    opened(watch.path, 1.0, folder=False).close()
    await so(lambda: watch.ring.lost)
    assert watch.lets_in()
    watch.make("bob", BOB)
    await so(lambda: watch.lets_in(BOB))
    assert not watch.lets_in()
    assert watch.ring.closed
    assert not watch.ring.lost


async def test_a_store_that_cannot_be_read_at_the_start_keeps_everybody_out(watch: Watch) -> None:
    watch.path.write_bytes(b"this is no database" * 100)
    await watch.watch.first()
    assert watch.ring.closed
    assert watch.ring.unread
    watch.path.unlink()
    opened(watch.path, 1.0, folder=False).close()
    await so(lambda: not watch.ring.unread)
    assert not watch.ring.closed


async def test_when_a_key_was_used_is_told_in_the_end(watch: Watch) -> None:
    watch.make()
    watch.make("bob", BOB)
    await watch.watch.first()
    assert watch.lets_in()
    watch.watch.close()
    await watch.store.close()
    assert {one.holder.name: one.used for one in watch.elsewhere(keys.listed)} == {"alice": NOW, "bob": None}


@pytest.mark.parametrize("place", ["/dev/full", "folder", "empty.db"])
async def test_a_place_that_never_held_a_key_closes_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.db").touch()
    loop = asyncio.get_running_loop()
    store, ring = Store(f"sqlite:///{tmp_path / place}", loop), Keyring(lambda: 0.0)
    watch = KeyWatch(ring, store, loop)
    await watch.first()
    assert not ring.closed
    watch.close()
    await store.close()
