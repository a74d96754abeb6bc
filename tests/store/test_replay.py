"""A stored response told again as events: in order, numbered, from any place on."""

from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from parley.store.replay import replayed
from store.parts import answer

TEXT = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def events(response: dict[str, Any], after: int = -1) -> list[dict[str, Any]]:
    """The events as a client reads them: names and data must agree."""
    told = []
    for block in replayed(response, after).split(b"\n\n")[:-1]:
        name, data = block.split(b"\n")
        told.append(msgspec.json.decode(data.removeprefix(b"data: ")))
        assert name == b"event: " + told[-1]["type"].encode()
    return told


def types(response: dict[str, Any], after: int = -1) -> list[str]:
    return [event["type"] for event in events(response, after)]


def test_a_text_in_the_shortest_sequence() -> None:
    told = events(answer("r1", "hello"))
    assert [event["type"] for event in told] == TEXT
    assert [event["sequence_number"] for event in told] == list(range(9))
    assert told[0]["response"]["status"] == "in_progress"
    assert told[0]["response"]["output"] == []
    assert told[2]["item"]["content"] == []
    assert told[3]["part"]["text"] == ""
    assert (told[4]["delta"], told[5]["text"], told[6]["part"]["text"]) == ("hello", "hello", "hello")
    assert told[-1]["response"] == answer("r1", "hello")


def test_it_goes_on_after_any_event() -> None:
    assert types(answer("r1", "hello"), 4) == TEXT[5:]
    assert types(answer("r1", "hello"), 0) == TEXT[1:]
    assert types(answer("r1", "hello"), 99) == []


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_it_ends_as_it_ended(status: str) -> None:
    assert types(answer("r1", "x", status=status))[-1] == f"response.{status}"


def test_every_kind_of_item_is_what_the_sdk_reads() -> None:
    output = [
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}], "status": "completed"},
        {
            "type": "function_call",
            "id": "fc",
            "call_id": "c",
            "name": "f",
            "arguments": '{"a":1}',
            "status": "completed",
        },
        {"type": "custom_tool_call", "id": "ct", "call_id": "c", "name": "f", "input": "raw"},
        {
            "type": "message",
            "id": "msg",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "refusal", "refusal": "no"}],
        },
    ]
    told = events(answer("r1", "") | {"output": output})
    reader: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for event in told:
        assert reader.validate_python(event).type == event["type"]
    assert [event["type"].removeprefix("response.") for event in told[2:-1]] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    assert [event["item"] for event in told if event["type"] == "response.output_item.done"] == output
