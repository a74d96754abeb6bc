"""When gRPC is served and where: opened for components, moved by the configuration, drained at the end, by one process
or several; and what it costs when many callers read slowly."""

import asyncio
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from dapr.proto.runtime.v1 import ai_pb2, dapr_pb2_grpc

from fixtures.children import eventually, free_port
from fixtures.parley import Gateway, Start
from fixtures.peer import Seen, Told, peer
from real.dapr_parts import component, serve, user
from real.test_dapr_http import OWN, TURNS, ask, converse
from real.test_dapr_sdk import answer


def said(port: int, name: str = "echo", text: str = "hi") -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = ai_pb2.ConversationRequestAlpha2(name=name, inputs=[user(text)])
        reply = dapr_pb2_grpc.DaprStub(channel).ConverseAlpha2(request, timeout=30)
        return str(reply.outputs[0].choices[0].message.content)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_components_that_appear_open_it_and_those_that_go_close_it(parley_server: Start, tmp_path: Path) -> None:
    port, moved = free_port(), free_port()
    running = parley_server({"include": "components/*.yaml", "strict": False})
    folder = running.path.parent / "components"
    assert not any("grpc" in line for line in running.stderr_lines())
    folder.mkdir()
    (folder / "a.yaml").write_text(json.dumps(component("one")))
    running.path.write_text(json.dumps({"include": "components/*.yaml", "grpc": f"127.0.0.1:{port}"}))
    eventually(lambda: listens(port), 30, "it listens")
    assert said(port, "one") == "hi"
    running.path.write_text(json.dumps({"include": "components/*.yaml", "grpc": f"127.0.0.1:{moved}"}))
    eventually(lambda: listens(moved) and not listens(port), 30, "it has moved")
    assert said(moved, "one") == "hi"
    (folder / "a.yaml").write_text(json.dumps(component("other")))
    eventually(lambda: "other" in ask(running.port, "GET", "/v1.0/metadata").body.decode(), 30, "it is reloaded")
    with pytest.raises(grpc.RpcError) as caught:
        said(moved, "one")
    assert caught.value.details() == "failed finding conversation component one"


def test_a_port_that_another_has_is_told_of_and_named(parley_server: Start, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError) as caught:
            parley_server({}, args=["--grpc", f"127.0.0.1:{port}"])
        told = str(caught.value)
        assert f"cannot listen on 127.0.0.1:{port} for gRPC: " in told
        assert "--grpc HOST:PORT takes another" in told
        running = parley_server({})
        running.path.write_text(json.dumps({"grpc": f"127.0.0.1:{port}"}))
        eventually(lambda: b'"kind":"grpc"' in ask(running.port, "GET", "/readyz").body, 30, "it is told of")
        assert ask(running.port, "GET", "/readyz").value["status"] == "degraded"
    running.path.write_text(json.dumps({"grpc": f"127.0.0.1:{free_port()}"}))
    eventually(lambda: ask(running.port, "GET", "/readyz").value["status"] == "ready", 30, "it is well again")


def test_calls_under_way_are_finished_before_it_ends(parley_server: Start, tmp_path: Path) -> None:
    with peer(answer) as provider:
        documents = [component("gpt", "conversation.openai", key="k", model="m", endpoint=f"{provider.url}/v1")]
        running, port = serve(parley_server, tmp_path, documents)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = dapr_pb2_grpc.DaprStub(channel)
            call = stub.ConverseAlpha2.future(ai_pb2.ConversationRequestAlpha2(name="gpt", inputs=[user("slow")]))
            eventually(lambda: provider.seen, 30, "it is asked")
            running.signal(signal.SIGTERM)
            assert call.result(30).outputs[0].choices[0].message.content == "slow"
        assert running.wait(30) == 0


def test_who_waits_for_it_learns_that_it_drains(parley_server: Start, tmp_path: Path) -> None:
    free = threading.Event()

    def held(seen: Seen) -> Told:
        free.wait(60)
        return answer(seen)

    with peer(held) as provider:
        documents = [component("gpt", "conversation.openai", key="k", model="m", endpoint=f"{provider.url}/v1")]
        running, port = serve(parley_server, tmp_path, documents)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = dapr_pb2_grpc.DaprStub(channel)
            call = stub.ConverseAlpha2.future(ai_pb2.ConversationRequestAlpha2(name="gpt", inputs=[user("a")]))
            try:
                eventually(lambda: provider.seen, 30, "it is asked")
                running.signal(signal.SIGTERM)
                eventually(lambda: any('"drain.start"' in line for line in running.stderr_lines()), 30, "it drains")
                found = ask(running.port, "GET", "/v1.0/healthz")
                assert (found.status, found.value["errorCode"]) == (500, "ERR_HEALTH_NOT_READY")
                found = ask(running.port, "GET", "/v1.0/healthz/outbound")
                assert (found.status, found.value["errorCode"]) == (500, "ERR_OUTBOUND_HEALTH_NOT_READY")
                assert ask(running.port, "GET", "/v1.0/metadata").status == 503
            finally:
                free.set()
            assert call.result(30).outputs[0].choices[0].message.content == "a"
        assert running.wait(30) == 0


def test_calls_under_way_end_where_they_began_when_it_moves(parley_server: Start) -> None:
    free = threading.Event()

    def held(seen: Seen) -> Told:
        free.wait(60)
        return answer(seen)

    ports = [free_port() for _ in range(2)]
    with peer(held) as provider:
        document = component("gpt", "conversation.openai", key="k", model="m", endpoint=f"{provider.url}/v1")
        running = parley_server({"include": "components/*.yaml", "strict": False})
        (running.path.parent / "components").mkdir()
        (running.path.parent / "components/a.yaml").write_text(json.dumps(document))

        def moved(index: int) -> grpc.Future:
            """A call at the next place, once it is served there and nowhere else."""
            port = ports[index % 2]
            config = {"include": "components/*.yaml", "grpc": f"127.0.0.1:{port}"}
            running.path.write_text(json.dumps(config))
            eventually(lambda: moves(running) == index + 1 and listens(port), 30, "it has moved")
            assert not listens(ports[1 - index % 2])
            stub = dapr_pb2_grpc.DaprStub(channels[index])
            call = stub.ConverseAlpha2.future(ai_pb2.ConversationRequestAlpha2(name="gpt", inputs=[user("a")]))
            eventually(lambda: len(provider.seen) == index + 1, 30, "it is asked")
            return call

        channels = [grpc.insecure_channel(f"127.0.0.1:{ports[index % 2]}", [("n", index)]) for index in range(3)]
        try:
            calls = [moved(index) for index in range(3)]
            # Two of them are at listeners that have gone.
            running.signal(signal.SIGTERM)
            free.set()
            assert [call.result(30).outputs[0].choices[0].message.content for call in calls] == ["a"] * 3
            assert running.wait(30) == 0
        finally:
            free.set()
            for channel in channels:
                channel.close()


def moves(running: Gateway) -> int:
    """How often it said that it has moved."""
    return sum('"grpc.moved"' in line for line in running.stderr_lines())


def test_several_processes_share_the_address(parley_server: Start, tmp_path: Path) -> None:
    running, port = serve(parley_server, tmp_path, [component("echo")], args=["--workers", "2"])
    told = f"listening on 127.0.0.1:{port} for gRPC"
    eventually(lambda: any(told in line for line in running.stderr_lines()), 30, "it is told of")
    for _ in range(12):
        assert said(port) == "hi"
    context = ask(running.port, "POST", OWN.format("echo"), {"inputs": ["a"]}).value["conversationContext"]
    for _ in range(6):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            list(converse(channel, [TURNS.request(name="echo", conversationContext=context, inputs=["a"])]))


def resident(gateway: Gateway) -> float:
    """Megabytes in memory."""
    return int(Path(f"/proc/{gateway.pid}/statm").read_text().split()[1]) * 4096 / 1e6


PIECE = {"id": "x", "model": "m", "choices": [{"index": 0, "delta": {"content": "x" * 2000}, "finish_reason": None}]}
LAST = {"id": "x", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
PIECES, CALLS = 1500, 200
# Otherwise the client itself takes in megabytes ahead.
OPTIONS = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536)]


class Endless:
    """A provider of long answers for many callers at once; ``sent`` counts the pieces of all."""

    def __init__(self) -> None:
        self.sent = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        made = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
        self.url = f"http://127.0.0.1:{made.result(30)}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            piece = b"data: %b\n\n" % json.dumps(PIECE).encode()
            for _ in range(PIECES):
                writer.write(piece)
                await writer.drain()
                self.sent += 1
            writer.write(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(LAST).encode())
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
def endless() -> Iterator[Endless]:
    made = Endless()
    yield made
    made.close()


def read(call: Any) -> int:
    """How much text is left in an answer."""
    return sum(len(output.result) for reply in call for output in reply.outputs)


def test_many_streams_that_are_read_slowly_hold_in_bounded_memory(
    parley_server: Start, tmp_path: Path, endless: Endless
) -> None:
    documents = [component("gpt", "conversation.openai", key="k", model="m", endpoint=f"{endless.url}/v1")]
    running, port = serve(parley_server, tmp_path, documents)
    before = resident(running)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        calls = [converse(channel, [TURNS.request(name="gpt", inputs=["go"])]) for _ in range(CALLS)]
        for call in calls:
            next(call)
        # Nobody reads on: of 600 MB of answers most stay where they are.
        time.sleep(1.0)
        assert resident(running) - before < 400
        begun = time.monotonic()
        assert running.ready()
        assert time.monotonic() - begun < 10
        with ThreadPoolExecutor(4) as pool:
            left = list(pool.map(read, calls[:4]))
        assert all((PIECES - 200) * 2000 < one < PIECES * 2000 for one in left)
        for call in calls[4:]:
            call.cancel()
    eventually(lambda: running.metric("parley_client_aborts_total", "mid") >= 1, 30, "those who left are counted")
