"""What two nodes say to each other about one call: frames, each one message of the network. Pure.

A frame is one byte that says what it is, four that count the frames of its direction, and what a Channel makes of the
rest. Towards the node that answers:

ASK      an Opening in the clear, then the Asked and the first part of the request's body
BODY     more of the body: eight bytes for where it belongs, then the bytes
CREDIT   so many bytes of the answer may be sent in all; also the sign that somebody still waits
LEAVE    nobody waits any more

Towards the one that asks:

CREDIT   so many bytes of the body may be sent in all
ANSWER   HEAD: it begins with status and headers; LAST: it is the end; the rest is the answer's body
FAIL     a Broken: no answer, or no more of it
BEAT     the answer takes its time
REFUSED  in the clear: the call was not even read

Credits count from the beginning, so that one that is lost is made good by the next.
"""

import struct
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from parley.failure import KINDS, Failure
from parley.nodes.presence import UNREADABLE, UnreadableError
from parley.ports import Headers

ASK: Final = 1
BODY: Final = 2
CREDIT: Final = 3
LEAVE: Final = 4
ANSWER: Final = 5
FAIL: Final = 6
BEAT: Final = 7
REFUSED: Final = 8
HEAD: Final = 0x10
LAST: Final = 0x20
KIND: Final = 0x0F

VERSION: Final = 2
LAYOUT: Final = struct.Struct(">BI")
# Bytes of a frame before its payload.
FRAMED: Final = 5
_LENGTH: Final = struct.Struct(">I")
_TOTAL: Final = struct.Struct(">Q")
_STATUS: Final = struct.Struct(">HI")
IDENTIFIED: Final = b"x-request-id: "
# What is longer is not remembered.
_SHORT: Final = 512
# What another node may say of a failure; its words are its own, ours are these.
_SAID: Final = {
    "upstream_unreachable": "the node does not offer this model now",
    "upstream_timeout": "the node did not answer in time",
    "upstream_closed": "the node gave up without an answer",
    "upstream_incomplete": "the node's answer broke off",
    "overloaded": "the node takes no more calls now",
    "body_too_large": "the request is larger than the node takes",
}


class Opening(Struct, frozen=True, array_like=True):
    """Of a call, in the clear. ``token`` names it, ``node`` asks and has this public ``key``; ``ephemeral`` is the key
    made for this call, b"" where nothing is encrypted."""

    version: int
    token: str
    node: str
    key: str = ""
    ephemeral: bytes = b""


class Asked(Struct, frozen=True, array_like=True):
    """A call. ``head`` are its header lines, ``total`` the seconds left for it, ``window`` the bytes of the answer that
    may be sent at first, ``size`` of the whole body; ``at`` seconds since 1970 by the clock of the one that asks."""

    operation: str
    project: str
    model: str
    cid: str
    head: bytes
    total: float
    window: int
    size: int
    at: float = 0.0


class Broken(Struct, frozen=True, array_like=True):
    """A failure: a kind of parley.failure, the finer word, and when to ask again."""

    kind: str
    detail: str = ""
    retry_after: float | None = None


REFUSAL: Final = bytes([REFUSED])


# Its kind with its flags, its number, and the payload.
Frame: TypeAlias = tuple[int, int, bytes]


class Channel:
    """One call's two directions, seen from one end. Every frame that is wrapped has the next number."""

    __slots__ = ()

    def wrap(self, kind: int, payload: bytes) -> bytes:
        """A frame as it is sent."""
        raise NotImplementedError

    def unwrap(self, data: bytes) -> Frame:
        """A frame that arrived. Raises UnreadableError."""
        raise NotImplementedError


class Plain(Channel):
    """A Channel that hides nothing."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def wrap(self, kind: int, payload: bytes) -> bytes:
        """See Channel."""
        seq = self._next
        self._next = seq + 1
        return LAYOUT.pack(kind, seq) + payload

    def unwrap(self, data: bytes) -> Frame:
        """See Channel."""
        kind, seq = numbered(data)
        return kind, seq, data[FRAMED:]


def numbered(data: bytes) -> tuple[int, int]:
    """Kind and number of a frame. Raises UnreadableError."""
    try:
        kind, seq = LAYOUT.unpack_from(data)
    except struct.error:
        raise UnreadableError("too short") from None
    return kind, seq


_opening: Final = msgspec.msgpack.Decoder(Opening).decode
_asked: Final = msgspec.msgpack.Decoder(Asked).decode
_broken: Final = msgspec.msgpack.Decoder(Broken)
_packed: Final = msgspec.msgpack.Encoder().encode


def opened(opening: Opening, rest: bytes) -> bytes:
    """The first message of a call; ``rest`` is its ASK frame."""
    head = _packed(opening)
    return _LENGTH.pack(len(head)) + head + rest


def read_opening(message: bytes) -> tuple[Opening, bytes]:
    """The same read. Raises UnreadableError."""
    head, rest = _split(message)
    try:
        return _opening(head), rest
    except UNREADABLE as error:
        raise UnreadableError(str(error)) from None


def ask(asked: Asked, first: bytes) -> bytes:
    """The payload of an ASK frame."""
    head = _packed(asked)
    return _LENGTH.pack(len(head)) + head + first


def read_ask(payload: bytes) -> tuple[Asked, bytes]:
    """The same read. Raises UnreadableError."""
    head, first = _split(payload)
    try:
        asked = _asked(head)
    except UNREADABLE as error:
        raise UnreadableError(str(error)) from None
    if not 0 < asked.total < 1e9 or asked.window < 0 or asked.size < len(first):
        raise UnreadableError("out of bounds")
    return asked, first


def counted(number: int) -> bytes:
    """The payload of a CREDIT frame, and where a part of the body belongs."""
    return _TOTAL.pack(number)


def read_total(payload: bytes) -> int:
    """The same read. Raises UnreadableError."""
    try:
        found: int = _TOTAL.unpack_from(payload)[0]
    except struct.error:
        raise UnreadableError("too short") from None
    return found


def heading(status: int, lines: bytes) -> bytes:
    """What an ANSWER frame with HEAD begins with; ``lines`` are complete header lines."""
    return _STATUS.pack(status, len(lines)) + lines


def read_head(payload: bytes) -> tuple[int, Headers, bytes]:
    """Status and headers of an answer, and what follows. Raises UnreadableError."""
    try:
        status, length = _STATUS.unpack_from(payload)
    except struct.error:
        raise UnreadableError("too short") from None
    end = _STATUS.size + length
    if len(payload) < end or not 200 <= status < 600:
        raise UnreadableError("no head")
    return status, pairs(payload[_STATUS.size : end]), payload[end:]


def pairs(lines: bytes) -> Headers:
    """Header lines as names, in lower case, and values: a list that is not to be changed."""
    return _seen(lines) if len(lines) <= _SHORT else _pairs(lines)


def _pairs(lines: bytes) -> Headers:
    found: Headers = []
    for line in lines.split(b"\r\n"):
        if line:
            name, _, value = line.partition(b":")
            found.append((name.strip().lower(), value.strip()))
    return found


# Most calls have the same ones.
_seen: Final = lru_cache(256)(_pairs)


def parted(lines: bytes) -> tuple[bytes, bytes]:
    """Header lines without the one that names the request, and its name, b"" where there is none."""
    start = lines.find(IDENTIFIED)
    if start < 0 or (start and not lines.startswith(b"\r\n", start - 2)):
        return lines, b""
    end = lines.find(b"\r\n", start)
    return lines[:start] + lines[end + 2 :], lines[start + len(IDENTIFIED) : end]


def identity(name: bytes) -> bytes:
    """The lines by which an answer names the request."""
    return b"%b%b\r\nrequest-id: %b\r\n" % (IDENTIFIED, name, name)


def broken(failure: Failure) -> bytes:
    """The payload of a FAIL frame."""
    return msgspec.msgpack.encode(Broken(failure.kind, failure.detail, failure.retry_after))


def read_broken(payload: bytes) -> Failure:
    """The same read: in our own words. Raises UnreadableError."""
    try:
        found = _broken.decode(payload)
    except UNREADABLE as error:
        raise UnreadableError(str(error)) from None
    kind = found.kind if found.kind in _SAID and found.kind in KINDS else "upstream_error"
    detail = found.detail if found.detail.isidentifier() and len(found.detail) < 64 else ""
    return Failure(kind, _SAID.get(kind, "the node failed"), detail=detail, retry_after=found.retry_after)


def _split(message: bytes) -> tuple[bytes, bytes]:
    try:
        end = _LENGTH.size + _LENGTH.unpack_from(message)[0]
    except struct.error:
        raise UnreadableError("too short") from None
    if end > len(message):
        raise UnreadableError("too short")
    return message[_LENGTH.size : end], message[end:]
