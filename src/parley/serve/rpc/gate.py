"""Caila's service Gate for clients: its calls are asked as the HTTP requests that they would be.

Errors are told inside of answers. What workers of that service ask for is not served.
Source: predict contract section 7.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import grpc
import msgspec
from google.protobuf.message import DecodeError

from parley.failure import Failure, ParleyError, invalid
from parley.framing import SseReader
from parley.ports import Request
from parley.serve.house import House
from parley.serve.rpc.asking import Answered, AwaitedCaller, asked, begun, request_of
from parley.serve.rpc.gate_messages import CLASSES, SERVICE, STATUSES
from parley.wire.caila.envelope import PROXY, RESULT, SPECS
from parley.wire.caila.errors import BAD_REQUEST, PROCESSING, told

OK: Final = "Ok"
_EVENTS: Final = b"text/event-stream"
_SHOWN: Final = {b"z-requestid": "Z-requestId", b"z-server-time": "Z-Server-Time", b"x-request-id": "x-request-id"}
# Of a message's headers those that would say something of the call itself.
_NOT_OURS: Final = frozenset({"accept", "host", "connection", "content-length", "content-type", "transfer-encoding"})
_ERROR: Final = b'{"error":'
_SPENT: Final = b',"spentMicroCents":'


class Gate:
    """Handlers of one service."""

    def __init__(self, house: House) -> None:
        self._house = house

    def handler(self) -> Any:
        """What a server is given."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "healthCheck": grpc.unary_unary_rpc_method_handler(self.health),
                "process": grpc.unary_unary_rpc_method_handler(self.process),
                "processResponseStream": grpc.unary_stream_rpc_method_handler(self.streamed),
                "processStream": grpc.stream_stream_rpc_method_handler(self.conversed),
            },
        )

    async def health(self, data: bytes, context: Any) -> bytes:
        """Whether requests are taken."""
        beat = await _read(data, "HeartBeatProto", context)
        status = "Draining" if self._house.draining else OK
        made: bytes = CLASSES["HeartBeatProto"](status=status, interval=beat.interval).SerializeToString()
        return made

    async def process(self, data: bytes, context: Any) -> bytes:
        """One request, one answer."""
        if len(data) > self._house.max_body:
            return self._too_large()
        message = await _read(data, "ClientRequestProto", context)
        try:
            async with asyncio.timeout(message.timeoutSec if message.timeoutSec > 0 else None):
                request = self._request(message, context, streams=False)
                return _written(_answer(await asked(self._house, request), message))
        except ParleyError as error:
            return _written(_error(error.failure, _named(message)))
        except TimeoutError:
            return _written(_error(_late(message), _named(message)))

    async def streamed(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        """One request; an answer in pieces where it asks for them."""
        if len(data) > self._house.max_body:
            yield self._too_large()
            return
        message = await _read(data, "ClientRequestProto", context)
        async for answer in self._pieces(message, context):
            yield answer

    async def conversed(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Requests, each whole or in pieces that are answered once the last has come."""
        parts: list[Any] = []
        size = 0
        async for data in messages:
            size += len(data)
            if size > self._house.max_body:
                yield self._too_large()
                return
            message = await _read(data, "ClientRequestProto", context)
            if message.WhichOneof("body") == "partialPredict":
                parts = [message] if message.partialPredict.start else [*parts, message]
                if not message.partialPredict.finish:
                    continue
                message, parts = _joined(parts), []
            size = 0
            async for answer in self._pieces(message, context):
                yield answer
        if parts:
            yield _written(_error(invalid("the last piece of the request did not come").failure, _named(parts[0])))

    def _too_large(self) -> bytes:
        """The answer to more than ``limits.body``, of which nothing is read."""
        failure = Failure("body_too_large", f"the request body is larger than {self._house.max_body} bytes")
        return _written(_error(failure, ""))

    async def _pieces(self, message: Any, context: Any) -> AsyncIterator[bytes]:
        """All messages of an answer."""
        try:
            async with asyncio.timeout(message.timeoutSec if message.timeoutSec > 0 else None):
                request = self._request(message, context, streams=True)
                async for answer in self._answers(request, message):
                    yield _written(answer)
        except ParleyError as error:
            yield _written(_error(error.failure, _named(message)))
        except TimeoutError:
            yield _written(_error(_late(message), _named(message)))

    async def _answers(self, request: Request, message: Any) -> AsyncIterator[Any]:
        job, caller = begun(self._house, request)
        try:
            opened = await caller.opened
            if opened.status != 200 or not opened.headers.get(b"content-type", b"").startswith(_EVENTS):
                yield _answer(await _whole(opened, caller), message)
                return
            async for answer in _chunks(opened, caller, message):
                yield answer
        finally:
            job.left()

    def _request(self, message: Any, context: Any, *, streams: bool) -> Request:
        """The HTTP request that it would be. Raises ParleyError."""
        kind = message.WhichOneof("body")
        for name in ("account", "model"):
            if not getattr(message, name):
                raise invalid(f"{name} is required", name)
        place = f"/api/mlpgate/account/{quote(message.account, safe='')}/model/{quote(message.model, safe='')}"
        if kind == "ext":
            params = {name: _json(payload, f"params.{name}") for name, payload in message.ext.params.items()}
            target, body = f"{place}/ext", {"methodName": message.ext.methodName, "params": params}
        elif kind == "predict":
            body = _enveloped(message.predict)
            target = f"{place}/predict-with-config-v2"
        else:
            raise invalid("the request holds nothing to be predicted", "predict")
        pairs = [("accept", "text/event-stream" if streams else "application/json")]
        pairs += [(name, value) for name, value in message.headers.items() if _fit(name, value)]
        if message.authToken:
            pairs.append(("mlp-api-key", _token(message.authToken)))
        metadata = [(name, value) for name, value in context.invocation_metadata() if name.lower() not in _NOT_OURS]
        return request_of(self._house, target, msgspec.json.encode(body), [*pairs, *metadata], context.peer())


async def _whole(opened: Answered, caller: AwaitedCaller) -> Answered:
    """An answer that did not come in events, with all of its bytes."""
    rest = b"".join([piece async for piece in caller.pieces()])
    return Answered(opened.status, opened.headers, opened.body + rest)


async def _chunks(opened: Answered, caller: AwaitedCaller, message: Any) -> AsyncIterator[Any]:
    """The chunks of a stream; which of them is the last is known only after it."""
    held, start = b"", True
    async for chunk in _events(caller):
        if held:
            yield _partial(opened, held, message, start=start, finish=False)
            start = False
        held = chunk
    if caller.broken and held.startswith(_ERROR):
        yield _told(msgspec.json.decode(held)["error"], 500, opened)
        return
    if held:
        yield _partial(opened, held, message, start=start, finish=not caller.broken)
    if caller.broken:
        yield _error(Failure("upstream_incomplete", "the provider's stream ended early"), _named(message))


async def _events(caller: AwaitedCaller) -> AsyncIterator[bytes]:
    """The data of every event but the terminator."""
    reader = SseReader()
    async for piece in caller.pieces():
        for frame in reader.feed(piece):
            if not frame.data.startswith(b"[DONE]"):
                yield frame.data


def _partial(opened: Answered, chunk: bytes, message: Any, *, start: bool, finish: bool) -> Any:
    made = CLASSES["ClientResponseProto"](headers=_headers(opened))
    made.partialPredict.data.json = chunk.decode()
    made.partialPredict.data.dataType = _kind(message)
    made.partialPredict.start, made.partialPredict.finish = start, finish
    return made


def _answer(answered: Answered, message: Any) -> Any:
    """A whole answer, or the error that it tells of."""
    if answered.status != 200:
        return _told(_object(answered.body, answered.status), answered.status, answered)
    made = CLASSES["ClientResponseProto"](headers=_headers(answered))
    made.predict.data.json = answered.body.decode("utf-8", "replace")
    made.predict.data.dataType = "json" if _SPENT in answered.body[-48:] else _kind(message)
    return made


def _object(body: bytes, status: int) -> Mapping[str, Any]:
    """Our own error, or the words of a provider that was asked in its own wire."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = None
    if isinstance(found, dict) and {"code", "message", "args"} <= found.keys():
        return found
    code = BAD_REQUEST if status < 500 else PROCESSING
    return {"code": code, "message": body.decode("utf-8", "replace"), "args": {}}


def _told(error: Mapping[str, Any], status: int, answered: Answered) -> Any:
    made = CLASSES["ClientResponseProto"](headers=_headers(answered))
    made.error.code, made.error.message = str(error.get("code")), str(error.get("message"))
    made.error.status = _status(status)
    for name, value in (error.get("args") or {}).items():
        made.error.args[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return made


def _error(failure: Failure, named: str) -> Any:
    status, code, message, args = told(failure)
    made = CLASSES["ClientResponseProto"](headers={"Z-requestId": named} if named else {})
    made.error.code, made.error.message, made.error.status = code, message, _status(status)
    made.error.args.update(args)
    return made


def _status(status: int) -> int:
    if status in STATUSES.values():
        return status
    if status in (401, 403):
        return STATUSES["ACCESS_DENIED"]
    return STATUSES["BAD_REQUEST"] if status < 500 else STATUSES["INTERNAL_SERVER_ERROR"]


def _kind(message: Any) -> str:
    """The type of the answer: what was to pass as it is keeps its own."""
    given: str = message.predict.data.dataType
    return given if given.endswith(PROXY) else SPECS + RESULT


def _enveloped(predict: Any) -> dict[str, str]:
    body = {"data": _json(predict.data, "data")}
    if predict.HasField("config"):
        body["config"] = _json(predict.config, "config")
    if predict.data.dataType:
        body["dataType"] = predict.data.dataType
    return body


def _json(payload: Any, where: str) -> str:
    if payload.WhichOneof("body") != "json":
        raise invalid(f"{where} must be JSON", where)
    text: str = payload.json
    return text


def _joined(parts: list[Any]) -> Any:
    """The request that came in pieces: their texts one after the other are its JSON; or each is an object of its own,
    and their messages follow one another. Config and addresses are the first piece's."""
    made = CLASSES["ClientRequestProto"]()
    made.CopyFrom(parts[0])
    made.predict.data.CopyFrom(parts[0].partialPredict.data)
    if parts[0].partialPredict.HasField("config"):
        made.predict.config.CopyFrom(parts[0].partialPredict.config)
    texts = [part.partialPredict.data.json for part in parts]
    made.predict.data.json = texts[0] if len(texts) == 1 else _merged(texts) or "".join(texts)
    return made


def _merged(texts: list[str]) -> str:
    """Objects as one, "" where the texts are not objects each by itself."""
    whole: dict[str, Any] = {}
    for text in texts:
        try:
            found = msgspec.json.decode(text) if text.strip() else {}
        except msgspec.DecodeError:
            return ""
        if not isinstance(found, dict):
            return ""
        before, more = whole.get("messages"), found.get("messages")
        whole.update(found)
        if isinstance(before, list) and isinstance(more, list):
            whole["messages"] = [*before, *more]
    return msgspec.json.encode(whole).decode()


def _headers(answered: Answered) -> dict[str, str]:
    return {
        shown: answered.headers[name].decode("latin-1") for name, shown in _SHOWN.items() if name in answered.headers
    }


def _named(message: Any) -> str:
    """The caller's own name of the request."""
    found: str = next((value for name, value in message.headers.items() if name.lower() == "z-requestid"), "")
    return found


def _fit(name: str, value: str) -> bool:
    """Whether a pair of a message can be a header."""
    return name.isascii() and name.isprintable() and name.lower() not in _NOT_OURS and value.isprintable()


def _token(text: str) -> str:
    """A key as it would come; what can be none is none that holds."""
    return text if text.isascii() and text.isprintable() else "?"


def _late(message: Any) -> Failure:
    return Failure("upstream_timeout", f"there was no whole answer within {message.timeoutSec} s")


def _written(message: Any) -> bytes:
    made: bytes = message.SerializeToString()
    return made


async def _read(data: bytes, name: str, context: Any) -> Any:
    message = CLASSES[name]()
    try:
        message.ParseFromString(data)
    except DecodeError:
        await context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
    return message
