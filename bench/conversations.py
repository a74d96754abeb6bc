"""What a unary conversation over gRPC costs Parley beside a bare grpc.aio server that sends every message back.

Both servers take their turns on core 0, the load on core 1; of each the processor time per call is told. Parley's
component is the echo component, so that no provider is measured.
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from process import cpu_seconds, free_port, start, stop

METHOD = "/dapr.proto.runtime.v1.Dapr/ConverseAlpha2"
MOST = 3.0
CALLS_AT_ONCE = 16
COMPONENT = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "echo"},
    "spec": {"type": "conversation.echo", "version": "v1"},
}


def request() -> bytes:
    """One question."""
    from dapr.proto.runtime.v1 import ai_pb2

    asked = {"messages": [{"of_user": {"content": [{"text": "What is the capital of France?"}]}}]}
    return ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[asked], temperature=0.5).SerializeToString()


async def bare(port: int) -> None:
    """The server to compare with."""
    import grpc
    from grpc import aio

    async def back(data: bytes, context: object) -> bytes:
        return data

    server = aio.server()
    service, _, method = METHOD[1:].partition("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(back)})
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def load(port: int, seconds: float) -> int:
    """Calls answered in so many seconds."""
    from grpc import aio

    data, until, done = request(), time.monotonic() + seconds, 0

    async def caller(call: object) -> None:
        nonlocal done
        while time.monotonic() < until:
            reply = await call(data)
            if len(reply) < 40:
                raise SystemExit(f"an answer of {len(reply)} bytes")
            done += 1

    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)
        await asyncio.gather(*(caller(call) for _ in range(CALLS_AT_ONCE)))
    return done


def measured(pid: int, port: int, seconds: float) -> float:
    """Microseconds of processor time for a call."""
    asyncio.run(load(port, 0.5))
    before = cpu_seconds(pid)
    calls = asyncio.run(load(port, seconds))
    return (cpu_seconds(pid) - before) / calls * 1e6


def listening(port: int, log: Path) -> None:
    """Wait until somebody is at that port."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}:\n{log.read_text()}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", type=int, help="be the other server, on that port")
    asked = parser.parse_args()
    if asked.bare:
        asyncio.run(bare(asked.bare))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "components").mkdir()
        (folder / "components/echo.yaml").write_text(json.dumps(COMPONENT))
        log, port, other, http = folder / "log", free_port(), free_port(), free_port()
        serve = [
            "-m",
            "parley",
            "serve",
            "--no-discover",
            "--listen",
            f"127.0.0.1:{http}",
            "--grpc",
            f"127.0.0.1:{port}",
        ]
        components = ["--components", str(folder / "components")]
        servers = [
            start([sys.executable, *serve, *components], 0, log, {"HOME": name, "XDG_DATA_HOME": name}),
            start([sys.executable, __file__, "--bare", str(other)], 0, log),
        ]
        try:
            for one in (port, other):
                listening(one, log)
            rows = [
                (measured(servers[0].pid, port, asked.seconds), measured(servers[1].pid, other, asked.seconds))
                for _ in range(asked.rounds)
            ]
        finally:
            for server in servers:
                stop(server)
    ours, theirs = (statistics.median(row[side] for row in rows) for side in (0, 1))
    print("| server | processor time per call |\n| --- | --- |")
    print(f"| bare grpc.aio | {theirs:.0f} µs |\n| Parley, echo component | {ours:.0f} µs ({ours / theirs:.2f} x) |")
    verdict = "reached" if ours <= MOST * theirs else "not reached"
    print(f"\nAt most {MOST:g} x: {verdict}.")


if __name__ == "__main__":
    main()
