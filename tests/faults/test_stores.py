"""A store that is killed, locked, damaged or gone while callers are served (fault contract G2, G5, G6; section 5)."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faults.raw import Answer, Raw, request
from fixtures.children import bare_environment, eventually, free_port
from fixtures.parley import Gateway, Start
from fixtures.postgres import PASSWORD, QUOTED, Postgres
from parley.serve import keywatch
from store.parts import until

PAGE = 4096


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "parley", *arguments]
    return subprocess.run(line, env=bare_environment(folder), cwd=folder, capture_output=True, text=True, check=False)


def make_key(folder: Path, url: str, name: str = "alice") -> str:
    done = command(folder, "keys", "create", name, "--store", url)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def ask(gateway: Gateway, key: str, path: str, value: Any, method: str = "POST") -> Answer:
    data = b"" if value is None else json.dumps(value).encode()
    async with Raw(gateway.port) as raw:
        await raw.send(request(path, data, method=method, headers=(("authorization", f"Bearer {key}"),)))
        return await raw.response()


async def chat(gateway: Gateway, key: str) -> int:
    value = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    return (await ask(gateway, key, "/v1/chat/completions", value)).status


async def respond(gateway: Gateway, key: str, text: str, **more: Any) -> Answer:
    return await ask(gateway, key, "/v1/responses", {"model": "echo", "input": text, **more})


async def got(gateway: Gateway, key: str, name: str) -> Answer:
    return await ask(gateway, key, f"/v1/responses/{name}", None, "GET")


async def ready(gateway: Gateway) -> Any:
    return (await ask(gateway, "", "/readyz", None, "GET")).json


async def became(gateway: Gateway, status: str, seconds: float = 30.0) -> Any:
    found: list[Any] = []

    async def so() -> bool:
        found.append(await ready(gateway))
        return bool(found[-1]["status"] == status)

    await until(so, seconds)
    return found[-1]


def events(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    return [event for event in gateway.log_events() if event["event"] == name]


async def test_a_locked_store_costs_no_request_and_nothing_that_was_said(parley_server: Start, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    key = make_key(tmp_path, url)
    gateway = parley_server({"store": url})
    assert (await respond(gateway, key, "before")).status == 200
    holder = sqlite3.connect(tmp_path / "parley.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    made = (await respond(gateway, key, "held")).json["id"]
    slowest = 0.0
    degraded = False
    over = time.monotonic() + 7.0
    while time.monotonic() < over or not degraded:
        assert time.monotonic() < over + 60
        begun = time.monotonic()
        assert await chat(gateway, key) == 200
        slowest = max(slowest, time.monotonic() - begun)
        degraded = degraded or (await ready(gateway))["status"] == "degraded"
        await asyncio.sleep(0.05)
    # Whoever waited for the lock would wait as long as it is held.
    assert slowest < 5
    assert gateway.metric("parley_store_errors_total", 'kind="locked"') >= 1
    holder.close()
    await became(gateway, "ready")
    after = await respond(gateway, key, "and now", previous_response_id=made)
    assert after.status == 200, after.json
    eventually(lambda: events(gateway, "store.back"), 30, "it is told")
    assert len(events(gateway, "store.away")) == len(events(gateway, "store.back")) == 1


async def test_a_process_that_was_killed_starts_again_at_once_and_serves_whole_records(
    parley_server: Start, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    key = make_key(tmp_path, url)
    begun = time.monotonic()
    gateway = parley_server({"store": url})
    first = time.monotonic() - begun
    known: list[str] = []

    async def load() -> None:
        while True:
            answer = await respond(gateway, key, "say " + "something " * 200)
            known.append(answer.json["id"])

    callers = [asyncio.ensure_future(load()) for _ in range(4)]

    async def kept() -> bool:
        # One that is asked for may be written before those that came before it.
        return len(known) >= 40 and all([(await got(gateway, key, name)).status == 200 for name in known[:20]])

    try:
        await until(kept, 60)
    finally:
        for caller in callers:
            caller.cancel()
    kept_for_sure = known[:20]
    gateway.child.process.send_signal(signal.SIGKILL)
    await asyncio.gather(*callers, return_exceptions=True)
    assert gateway.child.process.wait(30) == -signal.SIGKILL
    assert "parley.db-wal" in os.listdir(tmp_path)
    begun = time.monotonic()
    again = parley_server({"store": url})
    # As the first time, on whatever machine.
    assert time.monotonic() - begun < 3 * first + 5
    assert (await ready(again))["status"] == "ready"
    found = {name: await got(again, key, name) for name in known}
    served = {name: answer for name, answer in found.items() if answer.status == 200}
    # What was answered in the last moments may be lost; what was there before is not.
    assert set(kept_for_sure) <= set(served)
    for answer in served.values():
        assert answer.json["status"] == "completed"
        assert answer.json["output"][0]["content"][0]["text"].startswith("say something")
    assert {answer.status for answer in found.values()} <= {200, 404}
    gateway.stopped = gateway.child.end()


async def test_a_damaged_store_is_refused_and_can_be_recovered(parley_server: Start, tmp_path: Path) -> None:
    path = tmp_path / "parley.db"
    url = f"sqlite:///{path}"
    key = make_key(tmp_path, url)
    gateway = parley_server({"store": url})
    for number in range(40):
        assert (await respond(gateway, key, f"{number} " + "word " * 400)).status == 200
    assert gateway.stop() == 0
    data = bytearray(path.read_bytes())
    middle = len(data) // PAGE // 2 * PAGE
    data[middle : middle + PAGE] = b"\xa5" * PAGE
    path.write_bytes(data)
    done = command(tmp_path, "serve", "--store", url, "--listen", f"127.0.0.1:{free_port()}", "--no-discover")
    assert done.returncode == 1
    assert '"event": "store.corrupt"' in done.stderr
    assert "--recover" in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == data
    again = parley_server({"store": url}, args=["--recover"])
    assert await chat(again, key) == 200
    assert await chat(again, key[:-1] + "x") == 401
    assert any("Saved from the damaged store" in line for line in again.stderr_lines())
    (aside,) = [name for name in os.listdir(tmp_path) if name.startswith("parley.db.damaged-")]
    assert (tmp_path / aside).read_bytes() == data


@pytest.fixture
def shared(postgres: Postgres) -> str:
    return postgres.url(postgres.fresh())


class Load:
    """Requests to some gateways, one after the other at each, until it is told to stop."""

    def __init__(self, key: str, *gateways: Gateway) -> None:
        self.key = key
        self.made: list[str] = []
        self.statuses: set[int] = set()
        self.slowest = 0.0
        self.going = True
        self.callers = [asyncio.ensure_future(self._load(gateway)) for gateway in gateways]

    async def _load(self, gateway: Gateway) -> None:
        while self.going:
            begun = time.monotonic()
            answer = await respond(gateway, self.key, "kept")
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.statuses.add(answer.status)
            self.made.append(answer.json["id"])
            await asyncio.sleep(0.01)

    async def more(self, count: int) -> None:
        """Until there are so many more."""
        before = len(self.made)

        async def there() -> bool:
            return len(self.made) - before > count

        await until(there, 60)

    async def stop(self) -> None:
        self.going = False
        await asyncio.gather(*self.callers)


async def all_there(gateways: list[Gateway], key: str, names: list[str]) -> None:
    """Whatever was answered is there, for each gateway in turn."""
    for number, name in enumerate(names):
        place = gateways[number % len(gateways)]

        async def there(place: Gateway = place, name: str = name) -> bool:
            answer = await got(place, key, name)
            # Not yet, where the other one still writes what it held.
            assert answer.status in (200, 404, 503), answer.json
            return answer.status == 200

        await until(there, 120)


async def test_a_server_that_is_killed_under_load_fails_no_request_of_a_known_key(
    parley_server: Start, tmp_path: Path, postgres: Postgres, shared: str
) -> None:
    key = make_key(tmp_path, shared)
    one = parley_server({"store": "${STORE}"}, env={"STORE": shared})
    other = parley_server({"store": "${STORE}"}, env={"STORE": shared})
    load = Load(key, one, other)
    try:
        await load.more(5)
        before = len(load.made)
        await asyncio.to_thread(postgres.stop, "immediate")
        found = await became(one, "degraded")
        assert found["problems"][0]["kind"] == "store"
        assert await chat(one, "parley_cNOT" + key[11:]) == 401
        await load.more(50)
        during = len(load.made)
        await asyncio.to_thread(postgres.start)
        await became(one, "ready")
        await became(other, "ready")
    finally:
        await load.stop()
    made = load.made
    assert load.statuses == {200}
    assert load.slowest < 20
    await all_there(
        [one, other], key, [made[0], made[before], made[(before + during) // 2], made[during - 1], made[-1]]
    )

    async def written() -> bool:
        rows = {row[0] for row in postgres.ask(shared.rpartition("/")[2], "SELECT id FROM responses")}
        return set(made) <= rows

    await until(written, 120)
    for gateway in (one, other):
        assert gateway.metric("parley_store_errors_total", 'kind="away"') >= 1
        text = "\n".join(gateway.stderr_lines()) + gateway.metrics()
        assert not any(word in text for word in (PASSWORD, QUOTED))


async def test_a_key_that_is_revoked_on_one_machine_stops_on_all(
    parley_server: Start, tmp_path: Path, shared: str
) -> None:
    key = make_key(tmp_path, shared)
    gateways = [parley_server({"store": shared}) for _ in range(2)]
    assert [await chat(gateway, key) for gateway in gateways] == [200, 200]
    done = await asyncio.to_thread(command, tmp_path, "keys", "revoke", "alice", "--store", shared)
    assert done.returncode == 0
    begun = time.monotonic()
    while [await chat(gateway, key) for gateway in gateways] != [401, 401]:
        assert time.monotonic() - begun < 30
        await asyncio.sleep(0.02)
    assert keywatch.EVERY_SECONDS <= 1


async def test_a_background_response_of_a_process_that_was_killed_can_be_stopped_by_another(
    parley_server: Start, tmp_path: Path, shared: str, postgres: Postgres
) -> None:
    key = make_key(tmp_path, shared)
    gateway = parley_server({"store": shared})
    made = (await respond(gateway, key, "in the background", background=True)).json
    other = parley_server({"store": shared})

    async def status() -> str:
        return str((await ask(other, key, f"/v1/responses/{made['id']}", None, "GET")).json["status"])

    async def completed() -> bool:
        return await status() == "completed"

    await until(completed)
    # As if it were still being made by a process that was killed a minute ago.
    database = shared.rpartition("/")[2]
    postgres.ask(database, "UPDATE responses SET status = 'in_progress', body = convert_to(replace(convert_from(body,"
                 " 'UTF8'), '\"completed\"', '\"in_progress\"'), 'UTF8')")  # fmt: skip
    gateway.signal(signal.SIGKILL)
    assert await status() == "in_progress"
    cancelled = await ask(other, key, f"/v1/responses/{made['id']}/cancel", {})
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    gateway.child.process.wait(30)
    gateway.stopped = gateway.child.end()
