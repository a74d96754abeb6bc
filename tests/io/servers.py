"""Small servers on free ports, and a sink that can be waited for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from peers import Ear, settle

from parley.failure import Failure
from parley.ports import Headers

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def listening(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port; nothing of it is left afterwards."""
    talks: set[asyncio.Task[Any]] = set()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await settle()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await settle()


class Provider:
    """Answers hello to every request; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                self.asked.append(head + await reader.readexactly(length))
                writer.write(HELLO)


class Waiting(Ear):
    """A sink that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.spoken = asyncio.Event()
        self.over = asyncio.Event()

    def head(self, status: int, headers: Headers) -> None:
        super().head(status, headers)
        self.begun.set()

    def body(self, data: bytes) -> None:
        super().body(data)
        self.spoken.set()

    def done(self) -> None:
        super().done()
        self.over.set()

    def failed(self, failure: Failure) -> None:
        super().failed(failure)
        self.over.set()
