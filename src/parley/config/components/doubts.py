"""Mistakes in ``Resiliency`` documents that stop nothing, because no component of ours asks for what they are in: they
are told of, and the document holds. Source: conversation contract section 3.4.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from parley.config.components.durations import go_seconds
from parley.config.components.resiliency import RULE, Resiliency, trips_of
from parley.config.document import Path
from parley.config.problem import Problem, listed, suggest

# What is wrong with a value and what would be right; None where nothing is.
_Check = Callable[[Any], tuple[str, str] | None]
_Doubt = tuple[Path, str, str]
_KINDS: Final = ("constant", "exponential")
_CODES: Final = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


def doubts(document: Resiliency, components: Collection[str]) -> list[Problem]:
    """What is wrong in a document, but for what its report says already; ``components`` are all that there are."""
    report = document.report
    known = {(one.line, one.column) for one in report.problems}
    found = (report.document.problem(path, message, hint) for path, message, hint in _all(document.value, components))
    return [one for one in found if (one.line, one.column) not in known]


def _all(value: Mapping[str, Any], components: Collection[str]) -> Iterator[_Doubt]:
    yield from _mapping(value.get("spec"), ("spec",), ("policies", "targets"))
    spec = _read(value.get("spec"))
    yield from _policies(spec.get("policies"), ("spec", "policies"))
    yield from _targets(spec, ("spec", "targets"), components)


def _policies(given: Any, place: Path) -> Iterator[_Doubt]:
    yield from _mapping(given, place, ("timeouts", *_MEMBERS))
    policies = _read(given)
    yield from _mapping(policies.get("timeouts"), (*place, "timeouts"))
    for name, one in _read(policies.get("timeouts")).items():
        yield from _checked(one, (*place, "timeouts", name), _some_time)
    for kind, members in _MEMBERS.items():
        yield from _mapping(policies.get(kind), (*place, kind))
        for name, one in _read(policies.get(kind)).items():
            yield from _members(one, (*place, kind, name), members)


def _members(given: Any, place: Path, members: Mapping[str, _Check]) -> Iterator[_Doubt]:
    yield from _mapping(given, place, tuple(members))
    body = _read(given)
    yield from chain.from_iterable(_checked(body.get(name), (*place, name), check) for name, check in members.items())


def _targets(spec: Mapping[str, Any], place: Path, components: Collection[str]) -> Iterator[_Doubt]:
    given = spec.get("targets")
    yield from _mapping(given, place, ("apps", "actors", "components"))
    place = (*place, "components")
    yield from _mapping(_read(given).get("components"), place)
    for name, one in _read(_read(given).get("components")).items():
        if name not in components:
            hint = suggest(str(name), components, "a target is the name of a component")
            yield (*place, name), f'there is no component "{name}"', hint
        yield from _target(one, (*place, name), _read(spec.get("policies")))


def _target(given: Any, place: Path, policies: Mapping[str, Any]) -> Iterator[_Doubt]:
    """What calls of a component go by, each the name of a policy."""
    yield from _mapping(given, place, ("outbound", "inbound"))
    for way, named in _read(given).items():
        if way not in ("outbound", "inbound"):
            continue
        yield from _mapping(named, (*place, way), tuple(_NAMED))
        for member, kind in _NAMED.items():
            name = _read(named).get(member)
            if name is not None and (not isinstance(name, str) or name not in _read(policies.get(kind))):
                message = f'there is no policy "{name}" under {kind}'
                yield (*place, way, member), message, "name one of spec.policies"


def _mapping(given: Any, place: Path, names: Collection[str] | None = None) -> Iterator[_Doubt]:
    """Whether it is one, with no other names than these; what is left out is right."""
    if given is None:
        return
    if not isinstance(given, dict):
        yield place, f"{place[-1]} is a mapping", ""
        return
    for name in given:
        if names is not None and name not in names:
            yield (*place, name), f'unknown key "{name}"', suggest(str(name), names, f"known are {listed(names)}")


def _checked(given: Any, place: Path, check: _Check) -> Iterator[_Doubt]:
    wrong = None if given is None else check(given)
    if wrong is not None:
        yield place, *wrong


def _read(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}


# What a value must be


def _time(given: Any) -> tuple[str, str] | None:
    seconds = go_seconds(str(given))
    return (f'"{given}" is not a duration', "such as 30s") if seconds is None or seconds < 0 else None


def _some_time(given: Any) -> tuple[str, str] | None:
    return (f'"{given}" is not a duration', "such as 30s") if not go_seconds(str(given)) else _time(given)


def _whole(given: Any) -> tuple[str, str] | None:
    right = isinstance(given, int) and not isinstance(given, bool)
    return None if right else (f'"{given}" is not a whole number', "")


def _kind(given: Any) -> tuple[str, str] | None:
    right = str(given).lower() in _KINDS
    return None if right else (f'"{given}" is not a way to try again', f"it is {listed(_KINDS)}")


def _rule(given: Any) -> tuple[str, str] | None:
    right = trips_of(given) is not None
    return None if right else (f'the rule "{given}" is not one that is known here', f"write {RULE}")


def _matching(given: Any) -> tuple[str, str] | None:
    """The statuses that are tried again."""
    if not isinstance(given, dict):
        return "matching is a mapping", 'such as {httpStatusCodes: "429,500-503"}'
    codes = given.get("httpStatusCodes")
    for part in () if codes is None else str(codes).split(","):
        found = _CODES.fullmatch(part.strip())
        if found is None or (found[2] and found[2] < found[1]):
            return f'"{part.strip()}" is neither a status nor a range of them', 'such as "429,500-503"'
    return None


_MEMBERS: Final[Mapping[str, Mapping[str, _Check]]] = {
    "retries": {"policy": _kind, "duration": _time, "maxInterval": _time, "maxRetries": _whole, "matching": _matching},
    "circuitBreakers": {"maxRequests": _whole, "interval": _time, "timeout": _some_time, "trip": _rule},
}
_NAMED: Final = {"timeout": "timeouts", "retry": "retries", "circuitBreaker": "circuitBreakers"}
