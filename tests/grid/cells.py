"""Which cells cannot be passed: how a caller hears of it, and why.

unasked   the caller's dialect, or this client of it, has no words for the feature
refused   400, naming the field; nothing is sent to the provider
dropped   the request goes without it, and x-parley-dropped names the field
silent    the provider takes the request, but its answers have no such thing
whole     passed for whole answers; in streams it is the client that cannot
client    it is the client that cannot: what it sends is refused as its own, or it does not read the answer
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from grid.features import words
from grid.proofs import MUTE, Road


@dataclass(frozen=True)
class Outcome:
    """How a cell came out, and why where it is not simply passed."""

    how: str = "passed"
    why: str = ""


PASSED = Outcome()
MEASURED: dict[tuple[str, str, str], Outcome] = {}

TOOLS = ("tools", "parallel-tools", "tool-round-trip", "signed-thinking")
TEXTS = ("tgi", "generate", "infer", "infer_grpc", "predict")
_TEXT = "the provider's model continues plain text"
_QUIET = "the provider's protocol does not tell"
_EFFORT = "the provider has a switch and a budget of tokens, but no degrees of effort"
# What a provider cannot, whoever asks.
PROVIDERS: dict[str, dict[str, Outcome]] = {
    "azure": {
        "thinking": Outcome("silent", "the provider does not show what its models think"),
        "signed-thinking": Outcome("silent", "the provider does not show what its models think"),
    },
    **{
        fake: {
            **dict.fromkeys(TOOLS, Outcome("refused", f"{_TEXT}: it cannot call tools")),
            "image": Outcome("refused", f"{_TEXT}: it sees no images"),
            "thinking": Outcome("dropped", f"{_TEXT}: it does not think apart from its answer"),
        }
        for fake in TEXTS
    },
}
for _fake in ("generate", "infer", "infer_grpc", "predict"):
    PROVIDERS[_fake]["structured-output"] = Outcome("dropped", "the provider's protocol has no grammars")
    PROVIDERS[_fake]["usage"] = Outcome("silent", f"{_QUIET} how many tokens there were")
for _fake in ("infer", "infer_grpc", "predict"):
    PROVIDERS[_fake]["stop"] = Outcome("dropped", "the provider's protocol has no stop sequences")
    PROVIDERS[_fake]["length"] = Outcome("silent", f"{_QUIET} why the text ended")
# What a pair cannot.
PAIRS: dict[tuple[str, str, str], Outcome] = {
    **{(caller, "cohere", "thinking"): Outcome("dropped", _EFFORT) for caller in ("chat", "responses")},
}
_COUNTS = "the client refuses answers without token counts, and the provider tells none"
_PREFIX = "the client adds a member of its own vendor to messages (prefix), which the provider refuses"
PAIRS |= {
    ("mistralai", fake, feature): Outcome("client", _COUNTS)
    for fake in ("generate", "infer", "infer_grpc", "predict")
    for feature in ("plain", "system", "structured-output", "stop", "length", "usage")
}
PAIRS |= {
    ("mistralai", fake, "tool-round-trip"): Outcome("client", _PREFIX) for fake in ("openai", "openai_chat", "azure")
}
# What a client cannot in streams.
WHOLE: dict[tuple[str, str], str] = {
    ("mistralai", "tools"): "in streams, the client wants a call's name in each of its fragments",
    ("mistralai", "parallel-tools"): "in streams, the client wants a call's name in each of its fragments",
    ("mistralai", "usage"): "the client does not ask for usage in streams",
}
ASKED: dict[str, dict[str, Any]] = {
    "tools": {"tools": 1},
    "parallel-tools": {"tools": 2},
    "tool-round-trip": {"tools": 2},
    "signed-thinking": {"tools": 1, "think": True},
    "image": {"image": True},
    "structured-output": {"schema": True},
    "thinking": {"think": True},
    "stop": {"stop": "END"},
}
# What a refusal names, in the words of any dialect.
FIELDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TOOLS, ("tools",)),
    "image": ("messages[0]", "input[0]", "contents[0]"),
}


def outcome(caller: str, lacks: Mapping[str, str], fake: str, feature: str) -> Outcome:
    """What a cell is expected to be."""
    if feature in lacks:
        return Outcome("unasked", lacks[feature])
    found = PAIRS.get((caller, fake, feature)) or PROVIDERS.get(fake, {}).get(feature)
    if found is not None:
        return found
    if (caller, feature) in WHOLE:
        return Outcome("whole", WHOLE[caller, feature])
    return PASSED


def measure(road: Road, expected: Outcome, prove: Callable[[Road], None]) -> Outcome:
    """What a cell is: the expected outcome, once it is shown to be just that."""
    if expected.how == "refused":
        _refused(road)
    elif expected.how == "dropped":
        _dropped(road)
    elif expected.how == "silent":
        _silent(road)
    elif expected.how == "client":
        _client(road, prove)
    elif expected.how != "unasked":
        road.whole = expected.how == "whole"
        prove(road)
    return expected


def _refused(road: Road) -> None:
    for fault in road.failures(**ASKED[road.scenario]):
        assert road.caller.status(fault) == 400
        assert road.caller.name == MUTE or any(name in str(fault) for name in FIELDS[road.scenario]), fault
    assert road.upstream.take() == []


def _dropped(road: Road) -> None:
    wanted = ASKED[road.scenario]
    got, seen = road.once(road.caller.ask, **wanted)
    assert got.text
    assert (seen.thinks, seen.schema, seen.stop) == (False, None, [])
    assert road.dropped, "nothing says that it was dropped"


def _client(road: Road, prove: Callable[[Road], None]) -> None:
    with pytest.raises(road.caller.faults):
        prove(road)
    road.upstream.forget()


def _silent(road: Road) -> None:
    for got, seen in road.both(**ASKED.get(road.scenario, {})):
        if road.scenario == "usage":
            assert got.tokens is None or (got.tokens.input, got.tokens.output) == (0, 0) or got.text
        elif road.scenario == "length":
            assert got.stop == "end"
        else:
            assert (seen.thinks, got.thinking) == (True, "")
        assert got.text == words(road.fake) or got.calls
