"""Kept answers in a real Redis server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fixtures.redis import PASSWORD, RedisServer
from parley.failure import Failure
from parley.io.redis_shelf import RedisShelf


@pytest.fixture
def number(redis_server: RedisServer) -> int:
    return redis_server.fresh()


@pytest.fixture
async def shelf(redis_server: RedisServer, number: int) -> AsyncIterator[RedisShelf]:
    made = RedisShelf(redis_server.url(number), asyncio.get_running_loop())
    yield made
    await made.close()


async def asked(call: Callable[[Callable[[Any], None]], None]) -> Any:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    call(future.set_result)
    async with asyncio.timeout(30):
        return await future


async def test_what_was_put_is_got_until_its_time_is_over(
    shelf: RedisShelf, redis_server: RedisServer, number: int
) -> None:
    assert await asked(lambda then: shelf.get(b"\x00k", then)) is None
    assert await asked(lambda then: shelf.put(b"\x00k", b"\xffvalue\x00", 90.0, then)) is None
    assert await asked(lambda then: shelf.get(b"\x00k", then)) == b"\xffvalue\x00"
    with redis_server.client(number) as client:
        assert client.keys() == [b"parley:answer:006b"]
        assert 80_000 < client.pttl("parley:answer:006b") <= 90_000
        client.pexpire("parley:answer:006b", 0)
    assert await asked(lambda then: shelf.get(b"\x00k", then)) is None


async def test_many_questions_at_once(shelf: RedisShelf) -> None:
    await asyncio.gather(*(asked(lambda then, n=n: shelf.put(b"%d" % n, b"v%d" % n, 9.0, then)) for n in range(50)))  # type: ignore[misc]
    found = await asyncio.gather(*(asked(lambda then, n=n: shelf.get(b"%d" % n, then)) for n in range(50)))  # type: ignore[misc]
    assert found == [b"v%d" % n for n in range(50)]


async def test_a_server_that_is_not_there_is_a_failure_without_its_password() -> None:
    away = RedisShelf(f"redis://:{PASSWORD}@127.0.0.1:1/0", asyncio.get_running_loop())
    for call in (lambda then: away.get(b"k", then), lambda then: away.put(b"k", b"v", 1.0, then)):
        failure = await asked(call)
        assert isinstance(failure, Failure)
        assert PASSWORD not in repr(failure)
    await away.close()


async def test_a_wrong_password_is_a_failure(redis_server: RedisServer) -> None:
    wrong = RedisShelf(f"redis://:wrong@127.0.0.1:{redis_server.port}/0", asyncio.get_running_loop())
    assert isinstance(await asked(lambda then: wrong.get(b"k", then)), Failure)
    await wrong.close()


async def test_it_is_used_again_once_it_is_back() -> None:
    server = RedisServer()
    shelf = RedisShelf(server.url(0), asyncio.get_running_loop())
    try:
        assert await asked(lambda then: shelf.put(b"k", b"v", 9.0, then)) is None
        server.stop()
        assert isinstance(await asked(lambda then: shelf.get(b"k", then)), Failure)
        server.start()
        assert await asked(lambda then: shelf.get(b"k", then)) is None
        assert await asked(lambda then: shelf.put(b"k", b"v", 9.0, then)) is None
        assert await asked(lambda then: shelf.get(b"k", then)) == b"v"
    finally:
        await shelf.close()
        server.stop()
