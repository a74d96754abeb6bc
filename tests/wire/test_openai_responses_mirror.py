"""What a response repeats of its request: as the caller wrote it, in one line, whoever has read it before."""

from typing import Any

import pytest
from msgspec import json

from parley import jsontext
from parley.failure import Failure
from parley.ir import Delta, End, Start, Text
from parley.wire import Reply
from wire.responses_parts import WIRE, frames
from wire.test_openai_responses_events import events_of

SAID: dict[str, Any] = {
    "model": "asked",
    "input": "hi",
    "instructions": 'Be "brief"\n\u2028',
    "temperature": 0.5,
    "metadata": {"a": "b"},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": {"type": "function", "name": "f"},
    "reasoning": {"effort": "low", "summary": None},
    "text": {"verbosity": "low"},
    "prompt_cache_key": "k",
    "conversation": "conv_1",
    "store": None,
    "odd": [1],
}


def told(asked: bytes, *, read: bool, wire: str = "openai_chat") -> list[dict[str, Any]]:
    """The responses that the events of a stream hold."""
    members = jsontext.members(asked) if read else None
    reply = Reply(model="m", id="req_1", created=5, wire=wire, asked=asked, members=members)
    encoder = WIRE.stream_encoder(reply)
    out = b"".join([encoder.feed(event) for event in events_of(Text("x"))])
    return [value["response"] for value in frames(out) if "response" in value]


@pytest.mark.parametrize("wire", ["openai_chat", "openai_responses"])
@pytest.mark.parametrize("spaced", [False, True])
def test_members_that_were_read_before_are_told_like_those_of_the_body(wire: str, spaced: bool) -> None:
    body = json.format(json.encode(SAID), indent=2) if spaced else json.encode(SAID)
    once, again = told(body, read=True, wire=wire), told(body, read=False, wire=wire)
    assert once == again
    assert [response["status"] for response in once] == ["in_progress", "in_progress", "completed"]
    for response in once:
        assert {name: response[name] for name in ("instructions", "temperature", "metadata", "tools")} == {
            name: SAID[name] for name in ("instructions", "temperature", "metadata", "tools")
        }
        assert response["tool_choice"] == SAID["tool_choice"]
        assert response["reasoning"] == {"effort": "low", "summary": None}
        assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
        assert response["prompt_cache_key"] == "k"
        assert response["conversation"] == {"id": "conv_1"}
        assert response["store"] is True
        assert "odd" not in response
        assert "input" not in response


def test_every_event_is_one_line_of_data() -> None:
    body = json.format(json.encode(SAID), indent=2)
    reply = Reply(model="m", id="req_1", created=5, wire="openai_chat", members=jsontext.members(body))
    encoder = WIRE.stream_encoder(reply)
    out = b"".join([encoder.feed(event) for event in [Start("x", "m"), End()]])
    for block in out.removesuffix(b"\n\n").split(b"\n\n"):
        event, data = block.split(b"\n")
        assert event.startswith(b"event: response.")
        assert json.decode(data.removeprefix(b"data: "))["response"]["metadata"] == {"a": "b"}


def test_the_members_stay_in_their_order() -> None:
    names = [list(response) for response in told(json.encode(SAID), read=True)]
    assert names[0] == names[1] == names[2]
    assert names[0][:4] == ["id", "object", "created_at", "status"]
    assert names[0][-3:] == ["metadata", "prompt_cache_key", "conversation"]


@pytest.mark.parametrize("asked", [b'{"instructions":"\\ud800"}', b'{"metadata":{"a":"\\ud800"}}'])
def test_text_that_is_none_is_not_repeated_in_an_answer_of_this_wire(asked: bytes) -> None:
    for response in told(asked, read=False, wire="openai_responses"):
        assert response["instructions"] is None
        assert response["metadata"] == {}


def test_an_answer_that_ended_early_holds_what_was_said() -> None:
    encoder = WIRE.stream_encoder(Reply(model="m", id="req_1", created=5, wire="openai_chat"))
    opened = events_of(Text(""))[:2]
    before = b"".join([encoder.feed(event) for event in [*opened, Delta(0, 0, "text", "half")]])
    *_, last = frames(before + encoder.fail(Failure("upstream_error", "it broke")))
    response = last["response"]
    assert response["status"] == "failed"
    assert response["error"]["message"] == "it broke"
    (message,) = response["output"]
    assert message["status"] == "incomplete"
    assert message["content"][0]["text"] == "half"
    assert response["usage"] is None
