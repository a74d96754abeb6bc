"""The fault upstream: a raw server that misbehaves on purpose and writes down what it saw.

The first path segment names the scenario: ``/rst:5/v1/chat/completions``; a ``~tag`` after it only keeps apart the
counters of two tests. The wire follows from the path, streaming from the body. ``GET /__log`` gives every request and
connection seen, ``POST /__reset`` forgets them. Run: ``python upstream.py`` (prints its port, ends with its stdin).
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faults import scenarios, speech


class GoneError(Exception):
    """The other side has left."""


class Connection:
    """One accepted socket: buffered reading, counted writing, and the eye kept on the other side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader, self.writer, self.number = reader, writer, number
        self.buffer = bytearray()
        self.eof = False
        self.answered = 0
        self.stale = False
        self.record: dict[str, Any] = {}
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def fill(self) -> bool:
        """Read more; False once the other side has ended."""
        try:
            data = await self.reader.read(65536)
        except OSError:
            data = b""
        self.buffer += data
        self.eof = self.eof or not data
        return bool(data)

    async def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        while len(self.buffer) < size:
            if not await self.fill():
                raise GoneError
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    async def until(self, mark: bytes) -> bytes:
        """Bytes up to and with ``mark``."""
        while (place := self.buffer.find(mark)) < 0:
            if not await self.fill():
                raise GoneError
        return await self.take(place + len(mark))

    async def send(self, data: bytes, events: int = 0) -> None:
        """Write and count; raises GoneError when nobody listens."""
        if self.eof or self.writer.transport.is_closing():
            raise GoneError
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise GoneError from error
        self.record["sent"] = self.record.get("sent", 0) + len(data)
        self.record["events"] = self.record.get("events", 0) + events

    async def chunk(self, data: bytes, events: int = 0) -> None:
        """One chunk of a chunked body."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data), events)

    async def watch(self) -> None:
        """Wait for the other side to leave and write down when."""
        while await self.fill():
            pass
        self.record["gone"] = time.monotonic()
        self.record["gone_events"] = self.record.get("events", 0)

    def reset(self) -> None:
        """Close with RST."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class Request:
    """One request as it came: exact bytes of head and body, and what the scenario needs to know of it."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head, self.body = head, body
        line, *rest = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ", 2)
        pairs = (field.partition(":") for field in rest if field)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}
        first = self.target.split("?")[0].split("/")[1]
        self.key, self.name = first, first.split("~")[0]
        self.wanted: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            value = json.loads(body)
            self.wanted = value if isinstance(value, dict) else {}
        self.stream = bool(self.wanted.get("stream"))
        self.speech = speech.speech_for(self.target, self.wanted)


async def read_request(conn: Connection) -> Request:
    """The next request of a connection, its body by length or by chunks."""
    head = await conn.until(b"\r\n\r\n")
    fields = head.decode("latin-1").lower()
    body = b""
    if "transfer-encoding: chunked" in fields:
        while size := int(await conn.until(b"\r\n"), 16):
            body += await conn.take(size)
            await conn.take(2)
        await conn.until(b"\r\n")
    elif "content-length:" in fields:
        body = await conn.take(int(fields.split("content-length:")[1].split("\r\n")[0]))
    return Request(head, body)


class FaultUpstream:
    """The server: accepts, remembers, and hands each request to its scenario."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.port = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        self.requests: list[dict[str, Any]] = []
        self.counters: dict[str, int] = {}
        self.began: dict[str, float] = {}
        self.connections = 0

    def count(self, key: str) -> int:
        """How many requests of this key came before, counting this one from now on."""
        self.began.setdefault(key, time.monotonic())
        self.counters[key] = self.counters.get(key, 0) + 1
        return self.counters[key] - 1

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self.connections += 1
        conn = Connection(reader, writer, self.connections)
        with contextlib.suppress(GoneError):
            while await self.turn(conn):
                conn.answered += 1
        writer.close()

    async def turn(self, conn: Connection) -> bool:
        """One request and its answer; False when the connection must not go on."""
        conn.record = {}
        if conn.answered and conn.stale and not conn.buffer:
            await conn.fill()
            conn.reset()
            return False
        request = await read_request(conn)
        if request.key.startswith("__"):
            await self.control(conn, request)
            return True
        return await self.play(conn, request)

    async def play(self, conn: Connection, request: Request) -> bool:
        """Run the scenario while an eye is kept on the caller."""
        conn.record = {
            "key": request.key,
            "connection": conn.number,
            "turn": conn.answered,
            "head": request.head.decode("latin-1"),
            "body": request.body.decode("latin-1"),
            "began": time.monotonic(),
            "sent": 0,
            "events": 0,
            "gone": None,
            "gone_events": None,
            "done": False,
        }
        self.requests.append(conn.record)
        watcher = asyncio.ensure_future(conn.watch())
        scene = asyncio.ensure_future(scenarios.run(self, conn, request))
        try:
            await asyncio.wait({watcher, scene}, return_when=asyncio.FIRST_COMPLETED)
            if not scene.done():
                scene.cancel()
            with contextlib.suppress(asyncio.CancelledError, GoneError):
                goes_on = await scene
                conn.record["done"] = True
                conn.record["ended"] = time.monotonic()
                return goes_on and not conn.eof
            return False
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def control(self, conn: Connection, request: Request) -> None:
        """The log and its reset."""
        if request.key == "__reset":
            self.reset()
        seen = [record for record in self.requests if not request.body or record["key"] == request.body.decode()]
        body = json.dumps({"requests": seen, "total": len(self.requests), "connections": self.connections}).encode()
        conn.record = {}
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def serve() -> None:
    """Listen on a free port, say which, and stay until standard input ends."""
    upstream = FaultUpstream()
    server = await asyncio.start_server(upstream.accept, "127.0.0.1", 0, limit=1 << 20, backlog=512)
    upstream.port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"{upstream.port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
