"""Requests of messages, put to the gateway as those over HTTP are. Source: messaging contract section 8."""

from typing import Final

from msgspec.structs import replace

from parley.api.surface import unserved
from parley.failure import ParleyError
from parley.gateway.delivery import Delivery
from parley.gateway.keyring import Entry
from parley.jsontext import Members
from parley.keys.text import PREFIX
from parley.ports import Caller, Headers, Request
from parley.serve.handling import Reply
from parley.serve.house import House
from parley.serve.rpc.asking import Answered
from parley.serve.unattended import Behind, asked, entry_for
from parley.streams import envelope
from parley.streams.envelope import Asked, RefusedError
from parley.streams.port import Received
from parley.streams.setup import Stream
from parley.wire.inlets import Inlet, below
from parley.wire.predict_paths import ADAPTER, DIRECT

_EVENTS_PATH: Final = b":streamGenerateContent"
_WHOLE_PATH: Final = b":generateContent"
_OURS: Final = (502, 504)
# The longest name of a message that is its request's too.
MOST_ID: Final = 128
# Ends of paths whose answers are streams, whatever the body says.
_STREAMED: Final = b"-stream"
# Envelopes whose ``stream`` stands where OpenAI's does.
_ADAPTERS: Final = (ADAPTER, DIRECT)


class HouseAsker:
    """Asks the gateway what messages of one stream ask."""

    def __init__(self, house: House, stream: Stream) -> None:
        self._house, self._stream = house, stream
        self._behind = Behind(stream.name)
        self._operator = self._behind.of(None)
        # What paths without a query and without a name in them mean.
        self._known: dict[str, tuple[bytes, Inlet]] = {}

    async def ask(self, message: Received, request: Asked) -> Reply:
        """See parley.serve.handling.Asker."""
        asking, inlet = self._asking(message, request)
        answer, job = await asked(self._house, asking, self._entry(asking, inlet, request))
        return reply_of(answer, job)

    def begin(self, message: Received, request: Asked, caller: Caller) -> Delivery:
        """The same for a caller that hears the answer. Raises RefusedError."""
        asking, inlet = self._asking(message, request)
        asking.bare = True
        return self._house.gateway.begin(inlet, asking, caller, self._entry(asking, inlet, request))

    def _asking(self, message: Received, request: Asked) -> tuple[Request, Inlet]:
        target, inlet = self._known.get(request.path) or self._found(request)
        headers: Headers = [(b"content-type", b"application/json")]
        if request.key:
            headers.append((b"authorization", b"Bearer " + request.key.encode()))
        body, members = self._body(inlet, request)
        asking = Request(headers, body, self._id(message.id), target)
        asking.members = members
        return asking, inlet

    def _id(self, name: str) -> str:
        """The message's own, where it may be shown."""
        if 0 < len(name) <= MOST_ID and name.isascii() and name.isprintable() and name.find(PREFIX) < 0:
            return name
        return self._house.gateway.request_id(name.encode("utf-8", "replace"))

    def _found(self, request: Asked) -> tuple[bytes, Inlet]:
        target = request.path.encode()
        if self._stream.stream != "refuse":
            target = _whole(target)
        inlet = self._inlet(target, request)
        if self._stream.stream == "refuse" and inlet.fixed and (inlet.streams or target.endswith(_STREAMED)):
            raise RefusedError(envelope.WHOLE, metadata=request.metadata)
        if not inlet.placed and target.find(b"?") < 0:
            self._known[request.path] = target, inlet
        return target, inlet

    def _inlet(self, target: bytes, request: Asked) -> Inlet:
        path, _, query = target.partition(b"?")
        inlet = self._house.inlets.find(path, query)
        if inlet is not None and not inlet.form:
            return inlet
        verdict = unserved("POST", below(request.path.partition("?")[0]) or request.path)
        if inlet is None and verdict.status in (404, 405):
            status = 400 if self._stream.older else 404
            message = f"{envelope.READING}unknown path: {request.path[:200]!r}"
            raise RefusedError(message, status, "invalid_request", request.metadata)
        message = f"{request.path[:200]!r} cannot be asked by messages"
        raise RefusedError(message, 501, "not_implemented", request.metadata)

    def _body(self, inlet: Inlet, request: Asked) -> tuple[bytes, Members | None]:
        if inlet.fixed and inlet.envelope not in _ADAPTERS:
            return request.body, request.members
        refuse = self._stream.stream == "refuse"
        try:
            return envelope.collected(
                request.body, request.members, inlet.stream_member, streams=inlet.streams, refuse=refuse
            )
        except ParleyError:
            # The gateway says what is wrong with it.
            return request.body, None

    def _entry(self, asking: Request, inlet: Inlet, request: Asked) -> Entry | None:
        """Whose key it is: the message's, the stream's, or the operator's. None: the gateway finds out, and says no."""
        if request.key is not None:
            # What is no key is no reason to ask as somebody else.
            found = entry_for(self._house, asking, inlet.dialect)
            return None if found is None else self._behind.of(found)
        if not self._stream.key:
            return self._operator
        named = self._house.gateway.keyring.named(self._stream.key)
        if named is None:
            raise RefusedError(f"the key {self._stream.key!r} of this stream is not known", 401, "unauthorized")
        return self._behind.of(named)


def _whole(target: bytes) -> bytes:
    """The path of the same request whose answer comes whole."""
    path, sign, query = target.partition(b"?")
    return path.replace(_EVENTS_PATH, _WHOLE_PATH).removesuffix(_STREAMED) + sign + query


def reply_of(answer: Answered, job: Delivery) -> Reply:
    """Errors of ours begin as those of messages do."""
    untried = job.lane is None and answer.status >= 400
    if untried and answer.status == 404 and job.model:
        answer = replace(answer, body=envelope.beginning(envelope.not_found(job.model), answer.body))
    elif untried and answer.status == 400 and not job.model:
        answer = replace(answer, body=envelope.beginning(envelope.READING, answer.body))
    return Reply(answer, untried or answer.status in _OURS)
