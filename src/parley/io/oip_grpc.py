"""The Upstream of the transport ``grpc-infer``: a call's JSON goes as one ModelInfer, its answer comes back as JSON.

A GET asks whether the server is live. The path names the model (and perhaps its version) as in the REST form. A channel
is kept for each origin; https:// means TLS. The status of a refused call becomes the HTTP status that such a server
answers over REST. The library is an extra.
"""

import asyncio
import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from parley.failure import Failure, ParleyError
from parley.io.ending import finished, unhandled
from parley.ports import Call, Flight, Headers, Sink

MISSING: Final = "this provider is spoken to over gRPC; `pip install 'parley[grpc]'` installs what that needs"
LARGEST: Final = 32 * 1024 * 1024
_MODEL: Final = re.compile(r"/models/([^/]+)(?:/versions/([^/]+))?/infer")
# Lines of a call that speak of its HTTP form.
_NOT_SENT: Final = frozenset({"content-type", "accept", "accept-encoding", "user-agent", "te", "host"})
_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", -1),
    # The gateway decides when to try again.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_STATUSES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_UNREACHABLE: Final = Failure("upstream_unreachable", "the provider refused the connection", detail="connect_refused")
_CLOSED: Final = Failure(
    "upstream_closed", "the provider closed the connection without an answer", detail="closed_before_headers"
)
_JSON: Final[Headers] = [(b"content-type", b"application/json")]


class GrpcInferUpstream:
    """Sends calls over channels that are made on first use."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._channels: dict[str, Any] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call."""
        flight = GrpcFlight(self, call, sink)
        flight.task = self._loop.create_task(flight.run())
        return flight

    def close(self) -> None:
        """Close the channels in the background; calls under way are given up."""
        self._closed = True
        for channel in self._channels.values():
            task = self._loop.create_task(channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._channels.clear()

    def channel(self, origin: str) -> Any:
        """The channel to an origin. Raises ParleyError where the library is missing."""
        if self._closed:
            raise ParleyError(Failure("overloaded", "the gateway is shutting down"))
        found = self._channels.get(origin)
        if found is None:
            found = self._channels[origin] = _opened(origin)
        return found


class GrpcFlight:
    """One call under way."""

    def __init__(self, upstream: GrpcInferUpstream, call: Call, sink: Sink) -> None:
        self.task: asyncio.Task[None] | None = None
        self._upstream = upstream
        self._call = call
        self._sink: Sink | None = sink

    def cancel(self) -> None:
        """Stop; the sink hears nothing more."""
        self._sink = None
        if self.task is not None:
            self.task.cancel()

    def pause(self) -> None:
        """The answer comes in one piece; there is nothing to hold back."""

    def resume(self) -> None:
        """As ``pause``."""

    async def run(self) -> None:
        """Carry it out; the sink hears an answer or a failure."""
        failure: Failure | None = None
        try:
            status, body = await self._asked()
            if self._sink is not None:
                self._sink.head(status, _JSON)
            if self._sink is not None:
                self._sink.body(body)
        except ParleyError as error:
            failure = error.failure
        except Exception as error:
            failure = unhandled(error)
        sink, self._sink = self._sink, None
        if sink is not None and failure is not None:
            sink.failed(failure)
        elif sink is not None:
            finished(sink)

    async def _asked(self) -> tuple[int, bytes]:
        """Status and JSON of the answer."""
        call = self._call
        channel = self._upstream.channel(call.to.origin)
        from grpc.aio import AioRpcError

        from parley.io.oip_messages import INFER, IS_LIVE, LIVE, answer_of, request_of

        asks = call.to.method == b"GET"
        message = b"" if asks else request_of(*_model_of(call.to.path.decode()), b"".join(call.body))
        ready = await _connected(channel, call.to.connect)
        ask = channel.unary_unary(LIVE if asks else INFER)
        seconds = min(call.total, call.to.first_byte)
        try:
            answer = await ask(message, timeout=seconds, metadata=_metadata(call.head))
        except AioRpcError as error:
            name, words = error.code().name, error.details() or ""
        else:
            return (200 if answer == IS_LIVE else 503, b"{}") if asks else (200, answer_of(answer))
        if name == "UNAVAILABLE" and not _is_ready(channel):
            raise ParleyError(_CLOSED if ready else _UNREACHABLE)
        if name == "DEADLINE_EXCEEDED":
            detail = "first_byte_timeout" if call.to.first_byte < call.total else "stream_limit"
            raise ParleyError(Failure("upstream_timeout", "the provider did not answer in time", detail=detail))
        return _STATUSES.get(name, 500), msgspec.json.encode({"error": words})


def _opened(origin: str) -> Any:
    try:
        import google.protobuf
        import grpc
        import grpc.aio
    except ImportError:
        raise ParleyError(Failure("not_implemented", MISSING, detail="missing_extra")) from None
    assert google.protobuf is not None
    parts = urlsplit(origin)
    target = parts.netloc if parts.port else f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"
    if parts.scheme == "https":
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), _OPTIONS)
    return grpc.aio.insecure_channel(target, _OPTIONS)


def _model_of(path: str) -> tuple[str, str]:
    """Name and version ("" for none) of the model that a path names."""
    found = _MODEL.search(path.partition("?")[0])
    if found is None:
        message = "the path of this provider names no model: it is /v2/models/{model}/infer"
        raise ParleyError(Failure("not_implemented", message))
    return unquote(found[1]), unquote(found[2] or "")


def _metadata(head: bytes) -> tuple[tuple[str, str], ...]:
    """The call's header lines, but for those of its HTTP form."""
    lines = (line.partition(": ") for line in head.decode("latin-1").split("\r\n") if line)
    return tuple(
        (name, value)
        for name, _, value in lines
        if name not in _NOT_SENT and _NAME.fullmatch(name) and not name.startswith("grpc-") and value.isprintable()
    )


async def _connected(channel: Any, seconds: float) -> bool:
    """Whether there is a connection; one that cannot be made at once is left to the call to fail with. Raises
    ``upstream_connect_timeout``."""
    try:
        async with asyncio.timeout(seconds):
            state = channel.get_state(try_to_connect=True)
            while state.name in ("IDLE", "CONNECTING"):
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
    except TimeoutError:
        message = "the provider could not be reached in time"
        raise ParleyError(Failure("upstream_connect_timeout", message, detail="connect_timeout")) from None
    return _is_ready(channel)


def _is_ready(channel: Any) -> bool:
    return bool(channel.get_state().name == "READY")
