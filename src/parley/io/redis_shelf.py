"""Kept answers in Redis or Valkey, shared by several machines. Imported only where it is configured."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from parley.failure import Failure

PREFIX: Final = b"parley:answer:"
# Far above the deadline of a request: what is behind it is only to be let go of.
_TIMEOUT: Final = 2.0
_MOST_TASKS: Final = 1024
_BUSY: Final = Failure("overloaded", "too many questions are waiting for it", detail="cache")


class RedisShelf:
    """See parley.cache.Shelf. ``url`` is redis://[USER:PASSWORD@]HOST:PORT/NUMBER, or rediss:// for TLS. How much is
    kept is the server's own ``maxmemory``. Raises ValueError for a URL that is none."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        from redis.asyncio import Redis

        self._loop = loop
        self._client: Any = Redis.from_url(
            url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, health_check_interval=0
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, key: bytes, then: Callable[[Any], None]) -> None:
        """See Shelf."""
        self._do(lambda: self._client.get(PREFIX + key.hex().encode()), then)

    def put(self, key: bytes, value: bytes, ttl: float, then: Callable[[Failure | None], None]) -> None:
        """See Shelf."""
        milliseconds = max(1, int(ttl * 1000))

        def done(found: Any) -> None:
            then(found if isinstance(found, Failure) else None)

        self._do(lambda: self._client.set(PREFIX + key.hex().encode(), value, px=milliseconds), done)

    def problem(self) -> str | None:
        """Whoever asks it tells."""
        return None

    async def close(self) -> None:
        """Let go of its connections."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def _do(self, ask: Callable[[], Coroutine[Any, Any, Any]], then: Callable[[Any], None]) -> None:
        if len(self._tasks) >= _MOST_TASKS:
            then(_BUSY)
            return
        task = self._loop.create_task(_answered(ask, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answered(ask: Callable[[], Coroutine[Any, Any, Any]], then: Callable[[Any], None]) -> None:
    from redis.exceptions import RedisError

    found: Any
    try:
        found = await ask()
    except (RedisError, OSError, TimeoutError) as error:
        # Their words may hold the address with its password.
        found = Failure("overloaded", type(error).__name__, detail="cache")
    then(found)
