"""An issuer's keys, fetched ahead and again from time to time, never while a request waits. Those that are known stay
good while the issuer is away. Sources: OpenID Connect Discovery 1.0, RFC 7517."""

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from parley.keys.token import Issuer
from parley.settings import loopback

DISCOVERY: Final = "/.well-known/openid-configuration"
MOST_BYTES: Final = 1024 * 1024
TIMEOUT: Final = 10.0
# After a failure, doubled each time; and at least so long between two that a token asks for.
SOONEST: Final = 2.0
LATEST: Final = 60.0
UNKNOWN_SECONDS: Final = 10.0


class KeyFetch:
    """``take`` gets what the issuer publishes and raises ValueError for what is of no use; ``say`` writes log lines."""

    def __init__(self, issuer: Issuer, take: Callable[[Any], int], say: Callable[[bytes], None]) -> None:
        self._issuer, self._take, self._say = issuer, take, say
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None

    async def first(self) -> None:
        """Fetch once, then go on by itself."""
        failures = 0 if await self._fetch() else 1
        self._task = asyncio.create_task(self._keep(failures))

    def want(self) -> None:
        """There is a token that was signed by a key that is not known."""
        self._wanted.set()

    async def close(self) -> None:
        """Fetch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _keep(self, failures: int) -> None:
        while True:
            await self._pause(failures)
            failures = 0 if await self._fetch() else failures + 1

    async def _pause(self, failures: int) -> None:
        """Until it is time, or a key is wanted."""
        if failures:
            await asyncio.sleep(min(LATEST, SOONEST * 2 ** min(failures - 1, 10)))
            return
        least = min(UNKNOWN_SECONDS, self._issuer.refresh)
        await asyncio.sleep(least)
        try:
            async with asyncio.timeout(self._issuer.refresh - least):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _fetch(self) -> bool:
        self._wanted.clear()
        try:
            count = self._take(await self._document())
        except (ValueError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            return self._failed(error)
        except Exception as error:
            # aiohttp has errors of its own, and is not imported for their sake.
            return self._failed(error)
        if self.problem is not None:
            self._tell("jwt.keys.back", count=count)
        self.problem = None
        return True

    def _failed(self, error: BaseException) -> bool:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        if self.problem is None:
            self._tell("jwt.keys.away", problem=reason)
        self.problem = f"keys of {self._issuer.issuer} could not be read: {reason}"
        return False

    async def _document(self) -> Any:
        from aiohttp import ClientSession, ClientTimeout

        async with ClientSession(timeout=ClientTimeout(total=TIMEOUT)) as session:
            url = self._issuer.jwks
            if not url:
                told = await _json(session, self._issuer.issuer.rstrip("/") + DISCOVERY)
                url = self._found(told)
            return await _json(session, url)

    def _found(self, told: Any) -> str:
        """Where the keys are, as the issuer says. Raises ValueError."""
        if not isinstance(told, dict) or told.get("issuer") != self._issuer.issuer:
            raise ValueError("what was found there is of another issuer")
        url = told.get("jwks_uri")
        if not isinstance(url, str) or not is_safe(url):
            raise ValueError("the issuer names no place of its keys that could be trusted")
        return url

    def _tell(self, event: str, **facts: Any) -> None:
        self._say(msgspec.json.encode({"event": event, "issuer": self._issuer.issuer, **facts}))


async def _json(session: Any, url: str) -> Any:
    async with session.get(url, allow_redirects=False, headers={"accept": "application/json"}) as answer:
        if answer.status != 200:
            raise ValueError(f"it answered with {answer.status}")
        body = await answer.content.read(MOST_BYTES + 1)
        while len(body) <= MOST_BYTES and not answer.content.at_eof():
            body += await answer.content.read(MOST_BYTES + 1 - len(body))
        if len(body) > MOST_BYTES:
            raise ValueError("it is too large")
        return msgspec.json.decode(body)


def is_safe(url: str) -> bool:
    """Whether nobody on the way can put keys of his own there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback(parts.hostname or ""))
