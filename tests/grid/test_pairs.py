"""Random plans through every pair of wires at the level of the relay: byte by byte, all at once, and whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid import fakes
from grid.cells import TEXTS
from grid.losses import Way
from grid.parts import Plan, Tokens
from grid.samples_more import DIALECTS
from parley.fold import Fold
from parley.ir import ChatResponse, Text, Thinking, ToolCall
from parley.relay import Passage, Relay, relay
from parley.wire import Reply

PAIRS = [(dialect, fake.name) for dialect in DIALECTS for fake in fakes.made() if fake.stream_type]
IDS = [f"{name}-to-{dialect.partition(' (')[0]}" for dialect, name in PAIRS]
FAKES = {fake.name: fake for fake in fakes.made()}
CALLS_NOTHING = ("OpenAI completions (legacy)",)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(
    lambda text: f"w{text}w"
)
VALUES = st.one_of(WORDS, st.integers(-9, 10**9), st.booleans(), st.none(), st.lists(st.integers(0, 9), max_size=3))
ARGUMENTS = st.dictionaries(st.sampled_from(["city", "größe", "a b", "x"]), VALUES, max_size=3)
CALLS = st.lists(st.tuples(st.sampled_from(["get_weather", "get_time", "f1"]), ARGUMENTS), max_size=4)


@st.composite
def plans(draw: st.DrawFn, talks: bool) -> Plan:
    """An answer: words, thoughts, calls."""
    calls = draw(CALLS) if talks else []
    text = draw(WORDS) if not calls or draw(st.booleans()) else ""
    return Plan(
        text=text,
        thinking=draw(st.one_of(st.just(""), WORDS)) if talks else "",
        signature="c2ln",
        calls=tuple(
            (f"call_{number}abc", name, json.dumps(arguments, ensure_ascii=False))
            for number, (name, arguments) in enumerate(calls)
        ),
        stop="tool_use" if calls else draw(st.sampled_from(["end", "length"])),
        tokens=Tokens(draw(st.integers(1, 999)), draw(st.integers(1, 999))),
    )


def carried(way: Passage, data: bytes, size: int, *, events: bool = True) -> bytes:
    """What the caller hears of a provider's bytes that come ``size`` at a time."""

    def reply() -> Reply:
        return Reply(
            model="real-1", id="req-1", created=5, include_usage=True, wire=way.outlet.name, asked=b'{"model":"m"}'
        )

    found: Relay = relay(way, reply, streams=events, events=events)
    out = b"".join(found.feed(part) for part in (data[at : at + size] for at in range(0, len(data), size)))
    out += found.close()
    assert (found.failure, found.ended) == (None, True)
    return out


def heard(way: Passage, stream: bytes) -> ChatResponse:
    """A stream as its own dialect reads it."""
    decoder, whole = way.inlet.stream_decoder(), Fold(way.inlet.name)
    for event in (*decoder.feed(stream), *decoder.feed(b""), *decoder.close()):
        whole.feed(event)
    return whole.response()


def told(response: ChatResponse) -> dict[str, Any]:
    """An answer's meaning."""
    (choice,) = response.choices
    calls = [block for block in choice.content if isinstance(block, ToolCall)]
    ids = [call.id for call in calls]
    assert len(set(ids)) == len(ids), "two calls with one id"
    return {
        "text": "".join(block.text for block in choice.content if isinstance(block, Text)),
        "thinking": "".join(block.text for block in choice.content if isinstance(block, Thinking)),
        "calls": [(call.name, json.loads(call.arguments or "{}")) for call in calls],
        "stop": {"stop_sequence": "end"}.get(choice.stop, choice.stop),
    }


def meant(plan: Plan, dialect: str, fake: str) -> dict[str, Any]:
    """A plan's meaning, as far as the provider tells it and the dialect can say it."""
    thinks = fake != "azure" and not (dialect in CALLS_NOTHING and fake == "openai")
    return {
        "text": plan.text,
        "thinking": plan.thinking if thinks else "",
        "calls": [(call[1], json.loads(call[2])) for call in plan.calls],
        "stop": plan.stop,
    }


def prepared(dialect: str, name: str) -> tuple[Passage, Any]:
    """The way, and a provider that has heard which of its operations is asked for."""
    way, fake = Way(dialect, FAKES[name]).passage, FAKES[name]
    path = way.provider.paths.get(way.operation, "")
    if hasattr(fake, "path"):
        fake.path = path
    if hasattr(fake, "text"):
        fake.text = way.operation == "completions"
    return way, fake


@pytest.mark.parametrize(("dialect", "name"), PAIRS, ids=IDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_streams(dialect: str, name: str, data: st.DataObject) -> None:
    talks = name not in TEXTS and dialect not in CALLS_NOTHING
    plan = data.draw(plans(talks))
    way, fake = prepared(dialect, name)
    sent = b"".join(fake.pieces(plan, "real-1"))
    at_once = carried(way, sent, len(sent))
    assert told(heard(way, at_once)) == meant(plan, dialect, name)
    assert told(heard(way, carried(way, sent, 1))) == meant(plan, dialect, name)
    assert told(heard(way, carried(way, sent, data.draw(st.integers(2, 40))))) == meant(plan, dialect, name)


@pytest.mark.parametrize(("dialect", "name"), PAIRS, ids=IDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whole_answers(dialect: str, name: str, data: st.DataObject) -> None:
    talks = name not in TEXTS and dialect not in CALLS_NOTHING
    plan = data.draw(plans(talks))
    way, fake = prepared(dialect, name)
    sent = fake.whole(plan, "real-1")
    answer = carried(way, sent, 5, events=False)
    assert told(way.inlet.decode_response(answer)) == meant(plan, dialect, name)
