"""Bytes to frames and back: server-sent events.

A reader has ``feed(data)`` and ``close()``. Lines end in CR, LF or CRLF only (never U+2028), as the
WHATWG event-stream grammar says; a frame larger than ``max_bytes`` is an error, not a memory leak.
"""

import re

from msgspec import Struct

from parley.failure import Failure, ParleyError

MAX_EVENT = 1 << 20
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Frame(Struct, frozen=True):
    """One event: its ``event:`` name ("" where absent) and its joined ``data:`` lines."""

    event: str
    data: bytes


class SseReader:
    """Cuts a byte stream into frames, whatever the chunking."""

    __slots__ = ("_buffer", "_first", "_max", "_skip_lf")

    def __init__(self, max_bytes: int = MAX_EVENT) -> None:
        self._buffer = b""
        self._max = max_bytes
        self._first = True
        self._skip_lf = False

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by ``data``; raises ``upstream_bad_response`` (event_too_large, bad_event)."""
        if not self._buffer and not self._skip_lf and not self._first and b"\r" not in data and data.endswith(b"\n\n"):
            return self._frames(data[:-2].split(b"\n\n"))
        return self._frames(self._cut(data))

    def close(self) -> None:
        """The stream has ended; an unfinished frame is dropped, as the grammar says."""
        self._buffer = b""

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished frame are held."""
        return bool(self._buffer)

    def _cut(self, data: bytes) -> list[bytes]:
        if self._skip_lf:
            data = data[1:] if data[:1] == b"\n" else data
            self._skip_lf = not data and self._skip_lf
        buffer = self._buffer + data
        if self._first:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            buffer = buffer.removeprefix(_BOM)
            self._first = False
        if b"\r" in buffer:
            # A CR at the very end may be half of a CRLF: take it as a line end and skip a following LF.
            self._skip_lf = buffer.endswith(b"\r")
            buffer = _LINE_END.sub(b"\n", buffer)
        *blocks, self._buffer = buffer.split(b"\n\n")
        if len(self._buffer) > self._max:
            raise _too_large(self._max)
        return blocks

    def _frames(self, blocks: list[bytes]) -> list[Frame]:
        frames = []
        for block in blocks:
            if len(block) > self._max:
                raise _too_large(self._max)
            frame = parse_block(block)
            if frame is not None:
                frames.append(frame)
        return frames


def parse_block(block: bytes) -> Frame | None:
    """The frame of one block of LF-ended lines; None where it holds no data (comments, ids)."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return Frame("", block[6:])
    event, data = "", []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    return Frame(event, b"\n".join(data)) if data else None


def sse(data: bytes, event: str = "") -> bytes:
    """One event as bytes; ``data`` must be one line (JSON text is)."""
    if event:
        return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"


def _too_large(limit: int) -> ParleyError:
    message = f"the provider sent an event of more than {limit} bytes"
    return ParleyError(Failure("upstream_bad_response", message, detail="event_too_large"))
