"""The messages of calls, past the library: a call is many small ones, and its way would cost more than all the rest.

The library makes the connection, proves who we are, makes it again and keeps it alive. A Pipe stands between it and
the socket: what arrives for a prefix that we have taken goes straight there, everything else to the library as if
nobody had looked. Source: the client protocol of NATS.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

# Token (the last word of the subject), where to answer, the payload, and whether it is only a status of the server's.
Take = Callable[[bytes, bytes, bytes, bool], None]

_UNTAKEN: Final = "a message of the network could not be handled"
_END: Final = b"\r\n"
_MSG: Final = b"MSG "
_HMSG: Final = b"HMSG "
# More than a server's line has.
_LONGEST: Final = 64 * 1024


class Pipe:
    """``behind`` is the library's protocol of this connection, ``routes`` our prefixes with who takes what they get.
    Both are asyncio's protocol for a transport."""

    __slots__ = ("_behind", "_held", "_needed", "_open", "_parts", "_routes", "_transport")

    def __init__(self, transport: Any, behind: Any, routes: Mapping[bytes, Take]) -> None:
        self._transport = transport
        self._behind = behind
        self._routes = routes
        self._open = True
        # Of what is not whole: its pieces, how many bytes these are, and how many are needed to go on.
        self._parts: list[bytes] = []
        self._held = 0
        self._needed = 0

    @property
    def open(self) -> bool:
        """Whether something can be said."""
        return self._open and not self._transport.is_closing()

    def say(self, subject: bytes, reply: bytes, data: bytes) -> None:
        """Send a message; ``reply`` is where it is answered, b"" for nowhere."""
        words = subject + b" " + reply if reply else subject
        self._transport.write(b"PUB " + words + b" " + b"%d" % len(data) + _END + data + _END)

    # The socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It was made long before."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The library begins again, with another Pipe."""
        self._open = False
        self._behind.connection_lost(exc)

    def pause_writing(self) -> None:
        """The library waits; what we say is bounded by the windows of the calls."""
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        """It need not any more."""
        self._behind.resume_writing()

    def eof_received(self) -> Any:
        """The server has nothing more to say."""
        return self._behind.eof_received()

    def data_received(self, data: bytes) -> None:
        """Bytes as they come."""
        if self._held:
            self._parts.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return
            data = b"".join(self._parts)
            self._parts.clear()
            self._held = 0
        self._read(data)

    def _read(self, data: bytes) -> None:
        """Whole messages of ours are taken; whatever else there is between two of them is passed on."""
        place = passed = 0
        size = len(data)
        while place < size:
            line = data.find(_END, place)
            if line < 0:
                break
            words = _words(data, place, line)
            stop = line + 2 + (_length(words) if words else 0)
            if stop > size:
                break
            if words and self._taken(words, data[line + 2 : stop - 2]):
                if passed < place:
                    self._behind.data_received(data[passed:place])
                passed = stop
            place = stop
        if passed < place:
            self._behind.data_received(data[passed:place])
        if place < size:
            self._hold(data, place)

    def _hold(self, data: bytes, place: int) -> None:
        rest = data[place:]
        line = rest.find(_END)
        words = _words(rest, 0, line) if line >= 0 else []
        needed = line + 2 + _length(words) if words else len(rest) + 1
        if len(rest) > _LONGEST and not words:
            # No line of a server's: the library says so.
            self._behind.data_received(rest)
            return
        self._parts.append(rest)
        self._held, self._needed = len(rest), needed

    def _taken(self, words: list[bytes], payload: bytes) -> bool:
        before, _, token = words[1].rpartition(b".")
        take = self._routes.get(before)
        if take is None:
            return False
        headed = words[0] == b"HMSG"
        reply = words[3] if len(words) == (6 if headed else 5) else b""
        if headed:
            payload = payload[int(words[-2]) :]
        try:
            take(token, reply, payload, headed and not payload)
        except Exception:
            # Whatever it was, the connection must go on being read.
            logging.getLogger("parley").exception(_UNTAKEN)
        return True


def _words(data: bytes, place: int, end: int) -> list[bytes]:
    """The words of the line of a message; none for any other line."""
    if not (data.startswith(_MSG, place) or data.startswith(_HMSG, place)):
        return []
    words = data[place:end].split()
    numbers = words[3:][-2:] if words[0] == b"HMSG" else words[3:][-1:]
    sound = 4 <= len(words) <= 6 and all(number.isdigit() and len(number) < 10 for number in numbers)
    return words if sound else []


def _length(words: list[bytes]) -> int:
    """What follows the line of a message: its headers, its payload and a line's end."""
    return int(words[-1]) + 2


def piped(client: Any, routes: Mapping[bytes, Take]) -> Pipe | None:
    """A Pipe for the connection that a client of the library has now; None where that is none of a kind that we know,
    such as one in web sockets: everything then goes the library's way."""
    stream = getattr(getattr(client, "_transport", None), "_io_writer", None)
    transport = getattr(stream, "transport", None)
    behind = None if transport is None else transport.get_protocol()
    if transport is None or behind is None:
        return None
    pipe = Pipe(transport, behind, routes)
    transport.set_protocol(pipe)
    return pipe


def taken(take: Take, message: Any) -> None:
    """A message that came by the library."""
    status = message.headers is not None and not message.data
    take(message.subject.rpartition(".")[2].encode(), message.reply.encode(), message.data, status)


class Straight:
    """Stands where the library has a queue: what is put into it has been taken."""

    def __init__(self, take: Take, subscription: Any) -> None:
        self._take = take
        self._subscription = subscription

    def put_nowait(self, message: Any) -> None:
        """Take it."""
        self._subscription._pending_size -= len(message.data)
        try:
            taken(self._take, message)
        except Exception:
            logging.getLogger("parley").exception(_UNTAKEN)

    async def get(self) -> Any:
        """The library's own task finds nothing here until it is cancelled."""
        return await asyncio.get_running_loop().create_future()

    def task_done(self) -> None:
        """Nobody waits for that."""

    def qsize(self) -> int:
        """Nothing is ever in it."""
        return 0

    def empty(self) -> bool:
        """It always is."""
        return True

    async def join(self) -> None:
        """Nothing is left."""
