"""Keys in a real file: what is kept of them, what a gateway reads, and who sees which change."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from parley.failure import ParleyError
from parley.keys import Holder, KeyLimits, digest_of, key_text
from parley.store import Link, keys
from parley.store.keys import Key, Table
from parley.store.link import linked, opened
from parley.store.place import place_of

ALICE = key_text("caller", b"a" * 32)
BOB = key_text("admin", b"b" * 32)
NEW = key_text("caller", b"n" * 32)
NOW = 1_000_000.0


def digest(text: str) -> bytes:
    return digest_of(text.encode())


def key(name: str, **more: Any) -> Key:
    return Key(holder=Holder(id=f"key_{name}", name=name, **more), created=NOW)


@pytest.fixture
def link(url: str) -> Any:
    made = linked(place_of(url), 1.0)
    yield made
    made.close()


def table(link: Link) -> Table:
    with link.transaction(writes=False):
        return keys.table(link)


def do(link: Link, work: Any, *values: Any) -> Any:
    with link.transaction(writes=True):
        return work(link, *values)


def written(url: str, folder: Path) -> bytes:
    """All that is kept."""
    if url.startswith("sqlite:"):
        return b"".join(path.read_bytes() for path in folder.iterdir())
    with psycopg.connect(url) as raw:
        rows = [raw.execute(f"SELECT * FROM {name}").fetchall() for name in ("keys", "key_digests")]  # type: ignore[call-overload]
    return repr(rows).encode()


def test_everything_of_a_key_comes_back_and_its_text_is_nowhere(link: Link, url: str, tmp_path: Path) -> None:
    policy = {"models": ("a*", "b/c"), "dialects": ("openai",), "sources": ("10.0.0.0/8",), "tags": {"team": "é"}}
    alice = Key(
        holder=Holder(
            id="key_1", name="alice", kind="node", expires=NOW + 9.5, limits=KeyLimits(rpm=5, since=NOW), **policy
        ),
        created=NOW,
    )
    do(link, keys.create, alice, digest(ALICE))
    with link.transaction(writes=False):
        assert keys.listed(link) == [alice]
        assert keys.table(link).holders == {digest(ALICE): alice.holder}
    link.close()
    held = written(url, tmp_path)
    assert b"alice" in held
    assert ALICE.encode() not in held
    assert ALICE[8:40].encode() not in held


def test_a_name_is_used_once_at_a_time(link: Link) -> None:
    do(link, keys.create, key("alice"), digest(ALICE))
    with pytest.raises(ParleyError, match="already"):
        do(link, keys.create, Key(holder=Holder(id="key_2", name="alice"), created=NOW), digest(NEW))
    assert do(link, keys.revoke, "alice", NOW).revoked == NOW
    do(link, keys.create, Key(holder=Holder(id="key_2", name="alice"), created=NOW + 1), digest(NEW))
    assert {one.id for one in table(link).holders.values()} == {"key_2"}
    with link.transaction(writes=False):
        assert [(one.holder.id, one.revoked) for one in keys.listed(link)] == [("key_alice", NOW), ("key_2", None)]


def test_a_revoked_key_is_nobodys_and_was_there(link: Link) -> None:
    assert not table(link).exist
    do(link, keys.create, key("alice"), digest(ALICE))
    do(link, keys.revoke, "key_alice", NOW)
    assert (table(link).exist, table(link).holders) == (True, {})
    for named in ("alice", "key_alice", "nobody"):
        with pytest.raises(ParleyError, match="no key named"):
            do(link, keys.revoke, named, NOW)
        with pytest.raises(ParleyError, match="no key named"):
            do(link, keys.rotate, named, digest(NEW), NOW, 0.0)


def test_rotation_at_once(link: Link) -> None:
    do(link, keys.create, key("alice", models=("m",)), digest(ALICE))
    do(link, keys.rotate, "alice", digest(NEW), NOW, 0.0)
    assert table(link).holders == {digest(NEW): key("alice", models=("m",)).holder}


def test_rotation_with_a_grace(link: Link) -> None:
    do(link, keys.create, key("alice", expires=NOW + 1000), digest(ALICE))
    do(link, keys.rotate, "alice", digest(NEW), NOW, 60.0)
    ends = {shown: one.expires for shown, one in table(link).holders.items()}
    assert ends == {digest(ALICE): NOW + 60, digest(NEW): NOW + 1000}
    # Another rotation gives nobody more time, and forgets what is over.
    do(link, keys.rotate, "alice", digest(BOB), NOW + 30, 600.0)
    ends = {shown: one.expires for shown, one in table(link).holders.items()}
    assert ends == {digest(ALICE): NOW + 60, digest(NEW): NOW + 630, digest(BOB): NOW + 1000}
    do(link, keys.rotate, "alice", digest(ALICE + "2"), NOW + 100, 60.0)
    assert digest(ALICE) not in table(link).holders


def test_a_leaked_key_names_its_holder(link: Link) -> None:
    do(link, keys.create, key("alice"), digest(ALICE))
    with link.transaction(writes=False):
        assert keys.holder_of(link, digest(ALICE)) == "key_alice"
        with pytest.raises(ParleyError, match="no key in use") as caught:
            keys.holder_of(link, digest(BOB))
    assert BOB not in str(caught.value)


def test_the_version_changes_with_every_change_and_only_then(link: Link) -> None:
    seen = [table(link).version]
    for change in (
        (keys.create, key("alice"), digest(ALICE)),
        (keys.rotate, "alice", digest(NEW), NOW, 5.0),
        (keys.revoke, "alice", NOW),
    ):
        with link.transaction(writes=False):
            assert keys.changed(link, seen[-1]) is None
        do(link, *change)
        with link.transaction(writes=False):
            found = keys.changed(link, seen[-1])
        assert found is not None
        seen.append(found.version)
    assert len(set(seen)) == 4
    do(link, keys.touch, ["key_alice"], NOW + 5)
    assert table(link).version == seen[-1]
    with link.transaction(writes=False):
        assert [one.used for one in keys.listed(link)] == [NOW + 5]


def test_another_file_is_another_version(tmp_path: Path) -> None:
    versions = set()
    for name in "abc":
        made = opened(tmp_path / name, 1.0, folder=False)
        versions.add(table(made).version)
        made.close()
    assert len(versions) == 3
