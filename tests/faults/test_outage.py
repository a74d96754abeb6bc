"""The server that keeps the store is killed under load and comes back: no request of a known key fails, and nothing
is lost (section 5 of the fault contract).

PARLEY_OUTAGE is how many seconds it is away; ``make outage`` takes a minute.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from faults.raw import Raw, request
from fixtures.children import bare_environment
from fixtures.parley import Gateway, Start
from fixtures.postgres import Postgres
from store.parts import until

SECONDS = float(os.environ.get("PARLEY_OUTAGE", "2"))
CALLERS = 3
# Between two requests of one caller.
PAUSE = 0.02
# Whoever had to wait for a store that is away, or for all that it missed, would wait for longer.
PATIENCE = 10.0
RESPONSES = "/v1/responses"
CHATS = "/v1/chat/completions"
KEYS = {"alice": ("--rpm", "1000000", "--budget", "1000000", "--parallel", "1000"), "bob": ()}


class Heard(NamedTuple):
    """One answer: to which caller, when it was asked for, how long it took, and what it said."""

    key: str
    path: str
    at: float
    seconds: float
    status: int
    request_id: str
    response: str


class Load:
    """Callers of one gateway that ask one thing after the other."""

    def __init__(self, gateway: Gateway, keys: list[str]) -> None:
        self.gateway, self.keys = gateway, keys
        self.heard: list[Heard] = []
        self.going = True

    async def ask(self, key: str, path: str, body: bytes, method: str = "POST") -> Heard:
        begun = time.monotonic()
        async with Raw(self.gateway.port) as raw:
            await raw.send(request(path, body, method=method, headers=(("authorization", f"Bearer {key}"),)))
            answer = await raw.response()
        name = answer.json.get("id", "") if answer.status == 200 else answer.body.decode()
        identity = answer.get("x-request-id") or ""
        return Heard(key, path, begun, time.monotonic() - begun, answer.status, identity, name)

    async def caller(self, number: int) -> None:
        key = self.keys[number % len(self.keys)]
        for turn in range(10**9):
            if not self.going:
                return
            if (turn + number) % 2:
                body = b'{"model":"echo","input":"say it again, and so that it is kept"}'
                self.heard.append(await self.ask(key, RESPONSES, body))
            else:
                body = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
                self.heard.append(await self.ask(key, CHATS, body))
            await asyncio.sleep(PAUSE)

    async def reads(self, since: float, until: float) -> list[Heard]:
        """Some of what was stored in that time is asked for, all at once."""
        made = [one for one in self.heard if one.path == RESPONSES and since <= one.at < until]
        assert made
        some = made[:: max(1, len(made) // 10)]
        return await asyncio.gather(*(self.ask(one.key, f"{RESPONSES}/{one.response}", b"", "GET") for one in some))


def make_key(folder: Path, url: str, name: str) -> str:
    command = [sys.executable, "-m", "parley", "keys", "create", name, "--store", url, *KEYS[name]]
    done = subprocess.run(
        command, env=bare_environment(folder), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def problems(gateway: Gateway) -> set[str]:
    async with Raw(gateway.port) as raw:
        await raw.send(request("/readyz", b"", method="GET"))
        told = (await raw.response()).json
    return {problem["kind"] for problem in told.get("problems", ())}


def told(heard: list[Heard], since: float, until: float) -> dict[str, Any]:
    found = sorted(one.seconds * 1000 for one in heard if since <= one.at < until)
    if not found:
        return {"requests": 0}
    p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
    return {"requests": len(found), "p50_ms": round(p50, 1), "p99_ms": round(p99, 1), "worst_ms": round(found[-1], 1)}


async def outage(postgres: Postgres, loads: list[Load]) -> tuple[dict[str, tuple[float, float]], list[Heard]]:
    """Kill the server, start it again after some time, and read what was answered meanwhile; when each of it was."""

    async def busy() -> bool:
        return all(len(load.heard) > 20 for load in loads)

    async def noticed() -> bool:
        return all(["store" in await problems(load.gateway) for load in loads])

    async def healed() -> bool:
        return not any(["store" in await problems(load.gateway) for load in loads])

    await until(busy, 60)
    begun = time.monotonic()
    await asyncio.to_thread(postgres.kill)
    await until(noticed, 60)
    await asyncio.sleep(max(0.0, begun + SECONDS - time.monotonic()))
    away = time.monotonic()
    await asyncio.to_thread(postgres.start)
    await until(healed, 60)
    # It has missed much: what was answered while it was away can be read at once all the same.
    back = time.monotonic()
    reads = [one for load in loads for one in await load.reads(begun, away)]
    await asyncio.sleep(min(SECONDS, 5.0))
    over = time.monotonic()
    return {"before": (0.0, begun), "away": (begun, away), "coming": (away, back), "back": (back, over)}, reads


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.fresh()


async def test_a_server_that_is_killed_costs_no_request_and_nothing_is_lost(
    parley_server: Start, tmp_path: Path, postgres: Postgres, database: str
) -> None:
    url = postgres.url(database)
    keys = [make_key(tmp_path, url, name) for name in KEYS]
    config = {"store": "${STORE}", "quotas": {"all": {"requests": 10_000_000}}, "prices": {"echo/echo": {"request": 1}}}
    loads = [Load(parley_server(config, env={"STORE": url}), keys) for _ in range(2)]
    callers = [asyncio.ensure_future(load.caller(number)) for load in loads for number in range(CALLERS)]
    spans, reads = await outage(postgres, loads)
    for load in loads:
        load.going = False
    await asyncio.gather(*callers)
    heard = [one for load in loads for one in load.heard]
    asked = {one.request_id for one in heard}
    made = {one.response for one in heard if one.path == RESPONSES}
    lines = [f"{name}: {told(heard, *span)}" for name, span in spans.items()]
    sys.stdout.write("\n".join(["", *lines, f"reads: {told(reads, 0.0, 1e18)}", ""]))
    assert {(one.status, one.response) for one in heard if one.status != 200} == set()
    assert {one.status for one in reads} == {200}
    assert len(asked) == len(heard)

    async def written() -> bool:
        await asyncio.sleep(0.1)
        rows = postgres.ask(database, "SELECT (SELECT count(*) FROM ledger), (SELECT count(*) FROM responses)")
        return bool(rows == [(len(heard), len(made))])

    await until(written, 180 + 3 * SECONDS)
    assert {row[0] for row in postgres.ask(database, "SELECT request_id FROM ledger")} == asked
    assert {row[0] for row in postgres.ask(database, "SELECT id FROM responses")} == made
    assert max(one.seconds for one in [*heard, *reads]) < PATIENCE
