"""How a request goes to its target: verbatim or rebuilt, with the registration's and the vendor's edits."""

from collections.abc import Mapping, Set
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import fields, replace

from parley import jsontext
from parley.failure import invalid
from parley.ir import ChatRequest
from parley.settings import Provider, Registration, Target
from parley.wire import PARAMETERS, Wire, load

# Two names of one parameter: a caller who sent either has decided.
_SAME: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_UNSENT: Final[Mapping[str, Any]] = {"model": "", "messages": [{"role": "user", "content": ""}]}
_NONE: Final[frozenset[str]] = frozenset()
_ABSENT: Mapping[str, Any] = {field.name: field.default for field in fields(ChatRequest)}


class Passage(Struct, frozen=True, kw_only=True):
    """How requests of one inlet wire go to one target of one registration; made once, used per request.

    ``defaults`` and ``overrides`` are top-level members of the inlet's wire; ``fields`` and ``forced``
    are canonical fields for parameters that this wire has no top-level name for. ``named`` is the target's model
    as JSON.
    """

    inlet: Wire
    outlet: Wire
    provider: Provider
    target: Target
    unknown: str
    verbatim: bool
    plain: bool
    named: Raw
    defaults: Mapping[str, Any]
    overrides: Mapping[str, Any]
    fields: Mapping[str, Any]
    forced: Mapping[str, Any]


class Outgoing:
    """A request ready to leave: body parts, what could not go, headers it needs beside the provider's."""

    __slots__ = ("body", "dropped", "headers", "include_usage")

    def __init__(
        self,
        body: jsontext.Parts,
        dropped: tuple[str, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        include_usage: bool = False,
    ) -> None:
        self.body = body
        self.dropped = dropped
        self.headers = headers
        self.include_usage = include_usage


def passage(inlet: Wire, registration: Registration, provider: Provider, target: Target) -> Passage:
    """Decide how requests go. Verbatim needs the same wire and edits that it can name at top level."""
    outlet = load(provider.wire)
    defaults, fields = _named(inlet, registration.defaults)
    overrides, forced = _named(inlet, registration.overrides)
    quirks = provider.quirks
    edits = defaults or overrides or quirks.rename or quirks.drop or quirks.default
    return Passage(
        inlet=inlet,
        outlet=outlet,
        provider=provider,
        target=target,
        unknown=registration.unknown_fields,
        verbatim=inlet is outlet and not fields and not forced and inlet.weighty.isdisjoint((*defaults, *overrides)),
        named=Raw(jsontext.encode(target.model)),
        plain=not edits and registration.unknown_fields == "forward",
        defaults=defaults,
        overrides=overrides,
        fields=_canonical(fields),
        forced=_canonical(forced),
    )


def outgoing(way: Passage, body: bytes, members: jsontext.Members) -> Outgoing:
    """The request for the target. Raises the caller's own faults (``invalid_request``, ``invalid_json``)."""
    if not way.verbatim:
        return _rebuilt(way, body)
    if not way.plain:
        return _edited(way, members)
    model = way.target.model
    named = members["model"]
    if named == way.named or jsontext.text(named) == model:
        return Outgoing((body,))
    return Outgoing(jsontext.replaced(body, members, {"model": model}))


def _named(wire: Wire, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters split into members of this wire and those it has no top-level name for."""
    named, rest = {}, {}
    for name, value in parameters.items():
        if wire.name == PARAMETERS:
            named[name] = value
        elif name in wire.rename:
            listed = name == "stop" and isinstance(value, str)
            named[wire.rename[name]] = [value] if listed else value
        else:
            rest[name] = value
    return named, rest


def _canonical(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as canonical fields, read by the wire whose names they bear."""
    if not parameters:
        return {}
    silent = load(PARAMETERS).decode_request(dict(_UNSENT))
    spoken = load(PARAMETERS).decode_request({**_UNSENT, **parameters})
    values = {name: getattr(spoken, name) for name in ChatRequest.__struct_fields__}
    return {name: value for name, value in values.items() if value != getattr(silent, name) and name != "extra"}


def _unknown(way: Passage, body: dict[str, Any]) -> tuple[str, ...]:
    """Members outside the specification: refused by name, taken out and listed, or left in."""
    if way.unknown == "forward":
        return ()
    names = tuple(name for name in body if name not in way.inlet.known)
    if names and way.unknown == "strict":
        raise invalid(f"unknown field {names[0]!r}", names[0])
    for name in names:
        del body[name]
    return names


def _merge(way: Passage, body: dict[str, Any]) -> None:
    """Defaults where the request is silent, overrides always; by presence, so null is not silence."""
    for name, value in way.defaults.items():
        if name not in body and _SAME.get(name) not in body:
            body[name] = value
    for name, value in way.overrides.items():
        if name in _SAME:
            body.pop(_SAME[name], None)
        body[name] = value


def _quirks(way: Passage, body: dict[str, Any]) -> list[str]:
    """The vendor's differences, last; gives the caller's fields that it cannot take."""
    quirks = way.provider.quirks
    for name, other in quirks.rename.items():
        if name in body:
            value = body.pop(name)
            body.setdefault(other, value)
    dropped = [name for name in quirks.drop if name in body]
    for name in dropped:
        del body[name]
    for name, value in quirks.default.items():
        body.setdefault(name, value)
    return dropped


def _edited(way: Passage, members: jsontext.Members) -> Outgoing:
    body: dict[str, Any] = dict(members)
    unknown = _unknown(way, body)
    _merge(way, body)
    body["model"] = way.target.model
    dropped = [name for name in _quirks(way, body) if name in members]
    if dropped and way.unknown == "strict":
        raise invalid(f"{way.target.name} cannot take {dropped[0]!r}", dropped[0])
    return Outgoing((jsontext.encode(body),), (*unknown, *dropped))


def _rebuilt(way: Passage, body: bytes) -> Outgoing:
    sent = jsontext.whole(body)
    quirks = way.provider.quirks
    names: Set[str] = set(sent) if quirks.rename or quirks.drop or quirks.default else _NONE
    unknown = _unknown(way, sent)
    _merge(way, sent)
    sent["model"] = way.target.model
    request = way.inlet.decode_request(sent)
    if way.fields or way.forced:
        silent = {name: value for name, value in way.fields.items() if getattr(request, name) == _ABSENT[name]}
        request = replace(request, **{**silent, **way.forced})
    encoded = way.outlet.encode_request(request, quirks.options)
    quirky = [name for name in _quirks(way, encoded.body) if name in names] if names else []
    dropped = (*unknown, *encoded.dropped, *quirky)
    if dropped and way.unknown == "strict":
        raise invalid(f"{way.target.name} cannot take {dropped[0]!r}", dropped[0])
    return Outgoing((jsontext.encode(encoded.body),), dropped, encoded.headers, request.include_usage)
