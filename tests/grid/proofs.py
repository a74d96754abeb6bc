"""What a cell must show: each feature's requests, and what the provider saw and the caller got of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from grid.callers import Caller
from grid.features import AFTERWARDS, ANSWER, PARIS, PLANS, RESULTS, SIGNED, THOUGHT, UTC, words
from grid.parts import PNG, SCHEMA, SIGNATURE, TOOLS, Got, Seen, Wish
from grid.upstream import Upstream

# One client whose exceptions have no more than the status.
MUTE = "hub"
# Dialects in which calls need no ids.
ANONYMOUS = ("ollama", "gemini")
NAMED = [(call[1], json.loads(call[2])) for call in (PARIS, UTC)]


class Road:
    """One caller, one provider, one scenario."""

    def __init__(self, upstream: Upstream, caller: Caller, fake: str, scenario: str) -> None:
        self.upstream, self.caller, self.fake, self.scenario = upstream, caller, fake, scenario
        self.model = f"{fake}.{scenario}/m"
        self.dropped: list[str] = []
        self.whole = False

    @property
    def signs(self) -> bool:
        """Whether this caller is shown signatures of this provider."""
        return self.fake in SIGNED or (self.fake, self.caller.name) == ("openai", "responses")

    def both(self, **wanted: Any) -> list[tuple[Got, Seen]]:
        """Asked whole and as a stream; ``whole``: only that."""
        if self.whole:
            return [self.once(self.caller.ask, **wanted)]
        return [self.once(self.caller.ask, **wanted), self.once(self.caller.stream, **wanted)]

    def once(self, ask: Callable[[Wish], Got], **wanted: Any) -> tuple[Got, Seen]:
        """Asked once: what the caller got and what the provider saw."""
        self.upstream.take()
        got = ask(Wish(model=self.model, **wanted))
        self.dropped += self.caller.dropped
        (seen,) = self.upstream.take()
        assert seen.model in ("m", ""), f"the provider was asked for {seen.model}"
        return got, seen

    def failures(self, **wanted: Any) -> list[Exception]:
        """What the client raises, asked whole and as a stream; by the registration made for failing."""
        model = self.model if wanted else f"{self.fake}.{self.scenario}.{self.caller.name}"
        found: list[Exception] = []
        for ask in (self.caller.ask, self.caller.stream):
            with pytest.raises(self.caller.faults) as caught:
                ask(Wish(model=model, **wanted))
            found.append(caught.value)
        return found

    def answered(self, got: Got, stop: str = "end") -> None:
        """The provider's own words came, for the right reason."""
        assert (got.text, got.stop, got.calls) == (words(self.fake), stop, [])


def plain(road: Road) -> None:
    """A text and the model's name."""
    got, seen = road.once(road.caller.ask)
    road.answered(got)
    assert Wish("").text in seen.text


def stream(road: Road) -> None:
    """The same in pieces."""
    got, seen = road.once(road.caller.stream)
    road.answered(got)
    assert Wish("").text in seen.text
    assert seen.stream == (got.pieces > 1), "streamed by the provider, not by the gateway"
    assert got.pieces > 1 or not road.upstream.fakes[road.fake].stream_type


def system(road: Road) -> None:
    """The system's words arrive as such."""
    got, seen = road.once(road.caller.ask, system="Speak like a pirate.")
    road.answered(got)
    if seen.system:
        assert seen.system == "Speak like a pirate."
        assert "pirate" not in seen.text
    else:
        assert seen.text.index("Speak like a pirate.") < seen.text.index(Wish("").text)


def tools(road: Road, count: int = 1) -> None:
    """Tools arrive with their schemas, calls come back."""
    for got, seen in road.both(tools=count):
        assert seen.tools == dict(list(TOOLS.items())[:count])
        assert (got.asked, got.stop, got.text) == (NAMED[:count], "tool_use", "")
        ids = [call[0] for call in got.calls]
        assert len(set(ids)) == count or (not any(ids) and road.caller.name in ANONYMOUS), ids


def parallel(road: Road) -> None:
    """Two calls at once, with ids of their own."""
    tools(road, 2)


def round_trip(road: Road) -> None:
    """Results go back to the calls they belong to."""
    first, _ = road.once(road.caller.ask, tools=2)
    for got, seen in road.both(tools=2, before=first, results=RESULTS):
        assert [(call[1], json.loads(call[2])) for call in seen.calls] == NAMED
        assert [result[1] for result in seen.results] == list(RESULTS)
        assert [_name_of(seen, result[0]) for result in seen.results] == [call[1] for call in (PARIS, UTC)]
        assert (got.text, got.stop) == (AFTERWARDS, "end")


def _name_of(seen: Seen, key: str) -> str:
    """The name of the tool that a result belongs to, by the call's id or by the name itself."""
    return next((call[1] for call in seen.calls if call[0] == key), key)


def image(road: Road) -> None:
    """A picture arrives byte for byte."""
    for got, seen in road.both(image=True):
        road.answered(got)
        ((kind, data),) = seen.images
        assert (kind in ("image/png", ""), data.replace("-", "+").replace("_", "/")) == (True, PNG)


def structured(road: Road) -> None:
    """A schema arrives, the object comes back."""
    for got, seen in road.both(schema=True):
        assert got.text == ANSWER
        assert seen.schema == SCHEMA


def thinking(road: Road) -> None:
    """Thinking is asked for, and its words come back as such."""
    for got, seen in road.both(think=True):
        assert seen.thinks
        assert (got.thinking, got.text, got.stop) == (THOUGHT, words(road.fake), "end")


def signed(road: Road) -> None:
    """A provider's signature comes back to it byte for byte, with the results of its tools."""
    first, _ = road.once(road.caller.ask, think=True, tools=1)
    assert (first.asked, first.thinking) == (NAMED[:1], THOUGHT)
    _, seen = road.once(road.caller.ask, think=True, tools=1, before=first, results=RESULTS[:1])
    assert seen.signatures == ([SIGNATURE] if road.signs else [])


def stop(road: Road) -> None:
    """A stop sequence arrives."""
    got, seen = road.once(road.caller.ask, stop="END")
    road.answered(got)
    assert seen.stop == ["END"]


def length(road: Road) -> None:
    """An answer that was cut says so."""
    for got, _ in road.both():
        road.answered(got, "length")


def usage(road: Road) -> None:
    """Tokens are counted the same everywhere."""
    wanted = PLANS["usage"].tokens
    for got, _ in road.both():
        assert got.tokens is not None
        assert (got.tokens.input, got.tokens.output) == (wanted.input, wanted.output)
        assert got.tokens.cached in (None, 0, wanted.cached)
        assert got.tokens.reasoning in (None, 0, wanted.reasoning)


PROOFS: dict[str, Callable[[Road], None]] = {
    "plain": plain,
    "stream": stream,
    "system": system,
    "tools": tools,
    "parallel-tools": parallel,
    "tool-round-trip": round_trip,
    "image": image,
    "structured-output": structured,
    "thinking": thinking,
    "signed-thinking": signed,
    "stop": stop,
    "length": length,
    "usage": usage,
}
# What a caller sees of a provider's error: 401 is ours to mend, 529 is a word of one dialect only,
# and gRPC has none for it.
ANSWERED = {400: 400, 401: 502, 404: 404, 429: 429, 500: 500, 529: 503}


def error(road: Road, status: int) -> None:
    """A provider's error is the caller's own."""
    wanted = ANSWERED[status]
    if (status, road.caller.name) == (529, "anthropic") and road.fake != "infer_grpc":
        wanted = 529
    for fault in road.failures():
        assert road.caller.status(fault) == wanted, fault
        assert ("sk-up" in str(fault), f":{road.upstream.port}" in str(fault)) == (False, False)
        if status in (400, 404) and road.caller.name != MUTE:
            assert f"says {status}" in str(fault), fault
    # Where the path might not be there, another operation of the provider is tried.
    assert len(road.upstream.take()) == 2 or status == 404


def cut(road: Road) -> None:
    """A stream that broke never looks complete, nor does an answer."""
    road.failures()
    assert len(road.upstream.take()) == 2


def prove(road: Road) -> None:
    """The proof of the road's scenario."""
    kind, _, status = road.scenario.partition("-")
    if kind == "error":
        error(road, int(status))
    elif kind == "cut":
        cut(road)
    else:
        PROOFS[road.scenario](road)
