"""The one terminal line of a request, as a value and as JSON text. Source: fault contract rule 5."""

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from parley.gateway.job import Job

Phase: TypeAlias = Literal["pre", "mid", "done"]
Outcome: TypeAlias = Literal["ok", "error", "client_abort"]
# Where no provider counted: about four bytes of text to a token.
_BYTES_PER_TOKEN = 4


class Record(Struct, frozen=True, gc=False):
    """How one request ended. Milliseconds, tokens; no key, no prompt, no answer."""

    event: str
    request_id: str
    dialect: str
    model: str
    provider: str
    attempts: int
    phase: Phase
    outcome: Outcome
    kind: str
    status: int
    ms: float
    ttfb_ms: float | None
    in_tok: int
    out_tok: int
    usage: Literal["exact", "estimated"]


line = msgspec.json.Encoder().encode


def record(job: "Job", outcome: Outcome, kind: str, phase: Phase) -> Record:
    """The line of a job that has just ended."""
    usage = job.relay.usage if job.relay is not None else None
    lane, course, first = job.lane, job.course, job.first_byte
    return Record(
        "request.end",
        job.request.id,
        job.inlet.dialect,
        job.asked.model if job.asked is not None else "",
        lane.provider.name if lane is not None else "",
        course.attempts if course is not None else 0,
        phase,
        outcome,
        kind,
        job.status,
        int((job.gateway.clock.now() - job.started) * 1e6) / 1000,
        None if first is None else int(first * 1e6) / 1000,
        usage.input if usage is not None else len(job.request.body) // _BYTES_PER_TOKEN,
        usage.output if usage is not None else job.bytes_out // _BYTES_PER_TOKEN,
        "estimated" if usage is None or usage.estimated else "exact",
    )
