"""A request that has ended as the row that stands for it."""

from typing import Final

import msgspec

from parley.gateway.ended import Ended
from parley.ir import Usage

# What a provider reports is not ours to believe: beyond this a number is cut.
MOST: Final = 2**53
_encode: Final = msgspec.msgpack.Encoder().encode


def packed(ended: Ended) -> bytes:
    """One row in MessagePack: its parts in the order of parley.store.ledger.Row."""
    key, usage, cost = ended.key, ended.usage, ended.cost
    if not (0 <= usage.input <= MOST and 0 <= usage.output <= MOST and (cost is None or 0 <= cost <= MOST)):
        usage = msgspec.structs.replace(usage, input=_bound(usage.input), output=_bound(usage.output))
        cost = _bound(cost)
    cached, written, reasoning = usage.cached, usage.cache_write, usage.reasoning
    heard, spoken, images = usage.audio_input, usage.audio_output, usage.images
    if cached or written or reasoning or heard or spoken or images:
        cached, written, reasoning, heard, spoken, images = _parts(usage)
    return _encode(
        (
            ended.at,
            ended.request_id,
            "" if key is None else key.id,
            "" if key is None else key.name,
            {} if key is None else key.tags,
            ended.dialect,
            ended.operation,
            ended.model,
            ended.provider,
            ended.target,
            ended.status,
            ended.outcome,
            ended.kind,
            ended.attempts,
            ended.ms,
            ended.ttfb_ms,
            ended.stream,
            ended.bytes_out,
            usage.estimated,
            ended.cached,
            cost,
            usage.input,
            usage.output,
            cached,
            written,
            reasoning,
            heard,
            spoken,
            images,
            usage.seconds,
        )
    )


def _parts(usage: Usage) -> tuple[int | None, ...]:
    counts = (usage.cached, usage.cache_write, usage.reasoning, usage.audio_input, usage.audio_output, usage.images)
    return tuple(map(_bound, counts))


def _bound(count: int | None) -> int | None:
    return count if count is None or 0 <= count <= MOST else 0 if count < 0 else MOST
