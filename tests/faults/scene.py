"""One request of the fault upstream and the ways to answer it; scenarios compose these."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from faults.speech import word

TEXTS = 8
GAP = 0.05  # seconds: lets what was written reach the other side before the connection is broken
CHUNKED = b"Transfer-Encoding: chunked\r\n"
STATUSES = {200: "OK", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request", 429: "Too Many Requests"}
ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Scene:
    """One request being answered: its place in the scenario's count, and ways to answer it."""

    def __init__(self, upstream: Any, conn: Any, request: Any) -> None:
        self.upstream, self.conn, self.request = upstream, conn, request
        self.speech, self.stream = request.speech, request.stream
        self.name, *self.args = request.name.split(":")
        self.turn = upstream.count(request.key)

    def arg(self, place: int, default: float) -> float:
        """A numeric argument."""
        return float(self.args[place]) if len(self.args) > place else default

    async def head(self, status: int = 200, extra: bytes = b"", kind: str = "") -> None:
        """Status line and headers."""
        kind = kind or ("text/event-stream" if self.stream else "application/json")
        line = f"HTTP/1.1 {status} {STATUSES.get(status, 'Scripted')}\r\nContent-Type: {kind}\r\n"
        own = f"x-upstream-request: up-{self.turn}\r\n"
        await self.conn.send(line.encode() + own.encode() + extra + b"\r\n")

    async def whole(self, body: bytes, status: int = 200, extra: bytes = b"", kind: str = "application/json") -> bool:
        """A complete answer by length."""
        await self.head(status, extra + b"Content-Length: %d\r\n" % len(body), kind)
        await self.conn.send(body)
        return True

    async def events(self, parts: Iterable[bytes], counted: bool = False) -> None:
        """Each part as a chunk of its own."""
        for part in parts:
            await self.conn.chunk(part, int(counted))

    async def talk(self, count: int, gap: float = 0.0) -> None:
        """Head, opening and ``count`` text events."""
        await self.head(200, CHUNKED)
        await self.events(self.speech.opening())
        for number in range(count):
            await self.conn.chunk(self.speech.text(word(number)), 1)
            await asyncio.sleep(gap)

    async def end(self) -> bool:
        """The last chunk."""
        await self.conn.send(b"0\r\n\r\n")
        return True

    async def ok(self, count: int = TEXTS, gap: float = 0.0) -> bool:
        """The answer that nothing is wrong with."""
        if not self.stream:
            return await self.whole(self.speech.answer("".join(word(number) for number in range(count)).strip()))
        await self.talk(count, gap)
        await self.events(self.speech.closing())
        return await self.end()

    async def error(self, status: int, extra: bytes = b"") -> bool:
        """An error answer in the wire's own shape."""
        kind = ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        body = json.dumps(self.speech.error(kind, f"scripted {status}") | {"x_own": 1.50}).encode()
        return await self.whole(body, status, extra)

    async def half(self) -> None:
        """Where the caller does not stream: a length, and half of the answer."""
        body = self.speech.answer("alpha bravo")
        await self.head(200, b"Content-Length: %d\r\n" % len(body))
        await self.conn.send(body[: len(body) // 2])

    async def begun(self) -> None:
        """The part of an answer that arrives before it breaks off."""
        if self.stream:
            await self.talk(int(self.arg(0, 5)))
        else:
            await self.half()
        await asyncio.sleep(GAP)

    async def rest(self) -> bool:
        """Closing events after a disturbance."""
        await self.events(self.speech.closing())
        return await self.end()
