"""Callers that leave or crawl (fault contract section 4, C1-C5), on bare sockets."""

import asyncio
import re
import time
from collections.abc import Iterator

import pytest

from faults.raw import Raw, request
from faults.rig import PAIRS, PATHS, Case, Told, asking, check_clean, code_of, configuration, tell, unlogged
from faults.speech import words
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

LEAVING = [Case("trickle:0.3:90", *pair) for pair in PAIRS]
EARLY = [Case("slow:30", *pair, stream=stream) for pair in (PAIRS[0], PAIRS[2]) for stream in (True, False)]
HALF = [Case("slow:0.3", *pair, stream=stream) for pair in PAIRS for stream in (True, False)]
SLOW_READERS = [Case("flood", *pair) for pair in PAIRS]
# Seconds. The limits here are 1 s and a caller that leaves is seen at once; but the machine may be busy.
CRAWL_LIMIT = 15.0
SOON = 15.0
# Nothing but the caller's leaving ends a request here as soon as that.
LONG = {"first_byte": "60s", "idle": "60s", "total": "60s"}
DIALECTS = ("openai", "anthropic")


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, faults: Faults) -> Iterator[Gateway]:
    wanted = configuration(faults, LEAVING + EARLY + HALF + SLOW_READERS, **LONG)
    wanted["limits"] = {"header_time": "1s", "body_time": "1s"}
    running = parley_for_module(wanted)
    yield running
    unlogged(running)


def named(case: Case) -> str:
    return case.name


# leaving


@pytest.mark.parametrize("case", LEAVING, ids=named)
async def test_leaving_in_the_middle_frees_the_upstream(gateway: Gateway, faults: Faults, case: Case) -> None:
    before = gateway.metric("parley_client_aborts_total", 'phase="mid"')
    request_id, data = asking(case.caller, case.model, stream=True)
    async with Raw(gateway.port) as raw:
        await raw.send(data)
        await raw.until(b'"charlie ')
    left = time.monotonic()
    seen = faults.gone(case.key)
    assert seen["gone"] - left < SOON
    assert seen["gone_events"] < 80
    line = gateway.ended(request_id)
    assert (line["phase"], line["outcome"], line["status"]) == ("mid", "client_abort", 499)
    assert line["out_tok"] is not None
    assert gateway.metric("parley_client_aborts_total", 'phase="mid"') == before + 1


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("case", EARLY, ids=named)
async def test_leaving_before_the_answer_frees_the_upstream(
    gateway: Gateway, faults: Faults, case: Case, how: str
) -> None:
    before = len(faults.requests(case.key))
    request_id, data = asking(case.caller, case.model, case.stream)
    async with Raw(gateway.port) as raw:
        await raw.send(data)
        with pytest.raises(TimeoutError):
            await raw.more(0.8)
        if how == "rst":
            raw.reset()
    left = time.monotonic()
    seen = faults.gone(case.key)
    assert seen["gone"] - left < SOON
    line = gateway.ended(request_id)
    assert (line["phase"], line["outcome"], line["status"]) == ("pre", "client_abort", 499)
    assert len(faults.requests(case.key)) == before + 1, "tried again for nobody"


@pytest.mark.parametrize("case", HALF, ids=named)
async def test_a_half_closed_caller_is_still_answered(gateway: Gateway, case: Case) -> None:
    request_id, data = asking(case.caller, case.model, case.stream)
    async with Raw(gateway.port) as raw:
        await raw.send(data)
        raw.half_close()
        check_clean(Told(await raw.response(), request_id, 0.0, case.caller), words(8))


# reading slowly


@pytest.mark.parametrize("case", SLOW_READERS, ids=named)
async def test_a_caller_that_does_not_read_slows_the_upstream(gateway: Gateway, faults: Faults, case: Case) -> None:
    _, data = asking(case.caller, case.model, stream=True)
    async with Raw(gateway.port, receive_buffer=32768) as raw:
        await raw.send(data)
        answer = await raw.head()
        assert await raw.chunk(answer)
        before = -1
        while before != (now := faults.requests(case.key)[-1]["sent"]):
            before = now
            await asyncio.sleep(0.3)  # long enough for a gateway that buffers to show it
        # Of 64 MB. The kernel alone may keep 32 MB of a connection in its receive buffer (net.ipv4.tcp_rmem).
        assert now < 48_000_000, "an endless buffer somewhere"
        while answer.body.count(b"\n\n") < 300:
            assert await raw.chunk(answer)
    numbers = re.findall(rb'"(\d{8}) ', answer.body)
    assert [int(number) for number in numbers] == list(range(len(numbers)))
    assert len(numbers) > 200
    assert faults.gone(case.key)["events"] < 16_000


# crawling


async def test_a_dripped_head_is_cut_off_and_harms_nobody(gateway: Gateway) -> None:
    before = gateway.metric("parley_rejected_total", 'reason="header_timeout"')
    began = time.monotonic()

    async def crawl() -> float:
        async with Raw(gateway.port) as raw:
            await raw.drip(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"s" * 100, 0.1)
            told = bytes(raw.seen) + await raw.rest(CRAWL_LIMIT)
            assert told == b"" or told.startswith(b"HTTP/1.1 408 ")
            return time.monotonic() - began

    crawlers = [asyncio.ensure_future(crawl()) for _ in range(20)]
    for _ in range(5):
        check_clean(await tell(gateway, "openai", "fine-openai/m"), words(8))
    times = await asyncio.gather(*crawlers)
    assert min(times) > 0.5
    assert max(times) < CRAWL_LIMIT
    assert gateway.metric("parley_rejected_total", 'reason="header_timeout"') == before + 20


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_dripped_body_gets_408(gateway: Gateway, faults: Faults, dialect: str) -> None:
    before = gateway.metric("parley_rejected_total", 'reason="body_timeout"')
    seen = faults.total()
    head = request(PATHS[dialect], b"x" * 100_000)[:-100_000]
    began = time.monotonic()
    async with Raw(gateway.port) as raw:
        await raw.send(head)
        await raw.drip(b" " * 100, 0.1)
        answer = await raw.response()
        await raw.rest()
    assert answer.status == 408
    assert code_of(dialect, answer.json)
    assert 0.5 < time.monotonic() - began < CRAWL_LIMIT
    assert gateway.metric("parley_rejected_total", 'reason="body_timeout"') == before + 1
    assert faults.total() == seen
