"""Ids for answers of servers that give none: OpenAI's clients expect one, the same on every chunk of a stream.

Source: provider contract sections 1 and 7.
"""

from secrets import token_hex
from typing import Any, Final

from msgspec import UNSET, DecodeError, Struct, json

from parley.failure import Failure
from parley.ports import Headers, Sink

# Beyond that nothing is held back: what is longer is judged by whoever reads it.
_LARGEST: Final = 32 * 1024 * 1024
_DATA: Final = b"data:"


class _Answer(Struct):
    choices: list[Any]
    id: Any = UNSET


_decode: Final = json.Decoder(_Answer).decode


def name_for(path: bytes) -> bytes:
    """An id for an answer from that path, "" where answers have none."""
    if path.find(b"completions") < 0:
        return b""
    return (b"chatcmpl-" if path.find(b"chat") >= 0 else b"cmpl-") + token_hex(12).encode()


class Named:
    """A Sink before the caller's: what has no id gets ``name``, all else stays as it is."""

    def __init__(self, sink: Sink, name: bytes) -> None:
        self._sink = sink
        self._id = b'{"id":"%b",' % name
        self._held = bytearray()
        self._events = self._whole = False

    def head(self, status: int, headers: Headers) -> None:
        """Errors pass as they are."""
        kind = next((value for name, value in headers if name == b"content-type"), b"").lower()
        self._events = status == 200 and kind.startswith(b"text/event-stream")
        self._whole = status == 200 and kind.find(b"json") >= 0
        self._sink.head(status, [pair for pair in headers if pair[0] != b"content-length"])

    def body(self, data: bytes) -> None:
        """More of it: whole lines of a stream, all of an object."""
        if not (self._events or self._whole):
            self._sink.body(data)
            return
        self._held += data
        if self._events and (end := self._held.rfind(b"\n") + 1):
            lines = bytes(self._held[:end]).splitlines(keepends=True)
            del self._held[:end]
            self._sink.body(b"".join(map(self._line, lines)))
        elif len(self._held) > _LARGEST:
            self._events = self._whole = False
            self._let_go()

    def done(self) -> None:
        """It is whole."""
        if self._whole:
            self._sink.body(self._named(bytes(self._held)))
        else:
            self._let_go()
        self._sink.done()

    def failed(self, failure: Failure) -> None:
        """It broke."""
        self._sink.failed(failure)

    def _let_go(self) -> None:
        if self._held:
            self._sink.body(bytes(self._held))
            self._held.clear()

    def _line(self, line: bytes) -> bytes:
        if not line.startswith(_DATA):
            return line
        start = line.find(b"{")
        return line if start < 0 or line[5:start].strip() else line[:start] + self._named(line[start:])

    def _named(self, body: bytes) -> bytes:
        try:
            answer = _decode(body)
        except DecodeError:
            return body
        start = body.find(b"{")
        return body if answer.id is not UNSET else body[:start] + self._id + body[start + 1 :]
