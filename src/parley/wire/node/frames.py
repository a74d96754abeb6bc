"""What stands around answers: a worker's ``code`` and ``message``, and the event by which a broken stream says so."""

from typing import Final

from msgspec import json

from parley.failure import Failure
from parley.framing import sse
from parley.ir import Event
from parley.wire import Reply, StreamEncoder, load, unspoken
from parley.wire.node.errors import coded
from parley.wire.openai_error import error_object

_SUCCESS: Final = b'{"code":0,"message":"success"'


def succeeded(body: bytes) -> bytes:
    """The same object with a code and a message in front. A code that a worker behind gave is the same one."""
    text = body.strip()
    if not text.startswith(b"{"):
        return body
    told = json.decode(text)
    if "code" in told or "message" in told:
        told.pop("code", None)
        told.pop("message", None)
        text = json.encode(told)
    return _SUCCESS + (b"}" if text == b"{}" else b"," + text[1:])


def broken(failure: Failure) -> bytes:
    """The one event that ends a stream which broke; for readers of either kind."""
    code, message = coded(failure)
    return sse(json.encode({"code": code, "message": message, "error": error_object(failure, failure.http_status)}))


class CodedStream:
    """OpenAI's chunks, and an error event with a code."""

    __slots__ = ("_chunks",)

    def __init__(self, reply: Reply) -> None:
        self._chunks: StreamEncoder = load("openai_chat").stream_encoder(reply)

    def feed(self, event: Event) -> bytes:
        """The chunks that say it."""
        return self._chunks.feed(event)

    def fail(self, failure: Failure) -> bytes:
        """See ``broken``."""
        return broken(failure)


class CodedEvent:
    """For what has no streams."""

    __slots__ = ()

    def __init__(self, reply: Reply) -> None:
        """Nothing of the request is needed."""

    def feed(self, event: Event) -> bytes:
        """Raises ``not_implemented``."""
        unspoken()
        return b""

    def fail(self, failure: Failure) -> bytes:
        """See ``broken``."""
        return broken(failure)
