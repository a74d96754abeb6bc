"""What goes to the target for a job, and what carries its answer back."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Raw

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.gateway import heads
from parley.gateway.admission import Asked
from parley.gateway.keeping import keeper_for, tapped
from parley.gateway.route import OURS, Route
from parley.gateway.timing import ASKED, timed
from parley.ir import Usage
from parley.nodes import verdict
from parley.relay import (
    Asis,
    Keeper,
    MeteredStream,
    Outgoing,
    Relay,
    bad_answer,
    outgoing,
    outgoing_form,
    relay,
    untranslated,
    verbatim,
)
from parley.settings import Target
from parley.tokens import estimate, words
from parley.wire import Reply, unspoken

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery
    from parley.gateway.job import Job


def sent_by(job: "Job", route: Route) -> Outgoing:
    """The request for the target of that route. Raises the caller's own faults."""
    asked = job.asked
    if route.checked:
        _check(job)
    if asked.form is not None:
        return outgoing_form(route.way, asked.form)
    keeper = keeper_for(job, route, asked.members)
    if job.streams and route.verbatim and (job.ticket is not None or job.gateway.billed) and _untold(asked, route):
        return _metered(asked, route, keeper)
    body, members = job.request.body, asked.members
    return outgoing(route.way, body, members, streams=job.streams, keeper=keeper, found=job.found)


def _untold(asked: Asked, route: Route) -> bool:
    """Whether nobody would hear what a stream used, and the provider can be asked to tell."""
    metered, options = route.way.inlet.metered, route.way.provider.quirks.options
    return metered is not None and metered[0] not in asked.members and options.get("stream_usage") is not False


def _metered(asked: Asked, route: Route, keeper: Keeper | None) -> Outgoing:
    """The request with the question what it used. The caller does not hear the answer."""
    assert route.way.inlet.metered is not None
    name, value = route.way.inlet.metered
    members = {**asked.members, name: Raw(value)}
    made = outgoing(route.way, jsontext.encode(members), members, streams=True, keeper=keeper)
    made.hides_usage = True
    return made


def sent_instead(job: "Job", route: Route, asked: Asked) -> Outgoing:
    """The same for a request that was written anew, with these members."""
    if route.checked:
        _check(job)
    keeper = keeper_for(job, route, asked.members)
    body, members = jsontext.encode(asked.members), asked.members
    return outgoing(route.way, body, members, streams=job.streams, keeper=keeper, found=job.found)


def carrier_for(job: "Job", route: Route, kind: bytes) -> Relay:
    """What carries an answer of that content type (lower case). Raises ``upstream_bad_response``."""
    events, objects = kind.startswith(route.stream_type), kind.find(b"json") >= 0
    inlet = job.inlet
    wire = inlet.wire
    if not (events or objects or wire.free_form or kind.startswith(route.way.outlet.answers)):
        message = "the provider answered with something that is neither JSON nor an event stream"
        raise bad_answer("bad_content_type", message)
    if inlet.counts:
        return Asis()
    streams, keeper = job.streams, job.message.keeper
    if not route.same:
        return relay(route.way, job.reply, streams=streams, events=events, keeper=keeper)
    if wire.stream_decoder is unspoken:
        return untranslated(wire, streams=streams, events=events, objects=objects)
    if job.message.hides_usage and streams and events:
        return MeteredStream(wire)
    carrier = tapped(job, route, verbatim(wire, streams=streams, events=events), events=events)
    return carrier or relay(route.way, job.reply, streams=streams, events=events, keeper=keeper)


def foreseen(job: "Job", targets: Iterable[Target]) -> None:
    """Judge a request that will be sent later, where nobody but us ever will."""
    providers = job.gateway.settings.providers
    if all(providers[target.provider].transport in OURS for target in targets):
        _check(job)


def _check(job: "Job") -> None:
    """Judge the request by the published document."""
    from parley.api.check import checked, checked_form

    inlet, form = job.inlet, job.asked.form
    if not inlet.documented or inlet.counts:
        return
    if form is not None:
        checked_form(inlet.operation, form.fields(), form.files())
    else:
        checked(inlet.operation, job.request.body)


def error_event(job: "Delivery", failure: Failure) -> bytes:
    """The event that ends a stream which broke."""
    if job.key is not None and job.key.peer and (coded := verdict.event(failure)):
        return coded
    said = b"" if job.relay is None else job.relay.fail(failure)
    return said or job.inlet.wire.stream_encoder(job.reply()).fail(failure)


def needless(job: "Delivery") -> bytes | None:
    """The answer to a request that asks nothing of a model, for a provider that would not know what it means."""
    unasked = job.inlet.wire.unasked
    answer = None if unasked is None else unasked(job.asked.members, job.reply())
    if answer is not None:
        job.relay = nothing = Asis()
        nothing.usage = Usage()
    return answer


def told(job: "Delivery") -> bytes:
    """The header lines in which every inference answer speaks of itself."""
    lines = heads.identified(job.request.id)
    if ASKED in job.request.headers:
        lines += timed(job)
    if job.ticket is not None:
        lines += job.ticket.lines
    if job.course is None:
        return lines
    if job.route is None:
        return lines + (b"x-parley-attempts: 0\r\n" if job.replayed is None else job.replayed.told)
    lines = b"%b%b%b\r\n" % (lines, job.route.answering, str(job.course.attempts).encode())
    return lines + heads.dropped(job.message.dropped) if job.message.dropped else lines


def counted_by_us(job: "Job", route: Route) -> tuple[bytes, bytes]:
    """Header lines and body of an answer to a question about tokens that no provider is asked."""
    count = job.inlet.wire.count
    assert count is not None
    if job.inlet.documented:
        from parley.api.check import checked

        checked("input_tokens", job.request.body)
    exact = route.way.provider.quirks.options.get("count") == "words"
    head = b"" if exact else b"x-parley-usage: estimated\r\n"
    return head, count(jsontext.whole(job.request.body), words if exact else estimate)


def reply_to(job: "Delivery", name: str) -> Reply:
    """For a job whose route is known; ``name`` is for an answer without an id of its own."""
    route = job.route
    assert route is not None
    way = route.way
    return Reply(
        model=way.target.model,
        id=name,
        created=int(job.gateway.wall()),
        include_usage=job.message.include_usage or (way.verbatim and _asked_for_usage(job)),
        wire=way.outlet.name,
        asked=job.request.body,
        members=job.asked.members,
        elapsed=_stopwatch(job.gateway.now, job.started),
    )


def _stopwatch(now: Callable[[], float], started: float) -> Callable[[], int]:
    """Nanoseconds since then. Made apart from the job, which must not come to hold itself."""
    return lambda: int((now() - started) * 1e9)


def _asked_for_usage(job: "Delivery") -> bool:
    """For a verbatim request whose answer must be rebuilt after all: its body has not been decoded before."""
    wire = job.inlet.wire
    if wire.decode_request is unspoken:
        return False
    try:
        return getattr(wire.decode_request(jsontext.whole(job.request.body)), "include_usage", False)
    except ParleyError:
        return False
