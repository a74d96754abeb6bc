"""The transport grpc-infer against a real gRPC server: what arrives there, what comes back, and every way to fail."""

import asyncio
import builtins
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest
from msgspec import json
from msgspec.structs import replace
from peers import settle
from servers import Waiting

from parley.cli.exits import Code
from parley.cli.probe import probe
from parley.io.oip_grpc import GrpcInferUpstream
from parley.io.oip_messages import InferRequest, InferResponse
from parley.ports import Call, Destination
from parley.settings import Provider

Infer = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]
HEAD = (
    b"authorization: Bearer k-1\r\ncontent-type: application/json\r\naccept: application/json\r\n"
    b"x-request-id: req-1\r\nx-operator: yes\r\n"
)
BODY = json.encode({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hé"]}]})


class Server:
    """A server whose ``infer`` answers; it keeps what it was sent."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.infer: Infer = self.echo
        self.live = True
        self.port = 0
        self._server = grpc.aio.server()

    async def echo(self, request: Any, context: Any) -> Any:
        """The first text, with a word of this wire's own."""
        answer = InferResponse(model_name=request.model_name, id=request.id)
        tensor = answer.outputs.add(name="out", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(request.inputs[0].contents.bytes_contents[0] + b" by grpc")
        return answer

    async def _handle(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        return await self.infer(request, context)

    async def _live(self, request: bytes, context: Any) -> bytes:
        assert request == b""
        return b"\x08\x01" if self.live else b""

    async def start(self, port: int = 0) -> None:
        method = grpc.unary_unary_rpc_method_handler(
            self._handle,
            request_deserializer=InferRequest.FromString,
            response_serializer=lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString(),
        )
        live = grpc.unary_unary_rpc_method_handler(self._live)
        methods = {"ModelInfer": method, "ServerLive": live}
        handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
        self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def upstream() -> AsyncIterator[GrpcInferUpstream]:
    made = GrpcInferUpstream(asyncio.get_running_loop())
    yield made
    made.close()
    await settle()


def to(port: int, path: bytes = b"/v2/models/m-1/infer", **more: Any) -> Destination:
    return Destination(method=b"POST", origin=f"http://127.0.0.1:{port}", path=path, **more)


async def ask(upstream: GrpcInferUpstream, where: Destination, body: bytes = BODY, total: float = 10.0) -> Waiting:
    ear = Waiting()
    upstream.send(Call(where, HEAD, (body[:9], memoryview(body)[9:]), total), ear)
    assert ear.status == 0
    async with asyncio.timeout(30):
        await ear.over.wait()
    return ear


async def test_a_call_and_its_answer(server: Server, upstream: GrpcInferUpstream) -> None:
    ear = await ask(upstream, to(server.port))
    status, content = ear.whole
    assert (status, ear.headers) == (200, [(b"content-type", b"application/json")])
    assert json.decode(content) == {
        "model_name": "m-1",
        "model_version": None,
        "parameters": None,
        "outputs": [{"name": "out", "datatype": "BYTES", "shape": [1], "data": ["hé by grpc"]}],
    }
    (asked,) = server.asked
    assert (asked.model_name, asked.model_version) == ("m-1", "")
    assert (asked.inputs[0].name, list(asked.inputs[0].contents.bytes_contents)) == ("text", ["hé".encode()])
    (metadata,) = server.metadata
    assert {name: metadata[name] for name in ("authorization", "x-request-id", "x-operator")} == {
        "authorization": "Bearer k-1",
        "x-request-id": "req-1",
        "x-operator": "yes",
    }
    assert "accept" not in metadata


async def test_the_path_names_model_and_version(server: Server, upstream: GrpcInferUpstream) -> None:
    await ask(upstream, to(server.port, b"/v2/models/org%2Fname/versions/3/infer?x=1"))
    assert (server.asked[0].model_name, server.asked[0].model_version) == ("org/name", "3")


async def test_a_path_that_names_none(upstream: GrpcInferUpstream) -> None:
    assert (await ask(upstream, to(1, b"/infer"))).failure == ("not_implemented", "")


async def test_whether_it_is_live(server: Server, upstream: GrpcInferUpstream) -> None:
    where = replace(to(server.port, b"/"), method=b"GET")
    assert (await ask(upstream, where)).whole == (200, b"{}")
    server.live = False
    assert (await ask(upstream, where)).whole == (503, b"{}")
    assert server.asked == []


def test_check_asks_over_grpc() -> None:
    live = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")
    handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ServerLive": live})
    made = grpc.server(ThreadPoolExecutor(1))
    made.add_generic_rpc_handlers((handler,))
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    known: dict[str, Any] = {"type": "any", "wire": "oip_infer", "paths": {"chat": "/v2/models/{model}/infer"}}
    try:
        (found,) = probe([Provider(name="a", **known, endpoints=(f"http://127.0.0.1:{port}",), transport="grpc-infer")])
    finally:
        made.stop(None).wait()
    assert (found.status, found.failure, found.code) == (200, "", Code.OK)


async def test_one_channel_carries_many_calls(server: Server, upstream: GrpcInferUpstream) -> None:
    ears = await asyncio.gather(*[ask(upstream, to(server.port)) for _ in range(5)])
    assert [ear.whole[0] for ear in ears] == [200] * 5
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.UNAUTHENTICATED, 401),
        (grpc.StatusCode.PERMISSION_DENIED, 403),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.UNKNOWN, 500),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.UNAVAILABLE, 503),
    ],
)
async def test_refusals_become_the_statuses_of_the_rest_form(
    server: Server, upstream: GrpcInferUpstream, code: grpc.StatusCode, status: int
) -> None:
    async def refuse(request: Any, context: Any) -> None:
        await context.abort(code, "because of é")

    server.infer = refuse
    ear = await ask(upstream, to(server.port))
    assert ear.whole == (status, '{"error":"because of é"}'.encode())


async def test_an_answer_that_is_none(server: Server, upstream: GrpcInferUpstream) -> None:
    async def broken(request: Any, context: Any) -> bytes:
        return b"\xff\xff"

    server.infer = broken
    assert (await ask(upstream, to(server.port))).failure == ("upstream_bad_response", "bad_shape")


async def test_a_request_that_does_not_fit(server: Server, upstream: GrpcInferUpstream) -> None:
    ear = await ask(upstream, to(server.port), b'{"inputs":[{"name":1}]}')
    assert ear.failure == ("invalid_request", "")
    assert server.asked == []


@pytest.mark.parametrize(("first_byte", "detail"), [(0.05, "first_byte_timeout"), (60.0, "stream_limit")])
async def test_a_server_that_does_not_answer(
    server: Server, upstream: GrpcInferUpstream, first_byte: float, detail: str
) -> None:
    gate = asyncio.Event()

    async def wait(request: Any, context: Any) -> Any:
        await gate.wait()

    server.infer = wait
    ear = await ask(upstream, to(server.port, first_byte=first_byte), total=0.1)
    assert ear.failure == ("upstream_timeout", detail)
    gate.set()


async def test_nobody_listens(upstream: GrpcInferUpstream) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ear = await ask(upstream, to(taken.getsockname()[1]))
    assert ear.failure == ("upstream_unreachable", "connect_refused")


async def test_a_peer_that_never_speaks(upstream: GrpcInferUpstream) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        ear = await ask(upstream, to(mute.getsockname()[1], connect=0.1))
    assert ear.failure == ("upstream_connect_timeout", "connect_timeout")


async def test_a_server_that_comes_back_is_found_again(upstream: GrpcInferUpstream) -> None:
    first = Server()
    await first.start()
    assert (await ask(upstream, to(first.port))).whole[0] == 200
    await first.stop()
    second = Server()
    await second.start(first.port)
    try:
        # The channel may have tried in between, found nobody, and tries again within a second.
        async with asyncio.timeout(30):
            while (ear := await ask(upstream, to(first.port))).ended != ["done"]:
                assert ear.failure[0] in ("upstream_unreachable", "upstream_closed")
        assert ear.whole[0] == 200
        assert len(second.asked) == 1
    finally:
        # One that is left running when it is collected holds up the process.
        await second.stop()


async def test_a_server_that_goes_in_the_middle_of_a_call(server: Server, upstream: GrpcInferUpstream) -> None:
    began = asyncio.Event()

    async def hang(request: Any, context: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    server.infer = hang
    ear = Waiting()
    upstream.send(Call(to(server.port), HEAD, (BODY,), 10.0), ear)
    await began.wait()
    await server.stop()
    async with asyncio.timeout(30):
        await ear.over.wait()
    # The library may tell of the call before it knows that the connection is gone: then it is an answer that says so.
    if ear.ended == ["done"]:
        assert ear.status == 503
    else:
        assert ear.failure == ("upstream_closed", "closed_before_headers")


async def test_a_cancelled_call_is_ended_there_too(server: Server, upstream: GrpcInferUpstream) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang(request: Any, context: Any) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server.infer = hang
    ear = Waiting()
    flight = upstream.send(Call(to(server.port), HEAD, (BODY,), 10.0), ear)
    await began.wait()
    flight.pause()
    flight.resume()
    flight.cancel()
    async with asyncio.timeout(30):
        await ended.wait()
    assert (ear.status, ear.ended) == (0, [])


async def test_after_the_end_nothing_is_begun(server: Server) -> None:
    upstream = GrpcInferUpstream(asyncio.get_running_loop())
    upstream.close()
    assert (await ask(upstream, to(server.port))).failure == ("overloaded", "")
    assert server.asked == []


async def test_without_the_extra_its_name_is_told(
    server: Server, upstream: GrpcInferUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "grpc":
            raise ImportError(name)
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    ear = await ask(upstream, to(server.port))
    (found,) = ear.ended
    assert ear.failure == ("not_implemented", "missing_extra")
    assert "pip install 'parley[grpc]'" in getattr(found, "message", "")


async def test_tls_speaks_to_nobody_it_does_not_trust(server: Server, upstream: GrpcInferUpstream) -> None:
    where = replace(to(server.port), origin=f"https://127.0.0.1:{server.port}")
    assert (await ask(upstream, where)).failure[0] in ("upstream_unreachable", "upstream_connect_timeout")
    assert server.asked == []
