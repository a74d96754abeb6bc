"""Responses streams for a caller: the order of events, their numbers, and that all of them make the final answer."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.failure import Failure
from parley.fold import unfold
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    ChatResponse,
    Choice,
    Delta,
    DeltaKind,
    End,
    Event,
    Finish,
    Opaque,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Reply, load
from wire.responses_parts import CHAT, RECORDINGS, WIRE, failure, folded, frames, judged_whole, kinds, reply, written

TEXT = ["output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done"]
CALL = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done"]


def chat_events(name: str) -> list[Event]:
    decoder = CHAT.stream_decoder()
    return [*decoder.feed((RECORDINGS / "openai_chat" / name).read_bytes()), *decoder.close()]


def events_of(*blocks: Block, stop: Any = "end", **members: Any) -> list[Event]:
    return unfold(ChatResponse(wire="other", id="x", model="m", choices=(Choice(0, blocks, stop, **members),)))


def test_the_minimal_text_stream() -> None:
    encoder = WIRE.stream_encoder(reply(asked={"model": "asked", "input": "hi", "temperature": 0.5}))
    stream = b"".join(encoder.feed(event) for event in chat_events("text.sse"))
    assert stream == (RECORDINGS / "openai_responses" / "from_chat_text.sse").read_bytes()
    assert kinds(frames(stream)) == [
        "created",
        "in_progress",
        *TEXT[:3],
        *TEXT[2:],
        "output_item.done",
        "completed",
    ]


def test_a_tool_call_stream() -> None:
    found = written(chat_events("tools.sse"), reply())
    assert kinds(found) == ["created", "in_progress", *CALL[:2], *CALL[1:], "output_item.done", "completed"]
    (item,) = found[-1]["response"]["output"]
    assert item == {
        "id": "fc_req-1_0",
        "type": "function_call",
        "status": "completed",
        "arguments": '{"at": 1.50}',
        "call_id": "call_1",
        "name": "look",
    }
    assert found[-2]["item"] == item
    assert found[-1]["response"]["usage"]["total_tokens"] == 27


RECORDED = sorted(path for wire in ("openai_chat", "anthropic") for path in (RECORDINGS / wire).glob("*.sse"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_streams_of_other_wires(path: Path) -> None:
    wire = path.parent.name
    decoder = load(wire).stream_decoder()
    events = [*decoder.feed(path.read_bytes()), *decoder.close()]
    found = written(events, reply(wire))
    response = found[-1]["response"]
    whole = folded(events, wire)
    assert judged_whole(WIRE.encode_response(whole, reply(wire))) == response
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    told = [part.get("text") or part.get("refusal") for part in parts]
    assert told == [block.text for block in whole.choices[0].content if isinstance(block, Text | Refusal)]
    assert response["usage"]["output_tokens"] > 0


def test_blocks_become_items_in_their_order() -> None:
    blocks = (Thinking("Hm."), Text("I look."), Text(" Wait."), ToolCall("a", "f", "{}"), Text("Then"), Refusal("no"))
    found = written(events_of(*blocks, stop="tool_use"), reply())
    output = found[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "message"]
    assert output[0]["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert [part["text"] for part in output[1]["content"]] == ["I look.", " Wait."]
    assert [part["type"] for part in output[3]["content"]] == ["output_text", "refusal"]
    assert len({item["id"] for item in output}) == 4
    assert kinds(found)[2:9] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
    ]
    assert found[-1]["response"]["status"] == "completed"


def test_parallel_calls_grow_side_by_side() -> None:
    events: list[Event] = [
        Start("x", "m"),
        BlockStart(0, 0, ToolCall("a", "f")),
        Delta(0, 0, "arguments", '{"x":'),
        BlockStart(0, 1, ToolCall("b", "g")),
        Delta(0, 1, "arguments", "{}"),
        Delta(0, 0, "arguments", "1}"),
        BlockStop(0, 1),
        BlockStop(0, 0),
        Finish(0, "tool_use"),
        End(),
    ]
    found = written(events, reply())
    deltas = [(value["output_index"], value["delta"]) for value in found if value["type"].endswith(".delta")]
    assert deltas == [(0, '{"x":'), (1, "{}"), (0, "1}")]
    assert [value["output_index"] for value in found if value["type"].endswith("item.done")] == [0, 1]
    assert [item["arguments"] for item in found[-1]["response"]["output"]] == ['{"x":1}', "{}"]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    found = written(events_of(ToolCall("a", "f"), stop="tool_use"), reply())
    assert [value.get("delta", value.get("arguments")) for value in found[3:5]] == ["{}", "{}"]


@pytest.mark.parametrize(
    ("stop", "blocks", "reason"),
    [
        ("length", (Text("Hal"),), "max_output_tokens"),
        ("refusal", (Text("Hal"),), "content_filter"),
        ("refusal", (Refusal("No."),), None),
        ("stop_sequence", (Text("Hi"),), None),
        ("pause", (Text("Hi"),), None),
    ],
)
def test_how_an_answer_ends(stop: Any, blocks: tuple[Block, ...], reason: str | None) -> None:
    found = written(events_of(Text("first"), ToolCall("a", "f", "{}"), *blocks, stop=stop), reply())
    response = found[-1]["response"]
    status = "completed" if reason is None else "incomplete"
    assert found[-1]["type"] == f"response.{status}"
    assert response["status"] == status
    assert response["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert [item["status"] for item in response["output"]] == ["completed", "completed", status]
    assert [value["item"]["status"] for value in found if value["type"].endswith("item.done")][-1] == status


def test_an_answer_that_ended_in_error_is_no_answer() -> None:
    encoder = WIRE.stream_encoder(reply())
    *events, finish, _ = events_of(Text("x"), stop="error")
    for event in events:
        encoder.feed(event)
    assert failure(encoder.feed, finish).kind == "upstream_error"


def test_the_request_is_repeated() -> None:
    asked = {
        "model": "asked",
        "input": "hi",
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "temperature": 0.25,
        "top_p": 0.5,
        "top_logprobs": 3,
        "max_output_tokens": 64,
        "max_tool_calls": 2,
        "previous_response_id": "resp_0",
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "truncation": "auto",
        "metadata": {"k": "v"},
        "user": "u",
        "store": False,
        "safety_identifier": "s",
        "prompt_cache_key": "p",
        "background": False,
    }
    response = written(events_of(Text("x")), reply(asked=asked))[-1]["response"]
    assert {name: response[name] for name in asked if name not in ("model", "input")} == {
        name: value for name, value in asked.items() if name not in ("model", "input")
    }
    assert response["model"] == "m"
    talked = written(events_of(Text("x")), reply(asked={"conversation": "conv_1", "temperature": None}))
    assert talked[-1]["response"]["conversation"] == {"id": "conv_1"}
    assert talked[-1]["response"]["temperature"] is None


@pytest.mark.parametrize("asked", [b"", b"[1]", b"{broken", b"\xff"])
def test_without_a_request_the_defaults_are_told(asked: bytes) -> None:
    to = Reply(model="asked", id="req-1", created=5, wire="openai_chat", asked=asked)
    (opening, _) = frames(WIRE.stream_encoder(to).feed(Start("x", "m")))
    assert opening["response"]["tools"] == []
    assert opening["response"]["tool_choice"] == "auto"
    assert opening["response"]["store"] is True
    assert opening["response"]["created_at"] == 5


def test_ids_are_made_of_the_request_s_own() -> None:
    odd = Reply(model="m", id="a b/c", created=5, wire="other")
    found = written(events_of(Text("x"), Thinking("y"), ToolCall("i", "f", "{}")), odd)
    response = found[-1]["response"]
    assert response["id"] == "resp_a_b_c"
    assert [item["id"] for item in response["output"]] == ["msg_a_b_c_0", "rs_parley_a_b_c_1", "fc_a_b_c_2"]
    assert {value["item_id"] for value in found if "item_id" in value} == {item["id"] for item in response["output"]}


def test_probabilities_are_told_with_their_tokens() -> None:
    one = {
        "token": "é",
        "logprob": -0.5,
        "bytes": None,
        "top_logprobs": [{"token": "e", "logprob": -2.0, "bytes": None}],
    }
    events: list[Event] = [
        Start("x", "m"),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "é", {"content": [one], "refusal": None}),
        Delta(0, 0, "text", "!"),
        BlockStop(0, 0),
        Finish(0, "end"),
        End(),
    ]
    found = written(events, reply())
    told = {
        "token": "é",
        "bytes": [195, 169],
        "logprob": -0.5,
        "top_logprobs": [{"token": "e", "bytes": [101], "logprob": -2.0}],
    }
    assert [value["logprobs"] for value in found if value["type"].endswith("text.delta")] == [[told], []]
    assert found[-1]["response"]["output"][0]["content"][0]["logprobs"] == [told]
    assert folded(events, "openai_chat").choices[0].logprobs is not None


def test_signed_thinking_of_another_wire_is_sealed_in_the_item() -> None:
    found = written(events_of(Thinking("Hm.", "AbC=="), Thinking(redacted="XyZ"), Thinking("", "")), reply("anthropic"))
    output = found[-1]["response"]["output"]
    assert [item["encrypted_content"] for item in output] == [
        "parley:signature:AbC==",
        "parley:redacted:XyZ",
        "parley:signature:",
    ]
    back = WIRE.decode_request({"model": "m", "input": output})
    assert back.messages[0].content == (Thinking("Hm.", "AbC=="), Thinking(redacted="XyZ"), Thinking("", ""))


def test_what_only_another_wire_knows_has_no_item() -> None:
    found = written(events_of(Opaque("anthropic", {"type": "server_tool_use"}), Text("x")), reply("anthropic"))
    assert [item["type"] for item in found[-1]["response"]["output"]] == ["message"]


def test_only_the_first_choice_is_told() -> None:
    events = events_of(Text("one"))
    other: list[Event] = [BlockStart(1, 0, Text("")), Delta(1, 0, "text", "two"), BlockStop(1, 0), Finish(1, "length")]
    found = written([events[0], *other, *events[1:]], reply())
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == "one"
    assert found[-1]["response"]["status"] == "completed"


def test_a_failure_before_the_response_is_an_error_event() -> None:
    stream = WIRE.stream_encoder(reply()).fail(Failure("upstream_error", "it broke", param="input"))
    (told,) = frames(stream)
    assert told == {
        "type": "error",
        "sequence_number": 0,
        "code": "upstream_error",
        "message": "it broke",
        "param": "input",
    }


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("upstream_incomplete", "server_error"),
        ("upstream_rate_limited", "rate_limit_exceeded"),
        ("upstream_rejected", "invalid_prompt"),
    ],
)
def test_a_failure_after_that_is_a_failed_response(kind: str, code: str) -> None:
    encoder = WIRE.stream_encoder(reply())
    events = events_of(Text("whole"), ToolCall("a", "f", "{}"), Text("half"))
    told = b"".join(encoder.feed(event) for event in events[:-3])
    found = frames(told + encoder.fail(Failure(kind, "it broke")))
    assert found[-1]["type"] == "response.failed"
    response = found[-1]["response"]
    assert response["status"] == "failed"
    assert response["error"] == {"code": code, "message": "it broke", "param": None, "type": kind}
    assert [item["status"] for item in response["output"]] == ["completed", "completed", "incomplete"]
    assert response["output"][2]["content"][0]["text"] == "half"
    assert not [value for value in found if value["type"] in ("response.completed", "response.incomplete")]


# --- any events --------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
SHELLS: dict[DeltaKind, Any] = {
    "text": lambda number: Text(""),
    "refusal": lambda number: Refusal(""),
    "thinking": lambda number: Thinking(""),
    "arguments": lambda number: ToolCall(f"call_{number}", "look"),
}


@st.composite
def plans(draw: Any) -> list[Event]:
    """Events of an answer whose blocks begin in order and grow in any."""
    waiting = draw(st.lists(st.tuples(st.sampled_from(sorted(SHELLS)), st.lists(WORDS, max_size=3)), max_size=5))
    events: list[Event] = [Start("x", "m", 9, Usage(3, 0))]
    growing: dict[int, tuple[DeltaKind, list[str]]] = {}
    count = len(waiting)
    for step in range(400):
        number = count - len(waiting)
        if waiting and (not growing or draw(st.booleans())):
            kind, words = waiting.pop(0)
            events.append(BlockStart(0, number, SHELLS[kind](number)))
            growing[number] = kind, [json.encode(words).decode()] if kind == "arguments" else list(words)
        elif growing:
            index = draw(st.sampled_from(sorted(growing)))
            kind, words = growing[index]
            if words:
                events.append(Delta(0, index, kind, words.pop(0)))
            else:
                del growing[index]
                events.append(BlockStop(0, index))
        else:
            assert step < 399
            break
    stop = draw(st.sampled_from(["end", "length", "tool_use", "refusal", "pause"]))
    return [*events, Finish(0, stop), End(Usage(3, 4))]


@settings(max_examples=60, deadline=None)
@given(plans())
def test_any_events_make_a_whole_stream(events: list[Event]) -> None:
    found = written(events, reply("other"))
    names = kinds(found)
    assert names[:2] == ["created", "in_progress"]
    assert names[-1] in ("completed", "incomplete")
    final = found[-1]["response"]["output"]
    opened = [value["output_index"] for value in found if value["type"] == "response.output_item.added"]
    closed = {value["output_index"]: value["item"] for value in found if value["type"] == "response.output_item.done"}
    assert opened == list(range(len(final)))
    assert [closed[place] for place in opened] == final
    grown: dict[tuple[int, int], str] = {}
    for value in found:
        key = value.get("output_index", 0), value.get("content_index", 0)
        if value["type"].endswith(".delta"):
            grown[key] = grown.get(key, "") + value["delta"]
        elif value["type"].split(".")[1] in ("output_text", "refusal", "reasoning_text", "function_call_arguments"):
            whole = [value[name] for name in ("text", "refusal", "arguments") if name in value]
            assert whole == [grown.get(key, "")]
    whole = json.decode(WIRE.encode_response(folded(events, "other"), reply("other")))
    assert whole == found[-1]["response"]


@settings(max_examples=40, deadline=None)
@given(plans(), st.integers(1, 3))
def test_what_is_written_is_read_again(events: list[Event], size: int) -> None:
    encoder = WIRE.stream_encoder(reply("other"))
    stream = b"".join(encoder.feed(event) for event in events)
    decoder = WIRE.stream_decoder()
    again = [found for at in range(0, len(stream), size) for found in decoder.feed(stream[at : at + size])]
    response = folded(again + decoder.close())
    before = folded(events, "other")
    assert [bare(block) for block in response.choices[0].content] == [
        bare(block) for block in before.choices[0].content
    ]
    assert response.usage == Usage(3, 4, 0, 0, 0)
    assert judged_whole(WIRE.encode_response(response, reply("openai_responses"))) == frames(stream)[-1]["response"]


def bare(block: Block) -> tuple[str, str]:
    match block:
        case ToolCall():
            return block.id, block.arguments
        case Text(text) | Refusal(text) | Thinking(text):
            return type(block).__name__, text
    raise AssertionError(block)
