"""What is kept of an answer, and which answers are whole enough to be kept. Pure."""

from typing import Final

import msgspec
from msgspec import Struct

from parley.failure import ParleyError
from parley.fold import Fold
from parley.ir import ChatResponse
from parley.wire import Wire, unspoken

# Lines of an answer that belong to it and not to the request that it was given to.
_OWN: Final = frozenset({b"content-type", b"cache-control", b"x-accel-buffering", b"x-parley-dropped"})
_TARGET: Final = b"x-parley-target"
# Why a choice ended where it says all that it had to say.
_ENDED: Final = frozenset({"end", "stop_sequence", "tool_use"})


class Answer(Struct, frozen=True, array_like=True):
    """``head`` are header lines, ``target`` is ``provider/model``, ``created`` seconds since 1970. ``stream``: the body
    goes out as one, as it came."""

    created: float
    target: str
    stream: bool
    head: bytes
    body: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Answer).decode


def stored(answer: Answer) -> bytes:
    """As it is kept."""
    return _encode(answer)


def read(text: bytes) -> Answer | None:
    """What was kept, None where it is something else."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, ValueError):
        return None


def own_lines(head: bytes) -> tuple[bytes, str]:
    """Of an answer's header lines those that may be sent again, and the target that they name."""
    kept, target = b"", ""
    for line in head.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        if name in _OWN:
            kept += line + b"\r\n"
        elif name == _TARGET:
            target = value.decode("latin-1")
    return kept, target


def is_entire(wire: Wire, body: bytes, *, stream: bool) -> bool:
    """Whether a good answer in that wire said all that it had to say: every choice ended by itself, not by a limit, a
    filter or an error. What has no such notion is entire."""
    if (wire.stream_decoder if stream else wire.decode_response) is unspoken:
        return True
    try:
        response = _folded(wire, body) if stream else wire.decode_response(body)
    except ParleyError:
        return False
    if not isinstance(response, ChatResponse):
        return True
    return bool(response.choices) and all(choice.stop in _ENDED for choice in response.choices)


def _folded(wire: Wire, body: bytes) -> ChatResponse:
    decoder, whole = wire.stream_decoder(), Fold(wire.name)
    for event in (*decoder.feed(body), *decoder.close()):
        whole.feed(event)
    return whole.response()
