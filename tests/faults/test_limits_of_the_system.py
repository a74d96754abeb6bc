"""What the system has little of: descriptors (fault contract G9), and a reader of the log (G12)."""

import asyncio
import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.raw import Answer, Raw, request
from fixtures.children import bare_environment, eventually, free_port
from fixtures.parley import Gateway
from store.parts import until

FEW = 64
CHAT = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}).encode()


async def chat(raw: Raw) -> Answer:
    await raw.send(request("/v1/chat/completions", CHAT))
    return await raw.response()


@pytest.fixture
def few(parley_python: str, tmp_path: Path) -> Any:
    """A gateway with FEW descriptors from its start."""
    port = free_port()
    command = [parley_python, "-m", "parley", "serve", "--no-discover", "--listen", f"127.0.0.1:{port}"]
    line = ["sh", "-c", f'ulimit -n {FEW}; exec "$@"', "sh", *command]
    with subprocess.Popen(
        line, env=bare_environment(tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        made = _Few(process, port)
        eventually(made.ready, 30, "it is ready")
        yield made
        process.terminate()
        assert process.wait(30) == 0


class _Few(Gateway):
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.child = type("Child", (), {"process": process, "pid": process.pid, "err": []})()
        self.port = port


async def answered(raw: Raw) -> Answer | None:
    """None where the connection was reset instead."""
    try:
        return await chat(raw)
    except (ConnectionError, AssertionError):
        return None


async def test_callers_beyond_the_last_descriptor_are_told_and_the_others_served(few: _Few) -> None:
    served: list[Raw] = []
    shed: list[Answer] = []
    reset = 0
    for _ in range(2 * FEW):
        raw = await Raw(few.port).__aenter__()
        answer = await answered(raw)
        if answer is not None and answer.status == 200:
            served.append(raw)
            continue
        raw.close()
        reset += answer is None
        shed += [answer] if answer is not None else []
    assert len(served) >= 16
    assert len(shed) + reset == 2 * FEW - len(served)
    assert shed
    for answer in shed:
        assert (answer.status, answer.json["error"]["code"], answer.get("retry-after")) == (503, "overloaded", "1")
    # Those who were let in are served as before.
    for raw in served:
        assert (await chat(raw)).status == 200
    await served[0].send(request("/metrics", b"", method="GET"))
    metrics = (await served[0].response()).body.decode()
    (line,) = [line for line in metrics.splitlines() if line.startswith('parley_shed_total{reason="fds"}')]
    assert float(line.split()[-1]) >= len(shed)
    for raw in served:
        raw.close()

    async def again() -> bool:
        async with Raw(few.port) as raw:
            found = await answered(raw)
            return found is not None and found.status == 200

    await until(again)


async def test_a_log_that_nobody_reads_costs_lines_and_no_request(parley_python: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    port = free_port()
    line = [parley_python, "-m", "parley", "serve", "--no-discover", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(  # noqa: ASYNC220 - it is started before anything else happens
        line, env=bare_environment(tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=writer,
    ) as process:  # fmt: skip
        os.close(writer)
        made = _Few(process, port)
        eventually(made.ready, 30, "it is ready")
        marks = {"x-request-id": "r" * 100}
        data = request("/v1/chat/completions", CHAT, headers=tuple(marks.items()))

        async def load() -> None:
            async with Raw(port) as raw:
                for _ in range(40):
                    # Many at once: what counts is how many lines there are to be written.
                    await raw.send(data * 100)
                    for _ in range(100):
                        assert (await raw.response()).status == 200

        await asyncio.gather(*(load() for _ in range(4)))
        lost = [line for line in made.metrics().splitlines() if line.startswith("parley_log_dropped_total")]
        assert float(lost[0].split()[-1]) > 0
        found = await asyncio.to_thread(read_until, reader, lambda text: b"log_dropped" in text)
        process.terminate()
        await asyncio.to_thread(read_until, reader, lambda text: b"drain.end" in text)
        assert process.wait(30) == 0
    os.close(reader)
    events = [json.loads(line) for line in found.splitlines() if line.startswith(b"{") and line.endswith(b"}")]
    (told,) = [event for event in events if event["event"] == "log_dropped"]
    assert told["lines"] == float(lost[0].split()[-1])


def read_until(reader: int, look: Callable[[bytes], bool], seconds: float = 30.0) -> bytes:
    found = b""
    until = time.monotonic() + seconds
    while not look(found):
        readable, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        assert readable, found[-1000:]
        data = os.read(reader, 1 << 20)
        assert data, found[-1000:]
        found += data
    return found
