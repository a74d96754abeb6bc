"""A request of the Responses operation: what it refers to is recalled first, what it answered is remembered.

Only a provider that made the previous response itself is left to remember it; to all others what came before is
sent again in front of the request's own items. Source: OpenAI surface contract section 6.
"""

from typing import TYPE_CHECKING, Final

from msgspec import Raw

from parley import jsontext
from parley.failure import Failure, ParleyError, invalid
from parley.gateway import heads
from parley.gateway.admission import Asked
from parley.gateway.answering import foreseen, sent_by, sent_instead, told
from parley.gateway.job import Job
from parley.gateway.route import Route
from parley.ir import ChatResponse
from parley.ports import Caller, Kept, Recalled, Request, Unattended
from parley.relay import Outgoing, Relay
from parley.wire import Reply
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.gateway import Gateway

# The detail of a failure to recall what is somebody else's.
ANOTHER_OWNERS: Final = "another_owners"
_NULL: Final = Raw(b"null")
_TRUE: Final = Raw(b"true")
_FALSE: Final = Raw(b"false")
_EMPTY: Final = Raw(b"[]")
# How the caller's own items begin: a list, or the words of one message.
_INPUT: Final = (0x5B, 0x22)
_REFERENCE: Final = b'"item_reference"'
# With its line end, which no JSON text holds: an answer may well speak of these words.
_TERMINAL: Final = (b"event: response.completed\n", b"event: response.incomplete\n", b"event: response.failed\n")
_NO_MEMORY: Final = Failure("invalid_request", "nothing is remembered here", param="previous_response_id")


class ResponsesJob(Job):
    """See the module."""

    _previous = ""
    _conversation = ""
    _name = ""
    _background = False
    _remembers = False
    keeps = True
    _recalled: Recalled | None
    _unknown: Failure | None
    _expanded: Asked | None
    _items: bytes

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        super().__init__(gateway, inlet, request, caller)
        self._recalled = self._unknown = self._expanded = None
        self._items = b""

    def heard(self) -> None:
        """See what it refers to, then as any other."""
        if self.over:
            return
        try:
            self._refers()
        except ParleyError as error:
            self._release()
            self._refuse(error.failure)
            return
        self._begin()

    def admitted(self) -> None:
        """See Job. What is made in the background has passed the gate now, and not again when it is made."""
        if not self._background:
            super().admitted()
        elif not self.over:
            self._queue()

    def proceed(self) -> None:
        """See Job."""
        memory = self.gateway.memory
        if self.over:
            return
        if memory is not None and self.request.body.find(_REFERENCE) >= 0 and self._own().find(_REFERENCE) >= 0:
            memory.resolve(self._own(), self.owner, self._resolved)
        else:
            self._recall()

    def _refers(self) -> None:
        members = self.asked.members
        self._previous = _string(members, "previous_response_id")
        self._conversation = _conversation_of(members)
        if self._previous and self._conversation:
            raise invalid("previous_response_id and conversation exclude each other", "previous_response_id")
        self._background = _flag(members, "background")
        stores = self._stores()
        if self._background:
            self._may_be_queued(stores=stores)
        self._remembers = stores and self.keeps and self.gateway.memory is not None
        _demand_items(members)

    def _own(self) -> bytes:
        """The request's own items as an array."""
        if not self._items:
            self._items = _items_of(self.asked.members)
        return self._items

    def _may_be_queued(self, *, stores: bool) -> None:
        if self.gateway.memory is None:
            raise invalid("background needs a store, and there is none here", "background")
        if self.streams:
            raise invalid("a background response cannot be streamed here; ask for it by its id", "stream")
        if not stores:
            raise invalid("a background response has to be stored", "store")
        foreseen(self, self._served.registration.targets)

    def _stores(self) -> bool:
        members = self.asked.members
        return members.get("store", _NULL) == _NULL or _flag(members, "store")

    def _queue(self) -> None:
        """Answer at once with a response that is queued, and make it afterwards."""
        memory, inlet = self.gateway.memory, self.inlet
        assert memory is not None
        now = int(self.gateway.wall())
        reply = Reply(model=self.model, id=self.name(), created=now, wire=inlet.wire.name, asked=self.request.body)
        empty = ChatResponse(wire="", id="", model=self.model, choices=(), created=now)
        response = inlet.wire.encode_response(empty, reply)
        made = self._kept(response, "", native=False)
        assert made is not None
        memory.begin_background(made, self._queued)

    def _queued(self, found: Unattended | Failure) -> None:
        """It is stored: whoever asked is told, and a job of its own goes on."""
        if isinstance(found, Failure):
            if not self.over:
                self._release()
                self._refuse(found)
            return
        members = {name: value for name, value in self.asked.members.items() if name != "background"}
        request = Request(self.request.headers, jsontext.encode(members), self.request.id)
        job = ResponsesJob(self.gateway, self.inlet, request, found)
        job.keeps = False
        job.key, job.owner = self.key, self.owner
        lines = heads.JSON_TYPE + told(self)
        if not self.over:
            job.ticket, self.ticket = self.ticket, None
        self.gateway.start(job)
        found.runs(job.left)
        if not self.over:
            self._release()
            self._caller.answer(200, lines, found.kept.response)
            self._end("ok", "", "done")

    def _resolved(self, found: bytes | Failure) -> None:
        """Items that were named by their ids are there, or nobody knows them."""
        if self.over:
            return
        if isinstance(found, Failure):
            self._unknown = found
        else:
            self._expand(b"[]", found)
            self._items = found
        self._recall()

    def _recall(self) -> None:
        memory = self.gateway.memory
        if not (self._previous or self._conversation):
            self._step(None, self.gateway.now())
        elif memory is None:
            self._remembered(_NO_MEMORY)
        else:
            memory.recall(self._previous or None, self._conversation or None, self.owner, self._remembered)

    def _remembered(self, found: Recalled | Failure) -> None:
        if self.over:
            return
        if isinstance(found, Failure):
            self._unknown = found
        else:
            self._recalled = found
        self._step(None, self.gateway.now())

    def outgoing(self, route: Route) -> Outgoing:
        """The request, with what came before it unless the provider knows that by itself."""
        recalled = self._recalled
        if self._unknown is not None:
            # The provider may know what we do not; nobody else can.
            others = self._unknown.detail == ANOTHER_OWNERS
            if others or not route.verbatim or self._conversation:
                raise ParleyError(self._unknown)
            return sent_by(self, route)
        knows = recalled is not None and recalled.native and recalled.provider == route.way.provider.name
        if recalled is not None and not (knows and route.verbatim and not self._conversation):
            self._expand(recalled.items, self._own())
        return sent_by(self, route) if self._expanded is None else sent_instead(self, route, self._expanded)

    def _expand(self, before: bytes, own: bytes) -> None:
        """The request with all its items written out."""
        items = Raw(_joined(before, own))
        kept = {name: value for name, value in self.asked.members.items() if name not in _REFERRING}
        kept["input"] = items
        self._expanded = Asked(self.asked.model, self.asked.streams, kept)

    def name(self) -> str:
        """One of its own: the id of a request may be the caller's, and not the only one."""
        if not self._name:
            rand = self.gateway.rand
            high, low = int(rand() * 2**52), int(rand() * 2**52)
            # As bytes: writing numbers in 13 digits costs three times as much.
            self._name = (high << 52 | low).to_bytes(13, "big").hex()
        return self._name

    def _deliver(self, carrier: Relay, out: bytes) -> None:
        if self._remembers:
            for terminal in _TERMINAL:
                at = out.find(terminal)
                if at >= 0:
                    self._keep(_response_in(out[at:]))
        super()._deliver(carrier, out)

    def _answer(self, out: bytes) -> None:
        self._keep(out)
        super()._answer(out)

    def _keep(self, response: bytes) -> None:
        """Remember it, where the caller lets us and there is something to remember it."""
        memory, route = self.gateway.memory, self.route
        if memory is None or route is None or not self._remembers:
            return
        kept = self._kept(response, route.way.provider.name, native=route.same)
        if kept is not None:
            memory.keep(kept)

    def _kept(self, response: bytes, provider: str, *, native: bool) -> Kept | None:
        """What is remembered of a response, None where it has no id."""
        try:
            name = jsontext.text(jsontext.members(response).get("id", _NULL))
        except ParleyError:
            return None
        if not name:
            return None
        return Kept(
            id=name,
            owner=self.owner,
            model=self.model,
            provider=provider,
            native=native,
            created=int(self.gateway.wall()),
            previous=self._previous or None,
            conversation=self._conversation or None,
            input=self._own(),
            response=response,
        )


_REFERRING: Final = frozenset({"previous_response_id", "conversation", "input"})


def _string(members: jsontext.Members, name: str) -> str:
    value = members.get(name, _NULL)
    found = "" if value == _NULL else jsontext.text(value)
    if found is None:
        raise invalid(f"{name} must be a string", name)
    return found


def _flag(members: jsontext.Members, name: str) -> bool:
    value = members.get(name, _NULL)
    if value not in (_NULL, _TRUE, _FALSE):
        raise invalid(f"{name} must be true or false", name)
    return value == _TRUE


def _conversation_of(members: jsontext.Members) -> str:
    """The conversation's id, which may stand in an object."""
    value = members.get("conversation", _NULL)
    if value == _NULL or memoryview(value)[0] != 0x7B:
        return _string(members, "conversation")
    name = jsontext.text(jsontext.members(bytes(memoryview(value))).get("id", _NULL))
    if not name:
        raise invalid("conversation.id must be a string", "conversation.id")
    return name


def _demand_items(members: jsontext.Members) -> None:
    value = members.get("input")
    if value is not None and memoryview(value)[0] not in _INPUT and value != _NULL:
        raise invalid("input must be a string or a list of items", "input")


def _items_of(members: jsontext.Members) -> bytes:
    """The request's own items as an array; a string is a user's message."""
    value = bytes(memoryview(members.get("input", _EMPTY)))
    if value.startswith(b'"'):
        return b'[{"type":"message","role":"user","content":[{"type":"input_text","text":%b}]}]' % value
    return b"[]" if value == b"null" else value


def _joined(before: bytes, after: bytes) -> bytes:
    first, second = before.strip()[1:-1].strip(), after.strip()[1:-1].strip()
    return b"[%b]" % (b",".join([part for part in (first, second) if part]))


def _response_in(event: bytes) -> bytes:
    """The response object that a terminal event carries."""
    data = b"".join([line[5:] for line in event.partition(b"\n\n")[0].split(b"\n") if line.startswith(b"data:")])
    try:
        return bytes(memoryview(jsontext.members(data.strip()).get("response", _EMPTY)))
    except ParleyError:
        return b""
