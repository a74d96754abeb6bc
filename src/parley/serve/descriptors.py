"""File descriptors are few: new callers are turned away before the last one is taken, so that those who are served
still reach their providers, and so that the next connection does not fail where nobody can say why."""

import os
from contextlib import suppress
from typing import Any, Final

from parley.serve.edge import Refusal
from parley.serve.house import House

# What is kept free of all, as a part of them, and within these bounds.
SHARE: Final = 4
LEAST: Final = 8
MOST: Final = 1024
WANTED: Final = 65_536
LINGER_SECONDS: Final = 0.5
FDS: Final = Refusal(503, "too many connections", "fds")


def raised() -> int:
    """How many there may be in this process, after the limit that it may change itself was raised."""
    try:
        import resource
    except ImportError:
        return WANTED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Without a limit it is -1, or larger than all there is.
    wanted = min(hard, WANTED) if hard >= 0 else WANTED
    if 0 <= soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return soft if soft >= 0 else WANTED


class Descriptors:
    """``most``: how many there may be."""

    def __init__(self, most: int) -> None:
        self._last = most
        self._enough = most - min(max(most // SHARE, LEAST), MOST)

    def scarce(self) -> bool:
        """Whether a new caller is one too many."""
        return self._next() >= self._enough

    def gone(self) -> bool:
        """Whether there is not even time for a word."""
        return self._next() >= self._last - LEAST // 2

    def _next(self) -> int:
        """The lowest number that is free: the system gives them out in their order."""
        try:
            number = os.dup(0)
        except OSError as error:
            # Standard input may be closed, and then the lowest of all is free.
            return self._last if error.errno != 9 else 0
        os.close(number)
        return number


class Shed:
    """A connection for which there is no room: it is told so and closed. What it says is not read."""

    def __init__(self, house: House, *, silent: bool) -> None:
        self._house = house
        self._silent = silent
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Answer before anything was asked."""
        self._transport = transport
        house = self._house
        house.gateway.metrics.count("parley_shed_total", "fds")
        if self._silent:
            transport.abort()
            return
        request_id = house.gateway.request_id(None)
        status, body = house.wire_of(b"/").encode_error(FDS.failure(), request_id)
        head = b"content-type: application/json\r\ncontent-length: %d\r\nretry-after: 1\r\n" % len(body)
        transport.write(b"HTTP/1.1 %d Service Unavailable\r\n%bconnection: close\r\n\r\n%b" % (status, head, body))
        transport.write_eof()
        house.loop.call_later(LINGER_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Nobody reads it."""

    def eof_received(self) -> bool:
        """The other side is done: close."""
        return False

    def pause_writing(self) -> None:
        """There is nothing more to write."""

    def resume_writing(self) -> None:
        """There is nothing more to write."""

    def connection_lost(self, error: Exception | None) -> None:
        """It is closed."""
