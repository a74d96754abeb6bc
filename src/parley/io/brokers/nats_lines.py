"""The lines of NATS's protocol, many messages at a time. Source: docs.nats.io, reference of the client protocol.

A connection is nats-py's: it connects, signs in, speaks TLS, pings and comes back. What costs with each message does
not go through it: its client makes objects, copies and waits of each, and that is more than all the rest of a request.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

# Subject, reply subject, block of headers (b"" for none), payload.
Sink: TypeAlias = Callable[[bytes, bytes, bytes, bytes], None]
_MESSAGES: Final = (b"MSG ", b"HMSG")
_M: Final = ord("M")
_H: Final = ord("H")
_END: Final = b"\r\n"
# Within a line there is none but at its end.
_RETURN: Final = b"\r"
_BREAK: Final = str.maketrans("\r\n", "  ")


class Lines:
    """Of one connection. What nobody here listens to is the client's own."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._rest = client._ps
        self._sinks: dict[bytes, Sink] = {}
        self._kept: list[bytes] = []
        self._have = self._need = 0
        self._out: list[bytes] = []
        self._speaks = False
        self.tap: Tap | None = None
        self._loop = asyncio.get_running_loop()
        client._ps = self

    @property
    def speaks(self) -> bool:
        """Whether what is said now goes out. The client is asked once in a turn."""
        if not self._out or not self._speaks:
            self._speaks = bool(self._client.is_connected)
        return self._speaks

    def listen(self, number: int, sink: Sink) -> None:
        """Messages of that subscription go there, within the loop's turn in which they came."""
        self._sinks[b"%d" % number] = sink

    def leave(self, number: int) -> None:
        """And no more."""
        self._sinks.pop(b"%d" % number, None)

    # What the client calls in the place of its own.

    def reset(self) -> None:
        """The connection begins anew."""
        self._kept, self._have, self._need = [], 0, 0
        self.tap = None
        self._rest.reset()

    async def parse(self, data: bytes) -> None:
        """Bytes that the client has read, cut anywhere."""
        if self.tap is not None:
            # What is ours was taken out on its way.
            await self._rest.parse(data)
            return
        theirs = self.sorted(data)
        if theirs:
            await self._rest.parse(theirs)
        self._nearer()

    def _nearer(self) -> None:
        """From now on bytes are looked at as they come from the socket, before they wait for anybody to read them. A
        web socket, and whatever else is no stream, stays as it is."""
        connection = self._client._transport
        reader, writer = getattr(connection, "_io_reader", None), getattr(connection, "_io_writer", None)
        if reader is None or writer is None or reader._buffer:
            return
        transport = writer.transport
        self.tap = Tap(self, transport.get_protocol())
        transport.set_protocol(self.tap)

    def sorted(self, data: bytes) -> bytes:
        """Give what is ours to its listeners; what is left is the client's own, in whole units."""
        if self._kept:
            self._kept.append(data)
            self._have += len(data)
            if self._have < self._need:
                return b""
            data, self._kept = b"".join(self._kept), []
        at, size, theirs = 0, len(data), b""
        while at < size:
            after = self._message(data, at)
            if after < 0:
                break
            if after == 0:
                # No message of ours.
                after = _unit(data, at)
                theirs += data[at:after]
            at = after
        if at < size:
            self._kept = [data[at:] if at else data]
            self._have = size - at
        return theirs

    def _message(self, data: bytes, at: int) -> int:
        """Where the next unit begins once this one was given to its sink; 0 where it is the client's own, -1 where it
        is not whole."""
        end = data.find(_RETURN, at)
        if end < 0 or end + 1 >= len(data):
            self._need = 0
            return -1
        headed = data[at] == _H
        # PING and PONG, -ERR and +OK are the client's own, and so is INFO.
        if data[at + 1 if headed else at] != _M:
            return 0
        words = data[at:end].split(b" ")
        start = end + 2
        after = start + number_of(words[-1]) + 2
        if after > len(data):
            self._need = after - at
            return -1
        sink = self._sinks.get(words[2])
        if sink is None:
            return 0
        body = start + number_of(words[-2]) if headed else start
        reply = words[3] if len(words) == (6 if headed else 5) else b""
        try:
            sink(words[1], reply, data[start:body], data[body : after - 2])
        except Exception as error:
            # The client would end the connection.
            told = {"message": "a message of NATS was not understood", "exception": error}
            self._loop.call_exception_handler(told)
        return after

    # What is sent.

    def publish(self, subject: bytes, body: bytes, reply: bytes = b"", head: bytes = b"") -> None:
        """Goes out with everything else of this turn. ``head`` is a whole block of headers."""
        out = self._begun()
        if head:
            line = b"HPUB %b %b %b %b\r\n%b" % (subject, reply, digits(len(head)), digits(len(head) + len(body)), head)
        elif reply:
            line = b"PUB %b %b %b\r\n" % (subject, reply, digits(len(body)))
        else:
            line = b"PUB %b %b\r\n" % (subject, digits(len(body)))
        out.append(line)
        out.append(body)
        out.append(_END)

    def tell(self, subject: bytes, word: bytes) -> None:
        """The same for one of the few words that are said of each message, as ``said`` makes it."""
        self._begun().append(b"PUB %b %b" % (subject, word))

    def _begun(self) -> list[bytes]:
        if not self._out:
            self._loop.call_soon(self._flush)
        return self._out

    def _flush(self) -> None:
        out, self._out = self._out, []
        client = self._client
        if not client.is_connected:
            # Nobody hears it: whoever waits for an answer waits in vain, and says so.
            return
        transport = client._transport
        try:
            transport.write(b"".join(out))
        except (RuntimeError, OSError):
            # It has gone, and the client does not know yet.
            return
        if not hasattr(transport, "_io_writer"):
            # A web socket sends what waits when it is asked to.
            draining = asyncio.ensure_future(transport.drain())
            draining.add_done_callback(_seen)


class Tap:
    """Stands between a socket's transport and the protocol that it had before."""

    def __init__(self, lines: Lines, before: Any) -> None:
        self._lines, self._before = lines, before

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        theirs = self._lines.sorted(data) if self._lines.tap is self else data
        if theirs:
            self._before.data_received(theirs)

    def eof_received(self) -> Any:
        """See asyncio.Protocol."""
        return self._before.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.BaseProtocol."""
        self._before.connection_lost(error)

    def pause_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._before.resume_writing()


def said(word: bytes) -> bytes:
    """A word with its size and the end of its line."""
    return b"%b\r\n%b\r\n" % (digits(len(word)), word)


def digits(number: int) -> bytes:
    """The number in digits."""
    return str(number).encode()


def head_of(attributes: dict[str, str]) -> bytes:
    """A block of headers."""
    text = "NATS/1.0\r\n"
    for name, value in attributes.items():
        line = f"{name}: {value}"
        # What would begin another line does not.
        text += line if line.isprintable() else line.translate(_BREAK)
        text += "\r\n"
    return (text + "\r\n").encode("utf-8", "replace")


def headers_of(head: bytes) -> dict[str, str]:
    """Names and values of a block of headers."""
    found = {}
    for line in head.decode("utf-8", "replace").split("\r\n")[1:]:
        name, sign, text = line.partition(":")
        if sign:
            found[name] = text.strip()
    return found


def number_of(text: bytes, at: int = 0) -> int:
    """What digits say from there on; made without an object for each. Raises ValueError."""
    found, size = 0, len(text)
    if at >= size:
        raise ValueError("no digits")
    while at < size:
        digit = text[at] - 48
        if digit < 0 or digit > 9:
            raise ValueError("no digit")
        found = found * 10 + digit
        at += 1
    return found


def _unit(data: bytes, at: int) -> int:
    """Where the unit that begins there ends; it is whole."""
    end = data.index(_END, at) + 2
    if data[at : at + 4] in _MESSAGES:
        return end + int(data[at : end - 2].rpartition(b" ")[2]) + 2
    return end


def _seen(task: "asyncio.Task[None]") -> None:
    """What went wrong there, the connection itself says."""
    if not task.cancelled():
        task.exception()
