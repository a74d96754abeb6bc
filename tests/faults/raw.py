"""A client on a bare socket: sends exactly the bytes it is given and reports exactly what came back."""

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

PATIENCE = 30.0  # seconds before a silent server fails the test


@dataclass
class Answer:
    """One response: ``body`` without transfer coding, ``whole`` when its framing says that it ended."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    whole: bool = False
    marks: list[float] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The one value of a header; it must not come twice."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, bytes]]:
        """The body's events."""
        return sse_events(self.body)


def sse_events(body: bytes) -> list[tuple[str, bytes]]:
    """Name and data of every complete event, cut on CRLF, LF and CR only."""
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events = []
    for block in text.split(b"\n\n")[:-1]:
        name, data = "", []
        for line in block.split(b"\n"):
            key, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if key == b"event":
                name = value.decode()
            elif key == b"data":
                data.append(value)
        if data:
            events.append((name, b"\n".join(data)))
    return events


class Raw:
    """One connection. Use as ``async with Raw(port) as raw``."""

    def __init__(self, port: int, host: str = "127.0.0.1", receive_buffer: int = 0) -> None:
        self.host, self.port, self.receive_buffer = host, port, receive_buffer
        self.seen = bytearray()
        self.taken = 0
        self.ended = ""

    async def __aenter__(self) -> "Raw":
        sock = socket.socket()
        sock.setblocking(False)
        if self.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, data: bytes) -> None:
        """Send everything; a connection that the server has broken is for the reading side to tell."""
        # wait_for would swallow, now and then, that the test is over.
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def drip(self, data: bytes, gap: float) -> int:
        """One byte per ``gap`` seconds until the server says something or ends; how many went."""
        for count, byte in enumerate(data):
            await self.send(bytes([byte]))
            if await self._heard(gap):
                await self.more()
                return count + 1
        return len(data)

    async def _heard(self, seconds: float) -> bool:
        """Whether there is something to read within that time. Nothing is taken: what a read that is given up has taken
        in that same moment would be lost."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.sock, heard.set)
        try:
            async with asyncio.timeout(seconds):
                return await heard.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self.sock)

    async def more(self, patience: float = PATIENCE) -> bool:
        """Wait for bytes; False at the end, ``ended`` then says "fin" or "rst"."""
        if self.ended:
            return False
        try:
            async with asyncio.timeout(patience):
                data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        except ConnectionError:
            self.ended = "rst"
            return False
        self.seen += data
        self.ended = "" if data else "fin"
        return bool(data)

    async def until(self, mark: bytes, patience: float = PATIENCE) -> bytes:
        """Everything untaken up to and with ``mark``; fails the test at the end of the stream."""
        async with asyncio.timeout(patience):
            while (place := self.seen.find(mark, self.taken)) < 0:
                there = await self.more(patience)
                assert there, f"ended ({self.ended}) before {mark!r}: {bytes(self.seen[self.taken :])!r}"
        start, self.taken = self.taken, place + len(mark)
        return bytes(self.seen[start : self.taken])

    async def head(self, patience: float = PATIENCE) -> Answer:
        """Status and headers of the next response."""
        lines = (await self.until(b"\r\n\r\n", patience)).decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ")
        assert version in ("HTTP/1.1", "HTTP/1.0"), lines[0]
        pairs = [line.split(":", 1) for line in lines[1:] if line]
        return Answer(int(status), [(name.lower(), value.strip()) for name, value in pairs])

    async def response(self, patience: float = PATIENCE, method: str = "POST") -> Answer:
        """The next complete response, or what there was of it when the connection ended."""
        answer = await self.head(patience)
        while answer.status < 200:
            answer = await self.head(patience)
        length = answer.get("content-length")
        if method == "HEAD" or answer.status in (204, 304):
            answer.whole = True
        elif answer.get("transfer-encoding") == "chunked":
            assert length is None, "both framings"
            while not answer.whole and await self._chunk(answer, patience):
                pass
        elif length is not None:
            await self._exactly(answer, int(length), patience)
            answer.whole = len(answer.body) == int(length)
        else:
            await self._exactly(answer, 1 << 40, patience)
            answer.whole = self.ended == "fin"
        return answer

    async def chunk(self, answer: Answer, patience: float = PATIENCE) -> bool:
        """One more chunk of an answer whose head was read; False at its end."""
        return not answer.whole and await self._chunk(answer, patience)

    async def rest(self, patience: float = PATIENCE) -> bytes:
        """Every further byte until the server closes."""
        while await self.more(patience):
            pass
        start, self.taken = self.taken, len(self.seen)
        return bytes(self.seen[start:])

    async def _exactly(self, answer: Answer, size: int, patience: float) -> bool:
        while len(self.seen) - self.taken < size and await self.more(patience):
            pass
        answer.body += bytes(self.seen[self.taken : self.taken + size])
        missing = size - (len(self.seen) - self.taken)
        self.taken = min(self.taken + size, len(self.seen))
        return missing <= 0

    async def _chunk(self, answer: Answer, patience: float) -> bool:
        while self.seen.find(b"\r\n", self.taken) < 0:
            if not await self.more(patience):
                return False
        size = int((await self.until(b"\r\n")).split(b";")[0], 16)
        answer.marks.append(asyncio.get_running_loop().time())
        if size == 0:
            answer.whole = (await self.until(b"\r\n")) == b"\r\n"
            return False
        return await self._exactly(answer, size, patience) and await self._crlf(patience)

    async def _crlf(self, patience: float) -> bool:
        while len(self.seen) - self.taken < 2:
            if not await self.more(patience):
                return False
        self.taken += 2
        return True

    def half_close(self) -> None:
        """No more bytes from this side; it goes on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Leave."""
        self.sock.close()


def request(
    path: str,
    body: bytes = b"",
    method: str = "POST",
    headers: tuple[tuple[str, str], ...] = (),
    host: str = "localhost",
) -> bytes:
    """A well-formed request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def ask(port: int, data: bytes, patience: float = PATIENCE) -> Answer:
    """One request on a connection of its own, and its answer."""
    async with Raw(port) as raw:
        await raw.send(data)
        return await raw.response(patience)
