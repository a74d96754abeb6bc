"""The fault upstream does what its scenarios say: otherwise every test that stands on it proves nothing."""

import asyncio
import json
import time
import zlib

import pytest

from faults.raw import Answer, Raw, ask, request, sse_events
from faults.speech import WIDE, words
from fixtures.faults import Faults

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
WIRES = ("openai", "anthropic")
DONE = {"openai": b"[DONE]", "anthropic": b'{"type":"message_stop"}'}


def call(scenario: str, wire: str = "openai", stream: bool = True) -> bytes:
    body = json.dumps({"model": "m", "messages": [], "stream": stream}).encode()
    return request(f"/{scenario}{PATHS[wire]}", body)


async def play(faults: Faults, scenario: str, wire: str = "openai", stream: bool = True) -> tuple[Answer, Raw]:
    async with Raw(faults.port) as raw:
        await raw.send(call(scenario, wire, stream))
        answer = await raw.response()
        if not answer.whole:
            await raw.rest()
        return answer, raw


async def silence(faults: Faults, scenario: str) -> tuple[bytes, str]:
    async with Raw(faults.port) as raw:
        await raw.send(call(scenario))
        return await raw.rest(), raw.ended


def text(events: list[tuple[str, bytes]]) -> str:
    found = ""
    for _, data in events:
        value = json.loads(data) if data.startswith(b"{") else {}
        for choice in value.get("choices", ()):
            found += choice["delta"].get("content") or ""
        found += (value.get("delta") or {}).get("text", "")
    return found


def faithful(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("wire", WIRES)
async def test_ok_speaks_the_wire_of_the_path(faults: Faults, wire: str) -> None:
    answer, _ = await play(faults, "ok:3", wire)
    assert (answer.status, answer.whole, text(answer.events)) == (200, True, words(3))
    assert answer.events[-1][1] == DONE[wire]
    whole, _ = await play(faults, "ok:3", wire, stream=False)
    value = whole.json
    said = value["choices"][0]["message"]["content"] if wire == "openai" else value["content"][0]["text"]
    assert said == words(3).strip()


async def test_the_log_holds_the_exact_request(faults: Faults) -> None:
    data = call("ok~log")
    await ask(faults.port, data)
    (seen,) = faults.requests("ok~log")
    assert (seen["head"] + seen["body"]).encode("latin-1") == data
    assert (seen["events"], seen["done"], seen["gone_events"]) == (8, True, None)
    assert seen["sent"] > 500


async def test_reset_forgets(faults: Faults) -> None:
    await ask(faults.port, call("close0:1~reset", stream=False).replace(b"close0:1", b"ok"))
    faults.reset()
    assert faults.log()["requests"] == []


async def test_a_leaving_caller_is_seen_at_its_event(faults: Faults) -> None:
    async with Raw(faults.port) as raw:
        await raw.send(call("stall:4~left"))
        await raw.until(b'"delta ')
        left = time.monotonic()
    seen = faults.gone("stall:4~left")
    assert seen["gone_events"] == 4
    assert 0 <= seen["gone"] - left < 30
    assert not seen["done"]


@pytest.mark.parametrize(("scenario", "end"), [("close0", "fin"), ("rst", "rst")])
async def test_nothing_comes_back(faults: Faults, scenario: str, end: str) -> None:
    assert await silence(faults, scenario) == (b"", end)


async def test_counts_turn_bad_into_good(faults: Faults) -> None:
    assert await silence(faults, "close0:1~c") == (b"", "fin")
    assert (await play(faults, "close0:1~c"))[0].whole
    first, _ = await play(faults, "status:429:1:2~c", stream=False)
    assert (first.status, first.get("retry-after")) == (429, "2")
    assert first.json["error"]["type"] == "rate_limit_error"
    assert (await play(faults, "status:429:1:2~c"))[0].status == 200


async def test_5xx_lasts_its_seconds(faults: Faults) -> None:
    seen = set()
    until = time.monotonic() + 30
    while (status := (await play(faults, "5xx:0.5", stream=False))[0].status) != 200:
        seen.add(status)
        assert time.monotonic() < until
    assert len(seen) > 1
    assert seen <= {500, 502, 503, 504}


@pytest.mark.parametrize("scenario", ["hang", "slow-head"])
async def test_no_answer_in_time(faults: Faults, scenario: str) -> None:
    async with Raw(faults.port) as raw:
        await raw.send(call(scenario))
        with pytest.raises(TimeoutError):
            await raw.head(0.5)
        assert bool(raw.seen) == (scenario == "slow-head")


@pytest.mark.parametrize(("scenario", "end"), [("stale", "rst"), ("stale:close", "fin")])
async def test_stale_answers_only_once(faults: Faults, scenario: str, end: str) -> None:
    async with Raw(faults.port) as raw:
        await raw.send(call(scenario, stream=False))
        first = await raw.response()
        assert first.whole
        assert first.get("connection") is None
        await raw.send(call(scenario, stream=False))
        assert await raw.rest() == b""
        assert raw.ended in (end, "rst")


async def test_bodies_that_are_no_answers(faults: Faults) -> None:
    html, _ = await play(faults, "html", stream=False)
    assert html.get("content-type") == "text/html"
    assert (await play(faults, "empty", stream=False))[0].body == b""
    assert not faithful((await play(faults, "badjson-body", stream=False))[0].body)
    assert (await play(faults, "badshape", stream=False))[0].json == {"weather": "fine"}
    async with Raw(faults.port) as raw:
        await raw.send(call("big", stream=False))
        assert (await raw.head()).get("content-length") == "50000001"


async def test_redir_points_home(faults: Faults) -> None:
    answer, _ = await play(faults, "redir:307", stream=False)
    assert answer.status == 307
    assert (answer.get("location") or "").startswith(f"{faults.url}/ok~redirected/")


async def test_heads_that_are_no_http(faults: Faults) -> None:
    async with Raw(faults.port) as raw:
        await raw.send(call("badstatus"))
        assert (await raw.rest()).startswith(b"HTTP/1.1 two-hundred")
    async with Raw(faults.port) as raw:
        await raw.send(call("bighead"))
        assert len(await raw.until(b"\r\n\r\n")) > 1_000_000
    async with Raw(faults.port) as raw:
        await raw.send(call("flood1xx"))
        for _ in range(100):
            assert (await raw.head()).status == 103


async def test_the_bomb_grows(faults: Faults) -> None:
    async with Raw(faults.port) as raw:
        await raw.send(call("bomb"))
        answer = await raw.head()
        while len(answer.body) < 20_000:
            assert await raw.chunk(answer)
    grown = zlib.decompressobj(31).decompress(answer.body)
    assert answer.get("content-encoding") == "gzip"
    assert len(grown) > 500 * len(answer.body)


@pytest.mark.parametrize("wire", WIRES)
async def test_the_first_event_is_an_error(faults: Faults, wire: str) -> None:
    answer, _ = await play(faults, "err-first", wire)
    ((name, data),) = answer.events
    assert answer.status == 200
    assert json.loads(data)["error"]["type"] == "overloaded_error"
    assert name == ("error" if wire == "anthropic" else "")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("scenario", "end"), [("rst:5", "rst"), ("trunc:5", "fin"), ("tool-cut", "fin")])
async def test_streams_that_break(faults: Faults, scenario: str, end: str, wire: str) -> None:
    answer, raw = await play(faults, scenario, wire)
    assert (answer.whole, raw.ended) == (False, end)
    assert text(answer.events) == words(1 if scenario == "tool-cut" else 5)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("scenario", ["no-done", "no-done-finish", "after-done", "tool-cut:clean", "err:5"])
async def test_streams_that_end_wrong(faults: Faults, scenario: str, wire: str) -> None:
    answer, _ = await play(faults, scenario, wire)
    assert answer.whole
    data = [data for _, data in answer.events]
    assert (DONE[wire] in data) == (scenario == "after-done")
    assert (data[-1] == DONE[wire]) is False
    assert any(b'stop"' in event for event in data if b"content_block" not in event) == (
        scenario == "no-done-finish"
    ) or (scenario == "after-done" or wire == "anthropic")


@pytest.mark.parametrize("wire", WIRES)
async def test_broken_events(faults: Faults, wire: str) -> None:
    answer, _ = await play(faults, "badjson:3", wire)
    broken = [data for _, data in answer.events if data != b"[DONE]" and not faithful(data)]
    assert len(broken) == 1
    wrong, _ = await play(faults, "badutf8:3", wire)
    with pytest.raises(UnicodeDecodeError):
        wrong.body.decode()
    big, _ = await play(faults, "bigline", wire)
    assert max(len(data) for _, data in big.events) > 9_000_000


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "form", ["plain", "crlf", "cr", "bom", "multiline", "comments", "nospace", "idretry", "namelast"]
)
async def test_odd_forms_say_the_same(faults: Faults, form: str, wire: str) -> None:
    answer, _ = await play(faults, f"odd:{form}", wire)
    plain, _ = await play(faults, "odd:plain", wire)
    assert text(answer.events) == "".join(WIDE)
    changes = form != "plain" and not (form == "namelast" and wire == "openai")
    assert (answer.body != plain.body) == changes


@pytest.mark.parametrize("scenario", ["slice:1", "slice:7", "two-per-packet"])
async def test_cuts_do_not_change_bytes(faults: Faults, scenario: str) -> None:
    answer, _ = await play(faults, scenario)
    plain, _ = await play(faults, "odd:plain")
    assert answer.body == plain.body
    assert len(answer.marks) != len(plain.marks)


@pytest.mark.parametrize(("form", "reports"), [("none", 0), ("last", 1), ("twice", 2)])
async def test_usage_forms(faults: Faults, form: str, reports: int) -> None:
    answer, _ = await play(faults, f"usage:{form}")
    assert sum(b'"usage":' in data for _, data in answer.events) == reports


async def test_tools_stream_two_calls(faults: Faults) -> None:
    answer, _ = await play(faults, "tools")
    calls: dict[int, str] = {}
    for _, data in answer.events[:-1]:
        for part in json.loads(data)["choices"][0]["delta"].get("tool_calls", ()):
            calls[part["index"]] = calls.get(part["index"], "") + part["function"]["arguments"]
    assert calls == {0: '{"city": "Paris"}', 1: '{"zone": "UTC"}'}


async def test_timed_scenarios_take_their_time(faults: Faults) -> None:
    began = time.monotonic()
    await play(faults, "slow:0.3")
    await play(faults, "trickle:0.1:3")
    assert time.monotonic() - began > 0.55


@pytest.mark.parametrize("scenario", ["endless", "flood"])
async def test_streams_without_end_stop_when_nobody_reads(faults: Faults, scenario: str) -> None:
    async with Raw(faults.port) as raw:
        await raw.send(call(scenario))
        answer = await raw.head()
        while len(sse_events(answer.body)) < 20:
            assert await raw.chunk(answer)
        await asyncio.sleep(0)
    assert faults.gone(scenario)["gone_events"] >= 18
