"""The conversation service of Dapr's runtime: its calls are asked as the HTTP requests of the same forms.

Source: conversation contract sections 1 and 5.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final
from urllib.parse import quote

import grpc
import msgspec
from dapr.proto.runtime.v1 import ai_pb2, metadata_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from parley import __version__
from parley.failure import Failure, ParleyError
from parley.framing import SseReader
from parley.gateway.keyring import SHOWN
from parley.ports import Request
from parley.serve.house import House
from parley.serve.rpc.asking import Answered, asked, begun, request_of
from parley.serve.rpc.messages import Turns, WrongParameterError, alpha1_reply, alpha2_reply, plain
from parley.wire.dapr.errors import bad_params, told

SERVICE: Final = "dapr.proto.runtime.v1.Dapr"
MAX_MESSAGE: Final = 4 * 1024 * 1024
DIALECT: Final = "dapr"
# The gateway's own words have codes of their own; the runtime's rows are by status.
_CODES: Final[Mapping[str, Any]] = {
    "ERROR": grpc.StatusCode.UNKNOWN,
    "ERR_PERMISSION_DENIED": grpc.StatusCode.PERMISSION_DENIED,
    "ERR_RATE_LIMITED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "ERR_BUDGET_EXCEEDED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "ERR_OVERLOADED": grpc.StatusCode.UNAVAILABLE,
    "ERR_NOT_IMPLEMENTED": grpc.StatusCode.UNIMPLEMENTED,
    "ERR_CONVERSATION_CONTEXT_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
}
_EVENTS: Final = (b"accept", b"text/event-stream")
_DRAINING: Final = "the gateway is shutting down"
_NO_METADATA: Final = "missing metadata in request"
_NO_KEY: Final = "missing api token in request metadata"
_OTHER_KEY: Final = "authentication error: api token mismatch"


class Conversations:
    """Handlers of one service. Messages are read here, so that their size has a limit of its own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._plans: dict[str, Any] = {}
        self._turns = Turns()

    def handler(self) -> Any:
        """What a server is given."""
        unary, streams = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "ConverseAlpha1": unary(self.alpha1),
                "ConverseAlpha2": unary(self.alpha2),
                "Converse": streams(self.converse),
                "GetMetadata": unary(self.metadata),
            },
        )

    async def alpha1(self, data: bytes, context: Any) -> bytes:
        """One conversation of plain texts."""
        return await self._converse(data, context, ai_pb2.ConversationRequest, alpha1_reply)

    async def alpha2(self, data: bytes, context: Any) -> bytes:
        """One conversation of messages."""
        return await self._converse(data, context, ai_pb2.ConversationRequestAlpha2, alpha2_reply)

    async def metadata(self, data: bytes, context: Any) -> bytes:
        """What is loaded here."""
        await self.admit(context)
        await self._read(data, metadata_pb2.GetMetadataRequest, context)
        settings = self._house.gateway.settings
        found = metadata_pb2.GetMetadataResponse(id=settings.dapr_app, runtime_version=__version__)
        for component in settings.components.values():
            found.registered_components.add(name=component.name, type=component.type, version=component.version)
        made: bytes = found.SerializeToString()
        return made

    async def admit(self, context: Any) -> None:
        """End a call that comes without the token or key that it needs."""
        keyring = self._house.gateway.keyring
        if keyring.closed or keyring.guarded == DIALECT:
            request = request_of(self._house, "/v1.0/metadata", b"", context.invocation_metadata(), context.peer())
            try:
                keyring.enter(request.headers, request.target, DIALECT, request.source)
            except ParleyError as error:
                await self._refused(context, error.failure)

    async def converse(self, requests: Any, context: Any) -> None:
        """Conversations that go on: every message is answered before the next one is read."""
        while (data := await context.read()) is not aio.EOF:
            message: Any = await self._read(data, self._turns.request, context)
            try:
                value = self._turns.asked(message)
            except WrongParameterError as error:
                await self._refused(context, bad_params(str(error)).failure, message.name)
            request = await self._request(context, "v1.0", message.name, msgspec.json.encode(value))
            request.headers.append(_EVENTS)
            await self._streamed(request, context)

    async def _streamed(self, request: Request, context: Any) -> None:
        job, caller = begun(self._house, request)
        reader = SseReader()
        try:
            opened = await caller.opened
            if opened.status != 200:
                await refuse(context, opened)
            async for piece in caller.pieces():
                for frame in reader.feed(piece):
                    await self._pass(frame.event, frame.data, context)
        finally:
            job.left()

    async def _pass(self, event: str, data: bytes, context: Any) -> None:
        """One event of an answer."""
        if event == "error":
            await refuse(context, Answered(_status(data), {}, data))
        elif data != b"[DONE]":
            await context.write(self._turns.answer(msgspec.json.decode(data)))

    async def _converse(
        self,
        data: bytes,
        context: Any,
        kind: Callable[[], Message],
        reply: Callable[[Mapping[str, Any]], Any],
    ) -> bytes:
        message: Any = await self._read(data, kind, context)
        if message.temperature == inf:
            # JSON has no such number; it would be gone without a word.
            await self._refused(context, bad_params("the temperature must be finite").failure, message.name)
        body = msgspec.json.encode(plain(message, self._plans))
        form = "alpha1" if reply is alpha1_reply else "alpha2"
        request = await self._request(context, f"v1.0-{form}", message.name, body)
        answered = await asked(self._house, request, self._house.inlets.within(DIALECT, "chat", f"dapr_{form}_read"))
        if answered.status != 200:
            await refuse(context, answered)
        made = reply(msgspec.json.decode(answered.body))
        if reply is alpha1_reply:
            _return(message, made)
        found: bytes = made.SerializeToString()
        return found

    async def _request(self, context: Any, form: str, name: str, body: bytes) -> Request:
        """The HTTP request that a call is."""
        if self._house.draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, _DRAINING)
        if not name:
            await self._refused(context, Failure("model_not_found", ""))
        target = f"/{form}/conversation/{quote(name, safe='')}/converse"
        return request_of(self._house, target, body, context.invocation_metadata(), context.peer())

    async def _refused(self, context: Any, failure: Failure, name: str = "") -> None:
        """The same for a call that did not become a request."""
        if failure.kind == "unauthorized":
            await refuse(context, Answered(401, {}, b""))
        status, code, message = told(msgspec.structs.replace(failure, model=name))
        await refuse(context, Answered(status, {}, msgspec.json.encode({"errorCode": code, "message": message})))

    async def _read(self, data: bytes, kind: Callable[[], Message], context: Any) -> Message:
        most = min(MAX_MESSAGE, self._house.max_body)
        if len(data) > most:
            words = f"Received message larger than max ({len(data)} vs. {most})"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
        message = kind()
        try:
            message.ParseFromString(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
        return message


def _return(asked: Any, reply: Any) -> None:
    """The first form's parameters, as they came, with every result. They may be of types that nobody here knows."""
    for name, value in asked.parameters.items():
        for output in reply.outputs:
            output.parameters[name].CopyFrom(value)


async def refuse(context: Any, answered: Answered) -> None:
    """End a call with the status of an error answer (contract table 1.4)."""
    if answered.status == 401:
        await context.abort_with_status(_unauthorized(context))
    said = msgspec.json.decode(answered.body)
    code, message = said["errorCode"], said["message"]
    usual = grpc.StatusCode.INVALID_ARGUMENT if answered.status < 500 else grpc.StatusCode.INTERNAL
    retry = answered.headers.get(b"retry-after")
    if retry is not None:
        context.set_trailing_metadata((("retry-after", retry.decode()),))
    await context.abort(_CODES.get(code, usual), message)


def _status(data: bytes) -> int:
    """That of an error which came when the stream was open: the code says whose fault it is."""
    code = msgspec.json.decode(data)["errorCode"]
    return 400 if code in ("ERR_CONVERSATION_INVALID_PARMS", "ERR_CONVERSATION_MISSING_INPUTS") else 500


def _unauthorized(context: Any) -> Any:
    """The status of a wrong key, with the details that clients of the runtime look at."""
    metadata = context.invocation_metadata() or ()
    shown = any(name.lower().encode() in SHOWN for name, _ in metadata)
    words = _OTHER_KEY if shown else _NO_KEY if metadata else _NO_METADATA
    info = error_details_pb2.ErrorInfo(
        reason="Unauthorized", domain="dapr.io", metadata={"http.code": "401", "http.error_message": words}
    )
    status = status_pb2.Status(code=code_pb2.UNAUTHENTICATED, message="Unauthorized")
    status.details.add().Pack(info)
    return rpc_status.to_status(status)
