"""Gemini's signatures of texts come back on the parts that they were on, whatever the caller's dialect."""

from typing import Any

import pytest
from msgspec import json

from parley.fold import Fold, unfold
from parley.ir import ChatResponse
from parley.wire import load
from wire.gemini_parts import WIRE, answer, candidate, event, read, reply, sent

SEAL, OTHER = "VGV4dA==", "Q2FsbA=="
CALL = {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": OTHER}
THOUGHT = {"text": "hm", "thought": True, "thoughtSignature": OTHER}
SIGNED = {"text": "Hello", "thoughtSignature": SEAL}
ENDED = [{"text": "Hello"}, {"text": "", "thoughtSignature": SEAL}]


def chat(response: ChatResponse) -> dict[str, Any]:
    (choice,) = json.decode(load("openai_chat").encode_response(response, reply("gemini")))["choices"]
    return {"role": "assistant", **{name: value for name, value in choice["message"].items() if value is not None}}


def messages(response: ChatResponse) -> dict[str, Any]:
    made = json.decode(load("anthropic").encode_response(response, reply("gemini")))
    return {"role": "assistant", "content": made["content"]}


CALLERS = {"openai_chat": chat, "anthropic": messages}


def back(wire: str, response: ChatResponse) -> list[dict[str, Any]]:
    """The parts of the model's turn as the provider sees them again."""
    turns = [{"role": "user", "content": "a"}, CALLERS[wire](response), {"role": "user", "content": "b"}]
    request = load(wire).decode_request({"model": "m", "max_tokens": 9, "messages": turns})
    parts: list[dict[str, Any]] = sent(request)["contents"][1]["parts"]
    return parts


def streamed(parts: list[dict[str, Any]]) -> ChatResponse:
    whole = Fold("gemini")
    data = b"".join([event(candidate(part)) for part in parts]) + event(candidate(reason="STOP"))
    for found in read(data):
        whole.feed(found)
    return whole.response()


@pytest.mark.parametrize("wire", CALLERS)
@pytest.mark.parametrize("parts", [[SIGNED], ENDED, [THOUGHT, SIGNED, CALL], [*ENDED, CALL], [SIGNED, CALL]])
def test_they_come_back(wire: str, parts: list[dict[str, Any]]):
    assert back(wire, WIRE.decode_response(answer(candidate(*parts, reason="STOP")))) == parts
    assert back(wire, streamed(parts)) == parts


def test_a_caller_of_gemini_s_own_reads_them_where_they_were():
    made = WIRE.encode_response(WIRE.decode_response(answer(candidate(SIGNED, *ENDED, reason="STOP"))), reply("gemini"))
    assert json.decode(made)["candidates"][0]["content"]["parts"] == [SIGNED, *ENDED]
    encoder = WIRE.stream_encoder(reply("gemini"))
    data = b"".join([encoder.feed(found) for found in unfold(streamed([SIGNED]))])
    assert SEAL.encode() in data
    assert b'"thought":true' not in data


@pytest.mark.parametrize("wire", ["anthropic", "openai_responses"])
def test_another_provider_never_gets_them(wire: str):
    response = WIRE.decode_response(answer(candidate(SIGNED, reason="STOP")))
    turns = [{"role": "user", "content": "a"}, chat(response), {"role": "user", "content": "b"}]
    request = load("openai_chat").decode_request({"model": "m", "max_tokens": 9, "messages": turns})
    encoded = load(wire).encode_request(request, {})
    assert SEAL.encode() not in json.encode(encoded.body)
    assert [name for name in encoded.dropped if name.startswith("messages[1]")]
