"""What the tests of the relay are made of: passages between two wires, and what is really sent along them."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.relay import Outgoing, Passage, outgoing, passage
from parley.settings import Provider, Quirks, Registration, Target
from parley.wire import Reply, load

OPENAI, ANTHROPIC = "openai_chat", "anthropic"
RECORDINGS = Path(__file__).parent / "recordings"
PLAIN = Quirks()
HI = {"role": "user", "content": "hi"}


def way(inlet: str = OPENAI, outlet: str = OPENAI, *, quirks: Quirks = PLAIN, **settings: Any) -> Passage:
    target = Target("there", "real-1")
    paths = {"chat": "/chat"}
    provider = Provider(name="there", type="any", wire=outlet, endpoints=("http://h",), paths=paths, quirks=quirks)
    registration = Registration(model="asked", targets=(target,), **settings)
    return passage(load(inlet), registration, provider, target)


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
