"""Where the time of a slow request went, as one log line. Milliseconds since the request began; no text of anybody."""

from itertools import pairwise

import msgspec
from msgspec import Struct

from parley.gateway.delivery import Delivery
from parley.gateway.ended import Ended
from parley.telemetry.tries import Tried


class Part(Struct, frozen=True):
    """One try: when it began, had its first byte and ended; ``kind`` is how it failed, "" where it did not."""

    target: str
    began_ms: float
    first_byte_ms: float | None
    ended_ms: float
    kind: str


class Slow(Struct, frozen=True):
    """``queue_ms`` is what passed before the first try; ``pause_ms`` what passed between tries; ``tokens_per_second``
    is counted from the first content of a stream on."""

    event: str
    request_id: str
    model: str
    outcome: str
    ms: float
    queue_ms: float
    pause_ms: float
    first_content_ms: float | None
    tries: tuple[Part, ...]
    in_tok: int
    out_tok: int
    tokens_per_second: float | None


def slow_line(job: Delivery, ended: Ended, tries: list[Tried]) -> bytes:
    """The line of a request that took long."""
    parts = tuple(_part(job, tried) for tried in tries)
    first = _thousandths(job.opened * 1000) if job.opened else None
    spoke = ended.ms / 1000 - job.opened
    made = ended.usage.output
    told = Slow(
        "request.slow",
        ended.request_id,
        ended.model,
        ended.outcome,
        _thousandths(ended.ms),
        parts[0].began_ms if parts else _thousandths(ended.ms),
        _thousandths(sum(after.began_ms - before.ended_ms for before, after in pairwise(parts))),
        first,
        parts,
        ended.usage.input,
        made,
        round(made / spoke, 1) if job.opened and made and spoke > 0 else None,
    )
    return msgspec.json.encode(told)


def _part(job: Delivery, tried: Tried) -> Part:
    def since(moment: float) -> float:
        return _thousandths((moment - job.started) * 1000)

    over = tried.began if tried.over is None else tried.over
    first = None if tried.first is None else since(tried.first)
    return Part(tried.target, since(tried.began), first, since(over), tried.kind)


def _thousandths(milliseconds: float) -> float:
    return round(milliseconds, 3)
