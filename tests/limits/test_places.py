"""The same questions to a file, to PostgreSQL and to Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.postgres import Postgres
from fixtures.redis import RedisServer
from limits.banks import Counting, ask, counts_exactly, counts_together, told
from parley.failure import Failure
from parley.io import redis_counters
from parley.io.redis_counters import RedisCounters
from parley.store import Store
from parley.store.counters import StoreCounters

PROCESSES = 4


@pytest.fixture(params=["file", "postgres", "redis"])
async def places(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Counting]]:
    """One place, as several processes come to it."""
    loop = asyncio.get_running_loop()
    if request.param == "redis":
        # A slow machine is no server that is away.
        monkeypatch.setattr(redis_counters, "SECONDS", 60.0)
        monkeypatch.setattr(redis_counters, "TRIES", 10_000)
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url(server.fresh())
        clients = [RedisCounters(url) for _ in range(PROCESSES)]
        yield list(clients)
        for client in clients:
            await client.close()
        return
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.fresh())
    stores = [Store(url, loop) for _ in range(PROCESSES)]
    yield [StoreCounters(store) for store in stores]
    for store in stores:
        await store.close()


async def test_two_processes_count_together(places: list[Any]) -> None:
    await counts_together(places[0], places[1])


async def test_no_unit_is_given_twice(places: list[Any]) -> None:
    await counts_exactly(places, 40)


async def test_a_server_that_is_not_there_is_away() -> None:
    client = RedisCounters("redis://127.0.0.1:1/0")
    outcome = await told(client, ask("key:k:money:0", "a", least=1))
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.detail) == ("overloaded", "store")
    await client.close()


async def test_what_is_not_ours_is_not_touched(redis_server: RedisServer) -> None:
    number = redis_server.fresh()
    with redis_server.client(number) as raw:
        raw.set("parley:limits:key:k:money:0", b"not json")
    client = RedisCounters(redis_server.url(number))
    assert isinstance(await told(client, ask("key:k:money:0", "a", least=1)), Failure)
    await client.close()
    with redis_server.client(number) as raw:
        assert raw.get("parley:limits:key:k:money:0") == b"not json"
