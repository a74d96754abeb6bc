"""The small parts of calls over NATS: their names, where their frames go, and what stands for one that is none."""

import secrets
from typing import Final

from parley.io.nats.link import Link
from parley.nodes.calling import NOBODY
from parley.ports import Call, Flight, Sink

# Bytes of the name of a call.
TOKEN: Final = 12


class Tokens:
    """Names of calls that nobody can guess: drawn many at a time, since each question to the system costs."""

    def __init__(self) -> None:
        self._drawn = b""
        self._place = 0

    def next(self) -> str:
        """The next one."""
        if self._place >= len(self._drawn):
            self._drawn, self._place = secrets.token_bytes(256 * TOKEN), 0
        self._place += TOKEN
        return self._drawn[self._place - TOKEN : self._place].hex()


class Place:
    """One model at one node: operation, project, model and cid; and where that node is called, for its ``key``."""

    __slots__ = ("call", "key", "model", "node", "to")

    def __init__(self, node: str, model: tuple[str, str, str, str]) -> None:
        self.node = node
        self.model = model
        self.key = ""
        self.call = self.to = b""


NOWHERE: Final = Place("", ("", "", "", ""))


class Wire:
    """Where the frames of one call go. ``back`` is where it is answered; there the server says that nobody listens.
    Of a call of ours, ``first`` is its first message while that is all that was said, ``place`` whom it is put to."""

    __slots__ = ("_back", "_link", "first", "place", "subject")

    def __init__(self, link: Link, subject: bytes, back: bytes) -> None:
        self.subject = subject
        self.first = b""
        self.place = NOWHERE
        self._link = link
        self._back = back

    def publish(self, data: bytes) -> None:
        """Say it."""
        self.first = b""
        self._link.publish(self.subject, data, self._back)


class Unsent:
    """A call that could not be sent so far. ``sink`` is None where nobody waits for it any more."""

    def __init__(self, call: Call, sink: Sink) -> None:
        self.call = call
        self.sink: Sink | None = sink
        self._flight: Flight | None = None
        self._paused = False

    def went(self, flight: Flight) -> None:
        """It was sent after all."""
        self._flight = flight
        if self._paused:
            flight.pause()

    def fail(self) -> None:
        """It was not."""
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.failed(NOBODY)

    def cancel(self) -> None:
        """Nobody waits."""
        self.sink = None
        if self._flight is not None:
            self._flight.cancel()

    def pause(self) -> None:
        """Hold back what arrives."""
        self._paused = True
        if self._flight is not None:
            self._flight.pause()

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        if self._flight is not None:
            self._flight.resume()


class Nothing:
    """The work of a call that was refused."""

    def left(self) -> None:
        """There is none."""

    def pause(self) -> None:
        """There is none."""

    def resume(self) -> None:
        """There is none."""
