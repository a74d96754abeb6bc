"""What a job that has ended comes to: its tokens, its cost, its value for whoever listens."""

from typing import TYPE_CHECKING, Final

from msgspec import DecodeError, json
from msgspec.structs import replace

from parley.gateway.ended import Ended, Outcome, Phase
from parley.ir import Usage
from parley.keys import is_key

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery

# Where no provider counted: about four bytes of text to a token.
BYTES_PER_TOKEN: Final = 4
A_KEY: Final = "(a key)"
_NOTHING: Final = Usage()


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


def named(job: "Delivery") -> str:
    """The model as it was asked for; not a key that somebody wrote in its place."""
    return job.model if job.lane is not None or not is_key(job.model) else A_KEY


def counted_usage(job: "Delivery", outcome: Outcome) -> Usage | None:
    """What the provider counted. Of a stream that was left or broke off, some have counted no more than its beginning:
    there the pieces that came are the least of what was made."""
    relay = job.relay
    if relay is None or relay.usage is None:
        return None
    usage = relay.usage
    if outcome == "ok" or relay.ended or not job.committed or usage.output >= relay.pieces:
        return usage
    return replace(usage, output=relay.pieces, estimated=True)


def answerer(job: "Delivery") -> str:
    """The label of the provider whose answer it was; "" where no try was made."""
    lane, kept = job.lane, job.replayed
    if lane is not None:
        return lane.provider.label
    return "" if kept is None else kept.target.partition("/")[0]


def ended(job: "Delivery", usage: Usage, cost: int | None, took: float, how: tuple[Outcome, str, Phase]) -> Ended:
    """The value for a job that has just ended, after so many seconds."""
    gateway, course, first, key = job.gateway, job.course, job.first_byte, job.key
    outcome, kind, phase = how
    provider, target = _answered(job, outcome)
    return Ended(
        job.request.id,
        gateway.wall() - took,
        None if key is None else key.holder,
        job.inlet.dialect,
        job.inlet.operation,
        named(job),
        provider,
        target,
        job.status,
        outcome,
        kind,
        phase,
        0 if course is None else course.attempts,
        took * 1000,
        None if first is None else first * 1000,
        usage,
        cost,
        job.streams,
        job.bytes_out,
        job.replayed is not None,
    )


def _answered(job: "Delivery", outcome: Outcome) -> tuple[str, str]:
    """The label of the provider whose answer it was, and ``provider/model``."""
    route, lane, kept = job.route, job.lane, job.replayed
    if outcome == "ok" and kept is None and route is not None and route.tally is not None:
        return route.tally.provider, route.tally.target
    return answerer(job), kept.target if kept is not None else "" if lane is None else lane.target.name


def spent(job: "Delivery") -> int | None:
    """What an answer that is just given costs, in picodollars; None where nobody knows."""
    return cost_of(job, used(job, "ok"))


def used(job: "Delivery", outcome: Outcome) -> Usage:
    """What was used. A try that failed before its answer began is nobody's bill; one that was left may well be.
    Counting tokens is free."""
    if job.inlet.counts:
        return _NOTHING
    counted = counted_usage(job, outcome)
    if counted is not None:
        return counted
    if job.lane is None or (outcome == "error" and not job.committed):
        return _NOTHING
    spoken = _spoken(job) if job.inlet.operation == "speech" else None
    return Usage(asked_tokens(job), made_tokens(job), estimated=True, characters=spoken)


def _spoken(job: "Delivery") -> int | None:
    """Characters of the text that was to be read aloud."""
    text = job.asked.members.get("input")
    try:
        return None if text is None else len(json.decode(text, type=str))
    except (DecodeError, UnicodeDecodeError):
        return None


def cost_of(job: "Delivery", usage: Usage) -> int | None:
    """In picodollars: 0 where nothing was used, None where nobody knows what it costs."""
    lane, tariffs = job.lane, job.gateway.tariffs
    if lane is None or usage is _NOTHING:
        return 0
    tariff = None if tariffs is None else tariffs.of(lane.provider, lane.target.model)
    return None if tariff is None else tariff.cost(usage)
