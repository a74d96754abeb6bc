"""Providers that never end or do not move, and callers that close at once (fault contract M15, U23, C1-C3)."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from faults.raw import Answer, Raw, request
from faults.rig import (
    PAIRS,
    Case,
    Told,
    ask,
    asking,
    body,
    cases,
    check_clean,
    check_cut,
    check_headers,
    configuration,
    marks,
    unlogged,
)
from faults.speech import words
from fixtures.children import ROOT, Child, bare_environment
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

TOTAL = 1.5
ENDLESS = cases(["endless"])
SILENT = [Case("hang", "openai", "openai", stream=stream) for stream in (True, False)]
STALLED = [Case("stall:3", "openai", "anthropic"), Case("stall:3", "openai", "openai")]
LATE = [Case("slow:2", *pair, stream=stream) for pair in PAIRS[:2] for stream in (True, False)]
FROZEN = [Case("ok", *pair, stream=stream) for pair in PAIRS for stream in (True, False)]
# Callers whose streams have no comments, beside those that have.
CALLERS = ("openai", "anthropic", "gemini", "gemini-array", "ollama")


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, faults: Faults) -> Iterator[Gateway]:
    wanted = configuration(faults, ENDLESS, total=f"{TOTAL}s")
    wanted["providers"] |= configuration(faults, SILENT + STALLED + LATE, first_byte="60s", idle="60s", total="60s")[
        "providers"
    ]
    running = parley_for_module(wanted)
    yield running
    unlogged(running)


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", ENDLESS, ids=named)
async def test_a_stream_without_end_stops_at_the_total_limit(gateway: Gateway, faults: Faults, case: Case) -> None:
    told = await ask(gateway, case)
    check_cut(told, None)
    assert TOTAL - 0.2 < told.seconds < TOTAL + 20
    assert len(told.spoken) > 100
    line = gateway.ended(told.request_id)
    assert (line["phase"], line["outcome"], line["kind"]) == ("mid", "error", "stream_limit")
    assert faults.gone(case.key)["gone_events"] < 1_000_000


# A provider whose process stands still


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, Faults]]:
    """A fault upstream of its own, to be stopped."""
    home: Path = tmp_path_factory.mktemp("frozen")
    child = Child([sys.executable, str(ROOT / "tests/faults/upstream.py")], bare_environment(home), home)
    try:
        yield child, Faults(int(child.first_line(20)))
    finally:
        os.kill(child.pid, signal.SIGCONT)
        child.end()


@pytest.fixture(scope="module")
def before(parley_for_module: Start, frozen: tuple[Child, Faults]) -> Gateway:
    return parley_for_module(configuration(frozen[1], FROZEN, first_byte="1s"))


@pytest.mark.parametrize("case", FROZEN, ids=named)
async def test_a_frozen_provider_is_given_up_and_its_late_answer_is_nobodys(
    before: Gateway, frozen: tuple[Child, Faults], case: Case
) -> None:
    child, upstream = frozen
    # So that a connection is kept, and the next request goes where nobody reads.
    check_clean(await ask(before, case), words(8))
    os.kill(child.pid, signal.SIGSTOP)
    try:
        told = await ask(before, case)
    finally:
        os.kill(child.pid, signal.SIGCONT)
    check_headers(told)
    assert (told.answer.status, told.code) == (504, "upstream_timeout")
    assert 0.8 < told.seconds < 20
    line = before.ended(told.request_id)
    assert (line["phase"], line["outcome"], line["kind"]) == ("pre", "error", "first_byte_timeout")
    after = await ask(before, case)
    check_clean(after, words(8))
    if case.verbatim:
        # The provider counts its answers; this one is not the one that came too late.
        count = len(upstream.requests(case.key))
        assert after.answer.get("x-upstream-request") == f"up-{count - 1}"
        assert count >= 2


# Callers that close as soon as they have asked


def asked(caller: str, model: str, stream: bool) -> tuple[str, bytes]:
    """A request of any dialect, and its id."""
    if caller in ("openai", "anthropic"):
        return asking(caller, model, stream)
    request_id = f"req-{uuid4().hex}"
    said: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "say it"}]}]}
    path = f"/v1beta/models/{model}:{'streamGenerateContent' if stream else 'generateContent'}"
    if caller == "ollama":
        path, said = "/api/chat", json.loads(body("openai", model, stream))
    elif caller == "gemini" and stream:
        path += "?alt=sse"
    return request_id, request(path, json.dumps(said).encode(), headers=marks("openai", request_id))


async def left(gateway: Gateway, data: bytes) -> float:
    """Ask, and be gone; when that was."""
    async with Raw(gateway.port) as raw:
        await raw.send(data)
    return time.monotonic()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("case", SILENT, ids=named)
async def test_who_closes_at_once_is_found_out_while_nothing_is_said(
    gateway: Gateway, faults: Faults, case: Case, caller: str
) -> None:
    request_id, data = asked(caller, case.model, case.stream)
    gone = await left(gateway, data)
    line = await asyncio.to_thread(gateway.ended, request_id)
    assert time.monotonic() - gone < 30
    assert (line["phase"], line["outcome"], line["status"]) == ("pre", "client_abort", 499)
    assert faults.gone(case.key)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("case", STALLED, ids=named)
async def test_who_closes_at_once_is_found_out_when_the_stream_stalls(
    gateway: Gateway, faults: Faults, case: Case, caller: str
) -> None:
    request_id, data = asked(caller, case.model, True)
    gone = await left(gateway, data)
    line = await asyncio.to_thread(gateway.ended, request_id)
    assert time.monotonic() - gone < 30
    assert (line["outcome"], line["status"]) == ("client_abort", 499)
    assert faults.gone(case.key)["gone_events"] <= 3


@pytest.mark.parametrize("case", LATE, ids=named)
async def test_who_only_sends_no_more_is_asked_and_answered(gateway: Gateway, case: Case) -> None:
    request_id, data = asking(case.caller, case.model, case.stream)
    async with Raw(gateway.port) as raw:
        await raw.send(data)
        raw.half_close()
        interim = await raw.head()
        assert (interim.status, interim.headers) == (100, [])
        answer: Answer = await raw.response()
        check_clean(Told(answer, request_id, 0.0, case.caller), words(8))
        assert await raw.rest() == b""


async def test_an_older_caller_is_not_asked_in_words_it_does_not_know(gateway: Gateway) -> None:
    _, data = asking("openai", LATE[1].model)
    async with Raw(gateway.port) as raw:
        await raw.send(data.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        raw.half_close()
        assert (await raw.head()).status == 200
