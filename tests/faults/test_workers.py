"""Several processes on one address (fault contract G1 and G3): one falls, all are told, all end."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from faults.raw import Answer, Raw, request
from faults.rig import Case, Told, asking, check_clean, configuration
from faults.speech import words
from fixtures.children import bare_environment, eventually, free_port
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

LONG = Case("trickle:0.3:12")
WORKERS = 3
MANY = ["--workers", str(WORKERS)]
TARGETS = 3


def events(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    return [event for event in gateway.log_events() if event["event"] == name]


def pids(gateway: Gateway) -> list[int]:
    """Of the workers that were started last, in order."""
    return list({event["worker"]: event["pid"] for event in events(gateway, "worker.start")}.values())


def alive(some: list[int]) -> list[int]:
    return [pid for pid in some if Path(f"/proc/{pid}").exists()]


def holds(pid: int, sockets: set[str]) -> bool:
    """Whether the process has one of these among its open files, which may close while we look."""
    with suppress(FileNotFoundError):
        return any(os.readlink(one) in sockets for one in Path(f"/proc/{pid}/fd").iterdir())
    return False


def owner(gateway: Gateway, raw: Raw) -> int:
    """The process at the other end of a connection, as the kernel knows it.

    The kernel hands its table out page by page: while other connections come and go a line may
    stand there twice or not at all, so it is asked again.
    """
    port = raw.sock.getsockname()[1]
    here, there = f"0100007F:{gateway.port:04X}", f"0100007F:{port:04X}"
    for _ in range(100):
        lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
        sockets = {f"socket:[{parts[9]}]" for parts in lines if parts[1] == here and parts[2] == there}
        found = [pid for pid in pids(gateway) if holds(pid, sockets)]
        if found:
            return found[0]
    raise AssertionError("nobody has it")


def total(gateway: Gateway, name: str) -> float:
    """All samples of that name together."""
    return sum(float(one) for one in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", gateway.metrics(), re.MULTILINE))


async def replaced(gateway: Gateway, fallen: int = 1, seconds: float = 30.0) -> None:
    """All serve again, after so many have fallen."""

    def look() -> bool:
        exits = total(gateway, "parley_worker_exits_total")
        return exits == fallen and total(gateway, "parley_workers") == WORKERS

    await asyncio.to_thread(eventually, look, seconds, "it is replaced")


async def asked(gateway: Gateway, path: str) -> Answer:
    """GET on a connection of its own."""
    async with Raw(gateway.port) as raw:
        await raw.send(request(path, method="GET"))
        return await raw.response()


async def chat(gateway: Gateway, model: str) -> int:
    async with Raw(gateway.port) as raw:
        await raw.send(asking("openai", model)[1])
        return (await raw.response()).status


async def on_each(gateway: Gateway, stack: AsyncExitStack) -> dict[int, Raw]:
    """A connection to every worker."""
    found: dict[int, Raw] = {}
    for _ in range(200):
        raw = await stack.enter_async_context(Raw(gateway.port))
        await raw.send(request("/livez", method="GET"))
        await raw.response()
        found.setdefault(owner(gateway, raw), raw)
        if len(found) == WORKERS:
            return found
    raise AssertionError(f"all connections went to {len(found)} of {WORKERS}")


async def begun(gateway: Gateway, raw: Raw) -> tuple[Answer, str]:
    """A stream that has begun."""
    request_id, data = asking("openai", LONG.model, stream=True)
    await raw.send(data)
    answer = await raw.head()
    assert await raw.chunk(answer)
    return answer, request_id


async def rest(raw: Raw, answer: Answer) -> bool:
    """Read a stream to its end; whether it was whole."""
    try:
        while await raw.chunk(answer):
            pass
    except AssertionError:
        return False
    return answer.whole


async def test_one_of_them_is_killed_and_only_its_streams_are_lost(parley_server: Start, faults: Faults) -> None:
    gateway = parley_server(configuration(faults, [LONG]), args=MANY)
    async with AsyncExitStack() as stack:
        raws = list((await on_each(gateway, stack)).values())
        raws += [await stack.enter_async_context(Raw(gateway.port)) for _ in range(12)]
        answers = await asyncio.gather(*(begun(gateway, raw) for raw in raws))
        owners = [owner(gateway, raw) for raw in raws]
        assert total(gateway, "parley_streams_open") == len(raws)
        doomed = owners[0]
        os.kill(doomed, signal.SIGKILL)
        ends = asyncio.gather(*(rest(raw, answer) for raw, (answer, _) in zip(raws, answers, strict=True)))
        statuses = [await chat(gateway, "fine-openai/m") for _ in range(10)]
        assert statuses == [200] * 10
        await replaced(gateway)
        whole = await ends
    assert whole == [pid != doomed for pid in owners]
    for (answer, request_id), pid in zip(answers, owners, strict=True):
        if pid != doomed:
            check_clean(Told(answer, request_id, 0.0, "openai"), words(12))
    (fallen,) = events(gateway, "worker.exit")
    assert (fallen["pid"], fallen["signal"], fallen["pause"]) == (doomed, "SIGKILL", 0.0)
    assert doomed not in pids(gateway)
    assert total(gateway, "parley_worker_exits_total") == 1
    await asyncio.to_thread(eventually, lambda: total(gateway, "parley_streams_open") == 0, 30, "they are counted")


async def test_numbers_are_those_of_all_and_outlive_a_worker(parley_server: Start, faults: Faults) -> None:
    gateway = parley_server(configuration(faults, []), args=MANY)
    async with AsyncExitStack() as stack:
        connections = await on_each(gateway, stack)
        for raw in connections.values():
            for _ in range(3):
                await raw.send(asking("openai", "fine-openai/m")[1])
                assert (await raw.response()).status == 200
        for raw in connections.values():
            await raw.send(request("/metrics", method="GET"))
            text = (await raw.response()).body.decode()
            counted = re.findall(r'^parley_requests_total\{.*outcome="ok".*\} (\S+)$', text, re.MULTILINE)
            assert counted == ["9.0"]
            assert 'gen_ai_server_request_duration_seconds_count{error_type="",' in text
    os.kill(next(iter(connections)), signal.SIGKILL)
    assert total(gateway, "parley_requests_total") == 9
    await replaced(gateway)
    assert total(gateway, "parley_requests_total") == 9
    assert total(gateway, "gen_ai_server_request_duration_seconds_count") == 9
    assert await chat(gateway, "fine-openai/m") == 200
    assert total(gateway, "parley_requests_total") == 10


async def test_targets_take_turns_across_workers(parley_server: Start, faults: Faults) -> None:
    names = [f"turn-{number}" for number in range(TARGETS)]
    config = configuration(faults, [])
    fine = config["providers"]["fine-openai"]
    config["providers"] |= {name: fine | {"base_url": faults.openai(f"ok~{name}")} for name in names}
    config["models"] = [
        {"model": "all", "strategy": "round_robin", "targets": [f"{name}/m" for name in names]},
        {"model": "weighed", "strategy": "weighted", "targets": [f"{name}/m" for name in names]},
    ]
    gateway = parley_server(config, args=MANY)
    for model in ("all", "weighed"):
        before = [len(faults.requests(f"ok~{name}")) for name in names]
        for _ in range(10):
            async with AsyncExitStack() as stack:
                for raw in (await on_each(gateway, stack)).values():
                    await raw.send(asking("openai", model)[1])
                    assert (await raw.response()).status == 200
        counts = [len(faults.requests(f"ok~{name}")) - then for name, then in zip(names, before, strict=True)]
        assert counts == [10, 10, 10]


async def test_all_take_the_same_configuration(parley_server: Start) -> None:
    def config(*models: str) -> str:
        return yaml.safe_dump({"models": [{"model": model, "targets": ["echo/echo"]} for model in models]})

    gateway = parley_server(config("one"), args=MANY)
    async with AsyncExitStack() as stack:
        connections = await on_each(gateway, stack)
        first, second, _ = connections.values()

        async def statuses(model: str) -> list[int]:
            found = []
            for raw in connections.values():
                await raw.send(asking("openai", model)[1])
                found.append((await raw.response()).status)
            return found

        gateway.path.write_text(config("one", "two"))
        await first.send(request("/admin/api/reload"))
        told = await first.response()
        assert (told.status, told.json) == (200, {"status": "loaded", "problems": []})
        assert await statuses("two") == [200] * WORKERS
        gateway.path.write_text("modles: []\n")
        await second.send(request("/admin/api/reload"))
        told = await second.response()
        assert (told.status, told.json["status"]) == (422, "rejected")
        assert "modles" in told.json["problems"][0]["message"]
        assert await statuses("two") == [200] * WORKERS
    os.kill(pids(gateway)[0], signal.SIGKILL)
    await replaced(gateway)
    async with AsyncExitStack() as stack:
        connections = await on_each(gateway, stack)
        assert await statuses("two") == [200] * WORKERS
        for raw in connections.values():
            await raw.send(request("/readyz", method="GET"))
            answer = await raw.response()
            assert (answer.status, answer.json["status"]) == (200, "degraded")
            assert [one["kind"] for one in answer.json["problems"]] == ["config"]
        rejected = total(gateway, "parley_config_rejected_total")
        assert rejected == len(events(gateway, "config.rejected"))
        gateway.path.write_text(config("three"))
        await asyncio.to_thread(eventually, lambda: len(events(gateway, "config.loaded")) == 2, 30.0, "it is loaded")
        assert await statuses("three") == [200] * WORKERS
        assert await statuses("two") == [404] * WORKERS
    assert [event["why"] for event in events(gateway, "config.loaded")] in (
        ["asked", "changed"],
        ["changed", "changed"],
    )
    assert (await asked(gateway, "/readyz")).json == {"status": "ready", "problems": []}


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_they_drain_together(parley_server: Start, faults: Faults, number: signal.Signals, ends: int) -> None:
    gateway = parley_server(configuration(faults, [LONG]), args=MANY)
    before = pids(gateway)
    async with AsyncExitStack() as stack:
        kept = await on_each(gateway, stack)
        raw = await stack.enter_async_context(Raw(gateway.port))
        answer, request_id = await begun(gateway, raw)
        own = kept[owner(gateway, raw)]
        gateway.signal(number)
        # A signal has no answer to wait for, but lines in the log.
        await asyncio.to_thread(eventually, lambda: len(events(gateway, "drain.start")) == WORKERS, 30, "they drain")
        await own.send(request("/readyz", method="GET"))
        draining = await own.response()
        assert (draining.status, draining.json["status"]) == (503, "draining")
        assert await rest(raw, answer)
        check_clean(Told(answer, request_id, 0.0, "openai"), words(12))
    assert await asyncio.to_thread(gateway.wait, 30) == ends
    assert [event["cut"] for event in events(gateway, "drain.end")] == [0] * WORKERS
    assert events(gateway, "worker.exit") == []
    assert not alive(before)


async def test_workers_do_not_outlive_their_supervisor(parley_server: Start) -> None:
    gateway = parley_server({}, args=MANY)
    workers = pids(gateway)
    assert len(workers) == WORKERS
    os.kill(gateway.pid, signal.SIGKILL)

    await asyncio.to_thread(eventually, lambda: not alive(workers), 30.0, "they have ended")
    assert gateway.stop() == -signal.SIGKILL


def told(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "parley", "serve", "--no-discover", *MANY, *args]
    env = bare_environment(folder) | env
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=90)


def falling(folder: Path, when: str) -> dict[str, str]:
    """An environment in which those workers end before they can serve of whose place ``when`` is a part."""
    code = f"import os\nif {when!r} in os.environ.get('PARLEY_WORKER', ''):\n    os._exit(3)\n"
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


async def test_an_address_that_is_taken_is_said_once(parley_server: Start, tmp_path: Path) -> None:
    gateway = parley_server({}, args=MANY)
    ended = told(tmp_path, "--listen", f"127.0.0.1:{gateway.port}")
    assert ended.returncode == 1
    assert ended.stderr.count("cannot listen on") == 1


def test_where_none_can_start_nothing_is_served(tmp_path: Path) -> None:
    ended = told(tmp_path, "--listen", f"127.0.0.1:{free_port()}", **falling(tmp_path, "index"))
    assert ended.returncode == 3
    assert "listening on" not in ended.stderr
    assert ended.stderr.count("worker.start") == 1


async def test_one_that_cannot_start_is_tried_ever_more_rarely(parley_server: Start, tmp_path: Path) -> None:
    gateway = parley_server({}, env=falling(tmp_path, '"index":1'), args=MANY)

    def fallen() -> list[dict[str, Any]] | None:
        found = events(gateway, "worker.exit")
        return found if len(found) >= 3 else None

    found = await asyncio.to_thread(eventually, fallen, 30.0, "three falls")
    assert [(event["worker"], event["status"], event["pause"]) for event in found[:3]] == [
        (1, 3, 0.0),
        (1, 3, 0.5),
        (1, 3, 1.0),
    ]
    for _ in range(10):
        answer = await asked(gateway, "/readyz")
        assert (answer.status, answer.json["status"]) == (200, "degraded")
        assert answer.json["problems"][0]["message"] == "2 of 3 workers serve; the others are being replaced"
    gateway.signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.wait, 30) == 0


def test_local_models_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    (tmp_path / "parley.yaml").write_text("models: [{model: mine, settings: {model: weights.gguf}}]\n")
    ended = told(tmp_path)
    assert ended.returncode == 2
    assert "runs on this machine's local engine, and each worker would load it anew" in ended.stderr
    assert "base_url" in ended.stderr
