"""The one terminal line of a request, as a value and as JSON text. Source: fault contract rule 5."""

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from parley.gateway.route import Route

if TYPE_CHECKING:
    from parley.gateway.job import Job

Phase: TypeAlias = Literal["pre", "mid", "done"]
Outcome: TypeAlias = Literal["ok", "error", "client_abort"]
# Where no provider counted: about four bytes of text to a token.
_BYTES_PER_TOKEN: Final = 4


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


_encode: Final = msgspec.json.Encoder().encode
_NUMBERS: Final = tuple(str(number) for number in range(1000))
_THOUSANDTHS: Final = tuple(f"{number:03}" for number in range(1000))


def line(job: "Job", outcome: Outcome, kind: str, phase: Phase) -> bytes:
    """The line of a job that has just ended."""
    if outcome == "ok" and job.route is not None and job.course is not None:
        return _succeeded(job, job.route, job.course.attempts).encode()
    usage = job.relay.usage if job.relay is not None else None
    lane, course, first = job.lane, job.course, job.first_byte
    made = Record(
        "request.end",
        job.request.id,
        job.inlet.dialect,
        job.model,
        lane.provider.label if lane is not None else "",
        course.attempts if course is not None else 0,
        phase,
        outcome,
        kind,
        job.status,
        int((job.gateway.now() - job.started) * 1e6) / 1000,
        None if first is None else int(first * 1e6) / 1000,
        usage.input if usage is not None else _asked(job),
        usage.output if usage is not None else _guessed(job),
        "estimated" if usage is None or usage.estimated else "exact",
    )
    return _encode(made)


def refused_line(dialect: str, request_id: str, reason: str, status: int) -> bytes:
    """The line of a request that was turned away before it was read."""
    return _encode(
        Record(
            "request.end", request_id, dialect, "", "", 0, "pre", "error", reason, status, 0.0, None, 0, 0, "estimated"
        )
    )


def _succeeded(job: "Job", route: Route, attempts: int) -> str:
    """The same text for the usual end, put together at half the cost."""
    name, usage, first = job.request.id, None if job.relay is None else job.relay.usage, job.first_byte
    if '"' in name or "\\" in name:
        name = _encode(name).decode()[1:-1]
    if not route.logged:
        parts = (_encode(part).decode() for part in (job.inlet.dialect, job.model, route.way.provider.label))
        route.logged = '","dialect":{},"model":{},"provider":{},"attempts":'.format(*parts)
    took = int((job.last_sent - job.started) * 1e6)
    ttfb = "null" if first is None else _milliseconds(int(first * 1e6))
    if usage is None:
        tokens, made, sure = _asked(job), _guessed(job), "estimated"
    else:
        tokens, made, sure = usage.input, usage.output, "estimated" if usage.estimated else "exact"
    return (
        f'{{"event":"request.end","request_id":"{name}{route.logged}{attempts},"phase":"done","outcome":"ok",'
        f'"kind":"","status":200,"ms":{_milliseconds(took)},"ttfb_ms":{ttfb},"in_tok":{_number(tokens)},'
        f'"out_tok":{_number(made)},'
        f'"usage":"{sure}"}}'
    )


def _asked(job: "Job") -> int:
    """Tokens of a request that nobody counted; none for files and the like."""
    return 0 if job.inlet.form else len(job.request.body) // _BYTES_PER_TOKEN


def _guessed(job: "Job") -> int:
    """Tokens of an answer that nobody counted: the pieces of a stream, else what its bytes would make; none for what
    is no text."""
    if not job.inlet.texts:
        return 0
    if job.committed:
        return job.relay.pieces if job.relay is not None else 0
    return job.bytes_out // _BYTES_PER_TOKEN


def _milliseconds(microseconds: int) -> str:
    return f"{_number(microseconds // 1000)}.{_THOUSANDTHS[microseconds % 1000]}"


def _number(count: int) -> str:
    return _NUMBERS[count] if 0 <= count < 1000 else str(count)
