"""What only a server can do: be somewhere else, be shared, be locked, be stopped, be frozen, come back."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from fixtures.children import eventually
from fixtures.postgres import PASSWORD, QUOTED, Postgres
from parley.failure import Failure, ParleyError
from parley.gateway.keyring import Keyring
from parley.keys import Holder, digest_of, key_text
from parley.serve import keywatch
from parley.serve.keywatch import KeyWatch
from parley.store import Away, Link, conversations, keys, steps, worker
from parley.store.conversations import Conversation
from parley.store.keys import Key
from parley.store.link import linked
from parley.store.place import missing, place_of
from store.parts import Shelf, kept, message, until, within, words

ALICE = key_text("caller", b"a" * 32)


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.fresh()


@pytest.fixture
def url(postgres: Postgres, database: str) -> str:
    return postgres.url(database)


async def so(look: Callable[[], Any]) -> None:
    async def asked() -> bool:
        return bool(look())

    await until(asked)


def told(shelf: Shelf) -> list[str]:
    return [line["event"] for line in shelf.log]


def test_several_may_make_the_schema_at_once(url: str, postgres: Postgres, database: str) -> None:
    found: list[Any] = []

    def open_it() -> None:
        try:
            link = linked(place_of(url), 5.0)
            link.close()
            found.append("opened")
        except Away as away:
            found.append(str(away))

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == ["opened"] * 8
    numbers = postgres.ask(database, "SELECT number FROM parley_schema ORDER BY number")
    assert numbers == [(step.number,) for step in steps.STEPS]


def test_a_schema_of_a_newer_version_is_refused(url: str, postgres: Postgres, database: str) -> None:
    linked(place_of(url), 1.0).close()
    postgres.ask(database, "INSERT INTO parley_schema VALUES (1000, 'from tomorrow')")
    with pytest.raises(Away, match="newer version"):
        linked(place_of(url), 1.0)


@pytest.mark.parametrize("wrong", ["password", "database", "port", "host", "parameter"])
def test_what_is_wrong_is_said_without_the_password(postgres: Postgres, database: str, wrong: str) -> None:
    right = postgres.url(database)
    given = {
        "password": right.replace(QUOTED, f"{QUOTED}wrong"),
        "database": right.replace(database, "nowhere"),
        "port": right.replace(f":{postgres.port}/", ":1/"),
        "host": right.replace("@127.0.0.1", "@no-such-host.invalid"),
        "parameter": f"{right}?nonsense={QUOTED}",
    }[wrong]
    with pytest.raises(Away) as caught:
        linked(place_of(given), 1.0)
    said = f"{caught.value} {caught.value.__cause__}"
    assert caught.value.kind == "away"
    assert str(caught.value)
    for secret in (PASSWORD, QUOTED):
        assert secret not in said
    assert "127.0.0.1" not in said


def test_without_its_package_it_says_what_to_install(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'parley[postgres]'" in missing(url)
    assert missing("sqlite:///x.db") == missing(None) == ""
    monkeypatch.setitem(__import__("sys").modules, "parley.store.postgres", None)
    with pytest.raises(Away, match=r"pip install 'parley\[postgres\]'"):
        linked(place_of(url), 1.0)


async def test_text_that_it_cannot_hold_is_found_nowhere_and_breaks_nothing(shelf: Shelf) -> None:
    odd = "resp_\0odd"
    assert (await shelf.told(odd)).http_status == 400
    shelf.store.keep(kept(odd, "one", owner="a\0b"))
    assert words((await shelf.recall(odd, owner="a\0b")).items)[0] == "one"
    assert isinstance(await shelf.told(odd, owner="ab"), Failure)
    assert (shelf.log, shelf.store.dropped) == ([], 0)


async def test_a_statement_that_is_wrong_harms_nobody_else(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "one"))
    for wrong in ("SELECT nothing FROM responses", "SELECT 1 / 0", "SELECT 'x'::int"):
        for asked in (shelf.store.ask, shelf.store.change):
            with pytest.raises(ParleyError) as caught:
                await asked(lambda link, wrong=wrong: link.rows(wrong))
            assert caught.value.failure.kind == "internal"
    assert words((await shelf.recall("r1")).items)[0] == "one"
    assert set(told(shelf)) == {"store.error"}
    assert shelf.store.problems() == []


async def test_two_gateways_go_on_with_what_the_other_began(opened: Callable[..., Shelf]) -> None:
    one, other = opened(busy=5.0), opened(busy=5.0)
    one.store.keep(kept("r1", "first"))
    await one.recall("r1")
    other.store.keep(kept("r2", "second", previous="r1"))
    assert words((await other.recall("r2")).items) == ["first", "answer to first", "second", "answer to second"]
    assert words((await one.recall("r2")).items)[2] == "second"
    new = Conversation("conv_1", 1, b"{}")
    await one.store.change(lambda link: conversations.create(link, "", new, []))

    async def add(shelf: Shelf, number: int) -> None:
        body = message(f"{number}")
        await shelf.store.change(
            lambda link: conversations.add(link, "", "conv_1", [__import__("msgspec").json.encode(body)], 2.0)
        )

    await asyncio.gather(*(add((one, other)[number % 2], number) for number in range(40)))
    heard = words((await other.recall(conversation="conv_1")).items)
    assert sorted(heard, key=int) == [str(number) for number in range(40)]
    rows = one.tables("SELECT count(DISTINCT id), count(*) FROM conversation_items")
    assert rows == [(40, 40)]


async def test_a_server_that_comes_back_gets_all_that_was_to_be_written(
    shelf: Shelf, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.02)
    shelf.store.keep(kept("before", "one"))
    await shelf.recall("before")
    postgres.stop("immediate")
    taken: list[float] = []
    for number in range(200):
        shelf.store.keep(kept(f"r{number}", f"text {number}"))
        begun = time.monotonic()
        outcome = await shelf.told("before")
        taken.append(time.monotonic() - begun)
        assert outcome.http_status == 503
        shelf.ticks += 0.01
        await asyncio.sleep(0.001)
    problem = shelf.store.problems()[0]
    assert (problem["waiting"], problem["dropped"]) == (200, 0)
    assert sorted(taken)[100] < 0.1
    await asyncio.to_thread(postgres.start)
    shelf.ticks += worker.MAX_RETRY_SECONDS
    await so(lambda: not shelf.store.problems())
    for number in (0, 57, 199):
        assert words((await shelf.recall(f"r{number}")).items)[0] == f"text {number}"
    await so(lambda: shelf.tables("SELECT count(*) FROM responses") == [(201,)])
    assert (told(shelf), set(shelf.errors)) == (["store.away", "store.back"], {"away"})


async def test_a_connection_that_was_cut_is_made_again_unnoticed(
    shelf: Shelf, postgres: Postgres, database: str
) -> None:
    await shelf.store.ask(lambda link: None)
    for _ in range(3):
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley'"
        postgres.ask("postgres", f"{cut} AND datname = '{database}'")
        shelf.store.keep(kept("r1", "one"))
        assert words((await shelf.recall("r1")).items)[0] == "one"
    assert (shelf.log, shelf.store.dropped) == ([], 0)


async def test_a_lock_of_somebody_else_is_waited_for_and_then_told(shelf: Shelf, url: str) -> None:
    shelf.store.keep(kept("r1", "one"))
    await shelf.recall("r1")
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE responses IN EXCLUSIVE MODE")
        shelf.store.keep(kept("r2", "two"))
        with pytest.raises(ParleyError):
            await shelf.store.change(lambda link: None, ("r2",))
        assert set(shelf.errors) == {"locked"}
        assert "cannot be written" in shelf.store.problems()[0]["message"]
        assert words((await shelf.recall("r1")).items)[0] == "one"
    shelf.ticks += worker.MAX_RETRY_SECONDS
    assert words((await shelf.recall("r2")).items)[0] == "two"
    assert shelf.store.dropped == 0


async def test_a_server_that_is_frozen_keeps_nobody_waiting(
    shelf: Shelf, postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(worker, "STUCK_SECONDS", 0.4)
    await shelf.store.ask(lambda link: None)
    found = postgres.ask("postgres", f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'")
    for (pid,) in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        first = asyncio.ensure_future(shelf.store.ask(lambda link: link.one("SELECT 1")[0]))
        shelf.store.keep(kept("r1", "one"))
        await asyncio.sleep(0.15)
        begun = time.monotonic()
        assert (await shelf.told("r1")).http_status == 503
        assert time.monotonic() - begun < 5
        # Whoever asks after some time has the connection cut: another one is made, and what waited is done.
        await asyncio.sleep(0.3)
        assert (await shelf.told("r1")).http_status == 503
        assert await within(first) == 1
        assert words((await shelf.recall("r1")).items)[0] == "one"
    finally:
        for (pid,) in found:
            os.kill(pid, signal.SIGCONT)


async def test_a_server_that_is_full_is_told_as_that(
    shelf: Shelf, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(link: Link) -> None:
        link.run("DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$")

    with pytest.raises(ParleyError):
        await shelf.store.change(full)
    await asyncio.sleep(0)
    assert shelf.errors == ["full"]
    assert shelf.store.problems()[0]["message"] == "the store cannot be written: could not extend file"
    assert isinstance(await shelf.told("r1"), Failure)
    assert (await shelf.told("r1")).http_status == 400


async def test_a_key_that_is_revoked_on_one_machine_stops_on_the_others(
    url: str, opened: Callable[..., Shelf], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    link = linked(place_of(url), 1.0)

    def elsewhere(work: Any, *values: Any) -> None:
        with link.transaction(writes=True):
            work(link, *values)

    elsewhere(keys.create, Key(holder=Holder(id="key_1", name="alice"), created=1.0), digest_of(ALICE.encode()))
    rings = [Keyring(lambda: 2.0) for _ in range(2)]
    watches = [KeyWatch(ring, opened().store, loop) for ring in rings]
    for watch in watches:
        await watch.first()

    def let_in() -> list[bool]:
        return [ring.holder([(b"x-api-key", ALICE.encode())], b"") is not None for ring in rings]

    assert let_in() == [True, True]
    begun = time.monotonic()
    await asyncio.to_thread(elsewhere, keys.revoke, "alice", 3.0)
    await so(lambda: let_in() == [False, False])
    assert time.monotonic() - begun < 30
    assert keywatch.EVERY_SECONDS <= 1.0
    # A server that is away changes nothing for those who are known.
    elsewhere(keys.create, Key(holder=Holder(id="key_2", name="alice"), created=1.0), digest_of(ALICE.encode()))
    await so(lambda: let_in() == [True, True])
    link.close()
    await asyncio.to_thread(postgres.stop, "immediate")
    await asyncio.sleep(1.5)
    assert let_in() == [True, True]
    await asyncio.to_thread(postgres.start)
    for watch in watches:
        watch.close()


async def test_nothing_is_left_open_on_the_server(opened: Callable[..., Shelf], postgres: Postgres) -> None:
    name = postgres.fresh()
    shelf = opened(postgres.url(name))
    shelf.store.keep(kept("r1", "one"))
    await shelf.recall("r1")
    look = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    assert postgres.ask("postgres", look) == [(1,)]
    await shelf.store.close()
    await asyncio.to_thread(eventually, lambda: postgres.ask("postgres", look) == [(0,)], 30.0, "it let go")
