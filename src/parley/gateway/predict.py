"""A request that stands in an envelope: which wire's request it is, what configs say beside it, and its answer in kind.

Inside it is a job like any other. A request that is to be passed on as it is goes to the target in the target's own
wire, and its answer comes back as it came; see parley.gateway.proxied. Source: predict contract sections 2 to 6, 10.
"""

import re
from typing import TYPE_CHECKING, Final

from msgspec import Raw
from msgspec.structs import replace

from parley import jsontext
from parley.failure import Failure, ParleyError, invalid
from parley.gateway.accounting import spent
from parley.gateway.admission import Asked, asked_of
from parley.gateway.dressed import Dressed, marked
from parley.gateway.proxied import ProxyJob
from parley.gateway.route import Route
from parley.ports import Caller, Headers, Layers, Request
from parley.relay import Outgoing
from parley.wire import PARAMETERS, SPOKEN
from parley.wire.caila import kinds
from parley.wire.caila.envelope import Call, opened
from parley.wire.caila.errors import event
from parley.wire.caila.typed import judge
from parley.wire.inlets import Inlet
from parley.wire.predict_paths import ADAPTER, DIRECT, STREAM

if TYPE_CHECKING:
    from parley.gateway import Gateway

_TRUE: Final = Raw(b"true")
_FLAGS: Final = (_TRUE, Raw(b"false"), Raw(b"null"))
_COUNTED: Final = Raw(b'{"include_usage":true}')
_OPTIONS: Final = "stream_options"
_LINES: Final = b"application/x-ndjson"
_THOUGHTS: Final = ".reasoning_content"
_EVENTS: Final = b"text/event-stream"
_ROOT: Final = re.compile(r"[^.\[]+")
_STREAMED: Final = ("chat", "completions")
_PICODOLLARS: Final = 10_000  # in a millionth of a cent


class PredictJob(ProxyJob):
    """See the module. ``face`` is the inlet that it came to, ``call`` what was in its envelope."""

    lines = False
    _ready = False
    _counted = False
    _own = ""
    _gone: tuple[str, ...] = ()
    _text = b""
    _later = False
    call: Call | None

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        dressed = Dressed(caller, self)
        super().__init__(gateway, inlet, request, dressed)
        self.face = inlet
        self.call = self.known = self._verdict = self._because = None
        self._dressed = dressed
        self.named = header_of(request.headers, b"z-requestid")

    def run(self) -> None:
        """Open the envelope, look for configs, then as any other."""
        if not (self._ready or self._later):
            try:
                self._open()
            except ParleyError as error:
                self._release()
                self._refuse(error.failure)
                return
            self._later = True
        if self._ready and not self.over:
            super().run()

    def left(self) -> None:
        """See Delivery."""
        super().left()
        self._dressed.let_go()

    def read(self) -> Asked:
        """What was in the envelope, or what a hook made of it."""
        known, body = self.known, self.request.body
        if known is not None and body is self._text:
            return known
        return self.passed_anew(body) if self.direct else super().read()

    def outgoing(self, route: Route) -> Outgoing:
        """The request for the target, and what of it goes nowhere."""
        way = route.way
        options = way.quirks.options
        if self.direct:
            sent = super().outgoing(route)
            sent.dropped = self._gone
            return sent
        if self._counted and options.get("stream_usage") is False:
            self._uncounted()
        sent = super().outgoing(route)
        gone = self._gone
        if self._own and options.get("services") and way.target.model.count("/") == 1:
            body = b"".join(sent.body)
            sent.body = jsontext.replaced(body, jsontext.members(body), {"model": f"{way.target.model}/{self._own}"})
        elif self._own and self._own != way.target.model:
            gone = (*gone, "model")
        if sent.dropped:
            sent.dropped = tuple([self._said(name) for name in sent.dropped])
        if gone:
            sent.dropped = (*gone, *sent.dropped)
        return sent

    def _said(self, name: str) -> str:
        """A member of the request by the name that its caller wrote."""
        call, turn = self.call, name.removesuffix(_THOUGHTS)
        if call is None or turn == name or b'"thinking"' not in call.raw or b'"reasoning_content"' in call.raw:
            return name
        return f"{turn}.thinking"

    def shaped(self, failure: Failure) -> tuple[int, bytes]:
        """An error answer of the dialect that it came in; the field is named as the caller wrote it."""
        return self.face.wire.encode_error(replace(self._placed(failure), model=self.model), self.id)

    @property
    def id(self) -> str:
        """By which the caller knows the request."""
        return self.named.decode("latin-1") or self.request.id

    def marks(self) -> bytes:
        """Header lines of this dialect."""
        return marked(self.named, self.gateway.now() - self.started)

    def whole(self, body: bytes) -> bytes:
        """An answer as the caller reads it."""
        call = self.call
        if call is None or call.direct or call.form == ADAPTER:
            return body
        body = kinds.as_theirs(body)
        if not call.union:
            return body
        cost = spent(self)
        told = b"null" if cost is None else b"%d" % ((cost + _PICODOLLARS // 2) // _PICODOLLARS)
        return b'{"%b":%b,"spentMicroCents":%b}' % (call.union.encode(), body, told)

    def events(self, data: bytes) -> bytes:
        """The same for events of a stream."""
        call = self.call
        if call is None or call.direct or call.form == ADAPTER:
            return data
        data = kinds.events_as_theirs(data)
        if call.union:
            data = kinds.wrapped(data, call.union)
        return b"".join(map(kinds.line_of, data.split(b"\n\n"))) if self.lines else data

    def _error_event(self, failure: Failure) -> None:
        call = self.call
        if call is None or call.direct or call.form == ADAPTER:
            super()._error_event(failure)
            return
        self.over = True
        self._caller.send(event(self._placed(failure), self.id))
        self._caller.finish(close=True)
        self._end("error", failure.log_kind, "mid")

    # The envelope

    def _open(self) -> None:
        face, request = self.face, self.request
        call = self.call = opened(face.envelope, face.operation, request.target, request.body)
        if call.form in (ADAPTER, DIRECT):
            _divided(call)
        self._gone = call.ignored
        configs = self.gateway.configs
        if call.direct:
            self._passed(call)
        elif configs is not None:
            configs.find(self.owner, (call.account, call.service), call.config_id, self._configured)
        elif call.config_id is not None:
            raise invalid("no configs are stored here", "configId")
        else:
            self._found(())

    def _configured(self, found: Layers | Failure) -> None:
        """What was stored is known, perhaps later."""
        if self.over:
            return
        try:
            if isinstance(found, Failure):
                raise ParleyError(found)
            self._found(found)
        except ParleyError as error:
            self._release()
            self._refuse(error.failure)
            return
        if self._later:
            self.run()

    def _found(self, layers: Layers) -> None:
        """Merge by presence, what is nearest to the request last; then it is a request of an inner inlet."""
        call = self.call
        assert call is not None
        merged: jsontext.Members = {}
        for layer in (*layers, call.config, call.data):
            merged.update(layer)
        operation = call.operation
        if operation == "chat":
            if call.form != ADAPTER:
                judge(merged)
            merged = kinds.as_usual(merged, call.prefix)
        merged["model"] = Raw(jsontext.encode(self._model(merged)))
        if operation in _STREAMED:
            self._streamed(merged)
        self.inlet = self.face.family.within(self.face.dialect, operation, SPOKEN[PARAMETERS][operation])
        self._take(merged)
        self.known = asked_of(self.inlet, merged)
        self._ready = True

    def _passed(self, call: Call) -> None:
        """Nothing is merged into a request that passes as it is, so what else there is goes nowhere, by name."""
        self._model(call.data)
        self._own = ""
        self.edits = call.form == DIRECT
        inner = self.face.family.within(self.face.dialect, "chat", PARAMETERS)
        request = self.request
        self._text = call.raw
        if request.body is not call.raw:
            self.request = Request(request.headers, call.raw, request.id, request.target, request.source)
        self.passes(inner, call.raw, call.data, streams=call.form == STREAM)
        self._gone += ("config",) if call.config else ()
        self._gone += ("configId",) if call.config_id is not None else ()
        self._ready = True

    def _take(self, members: jsontext.Members) -> None:
        request, text = self.request, jsontext.encode(members)
        self._text = text
        self.request = Request(request.headers, text, request.id, request.target, request.source)

    def _model(self, merged: jsontext.Members) -> str:
        """Whom to ask: the service by its name, else the model that the request names."""
        call, gateway = self.call, self.gateway
        assert call is not None
        given = merged.get("model", _FLAGS[2])
        own = "" if given == _FLAGS[2] else jsontext.text(given)
        if own is None:
            raise invalid("model must be a string", "model")
        names = _candidates(call, own)
        name = names[0]
        for other in names:
            if gateway.find(call.operation, other) is not None:
                name = other
                break
        self.model = name
        if own and name != own:
            self._own = own.removeprefix(f"{name}/")
        return name

    def _streamed(self, merged: jsontext.Members) -> None:
        """A form that answers whole does so, unless the caller says in both places that it reads streams."""
        call = self.call
        assert call is not None
        wanted = merged.get("stream", _FLAGS[1])
        if wanted not in _FLAGS:
            raise invalid("stream must be true or false", "stream")
        if call.form == ADAPTER:
            return
        if call.form != STREAM and wanted != _TRUE:
            return
        accept = header_of(self.request.headers, b"accept")
        self.lines = accept.find(_LINES) >= 0
        if call.form == STREAM or self.lines or accept.find(_EVENTS) >= 0:
            merged["stream"] = _TRUE
            if _OPTIONS not in merged and call.operation == "chat":
                merged[_OPTIONS] = _COUNTED
                self._counted = True
        else:
            del merged["stream"]
            self._gone = (*self._gone, "stream")

    def _uncounted(self) -> None:
        """Without what we asked for beyond the caller's words, for a provider that does not know it."""
        self._counted = False
        asked = self.asked
        members = {name: value for name, value in asked.members.items() if name != _OPTIONS}
        self.asked = Asked(asked.model, asked.streams, members)
        self._take(members)

    def _placed(self, failure: Failure) -> Failure:
        """The field at fault, where it stood in the envelope."""
        call, root = self.call, _ROOT.match(failure.param or "")
        if call is None or root is None or not call.prefix:
            return failure
        if root[0] in call.data:
            return replace(failure, param=f"{call.prefix}.{failure.param}")
        return replace(failure, param=f"config.{failure.param}") if root[0] in call.config else failure


def header_of(headers: Headers, name: bytes) -> bytes:
    """The first of that name, b"" where there is none."""
    for found, value in headers:
        if found == name:
            return value
    return b""


def _divided(call: Call) -> None:
    """The account and the service that the model's name begins with, where no path tells them."""
    name = jsontext.text(call.data.get("model", _FLAGS[2])) or ""
    account, _, rest = name.partition("/")
    call.account, call.service = account, rest.partition("/")[0]


def _candidates(call: Call, own: str) -> list[str]:
    """The names that may be meant, the first one first."""
    service = f"{call.account}/{call.service}"
    if call.form not in (ADAPTER, DIRECT):
        return [service, own] if own else [service]
    if not own:
        raise invalid("model is required and must be a string", "model")
    rest = own.removeprefix(f"{service}/")
    return [own, service, rest] if call.service and rest != own else [own]
