"""What a node tells the node that asked it of a call that failed, beside the answer in a dialect.

It has made its own tries by then. Where anybody has decided about the request, that is the answer; where nobody has
(a lost connection, too much load), another node may be asked, but not the same one again. Pure.
Sources: computing node contract 5.6, 5.7; product contract section 6.
"""

from base64 import b64decode, b64encode
from typing import Final

import msgspec
from msgspec import Struct

from parley.failure import KINDS, NODE_ANSWERED, NODE_LOOP, Failure
from parley.framing import sse
from parley.ports import Headers, Sink

HEADER: Final = b"x-parley-failure"
_LONGEST: Final = 4096
_LARGEST: Final = 64 * 1024
# Nobody has looked at the request.
_BUSY: Final = frozenset({"upstream_rate_limited", "rate_limited", "budget_exceeded", "overloaded", "model_loading"})
_NOWHERE: Final = frozenset(
    {
        "upstream_unreachable",
        "upstream_connect_timeout",
        "upstream_tls",
        "upstream_closed",
        "no_upstream",
        "model_not_found",
        "unauthorized",
        "forbidden",
    }
)


class Said(Struct, frozen=True, array_like=True):
    """A failure as it travels. ``own``: the body of the answer is the provider's own, in the wire of OpenAI's chat."""

    kind: str
    message: str
    status: int
    param: str | None = None
    detail: str = ""
    retry_after: float | None = None
    type: str | None = None
    code: str | None = None
    own: bool = False


_BAD: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_said: Final = msgspec.json.Decoder(Said).decode


def line(failure: Failure, body: bytes) -> bytes:
    """The header line of an answer with that body."""
    own = failure.wire == "openai_chat" and failure.body is not None and failure.body == body
    said = Said(
        failure.kind,
        failure.message[:_LONGEST],
        failure.http_status,
        failure.param,
        failure.detail,
        failure.retry_after,
        failure.upstream_type,
        failure.upstream_code,
        own,
    )
    return b"%b: %b\r\n" % (HEADER, b64encode(msgspec.json.encode(said)))


def event(failure: Failure) -> bytes:
    """The event that ends a stream in which a worker gave a code; b"" for every other failure."""
    code = failure.upstream_code or ""
    if not code.removeprefix("-").isdecimal() or not code.isascii():
        return b""
    return sse(msgspec.json.encode({"code": int(code), "message": failure.message}))


def read(value: bytes, body: bytes) -> Failure | None:
    """The failure that the header means for us, None where it cannot be read."""
    try:
        said = _said(b64decode(value, validate=True))
    except _BAD:
        return None
    if said.kind not in KINDS or not 400 <= said.status < 600:
        return None
    detail = NODE_LOOP if said.detail == NODE_LOOP else NODE_ANSWERED
    if said.kind in _BUSY:
        return _failure("upstream_rate_limited", said, detail)
    if said.kind in _NOWHERE:
        return _failure("upstream_unreachable", said, detail)
    return _decided(said, body)


def _decided(said: Said, body: bytes) -> Failure:
    own = body if said.own and len(body) <= _LARGEST else None
    wire = None if own is None else "openai_chat"
    blamed = KINDS[said.kind].blame
    if blamed == "caller":
        status = said.status if said.status < 500 and said.status not in (401, 403) else None
        return _failure("upstream_rejected", said, "", status=status, wire=wire, body=own)
    kind = said.kind if blamed == "upstream" else "upstream_error"
    status = said.status if kind == "upstream_error" and said.status >= 500 else None
    return _failure(kind, said, NODE_ANSWERED, status=status, wire=wire, body=own, final=True)


def _failure(  # noqa: PLR0913 - the parts of one failure
    kind: str,
    said: Said,
    detail: str,
    *,
    status: int | None = None,
    wire: str | None = None,
    body: bytes | None = None,
    final: bool = False,
) -> Failure:
    return Failure(
        kind,
        said.message[:_LONGEST],
        status=status,
        param=said.param if kind == "upstream_rejected" else None,
        detail=detail,
        retry_after=said.retry_after,
        wire=wire,
        body=body,
        upstream_type=said.type,
        upstream_code=said.code,
        final=final,
    )


def heeding(sink: Sink, headers: Headers) -> Sink:
    """The sink of an error answer: what the other node told of it is heard instead, where it told anything."""
    value = next((value for name, value in headers if name == HEADER), None)
    return sink if value is None else _Heeding(sink, value)


class _Heeding:
    __slots__ = ("_body", "_head", "_sink", "_value")

    def __init__(self, sink: Sink, value: bytes) -> None:
        self._sink = sink
        self._value = value
        self._head: tuple[int, Headers] = (500, [])
        self._body = bytearray()

    def head(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        self._head = (status, headers)

    def body(self, data: bytes) -> None:
        """More of it; no more than an error is kept."""
        self._body += data[: max(0, _LARGEST + 1 - len(self._body))]

    def done(self) -> None:
        """It is whole."""
        body = bytes(self._body)
        failure = read(self._value, body)
        if failure is not None:
            self._sink.failed(failure)
            return
        self._sink.head(*self._head)
        self._sink.body(body)
        self._sink.done()

    def failed(self, failure: Failure) -> None:
        """It broke."""
        self._sink.failed(failure)
