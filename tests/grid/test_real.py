"""The same clients to a real server, llama.cpp with the tiny model, on both of its wires."""

import json
import sys
from collections.abc import Iterator

import pytest

from fixtures.llama import Llama
from fixtures.parley import start
from grid import callers
from grid.callers import Caller
from grid.parts import Got, Wish
from real import tiny

WIRES = {"oa": "hyperbolic", "an": "anthropic"}
TEXT_ONLY = "completions"


@pytest.fixture(scope="module")
def clients(llama: Llama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Caller]]:
    providers = {
        name: {"type": kind, "base_url": f"{llama.url}/v1", "api_key": "sk-up"} for name, kind in WIRES.items()
    }
    running = start(sys.executable, tmp_path_factory.mktemp("real"), {"providers": providers}, {}, ())
    found = callers.made(running.url)
    yield found
    for caller in found.values():
        caller.close()
    running.stop()


@pytest.fixture(params=[(name, wire) for name in callers.NAMES for wire in WIRES], ids="-".join)
def road(request: pytest.FixtureRequest, clients: dict[str, Caller]) -> tuple[Caller, str]:
    name, wire = request.param
    return clients[name], f"{wire}/tiny"


def both(road: tuple[Caller, str], wish: Wish) -> list[Got]:
    """Asked whole, and as a stream where the client reads streams of calls."""
    caller, _ = road
    made = [caller.ask(wish)]
    if not (wish.tools and caller.name == "mistralai"):
        made.append(caller.stream(wish))
    return made


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [("hi", tiny.HI, ""), ("Привет", tiny.HI, ""), ("THINK", "Greetings!", tiny.THOUGHT)],
)
def test_texts(road: tuple[Caller, str], text: str, answer: str, thought: str) -> None:
    caller, model = road
    for got in both(road, Wish(model, text)):
        assert (got.text.strip(), got.stop, got.calls) == (answer, "end", [])
        assert got.thinking == ("" if "thinking" in caller.lacks else thought)


def test_a_stream_comes_in_pieces(road: tuple[Caller, str]) -> None:
    caller, model = road
    assert caller.stream(Wish(model, "COUNT")).pieces >= 5


def test_usage(road: tuple[Caller, str]) -> None:
    caller, model = road
    got = caller.ask(Wish(model, "hi"))
    assert got.tokens is not None
    assert (got.tokens.input, got.tokens.output) == (6, 8)


def test_a_system_text_reaches_the_model(road: tuple[Caller, str]) -> None:
    caller, model = road
    if "system" in caller.lacks:
        assert caller.name == TEXT_ONLY
        return
    got = caller.ask(Wish(model, "hi", system="S"))
    assert got.tokens is not None
    assert (got.text, got.tokens.input) == (tiny.HI, 9)


def test_a_stop_sequence(road: tuple[Caller, str]) -> None:
    caller, model = road
    if "stop" in caller.lacks:
        assert caller.name == "responses"
        return
    for got in both(road, Wish(model, "COUNT", stop=" four")):
        assert (got.text.strip(), got.stop) == ("one two three", "end")


def test_a_schema(road: tuple[Caller, str]) -> None:
    caller, model = road
    if "structured-output" in caller.lacks:
        assert caller.name in (TEXT_ONLY, "hub")
        return
    for got in both(road, Wish(model, "JSON", schema=True)):
        assert json.loads(got.text) == {"answer": 42}


def test_tools(road: tuple[Caller, str]) -> None:
    caller, model = road
    if "tools" in caller.lacks:
        assert caller.name == TEXT_ONLY
        return
    for got in both(road, Wish(model, "hi", tools=1)):
        assert (got.asked, got.stop, got.text.strip()) == ([tiny.PARIS], "tool_use", "")
    for got in both(road, Wish(model, "TWO", tools=2)):
        assert (got.asked, got.stop) == ([tiny.OSLO, tiny.UTC], "tool_use")


def test_a_tool_round_trip(road: tuple[Caller, str]) -> None:
    caller, model = road
    if "tools" in caller.lacks:
        assert caller.name == TEXT_ONLY
        return
    wish = Wish(model, "TWO", tools=2)
    first = caller.ask(wish)
    got = caller.ask(Wish(model, "TWO", tools=2, before=first, results=("1", "2")))
    assert (got.text, got.stop, got.calls) == (tiny.HI, "end", [])
