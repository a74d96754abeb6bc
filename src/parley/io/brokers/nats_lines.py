"""The lines of NATS's protocol, many messages at a time. Source: docs.nats.io, reference of the client protocol.

A connection is nats-py's: it connects, signs in, speaks TLS, pings and comes back. What costs with each message does
not go through it: its client makes objects, copies and waits of each, and that is more than all the rest of a request.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

# Subject, reply subject, block of headers (b"" for none), payload.
Sink: TypeAlias = Callable[[bytes, bytes, bytes, bytes], None]
_MESSAGE: Final = b"MSG "
_HEADED: Final = b"HMSG"
_END: Final = b"\r\n"
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
        client._ps = self

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
        self._rest.reset()

    async def parse(self, data: bytes) -> None:
        """Bytes of the server, cut anywhere."""
        if self._kept:
            self._kept.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data, self._kept = b"".join(self._kept), []
        at, size = 0, len(data)
        while at < size:
            after = self._message(data, at)
            if after < 0:
                break
            if after == 0:
                # No message of ours.
                after = _unit(data, at)
                await self._rest.parse(data[at:after])
            at = after
        if at < size:
            self._kept = [data[at:] if at else data]
            self._have = size - at

    def _message(self, data: bytes, at: int) -> int:
        """Where the next unit begins once this one was given to its sink; 0 where it is the client's own, -1 where it
        is not whole."""
        end = data.find(_END, at)
        if end < 0:
            self._need = 0
            return -1
        begins = data[at : at + 4]
        headed = begins == _HEADED
        if not headed and begins != _MESSAGE:
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
            asyncio.get_running_loop().call_exception_handler(told)
        return after

    # What is sent.

    def publish(self, subject: bytes, body: bytes, reply: bytes = b"", head: bytes = b"") -> None:
        """Goes out with everything else of this turn. ``head`` is a whole block of headers."""
        if head:
            line = b"HPUB %b %b %d %d\r\n" % (subject, reply, len(head), len(head) + len(body))
            self._say((line, head, body, _END))
        elif reply:
            self._say((b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(body), body),))
        else:
            self._say((b"PUB %b %d\r\n%b\r\n" % (subject, len(body), body),))

    def _say(self, parts: tuple[bytes, ...]) -> None:
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.extend(parts)

    def _flush(self) -> None:
        out, self._out = self._out, []
        client = self._client
        if not client.is_connected:
            # Nobody hears it: whoever waits for an answer waits in vain, and says so.
            return
        transport = client._transport
        transport.write(b"".join(out))
        if not hasattr(transport, "_io_writer"):
            # A web socket sends what waits when it is asked to.
            draining = asyncio.ensure_future(transport.drain())
            draining.add_done_callback(_seen)


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
    if data[at : at + 4] in (_MESSAGE, _HEADED):
        return end + int(data[at : end - 2].rpartition(b" ")[2]) + 2
    return end


def _seen(task: "asyncio.Task[None]") -> None:
    """What went wrong there, the connection itself says."""
    if not task.cancelled():
        task.exception()
