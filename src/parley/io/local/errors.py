"""Errors of the engine in OpenAI's shape: the model is ours, so nobody else is there to give them one.

Source: OpenAI surface contract section 10; llama.cpp numbers its errors and has types of its own.
"""

from typing import Any, Final

import msgspec

from parley.failure import Failure
from parley.ports import Headers, Sink

# The engine's type: the status and the code that callers know it by.
_KNOWN: Final = {"exceed_context_size_error": (400, "context_length_exceeded")}
# Said with status 500 of a request that this model cannot take; asking again would change nothing.
_CANNOT: Final = {"is not supported": None, "is too large to process": "context_length_exceeded"}
_TYPES: Final = {True: "invalid_request_error", False: "server_error"}


class Worded:
    """A Sink before the caller's: an error is held until it is whole."""

    __slots__ = ("_error", "_headers", "_sink", "_status")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._status = 0
        self._headers: Headers = []
        self._error: bytearray | None = None

    def head(self, status: int, headers: Headers) -> None:
        """Pass on that of an answer."""
        if status < 400:
            self._sink.head(status, headers)
            return
        self._status = status
        self._headers = [pair for pair in headers if pair[0] != b"content-length"]
        self._error = bytearray()

    def body(self, data: bytes) -> None:
        """Pass on that of an answer."""
        if self._error is None:
            self._sink.body(data)
        else:
            self._error += data

    def done(self) -> None:
        """It is whole."""
        if self._error is not None:
            status, body = worded(self._status, bytes(self._error))
            self._sink.head(status, self._headers)
            self._sink.body(body)
        self._sink.done()

    def failed(self, failure: Failure) -> None:
        """It broke."""
        self._sink.failed(failure)


def worded(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of an error; what is none of the engine's own stays as it is."""
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return status, body
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return status, body
    status, code = _KNOWN.get(str(error.get("type")), (status, None))
    for words, why in _CANNOT.items() if status == 500 else ():
        if words in error["message"]:
            status, code = 400, why
    more = {name: value for name, value in error.items() if name not in ("message", "type", "param", "code")}
    told = {"message": error["message"], "type": _TYPES[status < 500], "param": error.get("param"), "code": code}
    return status, msgspec.json.encode({"error": told | more})
