"""What a job that has ended comes to: its tokens, its cost, its value for whoever listens."""

from typing import TYPE_CHECKING, Final

from parley.gateway.ended import Ended, Outcome, Phase
from parley.ir import Usage

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery

# Where no provider counted: about four bytes of text to a token.
BYTES_PER_TOKEN: Final = 4


def asked_tokens(job: "Delivery") -> int:
    """Tokens of a request that nobody counted; none for files and the like."""
    return 0 if job.inlet.form else len(job.request.body) // BYTES_PER_TOKEN


def made_tokens(job: "Delivery") -> int:
    """Tokens of an answer that nobody counted: the pieces of a stream, else what its bytes would make; none for what
    is no text."""
    if not job.inlet.texts:
        return 0
    if job.committed:
        return job.relay.pieces if job.relay is not None else 0
    return job.bytes_out // BYTES_PER_TOKEN


def ended(job: "Delivery", outcome: Outcome, kind: str, phase: Phase) -> Ended:
    """The value for a job that has just ended."""
    gateway, lane, course, first, key = job.gateway, job.lane, job.course, job.first_byte, job.key
    took = gateway.now() - job.started
    usage = _usage(job, outcome)
    return Ended(
        job.request.id,
        gateway.wall() - took,
        None if key is None else key.holder,
        job.inlet.dialect,
        job.inlet.operation,
        job.model,
        "" if lane is None else lane.provider.label,
        "" if lane is None else lane.target.name,
        job.status,
        outcome,
        kind,
        phase,
        0 if course is None else course.attempts,
        took * 1000,
        None if first is None else first * 1000,
        usage,
        _cost(job, usage),
        job.streams,
        job.bytes_out,
    )


def _usage(job: "Delivery", outcome: Outcome) -> Usage:
    """What was used. A try that failed before its answer began is nobody's bill; one that was left may well be."""
    if job.relay is not None and job.relay.usage is not None:
        return job.relay.usage
    if job.lane is None or (outcome == "error" and not job.committed):
        return Usage()
    return Usage(asked_tokens(job), made_tokens(job), estimated=True)


def _cost(job: "Delivery", usage: Usage) -> int | None:
    lane, tariffs = job.lane, job.gateway.tariffs
    if lane is None:
        return 0
    tariff = None if tariffs is None else tariffs.of(lane.provider, lane.target.model)
    if tariff is not None:
        return tariff.cost(usage)
    return 0 if not (usage.input or usage.output) else None
