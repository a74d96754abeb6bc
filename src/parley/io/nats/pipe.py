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
Soon = Callable[[Callable[[], None]], object]

_UNTAKEN: Final = "a message of the network could not be handled"
_END: Final = b"\r\n"
_PUB: Final = b"PUB "
_SPACE: Final = b" "
_MSG: Final = b"MSG "
_HMSG: Final = b"HMSG "
# More than a server's line has.
_LONGEST: Final = 64 * 1024


class Pipe:
    """``behind`` is the library's protocol of this connection, ``routes`` our prefixes with who takes what they get;
    ``soon`` runs a function once this turn of the loop is over. Both ends are asyncio's protocol for a transport."""

    __slots__ = ("_behind", "_held", "_needed", "_open", "_parts", "_routes", "_said", "_soon", "_transport")

    def __init__(self, transport: Any, behind: Any, routes: Mapping[bytes, Take], soon: Soon) -> None:
        self._transport = transport
        self._behind = behind
        self._routes = routes
        self._soon = soon
        self._open = True
        # What is said in one turn of the loop goes out at its end, in one piece: each of many would wake the server.
        self._said: list[bytes] = []
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
        said = self._said
        if not said:
            self._soon(self.flush)
        said.append(_PUB)
        said.append(subject)
        if reply:
            said.append(_SPACE)
            said.append(reply)
        said.append(_SPACE)
        said.append(str(len(data)).encode())
        said.append(_END)
        said.append(data)
        said.append(_END)

    def flush(self) -> None:
        """Send all that was said."""
        said, self._said = self._said, []
        if said and self.open:
            self._transport.write(b"".join(said))

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
            stop = line + 2 if words is None else line + 4 + int(words[-1])
            if stop > size:
                break
            if words is not None and self._taken(words, data[line + 2 : stop - 2]):
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
        words = _words(rest, 0, line) if line >= 0 else None
        needed = len(rest) + 1 if words is None else line + 4 + int(words[-1])
        if len(rest) > _LONGEST and words is None:
            # No line of a server's: the library says so.
            self._behind.data_received(rest)
            return
        self._parts.append(rest)
        self._held, self._needed = len(rest), needed

    def _taken(self, words: list[bytes], payload: bytes) -> bool:
        subject = words[1]
        dot = subject.rfind(b".")
        take = self._routes.get(subject[: max(dot, 0)])
        if take is None:
            return False
        headed = words[0] == b"HMSG"
        reply = words[3] if len(words) == (6 if headed else 5) else b""
        if headed:
            payload = payload[int(words[-2]) :]
        try:
            take(subject[dot + 1 :], reply, payload, headed and not payload)
        except Exception:
            # Whatever it was, the connection must go on being read.
            logging.getLogger("parley").exception(_UNTAKEN)
        return True


def _words(data: bytes, place: int, end: int) -> list[bytes] | None:
    """The words of the line of a message, of which the last says how many bytes follow, before one more line's end;
    None for any other line."""
    headed = not data.startswith(_MSG, place)
    if headed and not data.startswith(_HMSG, place):
        return None
    words = data[place:end].split()
    count = len(words)
    if not (5 <= count <= 6 if headed else 4 <= count <= 5) or not _is_size(words[-1]):
        return None
    return words if not headed or _is_size(words[-2]) else None


def _is_size(word: bytes) -> bool:
    return word.isdigit() and len(word) < 10


def piped(client: Any, routes: Mapping[bytes, Take]) -> Pipe | None:
    """A Pipe for the connection that a client of the library has now; None where that is none of a kind that we know,
    such as one in web sockets: everything then goes the library's way."""
    stream = getattr(getattr(client, "_transport", None), "_io_writer", None)
    transport = getattr(stream, "transport", None)
    behind = None if transport is None else transport.get_protocol()
    if transport is None or behind is None:
        return None
    pipe = Pipe(transport, behind, routes, asyncio.get_running_loop().call_soon)
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
