"""Requests that pass as they came, but for what another wire's provider sealed: it would be refused there."""

from typing import Any

import pytest
from msgspec import json

from parley.settings import Quirks
from parley.wire.signature import FILLER, foreign
from relay_parts import ANTHROPIC, out, refused, sent, way

GEMINI, RESPONSES = "gemini", "openai_responses"
SIGNED = Quirks(options={"own_thinking": True})
OWN = b'{"type":"thinking","thinking":"a","signature":"EqQB+/=="}'
CALL = b'{"type":"tool_use","id":"t1","name":"f","input":{"x":1.50e1}}'
HEAD = b'{"max_tokens":9,"model":"real-1","y":1.0e2,"messages":[{"role":"user","content":"hi \\u0041"}'


def thought(signature: str) -> bytes:
    return b'{"type":"thinking","thinking":"", "signature": "%b"}' % signature.encode()


def talk(*blocks: bytes) -> bytes:
    return HEAD + b',{"role":"assistant","content":[' + b",".join(blocks) + b'],"z":2.50}]}'


@pytest.mark.parametrize("signature", ["gemini:c2ln", "mistral:MIS", "openai_responses:rs_1:xyz"])
@pytest.mark.parametrize("quirks", [Quirks(), SIGNED])
def test_what_others_sealed_stays_here_and_the_rest_goes_as_it_came(signature: str, quirks: Quirks) -> None:
    found = out(way(ANTHROPIC, ANTHROPIC, quirks=quirks), talk(OWN, thought(signature), CALL))
    assert b"".join(found.body) == talk(OWN, CALL)
    assert found.dropped == ("messages[1].content[1]",)


def test_a_thought_without_signature_goes_where_thoughts_need_none() -> None:
    text = talk(thought(""), CALL)
    assert out(way(ANTHROPIC, ANTHROPIC), text).body == (text,)
    found = out(way(ANTHROPIC, ANTHROPIC, quirks=SIGNED), text)
    assert (b"".join(found.body), found.dropped) == (talk(CALL), ("messages[1].content[0]",))


@pytest.mark.parametrize(
    "text",
    [
        talk(OWN, CALL),
        talk(b'{"type":"tool_use","id":"t1","name":"f","input":{"signature":""}}'),
        talk(b'{"type":"text","text":"\\"signature\\":\\"gemini:\\""}'),
        HEAD + b',5,{"role":"assistant","content":"x","signature":"gemini:"}]}',
        b'{"model":"real-1","max_tokens":9,"messages":[],"signature":""}',
    ],
)
def test_nothing_else_is_taken_for_a_foreign_thought(text: bytes) -> None:
    assert out(way(ANTHROPIC, ANTHROPIC, quirks=SIGNED), text).body == (text,)


def test_a_turn_of_nothing_else_goes_too() -> None:
    found = out(way(ANTHROPIC, ANTHROPIC), talk(thought("gemini:c2ln")))
    assert json.decode(b"".join(found.body))["messages"] == [{"role": "user", "content": "hi A"}]


def test_what_the_operator_sets_is_set_all_the_same() -> None:
    along = way(ANTHROPIC, ANTHROPIC, overrides={"max_tokens": 7})
    body, dropped = sent(along, json.decode(talk(thought("gemini:c2ln"), CALL)))
    assert body["max_tokens"] == 7
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]
    assert dropped == ("messages[1].content[0]",)


def test_who_wants_nothing_left_out_hears_of_it() -> None:
    along = way(ANTHROPIC, ANTHROPIC, unknown_fields="strict")
    members = {**json.decode(talk(thought("gemini:c2ln"), CALL))}
    members["messages"][1].pop("z")
    members.pop("y")
    assert refused(along, members).param == "messages[1].content[0]"


@pytest.mark.parametrize("key", ["thoughtSignature", "thought_signature"])
@pytest.mark.parametrize("inlet", [GEMINI, "gemini_array"])
def test_gemini_gets_no_thoughts_that_others_signed(inlet: str, key: str) -> None:
    call = {"functionCall": {"id": "t1", "name": "f", "args": {}}, "thoughtSignature": FILLER}
    own = {"text": "b", "thought": True, "thoughtSignature": "c2lnLUA9PQ=="}
    parts: list[Any] = [{"text": "a", "thought": True, key: foreign("ANT+/==")}, own, call]
    body, dropped = sent(way(inlet, GEMINI), {"contents": [{"role": "model", "parts": parts}]})
    assert body["contents"] == [{"role": "model", "parts": [own, call]}]
    assert dropped == ("contents[0].parts[0]",)


def test_responses_get_no_reasoning_that_others_sealed() -> None:
    asked = {"role": "user", "content": "hi"}
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    others = [{**own, "encrypted_content": f"parley:{kind}:x"} for kind in ("signature", "redacted")]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    members = {"model": "asked", "input": [asked, others[0], own, others[1], call]}
    body, dropped = sent(way(RESPONSES, RESPONSES), members)
    assert body == {"model": "real-1", "input": [asked, own, call]}
    assert dropped == ("input[1]", "input[3]")
    said = {"model": "real-1", "input": 'it says "parley:"'}
    assert sent(way(RESPONSES, RESPONSES), said) == (said, ())
