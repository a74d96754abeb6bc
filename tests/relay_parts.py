"""What the tests of the relay are made of: passages between two wires, and what is really sent along them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.relay import Outgoing, Passage, outgoing, passage
from parley.settings import Provider, Quirks, Registration, Target
from parley.wire import SPOKEN, Reply, load

OPENAI, ANTHROPIC = "openai_chat", "anthropic"
RECORDINGS = Path(__file__).parent / "recordings"
PLAIN = Quirks()
NOTHING: Mapping[str, str] = {}
HI = {"role": "user", "content": "hi"}


def way(
    inlet: str = OPENAI,
    outlet: str = OPENAI,
    *,
    quirks: Quirks = PLAIN,
    takes: Mapping[str, str] = NOTHING,
    **settings: Any,
) -> Passage:
    """``takes``: the extension fields that the provider understands, and what it calls them."""
    target = Target("there", "real-1")
    places = [(spoken, name) for spoken, wires in SPOKEN.items() for name, wire in wires.items() if wire == outlet]
    spoken, operation = places[0]
    provider = Provider(
        name="there",
        type="any",
        wire=spoken,
        endpoints=("http://h",),
        paths={operation: "/there"},
        quirks=quirks,
        extensions=takes,
    )
    registration = Registration(model="asked", targets=(target,), **settings)
    return passage(load(inlet), registration, provider, target, operation)


def body(**members: Any) -> dict[str, Any]:
    return {"model": "asked", "messages": [HI], **members}


def message(**members: Any) -> dict[str, Any]:
    """A request of the other wire."""
    return {"model": "asked", "max_tokens": 9, "messages": [HI], **members}


def out(along: Passage, text: bytes) -> Outgoing:
    return outgoing(along, text, jsontext.members(text))


def sent(along: Passage, members: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The object that leaves, and the fields that could not."""
    found = out(along, json.encode(members))
    made: dict[str, Any] = json.decode(b"".join(found.body))
    return made, found.dropped


def refused(along: Passage, members: dict[str, Any]) -> Failure:
    with pytest.raises(ParleyError) as caught:
        sent(along, members)
    return caught.value.failure


def reply(wire: str, *, usage: bool = False) -> Reply:
    return Reply(model="real-1", id="req-1", created=5, include_usage=usage, wire=wire)
