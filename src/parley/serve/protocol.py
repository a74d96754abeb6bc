"""The hot protocol: uvicorn's httptools protocol, with our edge limits and our own answers on hot paths.

Everything else still goes to ASGI. uvicorn does not declare its protocol class stable: the version is
pinned, ``usable`` checks the hooks used here, and without them the same handlers run as plain ASGI.
Sources: fault contract C1-C11, G1.
"""

import logging
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from parley.serve import edge
from parley.serve.edge import Refusal
from parley.serve.exchange import CLOSE, STATUS, Exchange
from parley.serve.house import House

IDLE_SECONDS = 75.0
_FOREVER = float("inf")
LINGER_SECONDS = 1.0
LINGER_BYTES = 65536
_HOOKS = (
    "connection_made", "connection_lost", "data_received", "on_message_begin", "on_headers_complete", "on_body",
    "on_message_complete", "on_response_complete", "_start_asgi_task", "shutdown",
)  # fmt: skip


def usable() -> bool:
    """Whether uvicorn's protocol still has every hook that this one overrides or calls."""
    return all(callable(getattr(HttpToolsProtocol, name, None)) for name in _HOOKS)


class HotProtocol(HttpToolsProtocol):
    """One caller's connection. As in the base class, ``cycle`` is the request parsed last; ``_running`` is
    the Exchange being answered, and requests that came too early wait in ``pipeline``."""

    def __init__(self, house: House, **given: Any) -> None:
        super().__init__(**given)
        # A new parser: the base class switches a leniency on that lets data follow a last request.
        self.parser = httptools.HttpRequestParser(self)
        self.house = house
        self._running: Exchange | None = None
        self._noted: dict[bytes, bytes] = {}
        self._twice = False
        self._owed: Refusal | None = None
        self._deadline = 0.0
        self._message_bytes = self._body_bytes = self._discarded = 0
        self._in_head = self._closing = False
        self._dates: Any = None
        self._date_lines = b""

    # asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Count it; the first byte is due within the header time."""
        super().connection_made(transport)
        self.house.watch(self)
        self._expect(edge.HEADER_TIME, self.house.limits.header_time)
        if len(self.connections) > self.house.limits.connections:
            self.house.gateway.metrics.count("parley_shed_total", "connections")
            self._refuse(edge.CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not yet whole is watched for its time limit."""
        if self._closing:
            self._discard(len(data))
            return
        self._message_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            logging.getLogger("parley").error("a request could not be handled", exc_info=error.__context__ or error)
            self._refuse(edge.INTERNAL)
        except httptools.HttpParserError:
            self._refuse(edge.BAD_HTTP)
        except httptools.HttpParserUpgrade:
            self._refuse(edge.UPGRADE)
        if self._in_head and self._message_bytes > self.house.limits.header:
            self._refuse(edge.HEADERS)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Half-close, or the caller has left; a request cut short is refused."""
        if self._closing:
            self.transport.close()
            return False
        if self._owed is edge.BODY_TIME:
            self._refuse(edge.CUT_SHORT)
            return True
        if self._running is not None:
            return self._running.eof(self.loop.time())
        return self.cycle is not None and not self.cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        """Free what the caller used."""
        self.house.unwatch(self)
        self._closing = True
        self.pipeline.clear()
        running, self._running = self._running, None
        if running is not None:
            running.gone()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller reads slowly: stop reading from upstream."""
        super().pause_writing()
        if self._running is not None and self._running.job is not None:
            self._running.job.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if self._running is not None and self._running.job is not None:
            self._running.job.resume()

    # httptools' side

    def on_message_begin(self) -> None:
        """A request begins. What only ASGI needs is made when ASGI gets it."""
        self.url = b""
        self.headers = []
        self._noted = {}
        self._twice = False
        self._body_bytes = 0
        self._in_head = True
        if self._owed is not edge.HEADER_TIME:
            self._expect(edge.HEADER_TIME, self.house.limits.header_time)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect one header."""
        name = name.lower()
        self.headers.append((name, value))
        if name in edge.NOTED:
            self._twice = self._twice or name in self._noted
            self._noted[name] = value

    def on_headers_complete(self) -> None:
        """Check the head; then it is ours, or ASGI's."""
        self._in_head = False
        if self._closing:
            return
        path = self.url if b"?" not in self.url else self.url.partition(b"?")[0]
        refusal = self._head_refusal(path)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._expect(edge.BODY_TIME, self.house.limits.body_time)
        inlet = self.house.inlets.get(path)
        if inlet is None or self.parser.get_method() != b"POST":
            self._hand_to_asgi()
            return
        exchange = Exchange(self, inlet, self.headers, self._noted.get(b"x-request-id"))
        if self.parser.get_http_version() == "1.0":
            exchange.speak_old()
        else:
            exchange.keep_alive = self.parser.should_keep_alive()
        self._take(exchange)

    def on_body(self, data: bytes) -> None:
        """Count, and keep what is wanted."""
        if self._closing:
            return
        self._body_bytes += len(data)
        if self._body_bytes > self.house.limits.body:
            self._refuse(edge.too_large(self.house.limits.body))
            return
        cycle: Any = self.cycle
        if isinstance(cycle, Exchange):
            cycle.parts.append(data)
        else:
            super().on_body(data)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._closing:
            return
        self._owed = None
        self._deadline = _FOREVER
        self._message_bytes = 0
        cycle: Any = self.cycle
        if not isinstance(cycle, Exchange):
            super().on_message_complete()
            return
        cycle.more_body = False
        if cycle is self._running:
            cycle.begin()

    # Answers

    def exchange_done(self, exchange: Exchange) -> None:
        """An Exchange has written its answer."""
        self._running = None
        if exchange.keep_alive and not self._closing:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._linger()

    def on_response_complete(self) -> None:
        """Start a request that waited, or wait for the next."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._closing:
            self._linger()
            return
        if self.pipeline:
            self.flow.resume_reading()
            self._next_in_line()
        elif self._owed is None:
            self._expect(_IDLE, IDLE_SECONDS)

    def shutdown(self) -> None:
        """Close now if idle, else after the answer."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

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

    def date_lines(self) -> bytes:
        """The header lines that uvicorn renews every second."""
        dates = self.server_state.default_headers
        if dates is not self._dates:
            self._dates = dates
            self._date_lines = b"".join([b"%b: %b\r\n" % header for header in dates])
        return self._date_lines

    # Inside

    def _head_refusal(self, path: bytes) -> Refusal | None:
        house, limit = self.house, self.house.limits.header
        if house.draining and path not in (b"/livez", b"/readyz"):
            return edge.DRAINING
        if self._message_bytes > limit and edge.head_size(self.url, self.headers) > limit:
            return edge.HEADERS
        if len(self.headers) > edge.MAX_HEADERS:
            return edge.HEADERS
        refusal = house.door.head(self.parser.get_http_version(), self._noted, twice=self._twice)
        if refusal is None and self.url not in house.inlets:
            refusal = edge.path_refusal(self.url)
        return refusal or edge.length_refusal(self._noted, house.limits.body)

    def _expect(self, owed: Refusal, seconds: float) -> None:
        self._owed = owed
        self._deadline = self.house.now + seconds

    def _take(self, exchange: Exchange) -> None:
        """Run it, or queue it behind one that is not answered yet."""
        before: Any = self.cycle
        self.cycle = exchange  # type: ignore[assignment]
        if before is None or before.response_complete:
            self._running = exchange
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]
        if self._noted.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hand_to_asgi(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def _next_in_line(self) -> None:
        cycle: Any
        cycle, app = self.pipeline.pop()
        if not isinstance(cycle, Exchange):
            self._start_asgi_task(cycle, app)
            return
        self._running = cycle
        if not cycle.more_body:
            self.loop.call_soon(self._begin_queued, cycle)

    def _begin_queued(self, exchange: Exchange) -> None:
        if not exchange.disconnected:
            exchange.begin()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer once and close; what still comes in is thrown away. An answer to an earlier request that is
        under way is finished first, and then nothing is said to this one."""
        if self._closing:
            return
        self._closing = True
        path = (getattr(self, "url", None) or b"/").partition(b"?")[0]
        request_id = self.house.gateway.request_id(None)
        status, body = self.house.refused(path, refusal, request_id)
        if self._answering():
            return
        head = b"content-type: application/json\r\nx-request-id: %b\r\ncontent-length: %d\r\n" % (
            request_id.encode(), len(body),
        )  # fmt: skip
        retry = b"retry-after: 1\r\n" if status == 503 else b""
        self.transport.write(b"".join((STATUS[status], self.date_lines(), head, retry, CLOSE, b"\r\n", body)))
        self._linger()

    def _answering(self) -> bool:
        """Whether an earlier request's answer is under way; the one being received is given up."""
        cycle: Any = self.cycle
        running = self._running
        if running is not None and running.began:
            running.keep_alive = False
            return True
        self._running = None
        if cycle is None or isinstance(cycle, Exchange) or cycle.response_complete:
            return False
        cycle.keep_alive = False
        if not cycle.more_body:
            return True
        cycle.disconnected = True
        cycle.message_event.set()
        return bool(cycle.response_started)

    def _linger(self) -> None:
        """Close without a reset: stop writing, let the caller read, drop what it still sends."""
        self._closing = True
        self.flow.resume_reading()
        self._owed = None
        self._deadline = self.house.now + LINGER_SECONDS
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.transport.close()


_IDLE = Refusal(408, "the connection was idle", "idle")
