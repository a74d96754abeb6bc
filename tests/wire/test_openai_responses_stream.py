"""Responses streams of a provider: every way to cut them, to leave things out of them, and to break them."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import BlockStart, BlockStop, Delta, End, Event, Finish, Opaque, Refusal, Start, Text, Thinking, ToolCall
from parley.wire import load
from wire.responses_parts import (
    CHAT,
    RECORDINGS,
    WIRE,
    added,
    answer,
    call,
    completed,
    created,
    done,
    event,
    failure,
    folded,
    message,
    read,
    reasoning,
    reply,
    text_delta,
)

ANTHROPIC = load("anthropic")
RECORDED = (RECORDINGS / "openai_responses" / "reasoning_tools.sse").read_bytes()
TEXT = created() + text_delta("Hel") + text_delta("lo") + completed(message())


def blocks(*data: bytes) -> list[Any]:
    """The blocks of the answer without what they keep for their own wire."""
    found: list[Any] = []
    for block in folded(read(*data)).choices[0].content:
        match block:
            case Text(text) | Refusal(text):
                found.append(type(block)(text))
            case Thinking():
                found.append(Thinking(block.text, block.signature, block.redacted))
            case ToolCall():
                found.append(ToolCall(block.id, block.name, block.arguments))
            case _:
                found.append(block)
    return found


def test_a_recorded_stream() -> None:
    response = folded(read(RECORDED))
    last = json.decode(RECORDED.strip().rpartition(b"data: ")[2])["response"]
    assert blocks(RECORDED) == [
        Thinking("**Look it up**\n\nThen tell.", "openai_responses:rs_0a:gAAAAB=="),
        Opaque("openai_responses", last["output"][1]),
        Text("Grüße 👋"),
        ToolCall("call_0a", "look", '{"at": 1.50}'),
    ]
    assert (response.id, response.model, response.created) == ("resp_0a", "m-1", 1700000000)
    assert response.choices[0].stop == "tool_use"
    assert response.usage is not None
    assert (response.usage.input, response.usage.cached, response.usage.reasoning) == (20, 4, 12)
    again = WIRE.encode_response(response, reply("openai_responses"))
    assert json.decode(again) == {**json.decode(again), **last}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64])
def test_a_stream_is_the_same_however_it_is_cut(size: int) -> None:
    once = read(RECORDED)
    for data in (RECORDED, RECORDED.replace(b"\n", b"\r\n"), RECORDED.replace(b"data: ", b": hi\nid: 1\ndata:")):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert read(*pieces) == once


def test_its_events() -> None:
    start, opened, first, second, stop, finish, end = read(
        created()
        + added(message(content=[]))
        + event(
            "response.content_part.added", output_index=0, content_index=0, part={"type": "output_text", "text": ""}
        )
        + text_delta("Hel")
        + text_delta("lo")
        + event(
            "response.content_part.done",
            output_index=0,
            content_index=0,
            part={"type": "output_text", "text": "Hello", "annotations": []},
        )
        + completed(message())
    )
    assert isinstance(start, Start)
    assert (start.id, start.model, start.created) == ("resp_7", "m", 7)
    assert isinstance(opened, BlockStart)
    assert (first, second) == (Delta(0, 0, "text", "Hel"), Delta(0, 0, "text", "lo"))
    assert stop == BlockStop(0, 0, {"part": {"type": "output_text", "annotations": []}})
    assert finish == Finish(0, "end")
    assert isinstance(end, End)
    assert end.extra == answer(message())


REFUSED = {"type": "refusal", "refusal": "No."}


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        # Nothing is announced, no indexes, names of events only.
        (TEXT, [Text("Hello")]),
        (TEXT.replace(b'"output_index":0,', b"").replace(b'"content_index":0,', b""), [Text("Hello")]),
        (TEXT.replace(b'"type":"response.output_text.delta",', b""), [Text("Hello")]),
        (TEXT.replace(b"event: ", b"x: "), [Text("Hello")]),
        (text_delta("Hello") + completed(message()), [Text("Hello")]),
        # The text comes when it is done, with the item, or at the end.
        (created() + added(message("")) + done(message()) + completed(message()), [Text("Hello")]),
        (created() + completed(message()), [Text("Hello")]),
        (created() + done(message()) + completed(message()), [Text("Hello")]),
        (created() + text_delta("Hel") + completed(message()), [Text("Hello")]),
        (
            created()
            + added(message(""))
            + event("response.output_text.done", output_index=0, content_index=0, text="Hello")
            + completed(),
            [Text("Hello")],
        ),
        # What was said differs from what is said to have been said.
        (created() + text_delta("Hello") + done(message("Other")) + completed(message("Third")), [Text("Hello")]),
        # The same item under another number at the end.
        (created() + added(message(), 4) + done(message(), 4) + completed(message()), [Text("Hello")]),
        # Every item under the same number; an item announced twice.
        (
            created()
            + added(call(""))
            + added(call("", "fc_2", call_id="call_2"))
            + event("response.function_call_arguments.delta", item_id="fc_1", output_index=0, delta="{}")
            + event("response.function_call_arguments.delta", item_id="fc_2", output_index=0, delta="[]")
            + completed(call("{}"), call("[]", "fc_2", call_id="call_2")),
            [ToolCall("call_1", "look", "{}"), ToolCall("call_2", "look", "[]")],
        ),
        (created() + added(call("{}")) + added(call("{}")) + completed(call("{}")), [ToolCall("call_1", "look", "{}")]),
        # Refusals.
        (created() + event("response.refusal.delta", output_index=0, delta="No.") + completed(), [Refusal("No.")]),
        (created() + completed(message(content=[REFUSED])), [Refusal("No.")]),
        # Calls.
        (created() + added(call("")) + done(call("{}")) + completed(call("{}")), [ToolCall("call_1", "look", "{}")]),
        (created() + added(call("{}")) + completed(call("{}")), [ToolCall("call_1", "look", "{}")]),
        (
            created()
            + added(call(""))
            + event("response.function_call_arguments.delta", item_id="fc_1", delta='{"q": ')
            + event("response.function_call_arguments.done", item_id="fc_1", arguments='{"q": 1}')
            + completed(call()),
            [ToolCall("call_1", "look", '{"q": 1}')],
        ),
        (created() + completed(call("")), [ToolCall("call_1", "look", "")]),
        # Reasoning: its own words, else the summary, and what seals it.
        (
            created()
            + event("response.reasoning_text.delta", output_index=0, delta="H")
            + event("response.reasoning_text.delta", output_index=0, delta="m.")
            + event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="short")
            + completed(reasoning()),
            [Thinking("Hm.", "openai_responses:rs_1:gAAA=")],
        ),
        (created() + completed(reasoning(encrypted_content=None)), [Thinking("Hm.")]),
        (created() + completed(reasoning(encrypted_content="parley:signature:s")), [Thinking("Hm.", "s")]),
        (created() + completed(reasoning(encrypted_content="parley:redacted:r")), [Thinking(redacted="r")]),
        (
            created() + event("response.reasoning_text.delta", output_index=0, delta="Hm.") + completed(),
            [Thinking("Hm.")],
        ),
        # Nothing at all is an answer too.
        (created() + completed(), []),
        (completed(), []),
        (TEXT + b"data: [DONE]\n\n" + text_delta("late") + b"data: {broken\n\n", [Text("Hello")]),
        (created() + b"data: [DONE]\n\n" + text_delta("Hello") + completed(), [Text("Hello")]),
        (
            created() + event("response.output_item.added", output_index=0, item=None) + completed(message()),
            [Text("Hello")],
        ),
        (created() + event("response.of_tomorrow", delta=[1]) + TEXT, [Text("Hello")]),
    ],
)
def test_streams_of_real_servers(stream: bytes, found: list[Any]) -> None:
    assert blocks(stream) == found
    pieces = [stream[at : at + 1] for at in range(len(stream))]
    assert blocks(*pieces) == found


def test_blocks_keep_the_places_of_their_items() -> None:
    searched = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    stream = (
        created()
        + added({**searched, "status": "in_progress"}, 0)
        + added(message(""), 1)
        + text_delta("Hello").replace(b'"output_index":0', b'"output_index":1')
        + done(searched, 0)
        + completed(searched, message())
    )
    assert blocks(stream) == [Opaque("openai_responses", searched), Text("Hello")]


def test_probabilities_come_with_their_text() -> None:
    tokens = [{"token": "Hel", "logprob": -0.5, "bytes": [72], "top_logprobs": []}]
    data = text_delta("Hel").replace(b'"logprobs":[]', b'"logprobs":' + json.encode(tokens))
    response = folded(read(created() + data + text_delta("lo") + completed(message())))
    assert response.choices[0].logprobs == {"content": tokens}


@pytest.mark.parametrize(
    ("kind", "reason", "stop"),
    [
        ("response.incomplete", {"reason": "max_output_tokens"}, "length"),
        ("response.incomplete", {"reason": "content_filter"}, "refusal"),
        ("response.incomplete", None, "length"),
        ("response.completed", {"reason": "max_output_tokens"}, "length"),
    ],
)
def test_incomplete_answers(kind: str, reason: Any, stop: str) -> None:
    last = event(kind, response=answer(message("Hel"), incomplete_details=reason))
    assert folded(read(created() + text_delta("Hel") + last)).choices[0].stop == stop


def test_a_call_cut_by_the_limit_is_the_provider_s_own() -> None:
    cut = created() + added(call('{"q": '))
    assert failure(read, cut + completed(call('{"q": '))).detail == "incomplete_tool_call"
    last = event("response.incomplete", response=answer(call('{"q": '), status="incomplete"))
    assert blocks(cut + last) == [ToolCall("call_1", "look", '{"q": ')]


@pytest.mark.parametrize(
    ("stream", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b": nothing\n\n", "upstream_bad_response", "bad_event"),
        (b"<html>", "upstream_bad_response", "bad_event"),
        (created(), "upstream_incomplete", "missing_terminator"),
        (created() + text_delta("x"), "upstream_incomplete", "missing_terminator"),
        (created() + b"data: [DONE]\n\n", "upstream_incomplete", "missing_terminator"),
        (TEXT[:-9], "upstream_incomplete", "missing_terminator"),
        (created() + b"data: {broken\n\n", "upstream_bad_response", "bad_event"),
        (created() + b"data: \xff\n\n", "upstream_bad_response", "bad_event"),
        (created() + b"data: []\n\n", "upstream_bad_response", "bad_event"),
        (created() + event("response.output_text.delta", delta=1), "upstream_bad_response", "bad_event"),
        (created() + event("response.completed"), "upstream_bad_response", "bad_event"),
        (created() + event("response.function_call_arguments.delta", delta="{"), "upstream_bad_response", "bad_event"),
        (created() + added({"type": "function_call"}), "upstream_bad_response", "bad_shape"),
        (created() + event("response.output_item.done", item=1), "upstream_bad_response", "bad_shape"),
        (created() + event("response.failed", response=answer()), "upstream_error", "stream_error"),
        (
            created() + event("response.cancelled", response=answer(status="cancelled")),
            "upstream_error",
            "stream_error",
        ),
        (created() + b'data: {"error":"no"}\n\n', "upstream_error", "stream_error"),
        (b'data: {"x":"' + b"a" * (1 << 20) + b'"}\n\n', "upstream_bad_response", "event_too_large"),
    ],
)
def test_broken_streams(stream: bytes, kind: str, detail: str) -> None:
    found = failure(read, stream)
    assert (found.kind, found.detail) == (kind, detail)


def test_what_precedes_a_fault_is_told_first() -> None:
    decoder = WIRE.stream_decoder()
    assert len(decoder.feed(created() + text_delta("x") + b"data: {broken\n\n")) == 3
    assert failure(decoder.feed, b"").detail == "bad_event"
    assert failure(decoder.close).detail == "bad_event"


def test_a_stream_for_an_anthropic_caller() -> None:
    encoder = ANTHROPIC.stream_encoder(reply("openai_responses"))
    told = b"".join(encoder.feed(event) for event in read(RECORDED))
    again = ANTHROPIC.stream_decoder()
    (choice,) = folded(again.feed(told) + again.close(), "anthropic").choices
    assert choice.content == (
        Thinking("**Look it up**\n\nThen tell.", "openai_responses:rs_0a:gAAAAB=="),
        Text("Grüße 👋"),
        ToolCall("call_0a", "look", '{"at": 1.50}'),
    )


def test_a_stream_for_a_chat_caller() -> None:
    encoder = CHAT.stream_encoder(reply("openai_responses"))
    told = b"".join(encoder.feed(event) for event in read(RECORDED))
    again = CHAT.stream_decoder()
    events: list[Event] = again.feed(told) + again.close()
    (choice,) = folded(events, "openai_chat").choices
    assert [type(block) for block in choice.content] == [Thinking, Text, ToolCall]
    assert choice.stop == "tool_use"
    assert isinstance(choice.content[0], Thinking)
    assert choice.content[0].signature == "openai_responses:rs_0a:gAAAAB=="
