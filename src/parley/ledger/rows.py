"""A request that has ended as the row that stands for it."""

from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from parley.gateway.ended import Ended
from parley.ir import Usage

# What a provider reports is not ours to believe: beyond this a number is cut.
MOST: Final = 2**53
_FIELDS: Final = Ended.__struct_fields__
_AT: Final = _FIELDS.index("at")
_REQUEST_ID: Final = _FIELDS.index("request_id")
_DIALECT: Final = _FIELDS.index("dialect")
_PHASE: Final = _FIELDS.index("phase")
_USAGE: Final = _FIELDS.index("usage")
_CACHED: Final = _FIELDS.index("cached")
_encode: Final = msgspec.msgpack.Encoder().encode


def packed(ended: Ended) -> bytes:
    """One row in MessagePack: its parts in the order of parley.store.ledger.Row."""
    # Whole: to ask for each of them costs more than all the rest.
    values: tuple[Any, ...] = astuple(ended)
    key, usage, cost = ended.key, ended.usage, ended.cost
    read, made = usage.input, usage.output
    if not (0 <= read <= MOST and 0 <= made <= MOST and (cost is None or 0 <= cost <= MOST)):
        read, made, cost = _bound(read) or 0, _bound(made) or 0, _bound(cost)
    who = ("", "", {}) if key is None else (key.id, key.name, key.tags)
    return _encode(
        (
            values[_AT],
            values[_REQUEST_ID],
            *who,
            *values[_DIALECT:_PHASE],
            *values[_PHASE + 1 : _USAGE],
            *values[_USAGE + 2 : _CACHED],
            usage.estimated,
            values[_CACHED],
            cost,
            read,
            made,
            *_parts(usage),
        )
    )


def _parts(usage: Usage) -> tuple[Any, ...]:
    cached, written, reasoning = usage.cached, usage.cache_write, usage.reasoning
    heard, spoken, images = usage.audio_input, usage.audio_output, usage.images
    if cached or written or reasoning or heard or spoken or images:
        counts = (cached, written, reasoning, heard, spoken, images)
        return (*map(_bound, counts), usage.seconds)
    return cached, written, reasoning, heard, spoken, images, usage.seconds


def _bound(count: int | None) -> int | None:
    return count if count is None or 0 <= count <= MOST else 0 if count < 0 else MOST
