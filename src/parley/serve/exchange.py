"""One request on the hot path: the gateway's Caller.

Writes HTTP/1.1 itself: one packet for a whole answer, one chunk per piece of a stream.
"""

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from parley.framing import size_line
from parley.gateway.job import Job
from parley.ports import Headers, Request
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.serve.connection import CallerConnection

HALF_CLOSE_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.5
ASK_SECONDS: Final = 15.0
# Nobody waits for it, and whoever reads it discards it (RFC 9110 section 15.2.1).
_STILL_THERE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASES: Final = {529: "Overloaded", **{status.value: status.phrase for status in HTTPStatus}}
# Providers answer with statuses that are in no list (430, 498), and theirs is kept.
STATUS: Final = {code: b"HTTP/1.1 %d %b\r\n" % (code, _PHRASES.get(code, "").encode()) for code in range(200, 600)}
CLOSE: Final = b"connection: close\r\n"
_END_AND_CLOSE: Final = b"\r\n" + CLOSE + b"\r\n"


def source_of(peer: object) -> str:
    """The address in what a socket says of its other end, "" where there is none."""
    return str(peer[0]) if isinstance(peer, (tuple, list)) and peer else ""


class Incoming:
    """A request while it arrives, whoever will answer it. ``began`` is 0 until its turn has come."""

    began: float = 0.0
    keep_alive: bool = True
    old: bool = False
    more_body: bool = True
    over: bool = False

    def __init__(self, connection: "CallerConnection", headers: Headers) -> None:
        self.connection = connection
        self.headers = headers
        self.parts: list[bytes] = []

    def take(self, data: bytes) -> None:
        """More of the body."""
        self.parts.append(data)

    def body(self) -> bytes:
        """What has arrived, once; it is not kept."""
        parts = self.parts
        self.parts = []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def begin(self) -> None:
        """The body is whole and it is this request's turn."""
        raise NotImplementedError

    def eof(self, now: float) -> bool:
        """The caller sends no more; whether the connection stays open for the answer."""
        return True

    def gone(self) -> None:
        """The connection is lost."""
        self.over = True

    def pause(self) -> None:
        """The caller reads slowly."""

    def resume(self) -> None:
        """The caller has caught up."""


class Exchange(Incoming):
    """See the module."""

    job: Job | None = None
    target = b""
    opened = False
    _asked = -1e9

    def __init__(self, connection: "CallerConnection", headers: Headers, inlet: Inlet, given_id: bytes | None) -> None:
        super().__init__(connection, headers)
        self.inlet = inlet
        self.given_id = given_id

    def begin(self) -> None:
        """Hand it to the gateway."""
        house = self.connection.house
        self.began = house.loop.time()
        gateway = house.gateway
        request_id, source = gateway.request_id(self.given_id), self.connection.source
        request = Request(self.headers, self.body(), request_id, self.target, source)
        job = gateway.begin(self.inlet, request, self)
        if not self.over:
            self.job = job

    def eof(self, now: float) -> bool:
        """Soon after its request that is a half-close; later the caller has left (C3)."""
        self.keep_alive = False
        if self.job is not None and now - self.began >= HALF_CLOSE_SECONDS:
            self.gone()
            return False
        self.connection.house.loop.call_later(LOOK_SECONDS, self._look)
        return True

    def _look(self) -> None:
        """Whether a caller that sends no more still listens. Nothing more is read from it, so the loop would not say;
        the system of one that has closed answers whatever we send by a reset, which the socket remembers."""
        transport = self.connection.transport
        if self.over or transport.is_closing():
            return
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            transport.abort()
            return
        loop = self.connection.house.loop
        now = loop.time()
        if not (self.opened or self.old) and now - self._asked >= ASK_SECONDS:
            self._asked = now
            self.connection.write(_STILL_THERE)
        loop.call_later(LOOK_SECONDS, self._look)

    def gone(self) -> None:
        """The connection is lost."""
        self.over = True
        job, self.job = self.job, None
        if job is not None:
            job.left()

    def pause(self) -> None:
        """Stop reading from upstream."""
        if self.job is not None:
            self.job.pause()

    def resume(self) -> None:
        """Read on."""
        if self.job is not None:
            self.job.resume()

    # Caller

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer in one write."""
        connection = self.connection
        if self.over:
            return
        if connection.house.draining:
            self.keep_alive = False
        end = b"\r\n\r\n" if self.keep_alive else _END_AND_CLOSE
        start, length = connection.start(status), str(len(body)).encode()
        connection.write(b"%b%bcontent-length: %b%b%b" % (start, head, length, end, body))
        self._done()

    def open(self, status: int, head: bytes) -> None:
        """Status and headers of a stream; an HTTP/1.0 caller reads until the connection closes."""
        if self.over:
            return
        self.opened = True
        connection = self.connection
        if connection.house.draining:
            self.keep_alive = False
        framing = b"" if self.old else b"transfer-encoding: chunked\r\n"
        last = b"\r\n" if self.keep_alive else CLOSE + b"\r\n"
        # Written together with the first piece, which always follows at once.
        self.parts.append(b"".join((connection.start(status), head, framing, last)))

    def send(self, data: bytes) -> None:
        """One chunk."""
        if self.over or not data:
            return
        head = self.parts.pop() if self.parts else b""
        if self.old:
            chunk = head + data
        elif head:
            chunk = b"%b%b%b\r\n" % (head, size_line(len(data)), data)
        else:
            chunk = b"%b%b\r\n" % (size_line(len(data)), data)
        self.connection.write(chunk)

    def finish(self, *, close: bool = False) -> None:
        """The end of the stream."""
        if self.over:
            return
        self.keep_alive = self.keep_alive and not close
        last = self.body() + (b"" if self.old else b"0\r\n\r\n")
        if last:
            self.connection.write(last)
        self._done()

    def cut(self) -> None:
        """No last chunk, and where none was due a reset."""
        if self.over:
            return
        self.keep_alive = False
        if self.old:
            self.connection.house.cork.flush()
            self.connection.transport.abort()
        self._done()

    def _done(self) -> None:
        self.over = True
        self.job = None
        self.connection.answered(self)
