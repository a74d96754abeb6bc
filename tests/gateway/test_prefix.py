"""A provider's prompt cache lives by the bytes of the beginning: what was said before goes up in the same bytes and in
the same order, turn after turn, translated or not."""

import random
from typing import Any

import msgspec
import pytest

from gateway.parts import CHAT, MESSAGES, Stage, provider, registration

WIRES = ("openai_chat", "anthropic")
# Names that would be in another order if somebody sorted them.
SCHEMA = {"type": "object", "properties": {"zeta": {"type": "string"}, "alpha": {"type": "integer"}}, "required": []}
TOOLS: dict[bytes, list[Any]] = {
    CHAT: [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("zoo", "ant", "mid")],
    MESSAGES: [{"name": name, "input_schema": SCHEMA} for name in ("zoo", "ant", "mid")],
}


def turns(number: int) -> list[dict[str, Any]]:
    words = [f'Zürich {chr(0x1F600)} \\ " <{at}>' for at in range(number)]
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(words)]


def sent(path: bytes, wire: str, messages: list[dict[str, Any]]) -> bytes:
    stage = Stage(registration("one", "a/m-1"), providers=(provider("a", wire=wire),))
    stage.ask(path=path, messages=messages, tools=TOOLS[path])
    return b"".join(stage.sent[0].call.body)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_was_said_before_goes_up_in_the_same_bytes(path: bytes, wire: str) -> None:
    earlier, later = sent(path, wire, turns(5)), sent(path, wire, turns(7))
    last = turns(5)[-1]["content"]
    told = msgspec.json.encode(last)[1:-1]
    end = earlier.index(told) + len(told)
    assert later.startswith(earlier[:end])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_tools_and_their_members_keep_their_order(path: bytes, wire: str) -> None:
    body = sent(path, wire, turns(1))
    assert body.index(b'"zoo"') < body.index(b'"ant"') < body.index(b'"mid"')
    assert body.index(b'"zeta"') < body.index(b'"alpha"')


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_the_same_request_is_the_same_bytes(path: bytes, wire: str) -> None:
    before = sent(path, wire, turns(3))
    random.seed(1)
    assert {sent(path, wire, turns(3)) for _ in range(5)} == {before}
