"""Requests and answers as they are kept: without personal data, and no longer than was allowed. Pure.

A stream is kept as the one object that says the same, so that nothing personal hides between two of its pieces.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from parley.failure import ParleyError
from parley.fold import Fold
from parley.wire import Reply, Wire

_GONE: Final = b'{"not kept":"it is neither JSON nor a stream that can be read"}'
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def object_of(wire: Wire, events: bytes) -> bytes:
    """The whole answer that a stream tells; nothing where it cannot be told."""
    try:
        decoder = wire.stream_decoder()
        whole = Fold(wire.name)
        for event in (*decoder.feed(events), *decoder.close()):
            whole.feed(event)
        reply = Reply(model="", id="", created=0, include_usage=True, wire=wire.name, asked=b"{}")
        return wire.encode_response(whole.response(), reply)
    except (ParleyError, *_BAD):
        return b""


def kept(body: bytes, most: int, scrubbed: Callable[[str], str] | None) -> tuple[bytes, bool]:
    """What is kept of a body, and whether it was cut."""
    if scrubbed is not None:
        body = _scrubbed(body, scrubbed)
    return (body, False) if len(body) <= most else (body[:most], True)


def _scrubbed(body: bytes, scrubbed: Callable[[str], str]) -> bytes:
    try:
        value = msgspec.json.decode(body) if body else None
    except _BAD:
        return _GONE
    return b"" if not body else msgspec.json.encode(_walked(value, scrubbed))


def _walked(value: Any, scrubbed: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, dict):
        return {name: _walked(item, scrubbed) for name, item in value.items()}
    return [_walked(item, scrubbed) for item in value] if isinstance(value, list) else value
