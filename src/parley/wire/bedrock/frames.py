"""Amazon's event stream encoding: bytes to messages, whatever the chunking.

A message is big-endian: total length, length of the headers, CRC32 of these eight bytes; headers; payload; CRC32 of
everything before it. A header is the length of its name, its name, a type, and a value whose size the type tells.
Source: provider contract 10.
"""

import struct
from typing import Final
from zlib import crc32

from msgspec import Struct

from parley.failure import Failure, ParleyError
from parley.framing import MAX_EVENT

_PRELUDE: Final = 12
_LEAST: Final = 16
_MAX_HEADERS: Final = 128 * 1024
_lengths: Final = struct.Struct(">III").unpack_from
_number: Final = struct.Struct(">I").unpack_from
_short: Final = struct.Struct(">H").unpack_from
_STRING: Final = 7
# Bytes of a value by its type: true, false, byte, short, integer, long, -, -, timestamp, uuid.
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
# Types whose value begins with its own length, in two bytes.
_COUNTED: Final = (6, _STRING)


class Message(Struct, frozen=True):
    """One message; of its headers those that are strings."""

    headers: dict[str, str]
    payload: bytes


class MessageReader:
    """Cuts a byte stream into messages. ``fault`` is what was wrong after those already given."""

    __slots__ = ("_buffer", "_max", "fault")

    def __init__(self, max_bytes: int = MAX_EVENT) -> None:
        self._buffer = b""
        self._max = max_bytes
        self.fault: ParleyError | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Messages completed by ``data``; none any more once there is a ``fault``: ``upstream_bad_response``
        (bad_event, event_too_large)."""
        found: list[Message] = []
        if self.fault is not None:
            return found
        buffer = self._buffer + data if self._buffer else data
        start = 0
        try:
            while (end := self._end(buffer, start)) and end <= len(buffer):
                found.append(_message(buffer, start, end))
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

    def _end(self, buffer: bytes, start: int) -> int:
        """Where the message at ``start`` ends, which may be beyond the buffer; 0 while that is not known."""
        if len(buffer) - start < _PRELUDE:
            return 0
        total, headers, check = _lengths(buffer, start)
        if crc32(buffer[start : start + 8]) != check:
            raise _bad("the beginning of a message was damaged")
        if total > self._max:
            message = f"the provider sent an event of more than {self._max} bytes"
            raise ParleyError(Failure("upstream_bad_response", message, detail="event_too_large"))
        if headers > _MAX_HEADERS or headers + _LEAST > total:
            raise _bad("the lengths of a message do not fit together")
        end: int = start + total
        return end


def _message(buffer: bytes, start: int, end: int) -> Message:
    if crc32(buffer[start : end - 4]) != _number(buffer, end - 4)[0]:
        raise _bad("a message was damaged")
    body = start + _PRELUDE + _number(buffer, start + 4)[0]
    return Message(_headers(buffer[start + _PRELUDE : body]), buffer[body : end - 4])


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
