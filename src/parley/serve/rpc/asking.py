"""One request through the gateway for a coroutine that awaits its answer; whoever cancels it has left."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from urllib.parse import unquote

from msgspec import Struct

from parley.gateway.delivery import Delivery
from parley.ports import Headers, Request
from parley.serve.house import House
from parley.wire.inlets import Inlet

MAX_QUEUED = 64
MAX_BYTES = 64 * 1024
_BINARY = "-bin"


class Answered(Struct, frozen=True):
    """A whole answer. Header names are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class AwaitedCaller:
    """A Caller whose answer is awaited as a whole, or read piece by piece where it is a stream.

    More than MAX_QUEUED pieces or MAX_BYTES that nobody has read pause the job.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.opened: asyncio.Future[Answered] = loop.create_future()
        self.job: Delivery | None = None
        self.broken = False
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._paused = False
        self._size = 0

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer."""
        self._pieces.put_nowait(None)
        if not self.opened.done():
            self.opened.set_result(Answered(status, lines_of(head), body))

    def open(self, status: int, head: bytes) -> None:
        """A stream begins."""
        if not self.opened.done():
            self.opened.set_result(Answered(status, lines_of(head), b""))

    def send(self, data: bytes) -> None:
        """More of it."""
        self._pieces.put_nowait(data)
        self._size += len(data)
        full = self._size > MAX_BYTES or self._pieces.qsize() > MAX_QUEUED
        if full and not self._paused and self.job is not None:
            self._paused = True
            self.job.pause()

    def finish(self, *, close: bool = False) -> None:
        """The stream is over; where it broke, its last piece was an error event."""
        self.broken = self.broken or close
        self._pieces.put_nowait(None)

    def cut(self) -> None:
        """It broke without a word."""
        self.finish(close=True)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was sent, in order; the job goes on once everything was read."""
        while (piece := await self._pieces.get()) is not None:
            self._size -= len(piece)
            yield piece
            if self._paused and self._pieces.empty() and self.job is not None:
                self._paused = False
                self.job.resume()


def begun(house: House, request: Request, inlet: Inlet | None = None) -> tuple[Delivery, AwaitedCaller]:
    """Start a request, for the inlet at its path where none is given. Raises LookupError where nothing is there."""
    if inlet is None:
        path, _, query = request.target.partition(b"?")
        inlet = house.inlets.find(path, query)
        if inlet is None:
            raise LookupError(path)
    caller = AwaitedCaller(house.loop)
    job = caller.job = house.gateway.begin(inlet, request, caller)
    return job, caller


async def asked(house: House, request: Request, inlet: Inlet | None = None) -> Answered:
    """The whole answer. Cancelled, it leaves as a caller does."""
    job, caller = begun(house, request, inlet)
    try:
        return await caller.opened
    finally:
        job.left()


def request_of(
    house: House, target: str, body: bytes, metadata: Iterable[tuple[str, str | bytes]], peer: str
) -> Request:
    """A request as it would come over HTTP; the metadata of a call are its headers."""
    headers: Headers = [
        (name.lower().encode(), value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value)
        for name, value in metadata
        if not name.endswith(_BINARY)
    ]
    given = next((value for name, value in headers if name == b"x-request-id"), None)
    return Request(headers, body, house.gateway.request_id(given), target.encode(), _address(peer))


def _address(peer: str) -> str:
    """``ipv4:127.0.0.1:4711`` or ``ipv6:%5B::1%5D:4711`` as an address alone."""
    kind, _, rest = (unquote(peer) if "%" in peer else peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""


def lines_of(head: bytes) -> dict[bytes, bytes]:
    """Header lines by their names, in lower case."""
    pairs = (line.partition(b": ") for line in head.split(b"\r\n") if line)
    return {name.lower(): value for name, _, value in pairs}
