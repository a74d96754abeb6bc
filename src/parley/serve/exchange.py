"""One request on the hot path: the gateway's Caller, and what uvicorn's protocol expects of a cycle.

Writes HTTP/1.1 itself: one packet for a whole answer, one chunk per piece of a stream.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING

from parley.gateway.job import Job
from parley.ports import Headers, Request
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.serve.protocol import HotProtocol

HALF_CLOSE_SECONDS = 0.5
STATUS = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
STATUS[529] = b"HTTP/1.1 529 Overloaded\r\n"
CLOSE = b"connection: close\r\n"
_LENGTH_AND_CLOSE = b"content-length: %d\r\n" + CLOSE + b"\r\n"


class Exchange:
    """See the module. ``response_complete``, ``disconnected``, ``message_event`` are uvicorn's names.

    Defaults stand in the class: a request sets only what it uses.
    """

    began = 0.0
    keep_alive = True
    more_body = True
    response_complete = False
    disconnected = False
    job: Job | None = None
    _old = False

    def __init__(self, protocol: "HotProtocol", inlet: Inlet, headers: Headers, given_id: bytes | None) -> None:
        self.protocol = protocol
        self.inlet = inlet
        self.headers = headers
        self.given_id = given_id
        self.parts: list[bytes] = []

    @property
    def message_event(self) -> "_Nobody":
        """What uvicorn sets for cycles that wait in a task."""
        return _NOBODY_WAITS

    def speak_old(self) -> None:
        """The caller speaks HTTP/1.0: no chunks, and the connection closes."""
        self._old = True
        self.keep_alive = False

    def begin(self) -> None:
        """The body is whole and it is this request's turn."""
        protocol = self.protocol
        self.began = protocol.loop.time()
        gateway = protocol.house.gateway
        parts = self.parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self.parts = []
        job = gateway.begin(self.inlet, Request(self.headers, body, gateway.request_id(self.given_id)), self)
        if not self.response_complete:
            self.job = job

    async def run_asgi(self, app: object) -> None:
        """uvicorn starts a queued cycle this way."""
        self.begin()

    def eof(self, now: float) -> bool:
        """The caller sends no more. Soon after its request that is a half-close; later it has left (C3)."""
        self.keep_alive = False
        if self.job is not None and now - self.began >= HALF_CLOSE_SECONDS:
            self.gone()
            return False
        return True

    def gone(self) -> None:
        """The connection is lost."""
        self.disconnected = self.response_complete = True
        job, self.job = self.job, None
        if job is not None:
            job.left()

    # Caller

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer in one write."""
        protocol = self.protocol
        if self.disconnected:
            return
        if protocol.house.draining:
            self.keep_alive = False
        framing = (b"content-length: %d\r\n\r\n" if self.keep_alive else _LENGTH_AND_CLOSE) % len(body)
        protocol.transport.write(b"".join((STATUS[status], protocol.date_lines(), head, framing, body)))
        self._done()

    def open(self, status: int, head: bytes) -> None:
        """Status and headers of a stream; an HTTP/1.0 caller reads until the connection closes."""
        if self.disconnected:
            return
        if self.protocol.house.draining:
            self.keep_alive = False
        framing = b"" if self._old else b"transfer-encoding: chunked\r\n"
        last = b"\r\n" if self.keep_alive else CLOSE + b"\r\n"
        # Written together with the first piece, which always follows at once.
        self.parts.append(b"".join((STATUS[status], self.protocol.date_lines(), head, framing, last)))

    def send(self, data: bytes) -> None:
        """One chunk."""
        if self.disconnected or not data:
            return
        chunk = data if self._old else b"%x\r\n%b\r\n" % (len(data), data)
        if self.parts:
            chunk = self.parts.pop() + chunk
        self.protocol.transport.write(chunk)

    def finish(self, *, close: bool = False) -> None:
        """The end of the stream."""
        if self.disconnected:
            return
        self.keep_alive = self.keep_alive and not close
        last = b"".join(self.parts) + (b"" if self._old else b"0\r\n\r\n")
        self.parts = []
        if last:
            self.protocol.transport.write(last)
        self._done()

    def _done(self) -> None:
        self.response_complete = True
        self.job = None
        self.protocol.exchange_done(self)


class _Nobody:
    """An Exchange never waits."""

    def set(self) -> None:
        pass


_NOBODY_WAITS = _Nobody()
