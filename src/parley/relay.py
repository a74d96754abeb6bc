"""Verbatim or rebuilt: the only place that decides, and both ways of carrying it out.

A request whose wire is the target's own, and whose edits are all top-level members, goes through as
bytes; anything else is decoded to the canonical form and encoded again. Answers take the same way
back. Everything that carries an answer has ``feed`` and ``close``, so the gateway cannot tell them apart.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import fields, replace

from parley import jsontext
from parley.failure import Failure, ParleyError, invalid
from parley.fold import Fold, unfold
from parley.framing import SseReader, check_text, parse_block
from parley.ir import BlockStart, ChatRequest, ChatResponse, Delta, End, Event, Media, Opaque, Start, ToolCall, Usage
from parley.settings import Provider, Registration, Target
from parley.wire import PARAMETERS, Reply, Wire, load

# Two names of one parameter: a caller who sent either has decided.
_SAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
MAX_ANSWER = 32 * 1024 * 1024
_UNSENT: Mapping[str, Any] = {"model": "", "messages": [{"role": "user", "content": ""}]}
_ABSENT: Mapping[str, Any] = {field.name: field.default for field in fields(ChatRequest)}


class Passage(Struct, frozen=True, kw_only=True):
    """How requests of one inlet wire go to one target of one registration; made once, used per request.

    ``defaults`` and ``overrides`` are top-level members of the inlet's wire; ``fields`` and ``forced``
    are canonical fields for parameters that this wire has no top-level name for.
    """

    inlet: Wire
    outlet: Wire
    provider: Provider
    target: Target
    unknown: str
    verbatim: bool
    plain: bool
    defaults: Mapping[str, Any]
    overrides: Mapping[str, Any]
    fields: Mapping[str, Any]
    forced: Mapping[str, Any]


class Outgoing(Struct, frozen=True):
    """A request ready to leave: body parts, what could not go, headers it needs beside the provider's."""

    body: jsontext.Parts
    dropped: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    include_usage: bool = False


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
        verbatim=inlet is outlet and not fields and not forced,
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
    if jsontext.text(members["model"]) == model:
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
    names = set(sent)
    unknown = _unknown(way, sent)
    _merge(way, sent)
    request = way.inlet.decode_request(sent)
    silent = {name: value for name, value in way.fields.items() if getattr(request, name) == _ABSENT[name]}
    request = replace(request, **{**silent, **way.forced, "model": way.target.model})
    encoded = way.outlet.encode_request(request, way.provider.quirks.options)
    quirky = [name for name in _quirks(way, encoded.body) if name in names]
    dropped = (*unknown, *encoded.dropped, *quirky)
    if dropped and way.unknown == "strict":
        raise invalid(f"{way.target.name} cannot take {dropped[0]!r}", dropped[0])
    return Outgoing((jsontext.encode(encoded.body),), dropped, encoded.headers, request.include_usage)


# Answers


class Relay(Protocol):
    """Carries one 200 answer back.

    ``content`` turns true at the commit point, ``ended`` at the success terminator, ``trailing`` when more
    came after it. A ``failure`` ends it; what ``feed`` returned before still counts.
    """

    content: bool
    ended: bool
    trailing: bool
    failure: Failure | None
    usage: Usage | None

    def feed(self, data: bytes) -> bytes:
        """Bytes for the caller, as far as known."""

    def close(self) -> bytes:
        """The provider has sent everything: the remaining bytes, or a ``failure``."""


def relay(way: Passage, reply: Callable[[], Reply], *, streams: bool, events: bool) -> Relay:
    """The relay for an answer: the caller ``streams`` or not, the provider sent ``events`` or one object.

    ``reply`` is asked only where an encoder needs it.
    """
    same = way.inlet is way.outlet
    if streams and events:
        return VerbatimStream(way.inlet) if same else RebuiltStream(way, reply())
    if same and not streams and not events:
        return VerbatimWhole(way.inlet)
    return RebuiltWhole(way, reply(), streams=streams, events=events)


class VerbatimStream:
    """Events pass as they came; each gets one glance for content, usage, errors and the end."""

    __slots__ = ("_finished", "_reader", "_wire", "content", "ended", "failure", "trailing", "usage")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._reader = SseReader()
        self._finished = self.content = self.ended = self.trailing = False
        self.failure: Failure | None = None
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Whole events, unchanged but for line ends; an event is never passed on in part."""
        try:
            blocks = self._reader.blocks(data)
        except ParleyError as error:
            self.failure = error.failure
            return b""
        for number, block in enumerate(blocks):
            if self.ended or not self._look(block):
                self.trailing = self.ended
                blocks = blocks[:number]
                break
        return b"\n\n".join(blocks) + b"\n\n" if blocks else b""

    def close(self) -> bytes:
        """Nothing after a terminator; the terminator itself where only that was missing."""
        if self.ended:
            return b""
        if not self._finished:
            self.failure = incomplete()
            return b""
        self.ended = True
        return self._wire.terminator

    def _look(self, block: bytes) -> bool:
        """Take note of one event; False when it must not be passed on."""
        frame = parse_block(block)
        if frame is None:
            return True
        try:
            if not block.isascii():
                check_text(block)
            mark = self._wire.glance(frame.event, frame.data)
        except ParleyError as error:
            self.failure = error.failure
            return False
        if mark.failure is not None:
            self.failure = mark.failure
            return False
        self.content = self.content or mark.content
        self._finished = self._finished or mark.finished
        self.ended = mark.end
        if mark.usage is not None:
            self.usage = merged(self.usage, mark.usage)
        return True


class RebuiltStream:
    """Events are decoded to the canonical form and encoded for the caller."""

    __slots__ = ("_decoder", "_encoder", "content", "ended", "failure", "trailing", "usage")

    def __init__(self, way: Passage, reply: Reply) -> None:
        self._decoder = way.outlet.stream_decoder()
        self._encoder = way.inlet.stream_encoder(reply)
        self.content = self.ended = self.trailing = False
        self.failure: Failure | None = None
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """The caller's bytes for what ``data`` completes."""
        if self.ended:
            self.trailing = True
            return b""
        out = self._encoded(lambda: self._decoder.feed(data))
        # What precedes a fault in the same data comes first; the fault itself comes with the next call.
        return out if self.failure is not None else out + self._encoded(lambda: self._decoder.feed(b""))

    def close(self) -> bytes:
        """What the decoder still owes, or the failure of an early end."""
        return b"" if self.ended else self._encoded(self._decoder.close)

    def _encoded(self, decode: Callable[[], list[Event]]) -> bytes:
        try:
            return b"".join([self._encode(event) for event in decode()])
        except ParleyError as error:
            self.failure = error.failure
            return b""

    def _encode(self, event: Event) -> bytes:
        match event:
            case Delta():
                self.content = self.content or event.text != ""
            case BlockStart():
                self.content = self.content or isinstance(event.block, ToolCall | Media | Opaque)
            case Start(usage=Usage() as usage) | End(usage=Usage() as usage):
                self.usage = merged(self.usage, usage)
        if isinstance(event, End):
            self.ended = True
        return self._encoder.feed(event)


class Asis:
    """An answer of an operation that has no canonical form: the provider's object, as it came."""

    content: bool = False
    ended: bool = False
    trailing: bool = False
    failure: Failure | None = None
    usage: Usage | None = None

    def __init__(self) -> None:
        self._body: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Keep the bytes, up to MAX_ANSWER."""
        self._size += len(data)
        if self._size > MAX_ANSWER:
            message = f"the provider's answer is larger than {MAX_ANSWER} bytes"
            self.failure = Failure("upstream_bad_response", message, detail="too_large")
        else:
            self._body.append(data)
        return b""

    def close(self) -> bytes:
        """The whole answer, or a ``failure``."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        try:
            answer = self._answer(body)
        except ParleyError as error:
            self.failure = error.failure
            return b""
        self.content = self.ended = True
        return answer

    def _answer(self, body: bytes) -> bytes:
        return body


class VerbatimWhole(Asis):
    """A whole answer in the caller's own wire: one glance at its shape and its usage."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def _answer(self, body: bytes) -> bytes:
        self.usage = self._wire.check_answer(body)
        return body


class RebuiltWhole(Asis):
    """Collects the provider's answer, then gives the caller's: one object, or a stream made of it."""

    def __init__(self, way: Passage, reply: Reply, *, streams: bool, events: bool) -> None:
        super().__init__()
        self._way = way
        self._reply = reply
        self._streams = streams
        self._events = events

    def _answer(self, body: bytes) -> bytes:
        way = self._way
        response = _folded(way.outlet, body) if self._events else way.outlet.decode_response(body)
        self.usage = response.usage
        if not self._streams:
            return way.inlet.encode_response(response, self._reply)
        encoder = way.inlet.stream_encoder(self._reply)
        return b"".join([encoder.feed(event) for event in unfold(response)])


def _folded(wire: Wire, body: bytes) -> ChatResponse:
    decoder, whole = wire.stream_decoder(), Fold(wire.name)
    for event in (*decoder.feed(body), *decoder.close()):
        whole.feed(event)
    return whole.response()


def incomplete() -> Failure:
    """The stream ended before its answer did."""
    return Failure("upstream_incomplete", "the provider's stream ended early", detail="missing_terminator")


def merged(before: Usage | None, now: Usage) -> Usage:
    """Usage reported in pieces: later figures win, earlier ones stay where the later report is silent."""
    if before is None:
        return now
    return replace(
        now,
        input=now.input or before.input,
        output=now.output or before.output,
        cached=before.cached if now.cached is None else now.cached,
        cache_write=before.cache_write if now.cache_write is None else now.cache_write,
        reasoning=before.reasoning if now.reasoning is None else now.reasoning,
    )
