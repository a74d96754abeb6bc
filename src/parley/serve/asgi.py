"""The same handlers as plain ASGI, for a uvicorn without our hooks or any other ASGI server.

Dearer per request, the same in meaning: the edge's checks, limits and answers are those of the hot protocol.
Header time is the server's own affair here (ASGI begins where the head is complete).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from parley.gateway.job import Job
from parley.ports import Headers, Request
from parley.serve import edge
from parley.serve.edge import Refusal
from parley.serve.exchange import source_of
from parley.serve.house import House
from parley.wire.inlets import Inlet

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
MAX_QUEUED = 64


class Shell:
    """An ASGI application: hot paths here, everything else by ``other`` (made on first use)."""

    def __init__(self, house: House, other: Callable[[], App]) -> None:
        self._house = house
        self._make_other = other
        self._other: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path = bytes(scope.get("raw_path") or scope["path"].encode())
        refusal = self._refusal(scope, path)
        query = bytes(scope.get("query_string") or b"")
        inlet = self._house.inlets.find(path, query) if scope["method"] == "POST" else None
        if refusal is not None:
            await self._refuse(send, path, refusal)
        elif inlet is not None:
            await self._hot(inlet, path + b"?" + query if query else path, scope, receive, send)
        else:
            if self._other is None:
                self._other = self._make_other()
            await self._other(scope, receive, send)

    def _refusal(self, scope: Scope, path: bytes) -> Refusal | None:
        house, headers = self._house, scope["headers"]
        if house.draining and path not in edge.ASKED_HOW:
            return edge.DRAINING
        query = scope.get("query_string") or b""
        target = path + b"?" + query if query else path
        if len(headers) > edge.MAX_HEADERS or edge.head_size(target, headers) > house.limits.header:
            return edge.HEADERS
        noted, twice = edge.noted_of(headers)
        refusal = house.door.head(scope.get("http_version", "1.1"), noted, twice=twice)
        if refusal is None and path not in house.inlets.known:
            refusal = edge.path_refusal(target)
        return refusal or edge.framing_refusal(noted, scope.get("http_version", "1.1"), self._limit(path))

    def _limit(self, path: bytes) -> int:
        return self._house.most(self._house.inlets.find(path), path)

    async def _refuse(self, send: Send, path: bytes, refusal: Refusal) -> None:
        request_id = self._house.gateway.request_id(None)
        status, body = self._house.refused(path, refusal, request_id)
        lines = b"content-type: application/json\r\nx-request-id: %b\r\nconnection: close\r\n" % request_id.encode()
        caller = AsgiCaller()
        caller.answer(status, lines, body)
        await caller.pump(send)

    async def _hot(self, inlet: Inlet, target: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        house = self._house
        try:
            async with asyncio.timeout(house.limits.body_time):
                body = await self._body(receive, self._limit(target.partition(b"?")[0]))
        except TimeoutError:
            body = edge.BODY_TIME
        if body is None:
            return
        if isinstance(body, Refusal):
            await self._refuse(send, target.partition(b"?")[0], body)
            return
        headers: Headers = list(scope["headers"])
        given = next((value for name, value in headers if name == b"x-request-id"), None)
        caller = AsgiCaller()
        request = Request(headers, body, house.gateway.request_id(given), target, source_of(scope.get("client")))
        job = house.gateway.begin(inlet, request, caller)
        await self._answer(job, caller, receive, send)

    async def _answer(self, job: Job, caller: "AsgiCaller", receive: Receive, send: Send) -> None:
        """Pump the answer while watching for the caller's leave."""
        caller.job = job

        def left(done: asyncio.Future[None]) -> None:
            if not done.cancelled():
                job.left()
                caller.leave()

        leaving = asyncio.ensure_future(_disconnected(receive))
        leaving.add_done_callback(left)
        try:
            await caller.pump(send)
        except OSError:
            job.left()
        except asyncio.CancelledError:
            job.left()
            raise
        finally:
            leaving.cancel()

    async def _body(self, receive: Receive, limit: int) -> bytes | Refusal | None:
        """The whole body, a refusal where it is too large, None where the caller left."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                return edge.too_large(limit)
            if not message.get("more_body", False):
                return b"".join(parts)


class AsgiCaller:
    """A Caller whose answer a task sends on as ASGI messages; ``send`` waiting long pauses the job."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[MutableMapping[str, Any] | None] = asyncio.Queue()
        self._paused = False
        self.job: Job | None = None

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer."""
        self.open(status, head + b"content-length: %d\r\n" % len(body))
        self._queue.put_nowait({"type": "http.response.body", "body": body})
        self._queue.put_nowait(None)

    def open(self, status: int, head: bytes) -> None:
        """Status and headers."""
        pairs = (line.partition(b": ") for line in head.split(b"\r\n") if line)
        headers = [(name, value) for name, _, value in pairs]
        self._queue.put_nowait({"type": "http.response.start", "status": status, "headers": headers})

    def send(self, data: bytes) -> None:
        """One piece."""
        self._queue.put_nowait({"type": "http.response.body", "body": data, "more_body": True})
        if self._queue.qsize() > MAX_QUEUED and not self._paused and self.job is not None:
            self._paused = True
            self.job.pause()

    def finish(self, *, close: bool = False) -> None:
        """The end; the server decides about its connection."""
        self._queue.put_nowait({"type": "http.response.body", "body": b"", "more_body": False})
        self._queue.put_nowait(None)

    def cut(self) -> None:
        """The answer ends without its end, at which servers close the connection."""
        self._queue.put_nowait(None)

    def leave(self) -> None:
        """Nobody listens any more."""
        self._queue.put_nowait(None)

    async def pump(self, send: Send) -> None:
        """Send messages until the answer is over."""
        async for message in self.messages():
            await send(message)

    async def messages(self) -> AsyncIterator[MutableMapping[str, Any]]:
        """The answer's ASGI messages until it is over; the job goes on once the queue is empty."""
        while True:
            message = await self._queue.get()
            if message is None:
                return
            yield message
            if self._paused and self._queue.empty() and self.job is not None:
                self._paused = False
                self.job.resume()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
