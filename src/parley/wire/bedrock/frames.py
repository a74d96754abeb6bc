"""Amazon's event stream encoding: bytes to messages, whatever the chunking.

A message is big-endian: total length, length of the headers, CRC32 of these eight bytes; headers; payload; CRC32 of
everything before it. A header is the length of its name, its name, a type, and a value whose size the type tells.
Source: provider contract 10.
"""

import struct
from functools import lru_cache
from typing import Final
from zlib import crc32

from msgspec import Struct

from parley.failure import Failure, ParleyError
from parley.framing import MAX_EVENT

_PRELUDE: Final = 12
_LEAST: Final = 16
_MAX_HEADERS: Final = 128 * 1024
_SHORT: Final = 256
_lengths: Final = struct.Struct(">III").unpack_from
_number: Final = struct.Struct(">I").unpack_from
_short: Final = struct.Struct(">H").unpack_from
_STRING: Final = 7
# The headers of most messages, as the service writes them.
_USUAL: Final = (
    b"\x0b:event-type\x07\x00\x11contentBlockDelta"
    b"\x0d:content-type\x07\x00\x10application/json"
    b"\x0d:message-type\x07\x00\x05event"
)
_BODY: Final = _PRELUDE + len(_USUAL)
# Bytes of a value by its type: true, false, byte, short, integer, long, -, -, timestamp, uuid.
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
# Types whose value begins with its own length, in two bytes.
_COUNTED: Final = (6, _STRING)


class Message(Struct, frozen=True):
    """One message; of its headers those that are strings."""

    headers: dict[str, str]
    payload: bytes


def delta_of(data: bytes) -> bytes:
    """The payload of the one message that ``data`` is, where it is a contentBlockDelta under the usual headers; else
    nothing, also for a message that was damaged."""
    size = len(data)
    if size < _BODY + 4 or not data.startswith(_USUAL, _PRELUDE):
        return b""
    total, headers, check = _lengths(data, 0)
    if total != size or headers != len(_USUAL) or crc32(data[:8]) != check:
        return b""
    return data[_BODY:-4] if crc32(data[:-4]) == _number(data, size - 4)[0] else b""


class MessageReader:
    """Cuts a byte stream into messages. ``fault`` is what was wrong after those already given."""

    __slots__ = ("_buffer", "_headers", "_max", "_written", "fault")

    def __init__(self, max_bytes: int = MAX_EVENT) -> None:
        self._buffer = b""
        self._max = max_bytes
        # The headers of the last message, as they are written and read: most messages have the same.
        self._written = b""
        self._headers: dict[str, str] = {}
        self.fault: ParleyError | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Messages completed by ``data``; none any more once there is a ``fault``: ``upstream_bad_response``
        (bad_event, event_too_large)."""
        found: list[Message] = []
        if self.fault is not None:
            return found
        buffer = self._buffer + data if self._buffer else data
        start, size = 0, len(buffer)
        try:
            while size - start >= _PRELUDE:
                lengths: tuple[int, int, int] = _lengths(buffer, start)
                self._judge(buffer, start, lengths)
                end = start + lengths[0]
                if end > size:
                    break
                found.append(self._message(buffer, start, end, lengths))
                start = end
        except ParleyError as fault:
            self.fault = fault
            buffer = b""
        self._buffer = buffer[start:] if start else buffer
        return found

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished message are held."""
        return bool(self._buffer)

    def _judge(self, buffer: bytes, start: int, lengths: tuple[int, int, int]) -> None:
        """Raise for the beginning of a message that cannot be one."""
        total, headers, check = lengths
        if crc32(buffer[start : start + 8]) != check:
            raise _bad("the beginning of a message was damaged")
        if total > self._max:
            message = f"the provider sent an event of more than {self._max} bytes"
            raise ParleyError(Failure("upstream_bad_response", message, detail="event_too_large"))
        if headers > _MAX_HEADERS or headers + _LEAST > total:
            raise _bad("the lengths of a message do not fit together")

    def _message(self, buffer: bytes, start: int, end: int, lengths: tuple[int, int, int]) -> Message:
        last = end - 4
        # Goes on from the checksum of the first eight bytes, which was right.
        if crc32(buffer[start + 8 : last], lengths[2]).to_bytes(4, "big") != buffer[last:end]:
            raise _bad("a message was damaged")
        body = start + _PRELUDE + lengths[1]
        written = buffer[start + _PRELUDE : body]
        if written != self._written:
            self._headers = _usual(written) if len(written) <= _SHORT else _headers(written)
            self._written = written
        return Message(self._headers, buffer[body:last])


@lru_cache(maxsize=64)
def _usual(data: bytes) -> dict[str, str]:
    """The same: the service writes but a few. Nobody changes what is found."""
    return _headers(data)


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    try:
        while position < len(data):
            name_end = position + 1 + data[position]
            name = data[position + 1 : name_end].decode()
            kind = data[name_end]
            begin = name_end + 1
            if kind in _COUNTED:
                begin += 2
                size: int = _short(data, begin - 2)[0]
            else:
                size = _SIZES[kind]
            position = begin + size
            if position > len(data):
                raise _bad("a header of a message was cut")
            if kind == _STRING:
                found[name] = data[begin:position].decode()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise _bad("a header of a message is not valid") from None
    return found


def _bad(what: str) -> ParleyError:
    message = f"the provider's event stream cannot be read: {what}"
    return ParleyError(Failure("upstream_bad_response", message, detail="bad_event"))
