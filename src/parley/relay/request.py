"""How a request goes to its target: verbatim or rebuilt, with the registration's and the vendor's edits."""

from collections.abc import Mapping, Set
from functools import cache
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import fields, replace

from parley import extensions, ir, jsontext
from parley.extensions import ALIAS
from parley.failure import ParleyError, invalid
from parley.ir import ChatRequest
from parley.operations import OPERATIONS
from parley.relay import able
from parley.relay.inlined import Found, inlined
from parley.relay.keeper import Keeper
from parley.relay.told import moved_by, own_error, own_names
from parley.settings import EVERY, EXTENSIONS, Provider, Quirks, Registration, Target
from parley.wire import PARAMETERS, SPOKEN, Wire, load, unspoken

# Two names of one parameter: a caller who sent either has decided.
_SAME: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_UNSENT_CHAT: Final[Mapping[str, Any]] = {"model": "", "messages": [{"role": "user", "content": ""}]}
_UNSENT: Final[Mapping[str, Mapping[str, Any]]] = {
    "embeddings": {"model": "", "input": ""},
    "rerank": {"model": "", "query": "", "documents": []},
    "image_generation": {"model": "", "prompt": ""},
}
# The wire of providers that nodes call too.
WORKER: Final = "worker"
_NONE: Final[frozenset[str]] = frozenset()
# Extension fields that the canonical form knows.
_MEANT: Final = ("top_k", "seed")
_NO_VALUES: Final = extensions.Taken({}, {})
_NAMES: Final = frozenset(name for name, field in extensions.FIELDS.items() if field.top)


class Passage(Struct, frozen=True, kw_only=True):
    """How requests of one inlet wire go to one target of one registration; made once, used per request.

    ``defaults`` and ``overrides`` are top-level members of the inlet's wire; ``fields`` and ``forced``
    are canonical fields for parameters that this wire has no top-level name for. ``named`` is the target's model
    as JSON; ``beside`` and ``always_beside`` are members that only the provider knows. ``held`` and
    ``imposed`` are extension values, by default and always; ``own`` are the extension fields that the inlet's wire
    has itself.
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
    beside: Mapping[str, Any]
    always_beside: Mapping[str, Any]
    quirks: Quirks
    operation: str
    asked: str
    own: frozenset[str]
    held: Mapping[str, Any]
    imposed: Mapping[str, Any]


class Outgoing:
    """A request ready to leave: body parts, what could not go, headers it needs beside the provider's. ``keeper`` is
    for its answer; ``hides_usage``: what it tells of its usage was not asked for by the caller."""

    __slots__ = ("body", "dropped", "headers", "hides_usage", "include_usage", "keeper")

    def __init__(
        self,
        body: jsontext.Parts,
        dropped: tuple[str, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        include_usage: bool = False,
        keeper: Keeper | None = None,
    ) -> None:
        self.keeper = keeper
        self.hides_usage = False
        self.body = body
        self.dropped = dropped
        self.headers = headers
        self.include_usage = include_usage


def carried(provider: Provider, operation: str) -> str | None:
    """The provider's own operation that is used for ``operation``, None where it has none that could be."""
    known = OPERATIONS.get(operation)
    carriers = (operation,) if known is None else known.carriers
    spoken = SPOKEN[provider.wire]
    return next((name for name in carriers if name in provider.paths and name in spoken), None)


def can(provider: Provider | None, operation: str) -> bool:
    """Whether a provider can be asked for that operation, in its own words or in a translation."""
    return provider is not None and carried(provider, operation) is not None


def passage(
    inlet: Wire,
    registration: Registration,
    provider: Provider,
    target: Target,
    operation: str = "chat",
    asked: str = "",
) -> Passage:
    """Decide how requests go: ``operation`` is the provider's, ``asked`` the caller's ("" where it is the same).

    Verbatim needs the same wire and edits that it can name at top level.
    """
    quirks = _quirks_of(provider, operation, inlet.private)
    inlet = load(inlet.twin) if inlet.twin else inlet
    outlet = _outlet(provider, target, operation)
    own = _own(inlet)
    # The configuration speaks of parameters by the names of one wire, whatever the caller's.
    spoken = own | _own(load(PARAMETERS))
    held, silent = extensions.gathered(registration.defaults, spoken, asked or operation)
    imposed, always = extensions.gathered(registration.overrides, spoken, asked or operation)
    free = registration.endpoint != EVERY
    defaults, silently = _named(inlet, silent, free=free, same=inlet is outlet)
    overrides, firmly = _named(inlet, always, free=free, same=inlet is outlet)
    named = operation if operation in OPERATIONS else asked or operation
    fields, forced = _canonical(silently, named), _canonical(firmly, named)
    beside, always_beside = fields.pop("extra", {}), forced.pop("extra", {})
    edits = defaults or overrides or held or imposed or quirks.rename or quirks.drop or quirks.default
    return Passage(
        inlet=inlet,
        outlet=outlet,
        provider=provider,
        target=target,
        unknown=registration.unknown_fields,
        verbatim=inlet is outlet
        and (outlet.encode_request is unspoken or not (fields or forced or beside or always_beside))
        and inlet.weighty.isdisjoint((*defaults, *overrides)),
        named=Raw(jsontext.encode(target.model)),
        plain=not edits and registration.unknown_fields == "forward",
        defaults=defaults,
        overrides=overrides,
        fields=fields,
        forced=forced,
        beside=beside,
        always_beside=always_beside,
        quirks=quirks,
        operation=operation,
        asked=asked or operation,
        own=own,
        held=held,
        imposed=imposed,
    )


def _outlet(provider: Provider, target: Target, operation: str) -> Wire:
    """The provider's wire for that operation and that model."""
    outlet = load(SPOKEN[provider.wire][operation])
    if outlet.fitted is not None and provider.quirks.options:
        outlet = outlet.fitted(provider.quirks.options)
    return outlet if outlet.of_model is None else outlet.of_model(target.model)


def _quirks_of(provider: Provider, operation: str, private: tuple[str, ...]) -> Quirks:
    """A row's names and defaults are those of its chat; what a vendor cannot take it can take nowhere. Members that are
    ``private`` to workers go to no other provider."""
    quirks = provider.quirks
    if private and provider.wire != WORKER:
        quirks = replace(quirks, drop=(*quirks.drop, *private))
    return quirks if operation == "chat" else Quirks(drop=quirks.drop, options=quirks.options)


def _own(wire: Wire) -> frozenset[str]:
    """The extension fields that a wire has as members of its own."""
    return frozenset(name for name in extensions.FIELDS if name in wire.known or name in wire.rename)


def outgoing(
    way: Passage,
    body: bytes,
    members: jsontext.Members,
    *,
    streams: bool = False,
    keeper: Keeper | None = None,
    found: Found | None = None,
) -> Outgoing:
    """The request for the target. Raises the caller's own faults (``invalid_request``, ``invalid_json``).

    ``streams``: whether a stream is wanted, for requests whose path alone says so. ``keeper``: puts back what the
    caller's turns lack of what the provider sealed. ``found``: what is at addresses that the request names."""
    gone: tuple[str, ...] = ()
    clear = way.inlet.cleared if way.inlet is way.outlet else None
    cleared = None if clear is None else clear(body, members, way.provider.quirks.options)
    if cleared is not None:
        changes, gone = cleared
        if way.unknown == "strict":
            raise invalid(f"{way.target.name} cannot take {gone[0]!r}", gone[0])
        members = {**members, **changes}
        body = jsontext.encode(members)
    if not way.verbatim or (keeper is not None and _lacking(way, body, keeper)):
        sent = _rebuilt(way, body, streams, keeper, found)
    else:
        sent = _verbatim(way, body, members)
        sent.keeper = keeper
    if gone:
        sent.dropped = (*gone, *sent.dropped)
    return sent


def _lacking(way: Passage, body: bytes, keeper: Keeper) -> bool:
    """Whether a request that else passes as it came has turns to be completed."""
    request = way.inlet.decode_request(jsontext.whole(body))
    return keeper.restored(request) is not request


def _verbatim(way: Passage, body: bytes, members: jsontext.Members) -> Outgoing:
    if not way.plain or EXTENSIONS in members or ALIAS in members:
        return _edited(way, members)
    if way.inlet.placed:
        return Outgoing((body,))
    model = way.target.model
    named = members.get("model")
    if named is not None and (named == way.named or jsontext.text(named) == model):
        return Outgoing((body,))
    return Outgoing(jsontext.replaced(body, members, {"model": model}))


def _named(
    wire: Wire, parameters: Mapping[str, Any], *, free: bool, same: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters split into members of this wire and those it has no top-level name for. ``free``: they were set for
    this operation alone, so that also what nobody knows is meant for it; ``same``: the provider speaks this wire."""
    named, rest = {}, {}
    # One of the wires whose own members the configuration names, beside chat: what is set for chat is not for it.
    plainly = wire.decode_request is unspoken or (
        wire.stream_decoder is unspoken and wire.name in SPOKEN[PARAMETERS].values()
    )
    for name, value in parameters.items():
        ours = wire.name == PARAMETERS and (same or name in wire.known or name in wire.rename)
        if ours or (plainly and (free or name in wire.known)):
            named[name] = value
        elif plainly:
            continue
        elif name in wire.known and name not in wire.rename and name not in _chat_names():
            # The wire's own word, which none of the configuration's means.
            named[name] = value
        elif name in wire.rename:
            listed = name == "stop" and isinstance(value, str)
            named[wire.rename[name]] = [value] if listed else value
        else:
            rest[name] = value
    return named, rest


@cache
def _absent(form: str) -> Mapping[str, Any]:
    """What the fields of the canonical form of that name are where nobody says anything."""
    return {field.name: field.default for field in fields(getattr(ir, form))}


def _chat_names() -> frozenset[str]:
    """The names that the configuration's own wire knows."""
    return load(PARAMETERS).known


def _canonical(parameters: Mapping[str, Any], operation: str) -> dict[str, Any]:
    """Parameters as canonical fields, read by the wire whose names they bear."""
    if not parameters:
        return {}
    unsent = _UNSENT.get(operation)
    speaker = load(SPOKEN[PARAMETERS][operation] if unsent is not None else PARAMETERS)
    unsent = unsent or _UNSENT_CHAT
    silent = speaker.decode_request(dict(unsent))
    spoken = speaker.decode_request({**unsent, **parameters})
    values = {name: getattr(spoken, name) for name in type(silent).__struct_fields__}
    return {name: value for name, value in values.items() if value != getattr(silent, name)}


def _extended(way: Passage, body: dict[str, Any]) -> extensions.Taken:
    """The extension values in effect, out of the body. Fields beside the object that nobody asked us to read pass."""
    beside = not way.verbatim and not _NAMES.isdisjoint(body)
    if beside or way.held or way.imposed or EXTENSIONS in body or ALIAS in body:
        return extensions.taken(body, way.held, way.imposed, operation=way.asked, own=way.own)
    return _NO_VALUES


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
    defaults, overrides = way.defaults, way.overrides
    if not defaults and not overrides:
        return
    for name, value in defaults.items():
        if name not in body and _SAME.get(name) not in body:
            body[name] = value
    for name, value in overrides.items():
        if name in _SAME:
            body.pop(_SAME[name], None)
        body[name] = value


def _quirks(way: Passage, body: dict[str, Any]) -> list[str]:
    """The vendor's differences, last; gives the caller's fields that it cannot take."""
    quirks = way.quirks
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
    extended = _extended(way, body)
    unknown = _unknown(way, body)
    _merge(way, body)
    if not way.inlet.placed:
        body["model"] = way.target.model
    dropped = [name for name in _quirks(way, body) if name in members]
    if extended:
        dropped += extensions.spread(extended, body, way.provider.extensions, forward=way.unknown == "forward")
    if dropped and way.unknown == "strict":
        raise invalid(f"{way.target.name} cannot take {dropped[0]!r}", dropped[0])
    return Outgoing((jsontext.encode(body),), (*unknown, *dropped))


def _rebuilt(way: Passage, body: bytes, streams: bool, keeper: Keeper | None, found: Found | None) -> Outgoing:
    sent = jsontext.whole(body)
    quirks = way.quirks
    names: Set[str] = set(sent) if quirks.rename or quirks.drop or quirks.default else _NONE
    extended = _extended(way, sent)
    unknown = _unknown(way, sent)
    _merge(way, sent)
    sent["model"] = way.target.model
    if streams and way.inlet.placed:
        sent["stream"] = True
    request = way.inlet.decode_request(sent)
    if way.fields or way.forced:
        absent = _absent(type(request).__name__)
        silent = {name: value for name, value in way.fields.items() if getattr(request, name) == absent[name]}
        request = replace(request, **{**silent, **way.forced})
    meant = {name: extended[name] for name in _MEANT if name in extended and hasattr(request, name)}
    if meant:
        request = replace(request, **meant)
        extended = extended.without(meant)
    if keeper is not None:
        request = keeper.restored(request)
    request = request if found is None else inlined(request, found)
    try:
        encoded = able.encoded(way, request)
    except ParleyError as error:
        raise own_error(way.inlet, body, able.addressed(way, request, error)) from None
    encoded.body.update({name: value for name, value in way.beside.items() if name not in encoded.body})
    encoded.body.update(way.always_beside)
    quirky = [name for name in _quirks(way, encoded.body) if name in names] if names else []
    if extended:
        quirky += extensions.spread(extended, encoded.body, way.provider.extensions, carried=way.operation)
    moved = moved_by(keeper.moved, request) if keeper is not None and keeper.moved else {}
    dropped = (*unknown, *own_names(way.inlet, body, encoded.dropped, moved), *quirky)
    if dropped and way.unknown == "strict":
        raise invalid(f"{way.target.name} cannot take {dropped[0]!r}", dropped[0])
    usage = type(request) is ChatRequest and request.include_usage
    return Outgoing((jsontext.encode(encoded.body),), dropped, encoded.headers, usage, keeper)
