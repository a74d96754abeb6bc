"""What is scrubbed of conversations: the vectors of the contract, in every form, on the way in and on the way out."""

import json
from typing import Any

import pytest

from gateway.contexts import Talk
from parley.wire.dapr.request import decode_alpha1, decode_alpha2
from parley.wire.dapr.turns import said

VECTORS = [
    ("+2222222222", "<PHONE_NUMBER>"), ("+4422222222", "<PHONE_NUMBER>"), ("test@test.com", "<EMAIL_ADDRESS>"),
    ("10.8.9.1", "<IP>"), ("6011553157232994", "<CREDIT_CARD>"), ("well hello there", "well hello there"),
    (
        "is488-23-3729. ... https://aavaz.ai/emp/488-23-3729",
        "is<US_SSN>. ... https://aavaz.ai/emp/488-23-3729",
    ),
    ("4111 1111 1111 1111", "<CREDIT_CARD>"), ("00:1A:2B:3C:4D:5E", "<MAC_ADDRESS>"),
    ("DE89370400440532013000", "<IBAN>"), ("P.O. Box 1234", "<PO_BOX>"),
    ("123 Main Street today", "<STREET_ADDRESS>today"), ("978-3-16-148410-0", "<ISBN>"),
    ("(212) 456-7890", "<PHONE_NUMBER>"), ("year 2024", "year <PHONE_NUMBER>"), ("id 123", "id 123"),
    ("10:30", "10:30"), ("v1.16.0", "v1.16.0"), ("$1,000", "$1,000"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seen"), VECTORS)
def test_vectors(text: str, seen: str) -> None:
    one = {"model": "m", "inputs": [{"content": text, "scrubPII": True}, {"content": text}]}
    [first, second] = decode_alpha1(dict(one)).messages
    assert [block.text for block in (*first.content, *second.content)] == [seen, text]
    content = {"content": [{"text": text}]}
    kinds = ({"ofUser": content}, {"ofSystem": content}, {"ofDeveloper": content}, {"ofAssistant": content})
    two = {"model": "m", "inputs": [{"scrubPii": True, "messages": [*kinds, {"ofTool": {"toolId": "t", **content}}]}]}
    *plain, tool = decode_alpha2(dict(two)).messages
    assert {block.text for message in plain for block in message.content} == {seen}
    assert tool.content[0].content[0].text == seen
    for form, body in (("dapr_alpha1", one), ("dapr_alpha2", two)):
        assert said(form, json.dumps(body).encode())[0].text == seen


@pytest.mark.parametrize(("text", "seen"), VECTORS)
def test_answers(text: str, seen: str) -> None:
    def told(form: str, inputs: Any, **asked: Any) -> Any:
        talk = Talk()
        _, ear = talk.ask({"inputs": inputs, **asked}, f"/v1.0-{form}/conversation/{{}}/converse")
        talk.answer(text)
        return json.loads(ear.text)["outputs"][0]

    one, two = [{"content": "x"}], [{"messages": [{"ofUser": {"content": [{"text": "x"}]}}]}]
    assert told("alpha1", one, scrubPII=True) == {"result": seen}
    assert told("alpha1", one) == {"result": text}
    assert told("alpha2", two, scrubPii=True)["choices"][0]["message"]["content"] == seen
    # The other form's spelling is not known here.
    assert told("alpha2", two, scrubPII=True)["choices"][0]["message"]["content"] == text


def test_times_are_written_as_the_runtime_does() -> None:
    for given, told in (("86400s", "24h0m0s"), ("60s", "1m0s"), ("1.500s", "1.5s"), ("3661s", "1h1m1s"), ("0s", "0s")):
        body = {"model": "m", "inputs": [{}], "promptCacheRetention": given, "metadata": {"a": "b"}}
        assert decode_alpha2(body).labels == {"a": "b", "prompt_cache_retention": told}
