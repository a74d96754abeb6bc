"""Limits that processes share, counted at a Redis or Valkey server: one value for each account, changed only where
nobody has changed it meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from parley.failure import Failure
from parley.limits import Answer, Ask, State, exchange

PREFIX: Final = "parley:limits:"
# How often a value is tried to be changed that others change too, and how long all of it may take.
TRIES: Final = 50
SECONDS: Final = 2.0
KEPT_SECONDS: Final = 2 * 86400
AWAY: Final = Failure("overloaded", "the server that counts is not available", detail="store", retry_after=1.0)


class RedisCounters:
    """See parley.gateway.gate.Counters. Accounts of places and rates are forgotten by themselves, money is kept."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis

        self._server: Any = Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        self._tasks: set[asyncio.Task[None]] = set()

    def exchange(self, asks: Sequence[Ask], then: Callable[[Sequence[Answer] | Failure], None]) -> None:
        """One account after the other; all fail where one does, which may be done again."""
        task = asyncio.get_running_loop().create_task(self._answer(asks, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let go of the connections; what is under way is waited for."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.aclose()

    async def _answer(self, asks: Sequence[Ask], then: Callable[[Sequence[Answer] | Failure], None]) -> None:
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(SECONDS):
                seconds, micros = await self._server.time()
                now = seconds + micros / 1e6
                outcome: Sequence[Answer] | Failure = [await self._one(ask, now) for ask in asks]
        except (RedisError, OSError, TimeoutError, msgspec.DecodeError):
            outcome = AWAY
        then(outcome)

    async def _one(self, ask: Ask, now: float) -> Answer:
        from redis.exceptions import WatchError

        name = PREFIX + ask.account
        async with self._server.pipeline(transaction=True) as pipe:
            for _ in range(TRIES):
                try:
                    await pipe.watch(name)
                    text = await pipe.get(name)
                    known = None if text is None else msgspec.json.decode(text, type=State)
                    state, answer = exchange(known, ask, now)
                    pipe.multi()
                    pipe.set(name, msgspec.json.encode(state), ex=None if ask.measure == "money" else KEPT_SECONDS)
                    await pipe.execute()
                except WatchError:
                    continue
                return answer
        raise TimeoutError
