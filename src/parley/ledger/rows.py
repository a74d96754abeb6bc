"""A request that has ended as the row that stands for it."""

from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from parley.gateway.ended import Ended
from parley.ir import Usage
from parley.store.ledger import Values

# What a provider reports is not ours to believe: beyond this a number is cut.
MOST: Final = 2**53
_USED: Final = Usage.__struct_fields__
_INPUT: Final = _USED.index("input")
_OUTPUT: Final = _USED.index("output")
_ESTIMATED: Final = _USED.index("estimated")
_READ_AGAIN: Final = _USED.index("cached")
_WRITTEN: Final = _USED.index("cache_write")
_REASONING: Final = _USED.index("reasoning")
_HEARD: Final = _USED.index("audio_input")
_SPOKEN: Final = _USED.index("audio_output")
_IMAGES: Final = _USED.index("images")
_SECONDS: Final = _USED.index("seconds")
_encode: Final = msgspec.msgpack.Encoder().encode


def packed(row: Values) -> bytes:
    """One row in MessagePack."""
    return _encode(row)


def row_of(ended: Ended) -> Values:
    """One row, in the order of parley.store.ledger.Row."""
    # Whole: to ask for each of its parts costs more than all the rest.
    values: tuple[Any, ...] = astuple(ended)
    (
        request_id, at, key, dialect, operation, model, provider, target, status, outcome, kind, _, attempts, ms,
        ttfb_ms, usage, cost, stream, bytes_out, replayed,
    ) = values  # fmt: skip
    used: tuple[Any, ...] = astuple(usage)
    read, made, estimated = used[_INPUT], used[_OUTPUT], used[_ESTIMATED]
    cached, written, reasoning = used[_READ_AGAIN], used[_WRITTEN], used[_REASONING]
    heard, spoken, images, seconds = used[_HEARD], used[_SPOKEN], used[_IMAGES], used[_SECONDS]
    if not (0 <= read <= MOST and 0 <= made <= MOST and (cost is None or 0 <= cost <= MOST)):
        read, made, cost = _bound(read) or 0, _bound(made) or 0, _bound(cost)
    if cached or written or reasoning or heard or spoken or images:
        counts = (cached, written, reasoning, heard, spoken, images)
        cached, written, reasoning, heard, spoken, images = map(_bound, counts)
    who, name, tags = ("", "", {}) if key is None else (key.id, key.name, key.tags)
    return (
        at, request_id, who, name, tags, dialect, operation, model, provider, target, status, outcome, kind, attempts,
        ms, ttfb_ms, stream, bytes_out, estimated, replayed, cost, read, made, cached, written, reasoning, heard,
        spoken, images, seconds,
    )  # fmt: skip


def _bound(count: int | None) -> int | None:
    return count if count is None or 0 <= count <= MOST else 0 if count < 0 else MOST
