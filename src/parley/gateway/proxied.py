"""A request that is passed on as it is, apart from who asks: in the target's own wire, whatever that is, both ways.

What the target answers goes back byte for byte, its errors too. Only where it refuses the gateway's credential are the
words ours, since its own may quote the key. Source: predict contract section 10 (4).
"""

from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from parley import jsontext
from parley.failure import Failure, ParleyError, invalid
from parley.gateway import heads
from parley.gateway.admission import Asked
from parley.gateway.answering import told
from parley.gateway.fan import FanJob
from parley.gateway.job import MAX_ERROR
from parley.gateway.route import Route
from parley.ports import Destination, Headers
from parley.relay import Outgoing, Proxied, ProxiedStream
from parley.settings import Provider
from parley.wire import SPOKEN
from parley.wire.inlets import Inlet
from parley.wire.predict_paths import direct_path

# Wires whose makers publish them for callers; to whoever speaks another, nobody can write in its own.
_PUBLISHED: Final = frozenset(
    {"openai_chat", "anthropic", "gemini", "mistral", "cohere", "ollama", "bedrock", "tgi"}
)  # fmt: skip
# The transport that puts requests into an envelope: what is in there is the business of who opens it.
SEALING: Final = "predict"
_TRUE: Final = Raw(b"true")
_KIND: Final = "dataType"


class ProxyJob(FanJob):
    """See the module. It is a job like any other unless ``direct``; ``edits``: the model is still to be named."""

    direct = False
    edits = False
    _raw = b""
    # The request as it was read before it was admitted.
    known: Asked | None
    _verdict: tuple[int, Headers, bytes] | None
    _because: Failure | None

    def passes(self, inlet: Inlet, raw: bytes, members: jsontext.Members, *, streams: bool) -> None:
        """It is to be passed on. Raises ``invalid_request`` where the target's own wire is not known."""
        self.direct = True
        self._raw = raw
        self._verdict = self._because = None
        found = self.gateway.find("chat", self.model)
        if found is not None:
            name = found.registration.targets[0].provider
            provider = self.gateway.settings.providers.get(name)
            if provider is not None:
                inlet = inlet.family.within(inlet.dialect, "chat", _wire_of(provider))
        self.inlet = inlet
        self.known = Asked(self.model, streams or members.get("stream") == _TRUE, members)

    def passed_anew(self, body: bytes) -> Asked:
        """What a hook has made of it is what is passed on."""
        self._raw, members = body, jsontext.members(body)
        return Asked(self.model, members.get("stream") == _TRUE, members)

    def admitted(self) -> None:
        """Nothing that was kept answers it."""
        if not self.direct:
            super().admitted()
        elif not self.over:
            self.proceed()

    def failed(self, failure: Failure) -> None:
        """See Job."""
        self._because = failure
        super().failed(failure)

    def outgoing(self, route: Route) -> Outgoing:
        """The very bytes, to a target that speaks the wire they are written for."""
        if not self.direct:
            return super().outgoing(route)
        way = route.way
        if not route.same or (self._because is not None and _wire_of(way.provider) != way.inlet.name):
            what = Failure("invalid_request", f"{way.target.name} speaks another wire", param=_KIND)
            raise ParleyError(self._because or what)
        self._verdict = None
        members, model = self.asked.members, way.target.model
        if way.provider.transport == SEALING:
            model = model.partition("/")[2].partition("/")[2]
        if self.edits:
            rest = {name: value for name, value in members.items() if name != "model"}
            if model and not way.inlet.placed:
                return Outgoing(jsontext.replaced(self._raw, members, {"model": model}))
            return Outgoing((jsontext.encode(rest),))
        named = members.get("model")
        if named is not None and self.key is not None and self.key.holder.models and jsontext.text(named) != model:
            raise ParleyError(Failure("forbidden", "this key may not name another model in its request", param="model"))
        return Outgoing((self._raw,))

    def _send(self, route: Route, to: Destination, message: Outgoing, *, fresh: bool) -> None:
        if self.direct and route.way.provider.transport == SEALING:
            to = replace(to, path=direct_path(to.path))
        super()._send(route, to, message, fresh=fresh)

    def _accept(self, headers: Headers) -> None:
        route = self.route
        if not self.direct or self.hooked is not None or route is None:
            # Whoever looks at answers has to be able to read them.
            super()._accept(headers)
            return
        kind = b"application/json"
        for name, value in headers:
            if name == b"content-type":
                kind = value
        self._head, self._type = heads.downward(headers), heads.typed(kind)
        self.streams = not kind.lower().startswith(b"application/json") or self.asked.streams
        wire = self.inlet.wire
        self.relay = ProxiedStream(wire) if self.streams else Proxied(wire)

    def _answer(self, out: bytes) -> None:
        if not self.direct or not self._type:
            super()._answer(out)
            return
        self.bytes_out = len(out)
        self._succeeded()
        self._caller.answer(200, self._type + self._head + told(self), out)
        self._end("ok", "", "done")

    def _refused_by_provider(self, status: int, failure: Failure) -> None:
        if not self.direct or self._errors is None:
            super()._refused_by_provider(status, failure)
            return
        _, headers, kept = self._errors
        if len(kept) < MAX_ERROR and failure.kind != "upstream_auth":
            self._verdict = (status, headers, bytes(kept))
        self.failed(failure)

    def _refuse(self, failure: Failure) -> None:
        verdict = self._verdict if self.direct else None
        if verdict is None or not failure.kind.startswith("upstream_"):
            super()._refuse(failure)
            return
        self.over = True
        self.status, headers, body = verdict
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        lines = (heads.typed(kind) if kind else b"") + heads.downward(headers) + told(self)
        # Of what a refusal says, the provider's own headers tell the rest.
        tries = 0 if self.course is None else self.course.attempts
        lines += heads.refusing(replace(failure, retry_after=None), self.status, tries)
        self._caller.answer(self.status, lines, body)
        self._end("error", failure.log_kind, "pre")


def _wire_of(provider: Provider) -> str:
    """The wire in which a provider is asked for chat. Raises ``invalid_request``, naming it, where it is not known."""
    wire = SPOKEN[provider.wire].get("chat", "")
    own = wire if "chat" in provider.paths else ""
    # A gate's adapter hides who answers, and in which wire.
    if own not in _PUBLISHED or (provider.quirks.options.get("services") and provider.transport != SEALING):
        message = f"requests cannot be passed to {provider.label} as they are: its own wire is not known here"
        raise invalid(message, _KIND)
    return own
