"""The one terminal line of a request, as a value and as JSON text. Source: fault contract rule 5."""

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from parley.gateway.accounting import asked_tokens, counted_usage, made_tokens, named
from parley.gateway.ended import Outcome, Phase
from parley.gateway.route import Route
from parley.ir import Usage

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery


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
# What no caller can mend, and no waiting: the operator's keys and certificates. Lines of these say so once more.
_SETTINGS: Final = frozenset({"upstream_auth", "tls_error"})
_LOUD: Final = b',"level":"error"}'
_NUMBERS: Final = tuple(str(number) for number in range(1000))
_THOUSANDTHS: Final = tuple(f"{number:03}" for number in range(1000))


def line(job: "Delivery", outcome: Outcome, kind: str, phase: Phase) -> bytes:
    """The line of a job that has just ended."""
    if outcome == "ok" and job.route is not None and job.course is not None:
        return _succeeded(job, job.route, job.course.attempts).encode()
    usage = counted_usage(job, outcome)
    lane, course, first, kept = job.lane, job.course, job.first_byte, job.replayed
    if kept is not None:
        usage = Usage()
    made = Record(
        "request.end",
        job.request.id,
        job.inlet.dialect,
        named(job),
        lane.provider.label if lane is not None else kept.target.partition("/")[0] if kept is not None else "",
        course.attempts if course is not None else 0,
        phase,
        outcome,
        kind,
        job.status,
        int((job.gateway.now() - job.started) * 1e6) / 1000,
        None if first is None else int(first * 1e6) / 1000,
        usage.input if usage is not None else asked_tokens(job),
        usage.output if usage is not None else made_tokens(job),
        "estimated" if usage is None or usage.estimated else "exact",
    )
    text = _encode(made)
    return text[:-1] + _LOUD if kind in _SETTINGS else text


def refused_line(dialect: str, request_id: str, reason: str, status: int) -> bytes:
    """The line of a request that was turned away before it was read."""
    return _encode(
        Record(
            "request.end", request_id, dialect, "", "", 0, "pre", "error", reason, status, 0.0, None, 0, 0, "estimated"
        )
    )


def _succeeded(job: "Delivery", route: Route, attempts: int) -> str:
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
        tokens, made, sure = asked_tokens(job), made_tokens(job), "estimated"
    else:
        tokens, made, sure = usage.input, usage.output, "estimated" if usage.estimated else "exact"
    return (
        f'{{"event":"request.end","request_id":"{name}{route.logged}{attempts},"phase":"done","outcome":"ok",'
        f'"kind":"","status":200,"ms":{_milliseconds(took)},"ttfb_ms":{ttfb},"in_tok":{_number(tokens)},'
        f'"out_tok":{_number(made)},'
        f'"usage":"{sure}"}}'
    )


def _milliseconds(microseconds: int) -> str:
    return f"{_number(microseconds // 1000)}.{_THOUSANDTHS[microseconds % 1000]}"


def _number(count: int) -> str:
    return _NUMBERS[count] if 0 <= count < 1000 else str(count)
