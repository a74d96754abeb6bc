"""Why a provider of another wire stopped, where OpenAI's word for it does not say as much."""

from typing import Any

import pytest
from msgspec import json

from parley.fold import unfold
from parley.ir import ChatResponse, Choice, Text
from parley.wire import Reply, load

CHAT = load("openai_chat")


def both(native: str | None, wire: str = "gemini") -> list[dict[str, Any]]:
    """The choice of a whole answer, and that of the chunk that ends a stream."""
    reply = Reply(model="m", id="r", created=1, wire=wire)
    response = ChatResponse(wire=wire, id="x", model="m", choices=(Choice(0, (Text("a"),), "end", native=native),))
    encoder = CHAT.stream_encoder(reply)
    chunks = b"".join([encoder.feed(event) for event in unfold(response)]).split(b"\n\n")
    return [json.decode(CHAT.encode_response(response, reply))["choices"][0], json.decode(chunks[-3][6:])["choices"][0]]


@pytest.mark.parametrize("native", ["MALFORMED_FUNCTION_CALL", "CONTINUATION", "pause_turn", "LANGUAGE"])
def test_it_is_told_beside(native: str):
    for choice in both(native):
        assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", native)


@pytest.mark.parametrize("native", [None, "STOP", "end_turn", "COMPLETE", "eos_token"])
def test_what_says_no_more_is_not_repeated(native: str | None):
    for choice in both(native):
        assert (choice["finish_reason"], "native_finish_reason" in choice) == ("stop", False)


def test_its_own_wire_needs_no_other_word():
    for choice in both("odd", "openai_chat"):
        assert (choice["finish_reason"], "native_finish_reason" in choice) == ("odd", False)
