"""Requests that pass as they came, but for what another wire's provider sealed: it would be refused there."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import ChatResponse, Choice, Text, Thinking
from parley.settings import Quirks
from parley.wire import load
from parley.wire.signature import FILLER, foreign
from relay_parts import ANTHROPIC, OPENAI, out, refused, reply, sent, way

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


HOME = Quirks(options={"reasoning_field": None})
THINKING = {"type": "thinking", "thinking": "a", "signature": "EqQB+/=="}


def answered(**members: Any) -> list[Any]:
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "c", "type": "function", "function": function}
    sealed = {**call, "extra_content": {"google": {"thought_signature": "c2ln"}}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call, sealed], **members}
    return [{"role": "user", "content": "hi"}, turn, {"role": "tool", "tool_call_id": "c", "content": "x"}]


def test_the_makers_of_chat_get_no_members_that_only_others_know() -> None:
    asked = answered(reasoning_content="a", thinking_blocks=[THINKING], reasoning="a", name="n")
    body, dropped = sent(way(OPENAI, OPENAI, quirks=HOME), {"model": "real-1", "messages": asked})
    plain = answered(name="n")
    plain[1]["tool_calls"][1].pop("extra_content")
    assert body == {"model": "real-1", "messages": plain}
    assert dropped == (
        "messages[1].reasoning_content",
        "messages[1].thinking_blocks",
        "messages[1].reasoning",
        "messages[1].tool_calls[1].extra_content",
    )


def test_everything_beside_them_stays_byte_for_byte() -> None:
    text = (
        b'{"temperature":1.50,"messages":[{"role":"user","content":"\\u0041 \\"reasoning_content\\""},'
        b'{"content":"b","role":"assistant","reasoning_content":"a","z":2.50e1}],"model":"real-1"}'
    )
    found = out(way(OPENAI, OPENAI, quirks=HOME), text)
    assert b"".join(found.body) == text.replace(b'"reasoning_content":"a",', b"")
    assert found.dropped == ("messages[1].reasoning_content",)


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(options={"reasoning_field": "reasoning_content"})])
def test_compatible_servers_get_them_as_they_came(quirks: Quirks) -> None:
    text = json.encode({"model": "real-1", "messages": answered(reasoning_content="a", thinking_blocks=[THINKING])})
    assert out(way(OPENAI, OPENAI, quirks=quirks), text).body == (text,)


def test_who_signs_calls_gets_their_signatures_back() -> None:
    quirks = Quirks(options={"reasoning_field": None, "returns": "calls"})
    members = {"model": "real-1", "messages": answered(reasoning_content="a")}
    body, dropped = sent(way(OPENAI, OPENAI, quirks=quirks), members)
    assert body == {"model": "real-1", "messages": answered()}
    assert dropped == ("messages[1].reasoning_content",)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "reasoning_content"}],
        [3, {"role": "assistant", "tool_calls": {"extra_content": 1}}],
        {"reasoning_content": "a"},
        "reasoning",
    ],
)
def test_nothing_else_is_taken_for_them(messages: Any) -> None:
    text = json.encode({"model": "real-1", "messages": messages, "reasoning": "x", "extra_content": 1})
    assert out(way(OPENAI, OPENAI, quirks=HOME), text).body == (text,)


def test_items_that_we_made_do_not_reach_who_knows_its_own_only() -> None:
    ours = {"type": "reasoning", "id": "rs_parley_x_0", "summary": [], "content": []}
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    members = {"model": "real-1", "input": [{"role": "user", "content": "hi"}, ours, own]}
    body, dropped = sent(way(RESPONSES, RESPONSES, quirks=HOME), members)
    assert body["input"] == [members["input"][0], own]
    assert dropped == ("input[1]",)
    assert sent(way(RESPONSES, RESPONSES), members) == (members, ())


def test_they_are_taken_out_as_well_where_the_operator_sets_what_the_wire_cannot_name() -> None:
    ours = {"type": "reasoning", "id": "rs_parley_x_0", "summary": [], "encrypted_content": "parley:signature:x"}
    members = {"model": "real-1", "input": [{"role": "user", "content": "hi"}, ours]}
    along = way(RESPONSES, RESPONSES, quirks=HOME, defaults={"reasoning_effort": "low"})
    body, dropped = sent(along, members)
    assert not along.verbatim
    assert body["input"] == [members["input"][0]]
    assert dropped == ("input[1]",)


@pytest.mark.parametrize("text", ["", "because"])
def test_reasoning_that_nobody_sealed_says_so_by_its_id(text: str) -> None:
    response = ChatResponse(
        wire="any", id="", model="m", choices=(Choice(0, (Thinking("Hm" + text), Text("a"))),), created=5
    )
    made = json.decode(load(RESPONSES).encode_response(response, reply("any")))
    assert [item["type"] for item in made["output"]] == ["reasoning", "message"]
    members = {"model": "real-1", "input": [{"role": "user", "content": "hi"}, *made["output"]]}
    body, dropped = sent(way(RESPONSES, RESPONSES, quirks=HOME), members)
    assert [item.get("type") for item in body["input"]] == [None, "message"]
    assert dropped == ("input[1]",)
