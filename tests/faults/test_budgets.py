"""Budgets and limits in front of real processes: 200 requests at once, to one process and to three."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fixtures.children import bare_environment, eventually
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

AT_ONCE = 200
WORTH = 10
# A dollar for every request.
PRICES = {"echo/echo": {"request": 1}}


def store(folder: Path) -> str:
    """Where the store is: a file in the folder, unless another was written down there."""
    said = folder / "store"
    return said.read_text() if said.exists() else f"sqlite:///{folder / 'parley.db'}"


def config(folder: Path, **more: Any) -> dict[str, Any]:
    return {"store": store(folder), "prices": PRICES, **more}


def keys(folder: Path, *args: str) -> str:
    """What ``parley keys`` prints."""
    command = [sys.executable, "-m", "parley", "keys", *args, "--store", store(folder)]
    done = subprocess.run(command, env=bare_environment(folder), capture_output=True, text=True, check=True, timeout=90)
    return done.stdout.strip()


def ask_all(
    gateways: list[Gateway], key: str | None, count: int = AT_ONCE, model: str = "echo"
) -> list[tuple[int, dict[str, str], Any]]:
    """So many requests at once, in turn to each of them; status, headers and body of each answer."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}

    async def one(session: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, str], Any]:
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
            return answer.status, {name.lower(): said for name, said in answer.headers.items()}, await answer.json()

    async def all_of_them() -> list[tuple[int, dict[str, str], Any]]:
        connector = aiohttp.TCPConnector(limit=count)
        async with aiohttp.ClientSession(connector=connector) as session:
            tasks = [one(session, gateways[number % len(gateways)].url) for number in range(count)]
            return await asyncio.gather(*tasks)

    return asyncio.run(all_of_them())


def spent(folder: Path, name: str = "alice") -> float:
    found = [one for one in json.loads(keys(folder, "list", "--json")) if one["name"] == name]
    return float(found[0]["spent"])


def refused(answers: list[tuple[int, dict[str, str], Any]]) -> Counter[tuple[int, str]]:
    return Counter((status, body["error"]["code"]) for status, _, body in answers if status != 200)


@pytest.mark.parametrize(
    "processes", ["one", "three workers", "three gateways", "three gateways and redis", "three gateways and postgres"]
)
def test_a_budget_worth_ten_admits_ten_of_two_hundred(
    parley_server: Start, tmp_path: Path, processes: str, request: pytest.FixtureRequest
) -> None:
    if processes.endswith("postgres"):
        postgres = request.getfixturevalue("postgres")
        (tmp_path / "store").write_text(postgres.url(postgres.fresh()))
    key = keys(tmp_path, "create", "alice", "--budget", str(WORTH))
    args = ["--workers", "3"] if processes == "three workers" else []
    together: dict[str, Any] = {"quotas": {"counters": "store"}} if "gateways" in processes else {}
    if processes.endswith("redis"):
        server = request.getfixturevalue("redis_server")
        together["quotas"]["counters"] = server.url(server.fresh())
    gateways = [
        parley_server(config(tmp_path, **together), args=args) for _ in range(3 if "gateways" in processes else 1)
    ]
    answers = ask_all(gateways, key)
    assert Counter(status for status, _, _ in answers) == {200: WORTH, 429: AT_ONCE - WORTH}
    assert refused(answers) == {(429, "budget_exceeded"): AT_ONCE - WORTH}
    assert sum(gateway.metric("parley_shed_total", 'reason="budget"') for gateway in gateways) == AT_ONCE - WORTH
    for gateway in gateways:
        gateway.stop()
    if not processes.endswith("redis"):
        assert spent(tmp_path) == WORTH
    # Who comes after a restart has nothing left either.
    again = parley_server(config(tmp_path, **together), args=args)
    assert refused(ask_all([again], key, 3)) == {(429, "budget_exceeded"): 3}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_limit_of_requests_is_one_for_all_workers(parley_server: Start, tmp_path: Path, workers: int) -> None:
    key = keys(tmp_path, "create", "alice", "--rpm", str(WORTH))
    gateway = parley_server(config(tmp_path), args=["--workers", str(workers)])
    answers = ask_all([gateway], key)
    assert Counter(status for status, _, _ in answers) == {200: WORTH, 429: AT_ONCE - WORTH}
    assert refused(answers) == {(429, "rate_limited"): AT_ONCE - WORTH}
    for status, headers, _ in answers:
        assert headers["x-ratelimit-limit-requests"] == str(WORTH)
        assert 0 <= int(headers["x-ratelimit-remaining-requests"]) < WORTH
        assert ("retry-after" in headers) == (status == 429)
        assert 50 <= int(headers.get("retry-after", "60")) <= 60


def test_a_killed_worker_gives_nothing_away(parley_server: Start, tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "alice", "--budget", str(WORTH))
    gateways = [parley_server(config(tmp_path, quotas={"counters": "store"})) for _ in range(2)]
    first = ask_all(gateways[:1], key, 4)
    gateways[0].child.process.kill()
    second = ask_all(gateways[1:], key, 50)
    passed = sum(status == 200 for status, _, _ in [*first, *second])
    assert sum(status == 200 for status, _, _ in first) == 4
    assert 4 < passed <= WORTH


def test_a_restart_does_not_forget_what_was_spent(parley_server: Start, tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "alice", "--budget", str(WORTH))
    gateway = parley_server(config(tmp_path))
    assert {status for status, _, _ in ask_all([gateway], key, 6)} == {200}
    eventually(lambda: spent(tmp_path) == 6, 30, "it is written down")
    gateway.child.process.kill()
    again = parley_server(config(tmp_path))
    answers = ask_all([again], key, 20)
    assert Counter(status for status, _, _ in answers) == {200: 4, 429: 16}


def test_what_a_key_without_a_budget_has_spent_is_in_the_ledger(parley_server: Start, tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "alice", "--rpm", "100")
    gateway = parley_server(config(tmp_path))
    assert {status for status, _, _ in ask_all([gateway], key, 3)} == {200}
    gateway.stop()
    assert spent(tmp_path) == 3


@pytest.mark.parametrize(
    ("quota", "code", "reason"),
    [
        ({"requests": 10}, "rate_limited", "rate"),
        ({"parallel": 10}, "rate_limited", "concurrency"),
        ({"budget": 10}, "budget_exceeded", "budget"),
    ],
)
def test_twice_what_is_allowed_is_refused_by_half_and_not_sent_on(
    parley_server: Start, faults: Faults, tmp_path: Path, quota: dict[str, int], code: str, reason: str
) -> None:
    """Fault contract C15."""
    # Long enough for all to come while the first are worked on.
    scenario = f"slow:{8 if reason == 'concurrency' else 1}~{reason}"
    behind = {"type": "openai", "base_url": faults.openai(scenario), "api_key": "k"}
    more = {"providers": {"echoing": behind}, "prices": {"echoing/m": {"request": 1}}, "quotas": {"all": quota}}
    gateway = parley_server(config(tmp_path) | more)
    answers = ask_all([gateway], None, 20, "echoing/m")
    assert Counter(status for status, _, _ in answers) == {200: 10, 429: 10}
    assert refused(answers) == {(429, code): 10}
    assert len(faults.requests(scenario)) == 10
    assert gateway.metric("parley_shed_total", f'reason="{reason}"') == 10
    waits = [headers.get("retry-after") for status, headers, _ in answers if status == 429]
    assert None not in waits
    if reason == "rate":
        left = {headers["x-ratelimit-remaining-requests"] for status, headers, _ in answers if status == 429}
        assert left == {"0"}


def test_three_times_what_can_be_done_is_refused_fast_and_the_rest_is_not_slower(
    parley_server: Start, faults: Faults, tmp_path: Path
) -> None:
    """Fault contract C16, for two turns that are long enough for all to come in the first, however busy the machine."""
    turn = 8.0
    behind = {"type": "openai", "base_url": faults.openai(f"slow:{turn:g}~full"), "api_key": "k"}
    admission = {"parallel": 10, "queue": 10, "wait": "60s"}
    gateway = parley_server(config(tmp_path) | {"providers": {"echoing": behind}, "admission": admission})
    answers = ask_all([gateway], None, 60, "echoing/m")
    assert Counter(status for status, _, _ in answers) == {200: 20, 503: 40}
    assert refused(answers) == {(503, "overloaded"): 40}
    assert {headers["retry-after"] for status, headers, _ in answers if status == 503} == {"60"}
    assert gateway.metric("parley_shed_total", 'reason="overload"') == 40
    ends = [event for event in gateway.log_events() if event.get("event") == "request.end"]
    # Who is refused waits for nobody's turn; who is not, for one at most, before one of its own.
    assert max(event["ms"] for event in ends if event["status"] == 503) < turn * 1000
    assert max(event["ms"] for event in ends if event["status"] == 200) < 3 * turn * 1000


def test_the_lobby_bounds_what_waits(parley_server: Start, tmp_path: Path) -> None:
    gateway = parley_server(config(tmp_path, admission={"parallel": 5, "queue": 400, "wait": "20s"}))
    assert {status for status, _, _ in ask_all([gateway], None)} == {200}
