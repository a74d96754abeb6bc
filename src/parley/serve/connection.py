"""One caller's connection: HTTP/1.1 in, with our edge limits; hot paths answered here, the rest by ASGI.

uvicorn accepts any protocol class. This one parses by httptools, checks what no server checks (time and size
of heads and bodies, Host, path), reads a request whole and hands it on: to the gateway, or to uvicorn's own
protocol (parley.serve.other), which runs the ASGI application for it.
Sources: RFC 9112; fault contract C1-C11, G1.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import httptools

from parley.ports import Headers
from parley.serve import edge
from parley.serve.edge import Refusal
from parley.serve.exchange import CLOSE, STATUS, Exchange, Incoming, source_of
from parley.serve.house import SWEEP_SECONDS, House
from parley.serve.known import Known
from parley.serve.plain import Other, Plain
from parley.wire.inlets import Inlet

IDLE_SECONDS: Final = 75.0
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 65536
UPLOAD_BYTES: Final = 1024 * 1024
# A caller whose heads differ every time is not remembered for ever.
LESSONS: Final = 8
_FOREVER: Final = float("inf")
_VERSIONS: Final = ("1.1", "1.0")
_IDLE: Final = Refusal(408, "the connection was idle", "idle")


class CallerConnection:
    """An asyncio protocol. ``_running`` is the request being answered, ``_receiving`` the one arriving; requests
    that came before their turn wait in ``_waiting``. ``state`` is uvicorn's: connections, dates, counts."""

    def __init__(self, house: House, state: Any, other: Callable[["CallerConnection"], "Other"]) -> None:
        self.house = house
        self.state = state
        self.transport: Any = None
        self.source = ""
        self._make_other = other
        self._other: Other | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._running: Incoming | None = None
        self._receiving: Incoming | None = None
        self._waiting: deque[Incoming] = deque()
        self._url = b""
        self._headers: Headers = []
        self._noted: dict[bytes, bytes] = {}
        self._twice = False
        self._owed: Refusal | None = None
        self._deadline = 0.0
        self._message_bytes = 0
        self._body_bytes = 0
        self._max_body = house.max_body
        self._due_bytes = house.max_body
        self._discarded = 0
        self._in_head = False
        self._closing = False
        self._known: Known | None = None
        self._learns: Known | None = None
        self._lessons = LESSONS

    # asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Count it; the first byte is due within the header time."""
        self.transport = transport
        self.source = source_of(transport.get_extra_info("peername"))
        self.state.connections.add(self)
        self.house.watch(self)
        self._expect(edge.HEADER_TIME, self.house.header_time)
        if len(self.state.connections) > self.house.limits.connections:
            self.house.gateway.metrics.count("parley_shed_total", "connections")
            self._refuse(edge.CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not yet whole is watched for its time limit."""
        if self._closing:
            self._discard(len(data))
            return
        begins = not (self._message_bytes or self._in_head) and self._receiving is None
        if begins and self._known is not None and self._running is None and self._repeats(self._known, data):
            return
        self._message_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            self._broken(error.__context__ or error)
        except httptools.HttpParserError:
            self._refuse(edge.unreadable(self._parser.get_method(), self._parser.get_http_version()))
        except httptools.HttpParserUpgrade as error:
            self._decline(self._parser.get_method(), data[error.args[0] :])
        if self._in_head and self._message_bytes > self.house.max_header:
            self._refuse(edge.HEADERS)
        learns, self._learns = self._learns, None
        if learns is not None and begins and self._receiving is None and learns.learn(data):
            self._known = learns

    def eof_received(self) -> bool:
        """Half-close, or the caller has left; a request cut short is refused."""
        self.house.cork.flush()
        if self._closing:
            self.transport.close()
            return False
        if self._owed is edge.BODY_TIME:
            self._refuse(edge.CUT_SHORT)
            return True
        return self._running is not None and self._running.eof(self.house.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """Free what the caller used."""
        self.house.unwatch(self)
        self.state.connections.discard(self)
        self._closing = True
        self._waiting.clear()
        # It holds us as we hold it: without this only the garbage collector could free the two.
        self._parser = None
        running, self._running = self._running, None
        if running is not None:
            running.gone()

    def pause_writing(self) -> None:
        """The caller reads slowly: whoever answers it must wait."""
        if self._running is not None:
            self._running.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._running is not None:
            self._running.resume()

    # httptools' side

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = []
        self._noted = {}
        self._twice = False
        self._body_bytes = 0
        self._due_bytes = self.house.max_body
        self._in_head = True
        if self._owed is not edge.HEADER_TIME:
            self._expect(edge.HEADER_TIME, self.house.header_time)

    def on_url(self, url: bytes) -> None:
        """More of the target."""
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect one header."""
        name = name.lower()
        self._headers.append((name, value))
        if name in edge.NOTED:
            if name in self._noted and name != b"upgrade":
                self._twice = True
            self._noted[name] = value

    def on_headers_complete(self) -> None:
        """Check the head; then it is the gateway's, or ASGI's."""
        self._in_head = False
        if self._closing:
            return
        if b"upgrade" in self._noted and self._parser.should_upgrade():
            return
        url = self._url
        inlet = self.house.inlets.find(url)
        path = url
        if inlet is None and b"?" in url:
            path, _, query = url.partition(b"?")
            inlet = self.house.inlets.find(path, query)
        parser = self._parser
        method, version = parser.get_method(), parser.get_http_version()
        self._max_body = self.house.most(inlet, path)
        refusal = self._head_refusal(path, version)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._expect(edge.BODY_TIME, self.house.body_time)
        incoming: Incoming
        if inlet is not None and method == b"POST":
            exchange = incoming = Exchange(self, self._headers, inlet, self._noted.get(b"x-request-id"))
            exchange.target = url
        else:
            incoming = Plain(self, self._headers, url, method)
        incoming.old = version == "1.0"
        incoming.keep_alive = not incoming.old and parser.should_keep_alive()
        if inlet is not None and method == b"POST" and incoming.keep_alive:
            self._note(inlet, url)
        self._take(incoming)

    def on_body(self, data: bytes) -> None:
        """Count, and keep."""
        if self._closing:
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._max_body:
            self._refuse(edge.too_large(self._max_body))
        elif self._receiving is not None:
            self._receiving.take(data)
            if self._body_bytes > self._due_bytes:
                # A long upload is not a slow one: the time is for each so many bytes.
                self._due_bytes = self._body_bytes + UPLOAD_BYTES
                self._expect(edge.BODY_TIME, self.house.body_time)

    def on_message_complete(self) -> None:
        """The request is whole."""
        incoming = self._receiving
        if self._closing or incoming is None:
            return
        self._receiving = None
        self._owed = None
        self._deadline = _FOREVER
        self._message_bytes = 0
        incoming.more_body = False
        if incoming is self._running:
            incoming.begin()

    # Answers

    def start(self, status: int) -> bytes:
        """The first lines of an answer."""
        return STATUS[status] + self.house.dated(self.state.default_headers)

    def write(self, data: bytes) -> None:
        """Part of an answer; all of them leave in their order."""
        self.house.cork.write(self.transport, (data,))

    def answered(self, incoming: Incoming) -> None:
        """A request has its answer: close, start one that waited, or wait for the next."""
        self._running = None
        self.state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._closing or not incoming.keep_alive:
            self._linger()
        elif self._waiting:
            self._next_in_line()
        elif self._owed is None:
            self._expect(_IDLE, IDLE_SECONDS)

    def other(self) -> "Other":
        """Who runs the ASGI application for this connection, made when first needed."""
        if self._other is None:
            self._other = self._make_other(self)
        return self._other

    def shutdown(self) -> None:
        """Called by uvicorn's stop: close now if idle, else after the answer."""
        if self._running is None:
            self.house.cork.flush()
            self.transport.close()
        else:
            self._running.keep_alive = False

    def overdue(self, now: float) -> None:
        """Called by the sweep: a request that did not arrive in time, or an idle connection."""
        if now < self._deadline:
            return
        owed = self._owed
        if owed is None or self._closing:
            self.transport.abort()
        elif owed is _IDLE or (owed is edge.HEADER_TIME and not self._in_head):
            self.transport.close()
        else:
            self._refuse(owed)

    def forget(self) -> None:
        """No head is known any more."""
        self._known = self._learns = None
        self._lessons = LESSONS

    # Inside

    def _decline(self, method: bytes, rest: bytes) -> None:
        """An upgrade that is not taken changes nothing (RFC 9110 section 7.8), but the parser stops at its head:
        read the request again without the offer."""
        if method == b"CONNECT" or self._closing:
            self._refuse(edge.BAD_HTTP)
            return
        lines = [b"%b %b HTTP/1.1\r\n" % (method, self._url)]
        lines += [b"%b: %b\r\n" % pair for pair in edge.without_upgrade(self._headers)]
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join(lines) + b"\r\n" + rest)

    def _head_refusal(self, path: bytes, version: str) -> Refusal | None:
        house, limit = self.house, self.house.max_header
        if version not in _VERSIONS:
            return edge.BAD_HTTP
        if house.draining and path not in edge.ASKED_HOW:
            return edge.DRAINING
        if self._message_bytes > limit and edge.head_size(self._url, self._headers) > limit:
            return edge.HEADERS
        if len(self._headers) > edge.MAX_HEADERS:
            return edge.HEADERS
        refusal = house.door.head(version, self._noted, twice=self._twice)
        if refusal is None and self._url not in house.inlets.known:
            refusal = edge.path_refusal(self._url)
        return refusal or edge.framing_refusal(self._noted, version, self._max_body)

    def _note(self, inlet: Inlet, url: bytes) -> None:
        """Remember the head that was just checked, should the request come as a whole."""
        if self._lessons and not inlet.form and edge.REPEATED.issuperset(self._noted):
            self._lessons -= 1
            self._learns = Known(url, self._headers, inlet, self._noted.get(b"x-request-id"))

    def _repeats(self, known: Known, data: bytes) -> bool:
        """Begin a request whose head came before and which came whole; it meets what that one met."""
        body = known.body(data)
        if not body or len(body) > self.house.max_body or self.house.draining:
            return False
        self._url = known.url
        self._body_bytes, self._max_body = len(body), self.house.max_body
        self._owed = None
        self._deadline = _FOREVER
        exchange = self._running = Exchange(self, known.headers, known.inlet, known.given_id)
        exchange.parts.append(body)
        exchange.more_body = False
        exchange.target = known.url
        try:
            exchange.begin()
        except Exception as error:
            self._broken(error)
        return True

    def _broken(self, error: BaseException) -> None:
        logging.getLogger("parley").error("a request could not be handled", exc_info=error)
        self._refuse(edge.INTERNAL)

    def _expect(self, owed: Refusal, seconds: float) -> None:
        self._owed = owed
        # The house's clock may be a sweep old, and nobody is cut off early for that.
        self._deadline = self.house.now + seconds + SWEEP_SECONDS

    def _take(self, incoming: Incoming) -> None:
        """It is its turn now, or after those that are not answered yet."""
        self._receiving = incoming
        if self._running is None and not self._waiting:
            self._running = incoming
        else:
            self.transport.pause_reading()
            self._waiting.append(incoming)
        if self._noted.get(b"expect", b"").lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _next_in_line(self) -> None:
        incoming = self._waiting.popleft()
        if not self._waiting:
            self.transport.resume_reading()
        self._running = incoming
        if not incoming.more_body:
            self.house.loop.call_soon(self._begin, incoming)

    def _begin(self, incoming: Incoming) -> None:
        if incoming is self._running and not self.transport.is_closing():
            incoming.begin()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer once and close; what still comes in is thrown away. An answer to an earlier request that is
        under way is finished first, and then nothing is said to this one."""
        if self._closing:
            return
        self._closing = True
        request_id = self.house.gateway.request_id(None)
        status, body = self.house.refused(self._url.partition(b"?")[0] or b"/", refusal, request_id)
        running = self._running
        if running is not None and running.began:
            running.keep_alive = False
            return
        self._running = None
        head = b"content-type: application/json\r\nx-request-id: %b\r\ncontent-length: %d\r\n" % (
            request_id.encode(), len(body),
        )  # fmt: skip
        retry = b"retry-after: 1\r\n" if status == 503 else b""
        self.write(b"".join((self.start(status), head, retry, CLOSE, b"\r\n", body)))
        self._linger()

    def _linger(self) -> None:
        """Close without a reset: stop writing, let the caller read, drop what it still sends."""
        self._closing = True
        self._owed = None
        self._deadline = self.house.now + LINGER_SECONDS
        if self._waiting:
            self._waiting.clear()
            self.transport.resume_reading()
        self.house.cork.flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._body_bytes + self._discarded > self._max_body + LINGER_BYTES:
            self.transport.close()
