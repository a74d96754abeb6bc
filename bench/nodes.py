"""What a call through a second node costs beside the same call at the node that has the model, and what 500 streams
through it hold in memory.

The gateways are on one core, everything else on the other. Told is the processor time of both gateways together for
each call, and beside it that of the NATS server, which is no part of Parley.

    python bench/nodes.py [--encrypt on] [--rounds 5] [--seconds 2] [--streams 500] [--python .venv/bin/python]
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from process import free_port, ran_seconds, resident_mb, start, stop

HERE = Path(__file__).resolve().parent
EVENTS, INTERVAL_MS = 50, 5
MOST = 3.0
# As many as keep a core busy: a process that is woken for each single call pays for that, here and there.
AT_ONCE = 64


class Load:
    """Calls over connections that are kept. ``first`` are the seconds to each answer's first byte."""

    def __init__(self, port: int, model: str, *, stream: bool) -> None:
        body = json.dumps(
            {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
        ).encode()
        lines = ("POST /v1/chat/completions HTTP/1.1", "host: 127.0.0.1", "content-type: application/json")
        head = "\r\n".join((*lines, f"content-length: {len(body)}", "", ""))
        self.request, self.port = head.encode() + body, port
        self.done = 0
        self.first: list[float] = []

    async def call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float = 0.0) -> None:
        """One call; ``pause``: seconds of rest after each piece that is read."""
        began = time.monotonic()
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit((head + await reader.read(1000)).decode())
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None
        )
        if length is not None:
            await reader.readexactly(length)
            self.first.append(time.monotonic() - began)
        else:
            await self._chunks(reader, began, pause)
        self.done += 1

    async def _chunks(self, reader: asyncio.StreamReader, began: float, pause: float) -> None:
        seen = False
        while size := int(await reader.readline(), 16):
            if not seen:
                self.first.append(time.monotonic() - began)
                seen = True
            await reader.readexactly(size + 2)
            if pause:
                await asyncio.sleep(pause)
        await reader.readline()

    async def some(self, seconds: float) -> None:
        """As many as fit."""
        until = time.monotonic() + seconds

        async def caller() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
            while time.monotonic() < until:
                await self.call(reader, writer)
            writer.close()

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))


def measured(port: int, model: str, pids: list[int], seconds: float, *, stream: bool) -> tuple[list[float], float]:
    """Microseconds of each process for a call, and the median milliseconds to its first byte."""
    asyncio.run(Load(port, model, stream=stream).some(0.5))
    load = Load(port, model, stream=stream)
    before = [ran_seconds(pid) for pid in pids]
    asyncio.run(load.some(seconds))
    spent = [(ran_seconds(pid) - was) / load.done * 1e6 for pid, was in zip(pids, before, strict=True)]
    return spent, statistics.median(load.first) * 1e3


async def many(port: int, model: str, streams: int, pids: list[int]) -> list[float]:
    """The largest memory, in MB, of these processes while so many streams are read slowly."""
    load = Load(port, model, stream=True)
    most = [resident_mb(pid) for pid in pids]
    most += most

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        await load.call(reader, writer, 0.02)
        writer.close()

    async def watch() -> None:
        while True:
            most[len(pids) :] = map(max, most[len(pids) :], map(resident_mb, pids))
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(caller() for _ in range(streams)))
    watching.cancel()
    return most


def gateway(
    python: str, folder: Path, name: str, nats: int, upstream: int | None, more: dict[str, object]
) -> tuple[int, object]:
    """Its port and process."""
    port, path = free_port(), folder / f"{name}.yaml"
    config: dict[str, object] = {
        "node": {"id": name, "network": f"nats://127.0.0.1:{nats}", **more},
        "log": {"requests": False},
    }
    if upstream is not None:
        config["providers"] = {"up": {"type": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "k"}}
        config["models"] = [{"model": "m", "targets": ["up/m"], "share": True}]
    path.write_text(json.dumps(config))
    command = [python, "-m", "parley", "serve", str(path), "--listen", f"127.0.0.1:{port}"]
    environment = {"HOME": str(folder / name), "XDG_DATA_HOME": str(folder / name)}
    return port, start(command, 0, folder / f"{name}.log", environment)


def until(port: int, path: str, wanted: bytes) -> None:
    """Until an answer has it."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                if wanted in answer.read():
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{path} never had {wanted!r}")


def main() -> None:
    """Measure, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--encrypt", default="off")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="parley-nodes-"))
    running = []
    try:
        subprocess.run(["gcc", "-O2", "-o", folder / "upstream", HERE / "upstream.c"], check=True)
        up, nats = free_port(), free_port()
        running.append(start([str(folder / "upstream"), str(up), str(EVENTS), str(INTERVAL_MS)], 1, folder / "up.log"))
        words = ["nats-server", "-a", "127.0.0.1", "-p", str(nats), "-js", "-sd", str(folder / "nats")]
        running.append(start(words, 1, folder / "nats.log"))
        server = running[-1].pid
        time.sleep(0.5)
        more: dict[str, object] = {"encrypt": asked.encrypt}
        far, process = gateway(asked.python, folder, "b", nats, up, more)
        running.append(process)
        near, process = gateway(asked.python, folder, "a", nats, None, more)
        running.append(process)
        pids = [process.pid for process in running[-2:]]
        until(near, "/api/v0/peers", b'"b"')
        judged = [row(kind, far, near, [*pids, server], asked) for kind in ("answer", "stream")]
        memory = asyncio.run(many(near, "node/parley/m", asked.streams, pids))
        print(
            f"{asked.streams} streams read slowly: "
            + ", ".join(
                f"{name} {was:.0f} -> {is_:.0f} MB"
                for name, was, is_ in zip(("answering", "asking"), memory[:2], memory[2:], strict=True)
            )
        )
    finally:
        for process in reversed(running):
            stop(process)
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if max(judged) <= MOST else 1)


def row(kind: str, far: int, near: int, pids: list[int], asked: argparse.Namespace) -> float:
    """Print one; how many times the direct call it costs, the median of all rounds."""
    stream = kind == "stream"
    found = []
    for _ in range(asked.rounds):
        direct, first = measured(far, "m", pids[:1], asked.seconds, stream=stream)
        relayed, later = measured(near, "node/parley/m", pids, asked.seconds, stream=stream)
        found.append((sum(relayed[:2]) / direct[0], direct[0], *relayed, first, later))
    times, direct_us, answering, asking, nats, first, later = map(statistics.median, zip(*found, strict=True))
    print(
        f"{kind}: direct {direct_us:.0f} us, relayed {answering + asking:.0f} us (answering {answering:.0f}, asking "
        f"{asking:.0f}; NATS {nats:.0f}): {times:.2f} times ({min(found)[0]:.2f} to {max(found)[0]:.2f}); "
        f"first byte {first:.1f} -> {later:.1f} ms"
    )
    return times


if __name__ == "__main__":
    main()
