"""A disk without room, and a calendar that jumps (fault contract G4, G7), seen from outside of ``parley serve``."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.test_stores import ask, chat, command, ready, respond
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start, start
from store.parts import until

# Mounted where nobody else sees it: as root, else as the root of a namespace of users.
SMALL_DISK = """#!/bin/sh
exec unshare {flags} sh -c 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"' {disk} {python} "$@"
"""
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


@pytest.fixture
def small(parley_python: str, tmp_path: Path) -> Iterator[tuple[Gateway, Path]]:
    """A gateway whose store and journal are on a disk of 8 MiB, and where that is for us."""
    disk, program, home = tmp_path / "disk", tmp_path / "python", tmp_path / "home"
    disk.mkdir()
    home.mkdir()
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    program.write_text(SMALL_DISK.format(flags=flags, disk=disk, python=parley_python))
    program.chmod(0o755)
    gateway = start(str(program), home, {"store": f"sqlite:///{disk / 'parley.db'}"}, {}, ())
    try:
        yield gateway, Path(f"/proc/{gateway.pid}/root{disk}")
    finally:
        gateway.stop()


def fill(path: Path) -> None:
    """Until there is no room for one byte more."""
    with path.open("ab", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


async def test_a_full_disk_costs_no_request_and_what_was_said_is_written_once_there_is_room(
    small: tuple[Gateway, Path],
) -> None:
    gateway, disk = small
    made: list[str] = []

    async def asked() -> None:
        answer = await respond(gateway, "", "word " * 2000)
        assert answer.status == 200, answer.body
        made.append(answer.json["id"])

    async def written() -> bool:
        await asyncio.sleep(0.05)
        return (await ask(gateway, "", f"/v1/responses/{made[0]}", None, "GET")).status == 200

    await asked()
    await until(written, 60)
    fill(disk / "filler")

    async def noticed() -> bool:
        # What is written over what was there may still find room.
        await asked()
        kinds = {problem["kind"] for problem in (await ready(gateway)).get("problems", ())}
        return kinds >= {"store", "ledger"} and gateway.metric("parley_store_errors_total", 'kind="full"') >= 1

    await until(noticed, 90)
    assert (await ready(gateway))["status"] == "degraded"
    for _ in range(5):
        await asked()
    (disk / "filler").unlink()

    async def healed() -> bool:
        await asyncio.sleep(0.1)
        return bool((await ready(gateway))["status"] == "ready")

    await until(healed, 90)
    for name in made:
        assert (await ask(gateway, "", f"/v1/responses/{name}", None, "GET")).status == 200

    async def booked() -> bool:
        await asyncio.sleep(0.1)
        found = await ask(gateway, "", "/admin/api/usage?from=2h", None, "GET")
        return bool(found.json["data"] and found.json["data"][0]["requests"] == len(made))

    await until(booked, 60)
    assert gateway.metric("parley_store_dropped_total", "") == 0


@pytest.fixture
def faketime() -> str:
    found = [str(path) for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    assert found, "libfaketime is not installed: scripts/system-packages test"
    return found[0]


async def test_a_calendar_that_jumps_moves_nothing_but_what_goes_by_the_calendar(
    parley_server: Start, tmp_path: Path, faketime: str, faults: Faults
) -> None:
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    alice, bob = (
        command(tmp_path, "keys", "create", *said, "--store", url).stdout.strip()
        for said in (("alice",), ("bob", "--expires", "1h"))
    )
    now = tmp_path / "now"
    now.write_text("+0\n")
    environment = {
        "LD_PRELOAD": faketime,
        "FAKETIME_TIMESTAMP_FILE": str(now),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    behind = {"type": "openai", "base_url": faults.openai("slow:4~full"), "api_key": "k"}
    config: dict[str, Any] = {
        "store": url,
        "providers": {"behind": behind},
        "models": [{"model": "slow", "targets": ["behind/m"]}],
        "quotas": {"keys": {"requests": {"hour": 6}}},
    }
    gateway = parley_server(config, env=environment)
    slow = {"model": "slow", "messages": [{"role": "user", "content": "hi"}]}
    under_way = asyncio.ensure_future(ask(gateway, alice, "/v1/chat/completions", slow))
    assert [await chat(gateway, alice) for _ in range(2)] == [200, 200]
    assert await chat(gateway, bob) == 200
    now.write_text("+2h\n")
    # His key has ended; whoever was under way goes on, and no window has opened anew.
    assert await chat(gateway, bob) == 401
    assert [await chat(gateway, alice) for _ in range(2)] == [200, 200]
    now.write_text("-2h\n")
    assert await chat(gateway, bob) == 200
    assert (await under_way).status == 200
    assert [await chat(gateway, alice) for _ in range(3)] == [200, 429, 429]
    now.write_text("+2h\n")
    assert await chat(gateway, alice) == 429
    assert gateway.metric("parley_upstream_errors_total", "behind") == 0
    assert gateway.metric("parley_breaker_state", "behind") == 0
    assert (await ready(gateway))["status"] == "ready"
