"""Faults after the commit point (fault contract section 3): what came is kept, one error event, never a terminator."""

import json
from collections.abc import Iterator

import pytest

from faults.rig import PAIRS, Case, ask, cases, check_clean, check_cut, check_headers, configuration, unlogged
from faults.speech import WIDE, words
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

# scenario: the text before the break (None: not looked at), the kind in the log
BREAKS = {
    "rst:5": (words(5), "reset"),
    "trunc:5": (words(5), "incomplete_chunked"),
    "no-done": (words(5), "missing_terminator"),
    "badjson:3": (words(3), "bad_event"),
    "badutf8:3": (words(3), "bad_event"),
    "bigline": (words(2), "event_too_large"),
    "err:5": (words(5), "stream_error"),
    "tool-cut": (words(1), None),
    "tool-cut:clean": (words(1), None),
}
ODD = ("crlf", "cr", "bom", "multiline", "comments", "nospace", "idretry", "namelast")
SLICES = (1, 2, 3, 5, 7, 11, 16, 33, 64)

BROKEN = cases(BREAKS)
STALLED = cases(["stall:5"])
HALF = cases(["rst:5", "trunc:5"], stream=False)
LEGAL = cases([f"odd:{form}" for form in ODD] + [f"slice:{size}" for size in SLICES] + ["two-per-packet", "odd:plain"])
REPAIRED = cases(["no-done-finish"])
TRAILING = cases(["after-done"])
TOOLS = cases(["tools"])
USAGE = [
    Case(f"usage:{form}", caller, "openai") for form in ("none", "last", "twice") for caller in ("openai", "anthropic")
]
COMMITTED = cases(["rst:5", "err:5"], fallback=True)

EVERY = BROKEN + HALF + LEGAL + REPAIRED + TRAILING + TOOLS + USAGE + COMMITTED


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, faults: Faults) -> Iterator[Gateway]:
    wanted = configuration(faults, EVERY)
    wanted["providers"] |= configuration(faults, STALLED, idle="1s")["providers"]
    running = parley_for_module(wanted)
    yield running
    unlogged(running)


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", BROKEN, ids=named)
async def test_a_broken_stream_never_looks_complete(gateway: Gateway, faults: Faults, case: Case) -> None:
    text, kind = BREAKS[case.scenario]
    told = await ask(gateway, case)
    check_cut(told, text)
    assert told.seconds < 2
    line = gateway.ended(told.request_id)
    assert (line["phase"], line["outcome"]) == ("mid", "error")
    if kind:
        assert line["kind"] == kind
    if case.scenario.startswith("tool-cut"):
        assert list(told.arguments.values()) == ['{"city": "Par']
        assert line["kind"] in ("incomplete_tool_call", "missing_terminator", "incomplete_chunked")
    assert len(faults.requests(case.key)) == 1


@pytest.mark.parametrize("case", [case for case in BROKEN if case.scenario == "err:5"], ids=named)
async def test_the_providers_own_words_arrive(gateway: Gateway, case: Case) -> None:
    (failure,) = (await ask(gateway, case)).failures
    assert "scripted failure" in failure["error"]["message"]
    assert set(failure) >= ({"type", "error"} if case.caller == "anthropic" else {"error"})


@pytest.mark.parametrize("case", STALLED, ids=named)
async def test_a_stalled_stream_ends_at_the_idle_limit(gateway: Gateway, faults: Faults, case: Case) -> None:
    told = await ask(gateway, case)
    check_cut(told, words(5))
    assert 0.9 < told.seconds < 3
    line = gateway.ended(told.request_id)
    assert (line["phase"], line["outcome"], line["kind"]) == ("mid", "error", "idle_timeout")
    assert faults.gone(case.key)["gone_events"] == 5


@pytest.mark.parametrize("case", COMMITTED, ids=named)
async def test_no_fallback_after_content(gateway: Gateway, faults: Faults, case: Case) -> None:
    told = await ask(gateway, case)
    check_cut(told, words(5))
    assert told.answer.get("x-parley-target") == f"{case.name}/m"
    assert len(faults.requests(case.key)) == 1
    assert gateway.ended(told.request_id)["provider"] == case.name


@pytest.mark.parametrize("case", HALF, ids=named)
async def test_half_a_body_is_no_answer(gateway: Gateway, case: Case) -> None:
    told = await ask(gateway, case)
    check_headers(told)
    assert (told.answer.status, told.answer.whole) == (502, True)
    assert told.code in ("upstream_closed", "upstream_incomplete")
    assert gateway.ended(told.request_id)["outcome"] == "error"


@pytest.mark.parametrize("case", LEGAL, ids=named)
async def test_legal_forms_say_the_same(gateway: Gateway, case: Case) -> None:
    asked = {"stream_options": {"include_usage": True}} if case.caller == "openai" else {}
    told = await ask(gateway, case, **asked)
    check_clean(told, "".join(WIDE))
    line = gateway.ended(told.request_id)
    assert (line["phase"], line["outcome"], line["usage"]) == ("done", "ok", "exact")
    assert (line["in_tok"], line["out_tok"]) == (11, 7)


@pytest.mark.parametrize("case", REPAIRED, ids=named)
async def test_only_the_terminator_is_repaired(gateway: Gateway, case: Case) -> None:
    told = await ask(gateway, case)
    check_clean(told, words(5))
    assert gateway.ended(told.request_id)["outcome"] == "ok"


@pytest.mark.parametrize("case", TRAILING, ids=named)
async def test_data_after_the_terminator_is_nobodys(gateway: Gateway, faults: Faults, case: Case) -> None:
    first = await ask(gateway, case)
    second = await ask(gateway, case)
    for told in (first, second):
        check_clean(told, words(5))
        assert b"zulu" not in told.answer.body
    seen = faults.requests(case.key)
    ended = {(record["connection"], record["turn"]) for record in seen}
    later = [record for record in faults.log()["requests"] if (record["connection"], record["turn"] - 1) in ended]
    assert later == []


@pytest.mark.parametrize("case", TOOLS, ids=named)
async def test_two_tool_calls_in_fragments(gateway: Gateway, case: Case) -> None:
    told = await ask(gateway, case)
    assert (told.terminators, told.failures, told.spoken) == (1, [], words(1))
    assert [json.loads(text) for text in told.arguments.values()] == [{"city": "Paris"}, {"zone": "UTC"}]
    assert len(told.arguments) == 2
    names = [name for name in ("get_weather", "get_time") if name.encode() in told.answer.body]
    assert names == ["get_weather", "get_time"]


@pytest.mark.parametrize("case", USAGE, ids=named)
async def test_the_last_usage_counts(gateway: Gateway, case: Case) -> None:
    told = await ask(gateway, case)
    check_clean(told, words(5))
    line = gateway.ended(told.request_id)
    if case.scenario == "usage:none":
        assert line["usage"] == "estimated"
        assert line["out_tok"] > 0
    else:
        assert (line["usage"], line["in_tok"], line["out_tok"]) == ("exact", 11, 7)


async def test_a_break_touches_nobody_else(gateway: Gateway) -> None:
    broken = Case("rst:5", *PAIRS[0])
    healthy = Case("odd:plain", *PAIRS[0])
    for _ in range(3):
        check_cut(await ask(gateway, broken), words(5))
        check_clean(await ask(gateway, healthy), "".join(WIDE))
