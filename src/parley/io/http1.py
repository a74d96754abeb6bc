"""One HTTP/1.1 connection to an upstream, driven by callbacks.

The connection parses one answer at a time for one Sink and tells its pool when it is free or gone.
Deadlines are looked at by the pool's sweep, so a call costs no timer of its own.
Sources: RFC 9112; fault contract U6-U10, U17-U22, M1, M2.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final

import httptools

from parley.failure import Failure
from parley.framing import UsualHead, only_chunk
from parley.io.cork import Cork, Message
from parley.io.ending import finished, unhandled
from parley.ports import Call, Flight, Headers, Sink

MAX_INFORMATIONAL: Final = 16
MAX_DECODED_RATIO: Final = 200
# A provider whose heads differ every time is not remembered for ever.
LESSONS: Final = 8
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"content-encoding"})
_PLAIN: Final = (b"", b"identity")
_CODINGS: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


class Owner:
    """Who is told about a connection: its pool."""

    def freed(self, connection: "Connection") -> None:
        """The answer is whole and the connection may be used again."""
        raise NotImplementedError

    def gone(self, connection: "Connection") -> None:
        """The connection must not be used again."""
        raise NotImplementedError

    def stale(self, connection: "Connection", call: Call, sink: Sink) -> bool:
        """A reused connection was closed before it said a byte; True when the call was sent again."""
        raise NotImplementedError


class Connection:
    """See the module. ``begin`` starts a call; it must not be called while one is under way.

    It is the Flight of that call; ``again`` is the call's second flight where the connection was stale.
    """

    def __init__(self, owner: Owner, origin: str, now: Callable[[], float], cork: Cork) -> None:
        self.owner = owner
        self.origin = origin
        self._now = now
        self._cork = cork
        self.transport: Any = None
        self.again: Flight | None = None
        self.sink: Sink | None = None
        self.call: Call | None = None
        self.served = 0
        self.started = self.last_byte = self.idle_since = self.deadline = 0.0
        self._answered = self._paused = self._framed = self._whole = self._between = self._heard = False
        self._head_bytes = self._informational = 0
        self._coding: Any = None
        self._headers: Headers = []
        self._usual: UsualHead | None = None
        self._usual_headers: Headers = []
        self._lessons = LESSONS
        self._parser: Any = httptools.HttpResponseParser(self)

    # The pool's side

    def begin(self, call: Call, sink: Sink, message: Message, since: float, now: float) -> None:
        """Send the request and hear the answer for ``sink``. The call was made ``since`` (monotonic) and leaves now."""
        self.call = call
        self.sink = sink
        self.started = since
        self.last_byte = now
        self.deadline = now + call.to.first_byte
        self._answered = self._whole = self._framed = self._between = False
        self._coding = None
        self._head_bytes = self._informational = 0
        self._cork.write(self.transport, message)

    def cancel(self) -> None:
        """Forget the sink and close at once; what was requested stops upstream."""
        if self.again is not None:
            self.again.cancel()
        elif self.call is not None:
            self.sink = self.call = None
            self._discard()

    def pause(self) -> None:
        """Read no more until resume."""
        if self.again is not None:
            self.again.pause()
        elif not self._paused and self.call is not None:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.again is not None:
            self.again.resume()
        elif self._paused:
            self._paused = False
            self.transport.resume_reading()

    def expire(self, now: float) -> None:
        """Called by the sweep: fail the call whose limit has passed. A paused call waits for its caller."""
        call = self.call
        if call is None:
            return
        if self._heard:
            self._heard, self.last_byte = False, now
        if now - self.started >= call.total:
            self.fail(Failure("upstream_timeout", "the provider did not finish in time", detail="stream_limit"))
        elif not self._answered:
            if now >= self.deadline:
                message = "the provider did not begin to answer in time"
                self.fail(Failure("upstream_timeout", message, detail="first_byte_timeout"))
        elif now - self.last_byte >= call.to.idle and not self._paused:
            self.fail(Failure("upstream_timeout", "the provider stopped sending", detail="idle_timeout"))

    def fail(self, failure: Failure) -> None:
        """End the call with a failure and close the connection."""
        sink = self.sink
        self.sink = self.call = None
        self._discard()
        if sink is not None:
            sink.failed(failure)

    # asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Remember the transport; asyncio and uvloop set TCP_NODELAY themselves."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse; bytes without a call are a protocol violation and end the connection."""
        call = self.call
        if call is None:
            self._discard()
            return
        if not self._answered:
            if self._usual is not None and not self._head_bytes and self._repeats(self._usual, data):
                return
            self._head_bytes += len(data)
            if self._head_bytes > call.to.max_head and self._headers_too_long(data):
                self.fail(_bad_http("the provider's headers are too large"))
                return
        if self._between and self._chunk(data):
            return
        self.last_byte = self._now()
        self._parse(data)

    def eof_received(self) -> bool:
        """The upstream will send no more; connection_lost follows."""
        return False

    def pause_writing(self) -> None:
        """The request waits in the transport's buffer: it is bounded by the caller's own limit."""

    def resume_writing(self) -> None:
        """The buffer has room again."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish an answer that ends with the connection, or report how it broke."""
        call, sink = self.call, self.sink
        self.call = self.sink = None
        # It holds us as we hold it: without this only the garbage collector could free the two.
        self._parser = None
        self.owner.gone(self)
        if sink is None or call is None:
            return
        if self._answered and not self._framed and exc is None:
            finished(sink)
        elif self._answered:
            detail = "reset" if exc else "incomplete_chunked"
            sink.failed(
                Failure("upstream_incomplete", "the provider closed in the middle of its answer", detail=detail)
            )
        elif self._head_bytes or not self.served or not self.owner.stale(self, call, sink):
            detail = "reset" if exc else "closed_before_headers"
            sink.failed(
                Failure("upstream_closed", "the provider closed the connection without an answer", detail=detail)
            )

    # httptools' side

    def on_message_begin(self) -> None:
        """A status line begins; one that follows a whole answer was never asked for."""
        self._headers = []
        if self._whole:
            self._discard()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect one header; those that say how the body comes are noted."""
        name = name.lower()
        self._headers.append((name, value))
        if name in _FRAMING:
            if name != b"content-encoding":
                self._framed = True
            elif value.strip().lower() not in _PLAIN:
                self._coding = value.strip().lower()

    def on_headers_complete(self) -> None:
        """Hand over the head, unless it is informational (1xx)."""
        status = self._parser.get_status_code()
        if status < 200 or self.sink is None:
            return
        self._answered = True
        if self._coding is not None and not self._decode_with(self._coding):
            return
        self.sink.head(status, self._headers)

    def on_body(self, data: bytes) -> None:
        """Content, decoded if it was encoded."""
        sink = self.sink
        if sink is None:
            return
        if self._coding is not None:
            plain = self._decompressed(data)
            if plain is None:
                return
            data = plain
        sink.body(data)

    def on_chunk_header(self) -> None:
        """A chunk begins; the last one, which is empty, too."""
        self._between = False

    def on_chunk_complete(self) -> None:
        """A chunk is whole."""
        self._between = self._coding is None

    def on_message_complete(self) -> None:
        """The answer is whole; a 1xx is not the answer."""
        self._between = False
        if self.sink is None:
            return
        if not self._answered:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                self.fail(_bad_http("the provider sent too many informational answers"))
            return
        if self._coding is not None and not self._coding.eof:
            self.fail(_bad_response("the provider's content-encoding is cut off", "bad_encoding"))
            return
        sink = self.sink
        self.sink = self.call = None
        self._whole = True
        if not self._parser.should_keep_alive():
            self._discard()
        finished(sink)

    # Inside

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(_bad_http("the provider switched protocols"))
        except httptools.HttpParserCallbackError as error:
            self._broken_callback(error)
        except httptools.HttpParserError:
            self._broken_parse()
        if self._whole:
            if self._lessons and self._head_bytes == len(data):
                self._learn(data)
            self._finish()
        elif self._between:
            # The parser stands between two chunks only if it has not begun with the line of the next.
            self._between = data.endswith(b"\r\n")

    def _learn(self, data: bytes) -> None:
        """Remember the head of an answer that came as one piece."""
        self._lessons -= 1
        usual = UsualHead()
        kept = self._coding is None and not self.transport.is_closing() and self._parser.get_status_code() == 200
        if kept and usual.learn(data):
            self._usual, self._usual_headers = usual, [pair for pair in self._headers if pair[0] != b"content-length"]

    def _repeats(self, usual: UsualHead, data: bytes) -> bool:
        """Hand on an answer that came whole under the head of an earlier one, past the parser."""
        sink, body = self.sink, usual.body(data)
        if sink is None or not body:
            return False
        self.last_byte = self._now()
        self._answered = self._framed = True
        try:
            sink.head(200, self._usual_headers)
            if self.sink is sink:
                sink.body(body)
            if self.sink is sink:
                self.sink = self.call = None
                self._whole = True
                finished(sink)
        except Exception as error:
            self._broken_callback(error)
        if self._whole:
            self._finish()
        return True

    def _chunk(self, data: bytes) -> bool:
        """Hand on a chunk that came alone and whole, as events mostly do, past the parser, which need not know."""
        sink, content = self.sink, only_chunk(data)
        if sink is None or not content:
            return False
        # The sweep reads the clock for all chunks since it last came by.
        self._heard = True
        try:
            sink.body(content)
        except Exception as error:
            self._broken_callback(error)
        return True

    def _finish(self) -> None:
        """After the parser has returned: only now may another call use it."""
        self._whole = False
        self.served += 1
        if self.transport.is_closing():
            self.owner.gone(self)
        else:
            self.resume()
            self.owner.freed(self)

    def _broken_callback(self, error: Exception) -> None:
        """A sink raised: that is our own fault, and must not pass for the provider's."""
        self.fail(unhandled(error.__context__ or error))

    def _headers_too_long(self, data: bytes) -> bool:
        """Whether the limit was passed inside the head (not by content that came with it)."""
        return b"\r\n\r\n" not in data[: (self.call.to.max_head if self.call else 0)]

    def _decode_with(self, coding: bytes) -> bool:
        if coding not in _CODINGS:
            self.fail(_bad_response("the provider used an unknown content-encoding", "bad_encoding"))
            return False
        self._coding = zlib.decompressobj(wbits=_CODINGS[coding])
        return True

    def _decompressed(self, data: bytes) -> bytes | None:
        limit = MAX_DECODED_RATIO * len(data) + 65536
        try:
            plain: bytes = self._coding.decompress(data, limit)
        except zlib.error:
            self.fail(_bad_response("the provider's content-encoding is broken", "bad_encoding"))
            return None
        if self._coding.unconsumed_tail:
            self.fail(_bad_response("the provider's answer is too large once decoded", "too_large"))
            return None
        return plain

    def _broken_parse(self) -> None:
        if self._answered:
            message = "the provider's answer is broken HTTP"
            self.fail(Failure("upstream_incomplete", message, detail="bad_http"))
        else:
            self.fail(_bad_http("the provider's answer is not HTTP/1.1"))

    def _discard(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
        self.owner.gone(self)


def _bad_http(message: str) -> Failure:
    return Failure("upstream_bad_response", message, detail="bad_http")


def _bad_response(message: str, detail: str) -> Failure:
    return Failure("upstream_bad_response", message, detail=detail)
