"""Streams and connections of brokers as configured. What their URLs mean: parley.streams.address."""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from parley.config.amounts import duration, pauses
from parley.config.cached import names_host
from parley.config.document import Path
from parley.config.packages import installed
from parley.config.parts import StreamEntry, StreamRetriesEntry
from parley.config.problem import Problem, suggest
from parley.config.report import Report
from parley.streams.address import CONNECTION, Address, Role, UnfitAddressError, address_of, kinds, label_of
from parley.streams.setup import Stream

# As they are where the file names none.
_USUAL: Final = Stream(name="", requests="", responses="")
_TIMES: Final = ("timeout", "window", "error_max_backoff")
_LEAST: Final = {"max_handlers": 1, "attempts": 1, "redeliveries": 0, "deliveries": 1}
_ONCE: Final = "a plain subject of NATS delivers at most once: what is lost on the way, or with this process, is lost"
_ONCE_HINT: Final = "add ?jetstream=STREAM where nothing may be lost"
_NAMED: Final = re.compile(rf"[?&]{CONNECTION}=([^&]*)")


def streams_of(
    entries: list[StreamEntry], connections: Mapping[str, str], env: Mapping[str, str], report: Report
) -> tuple[tuple[Stream, ...], tuple[Problem, ...]]:
    """All of them, and what should be known of them although nothing is wrong."""
    streams: list[Stream] = []
    notes: list[Problem] = []
    for name, address in connections.items():
        if not address.strip():
            report.add(("connections", name), "expected the address of a broker", "such as nats://127.0.0.1:4222")
    for index, entry in enumerate(entries):
        path: Path = ("streams", index)
        around = (connections, env, report)
        requests = _address(entry.requests, "requests", (*path, "requests"), around)
        sides: tuple[tuple[Role, str | None], ...] = (
            ("responses", entry.responses), ("dead_letter", entry.dead_letter),
        )  # fmt: skip
        for role, url in sides:
            sent = _address(url, role, (*path, role), around) if url else None
            if requests is not None and sent is not None and _same(requests, sent):
                report.add((*path, role), "it goes to where requests come from: every message would be a new request")
        streams.append(_stream(entry, path, report))
        if requests is not None and requests.once:
            notes.append(report.document.problem((*path, "requests"), _ONCE, _ONCE_HINT))
    _unique(streams, report)
    return tuple(streams), tuple(notes)


def _address(
    url: str, role: Role, path: Path, around: tuple[Mapping[str, str], Mapping[str, str], Report]
) -> Address | None:
    connections, env, report = around
    try:
        found = address_of(url, role, connections, env)
    except UnfitAddressError as error:
        report.add(path, str(error), _hint(url, connections, error.hint))
        return None
    kind = kinds()[found.scheme]
    if kind.needs and not installed(kind.needs):
        message = f"{kind.title} needs packages that are not installed"
        report.add(path, message, f"pip install 'parley[{kind.extra}]'")
    return found


def _same(requests: Address, sent: Address) -> bool:
    """Whether what is sent there comes back as a request."""
    if requests.scheme != sent.scheme or requests.server != sent.server:
        return False
    if requests.scheme == "kafka":
        return sent.name in requests.options.get("topic", ())
    if requests.scheme == "rabbit" and not sent.name:
        return sent.option("routing_key") == requests.name
    # Exchanges and topics are other things than the queues and subscriptions of their names.
    return requests.scheme in ("mem", "nats", "redis", "awssqs") and requests.name == sent.name


def _hint(url: str, connections: Mapping[str, str], usual: str) -> str:
    """A name that was meant."""
    scheme, sign, _ = url.partition("://")
    if sign and scheme not in kinds():
        return suggest(scheme, list(kinds()), usual)
    named = _NAMED.search(url)
    return suggest(named[1], list(connections), usual) if named and named[1] not in connections else usual


def _stream(entry: StreamEntry, path: Path, report: Report) -> Stream:
    made: dict[str, Any] = {}
    for name in _TIMES:
        try:
            made[name] = duration(getattr(entry, name))
        except ValueError as error:
            report.add((*path, name), str(error))
    for name, least in _LEAST.items():
        made[name] = value = getattr(entry, name)
        if value < least:
            report.add((*path, name), f"must be at least {least}")
            made[name] = getattr(_USUAL, name)
    made |= _retried(entry.retries, (*path, "retries"), report)
    return Stream(
        name=entry.name or label_of(entry.requests),
        requests=entry.requests,
        responses=entry.responses,
        dead_letter=entry.dead_letter or "",
        key=entry.key or "",
        identity=_member(entry.identity, (*path, "identity"), report),
        order=_member(entry.order, (*path, "order"), report),
        stream=entry.stream,
        older=entry.kubeai,
        remember=_remembered(entry.remember, (*path, "remember"), report),
        **made,
    )


def _retried(entry: StreamRetriesEntry, path: Path, report: Report) -> dict[str, Any]:
    """Who says how often a request is delivered means those that may still succeed too: all but the last come from
    giving it back."""
    made: dict[str, Any] = {}
    try:
        made["first_pause"], made["longest_pause"] = pauses(entry.backoff, _USUAL.longest_pause)
    except ValueError as error:
        report.add((*path, "backoff"), str(error))
    if entry.deliveries is UNSET:
        return made
    if entry.deliveries < 1:
        report.add((*path, "deliveries"), "must be at least 1")
        return made
    return made | {"deliveries": entry.deliveries, "redeliveries": entry.deliveries - 1}


def _remembered(given: str, path: Path, report: Report) -> str:
    """Where answers are remembered."""
    if given in ("memory", "store"):
        return given
    if not given.startswith(("redis://", "rediss://")) or not names_host(given):
        report.add(path, "expected memory, store or redis://HOST:PORT/NUMBER")
    elif not installed("redis"):
        report.add(path, "Redis needs packages that are not installed", "pip install 'parley[redis]'")
    return given


def _member(given: str | None, path: Path, report: Report) -> str:
    """The name of a member of the metadata, which may be written with ``metadata.`` before it."""
    name = (given or "").removeprefix("metadata.")
    if given and (not name or "." in name):
        report.add(path, "expected the name of a metadata member", "such as metadata.id")
    return name


def _unique(streams: list[Stream], report: Report) -> None:
    """Names tell streams apart in logs and metrics."""
    for index, stream in enumerate(streams):
        if stream.name in [one.name for one in streams[:index]]:
            report.add(("streams", index), f'two streams are named "{stream.name}"', "give one of them another name:")
