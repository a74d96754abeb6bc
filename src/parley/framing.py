"""Bytes to frames and back: server-sent events, chunks, and heads that come again and again.

A reader has ``feed(data)`` and ``close()``. Lines end in CR, LF or CRLF only (never U+2028), as the
WHATWG event-stream grammar says; a frame larger than ``max_bytes`` is an error, not a memory leak.
"""

import re
from typing import Final

from msgspec import Struct

from parley.failure import Failure, ParleyError

MAX_EVENT: Final = 1 << 20
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_CR: Final = 0x0D
_BOM: Final = b"\xef\xbb\xbf"
MAX_USUAL: Final = 4096
_LENGTH: Final = b"\r\ncontent-length:"
# The line before a chunk, for the sizes that most events have.
_SIZES: Final = tuple(b"%x\r\n" % size for size in range(1024))


class Frame(Struct, frozen=True):
    """One event: its ``event:`` name ("" where absent) and its joined ``data:`` lines."""

    event: str
    data: bytes


class SseReader:
    """Cuts a byte stream into frames, whatever the chunking."""

    __slots__ = ("_buffer", "_first", "_max", "_skip_lf", "_too_large")

    def __init__(self, max_bytes: int = MAX_EVENT) -> None:
        self._buffer = b""
        self._max = max_bytes
        self._first = True
        self._skip_lf = False
        self._too_large = False

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by ``data``. Raises ``upstream_bad_response`` (event_too_large), after those before it."""
        blocks = self.blocks(data)
        if len(blocks) == 1:
            # Most writes are one event.
            frame = parse_block(blocks[0])
            return [] if frame is None else [frame]
        return [frame for block in blocks if (frame := parse_block(block)) is not None]

    def blocks(self, data: bytes) -> list[bytes]:
        """The blocks of lines completed by ``data``, as they came but for LF line ends and no blank line;
        comments and ids included. Raises ``upstream_bad_response`` (event_too_large): at once, or on the
        next call where there are blocks before the fault."""
        if self._too_large:
            raise _too_large(self._max)
        if not data:
            return []
        held = len(self._buffer)
        # A number, for bytes that look for bytes in bytes first raise and drop an error.
        if not held and not self._skip_lf and not self._first and _CR not in data and data.endswith(b"\n\n"):
            first, _, rest = data.partition(b"\n\n")
            blocks = data[:-2].split(b"\n\n") if rest else [first]
        else:
            blocks = self._cut(data)
        return blocks if held + len(data) <= self._max else self._within(blocks)

    def close(self) -> None:
        """The stream has ended; an unfinished frame is dropped, as the grammar says."""
        self._buffer = b""

    @property
    def at_rest(self) -> bool:
        """Whether whatever comes next begins an event, and nothing is known against it."""
        return not (self._buffer or self._first or self._skip_lf or self._too_large)

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished frame are held."""
        return bool(self._buffer)

    def _cut(self, data: bytes) -> list[bytes]:
        if self._skip_lf:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        buffer = self._buffer + data
        if self._first:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            buffer = buffer.removeprefix(_BOM)
            self._first = False
        if buffer.find(b"\r") >= 0:
            # A CR at the very end may be half of a CRLF: take it as a line end and skip a following LF.
            self._skip_lf = buffer.endswith(b"\r")
            buffer = _LINE_END.sub(b"\n", buffer)
        *blocks, self._buffer = buffer.split(b"\n\n")
        return blocks

    def _within(self, blocks: list[bytes]) -> list[bytes]:
        """The blocks before the first that is too large; remembers whether there is one."""
        sizes = [len(block) > self._max for block in (*blocks, self._buffer.removesuffix(b"\n"))]
        self._too_large = any(sizes)
        blocks = blocks[: sizes.index(True)] if self._too_large else blocks
        if self._too_large and not blocks:
            raise _too_large(self._max)
        return blocks


def parse_block(block: bytes) -> Frame | None:
    """The frame of one block of LF-ended lines; None where it holds no data (comments, ids)."""
    stop = block.find(b"\n")
    if stop < 0 and block.startswith(b"data:"):
        return Frame("", block[6:] if block.startswith(b" ", 5) else block[5:])
    if block.startswith(b"event: ") and block.startswith(b"data: ", stop + 1) and block.find(b"\n", stop + 1) < 0:
        # The two lines that every server writes which names its events.
        return Frame(block[7:stop].decode("utf-8", "replace"), block[stop + 7 :])
    event, data = "", []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    return Frame(event, b"\n".join(data)) if data else None


def check_text(block: bytes) -> None:
    """Raise ``upstream_bad_response`` (bad_event) where the bytes are not UTF-8."""
    try:
        block.decode()
    except UnicodeDecodeError:
        message = "the provider sent an event that is not UTF-8"
        raise ParleyError(Failure("upstream_bad_response", message, detail="bad_event")) from None


def size_line(size: int) -> bytes:
    """The line before a chunk of an HTTP/1.1 body (RFC 9112 section 7.1)."""
    return _SIZES[size] if size < len(_SIZES) else b"%x\r\n" % size


def only_chunk(data: bytes) -> bytes:
    """The content where ``data`` is one whole chunk written the usual way, else nothing."""
    rest = data.partition(b"\n")[2]
    size = len(rest) - 2
    if size > 0 and data.startswith(size_line(size)) and data.endswith(b"\r\n"):
        return rest[:-2]
    return b""


class UsualHead:
    """A head that was parsed before, so that it need not be parsed where it comes again.

    Both sides send the same lines with every message on a connection, but for the length of the body.
    """

    __slots__ = ("_after", "_before")

    def __init__(self) -> None:
        self._before = self._after = b""

    def learn(self, data: bytes) -> bool:
        """Take the head of ``data``, one whole message; False where its bytes are not the usual ones."""
        end = data.find(b"\r\n\r\n") + 4
        start = data[:end].lower().find(_LENGTH) + len(_LENGTH)
        if not len(_LENGTH) < start < end <= MAX_USUAL:
            return False
        if data.startswith(b" ", start):
            start += 1
        stop = data.find(b"\r", start)
        # Also proves that the head ends where it seems to.
        if data[start:stop] != str(len(data) - end).encode():
            return False
        self._before, self._after = data[:start], data[stop:end]
        return True

    def body(self, data: bytes) -> bytes:
        """The body where ``data`` is exactly this head with one, else nothing."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return b""
        start = len(before)
        stop = data.find(b"\r", start, start + 20)
        size = len(data) - stop - len(after)
        if stop < 0 or size <= 0 or not data.startswith(str(size).encode() + after, start):
            return b""
        return data[-size:]


def sse(data: bytes, event: str = "") -> bytes:
    """One event as bytes; ``data`` must be one line (JSON text is)."""
    if event:
        return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"


def _too_large(limit: int) -> ParleyError:
    message = f"the provider sent an event of more than {limit} bytes"
    return ParleyError(Failure("upstream_bad_response", message, detail="event_too_large"))
