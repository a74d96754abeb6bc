"""Streams, read and written: recorded bytes to events and back, under any chunking."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.failure import Failure, ParleyError
from parley.fold import Fold, unfold
from parley.framing import SseReader, sse
from parley.ir import (
    BlockStart,
    BlockStop,
    ChatResponse,
    Choice,
    Delta,
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
from parley.wire import Reply
from parley.wire.anthropic import WIRE

RECORDED = Path(__file__).parent.parent / "recordings" / "anthropic"
NAMES = ("text", "tools", "interleaved", "server_tool", "refusal")
OWN = Reply(model="asked", id="7", created=0, wire="anthropic")
FOREIGN = Reply(model="asked", id="7", created=0, wire="openai_chat")


def recording(name: str) -> bytes:
    return (RECORDED / f"{name}.sse").read_bytes()


def read(data: bytes, size: int | None = None) -> list[Event]:
    decoder = WIRE.stream_decoder()
    events: list[Event] = []
    for start in range(0, len(data), size or len(data)):
        events += decoder.feed(data[start : start + (size or len(data))])
    return events + decoder.close()


def folded(events: list[Event]) -> ChatResponse:
    fold = Fold("anthropic")
    for event in events:
        fold.feed(event)
    return fold.response()


def written(events: list[Event], reply: Reply = OWN) -> list[dict[str, object]]:
    """What a caller reads; every event line must name the type of its data."""
    encoder = WIRE.stream_encoder(reply)
    frames = SseReader().feed(b"".join(encoder.feed(event) for event in events))
    values = [msgspec.json.decode(frame.data) for frame in frames]
    assert [value["type"] for value in values] == [frame.event for frame in frames]
    return values


EXPECTED = {
    "text": ChatResponse(
        wire="anthropic",
        id="msg_01",
        model="claude-x",
        choices=(Choice(0, (Text("Grüße aus Köln \u2028🚀"),), "stop_sequence", "END", "stop_sequence"),),
        usage=Usage(19, 9, cached=12, cache_write=0),
    ),
    "tools": ChatResponse(
        wire="anthropic",
        id="msg_02",
        model="claude-x",
        choices=(
            Choice(
                0,
                (
                    Thinking("Two calls.", "c2ln+/=="),
                    ToolCall("toolu_a", "weather", '{"city": "Oslo", "n": 1.50}'),
                    ToolCall("toolu_b", "now", "{}"),
                ),
                "tool_use",
                native="tool_use",
            ),
        ),
        usage=Usage(40, 33, reasoning=5),
    ),
    "interleaved": ChatResponse(
        wire="anthropic",
        id="chatcmpl-9",
        model="tiny",
        choices=(Choice(0, (Thinking("I should greet.", ""), Text("Greetings!")), "end", native="end_turn"),),
        usage=Usage(6, 10, cached=5),
    ),
    "server_tool": ChatResponse(
        wire="anthropic",
        id="msg_03",
        model="claude-x",
        choices=(
            Choice(
                0,
                (
                    Opaque(
                        "anthropic",
                        {
                            "type": "server_tool_use",
                            "id": "srvtoolu_1",
                            "name": "web_search",
                            "input": {"query": "tides"},
                        },
                    ),
                    Text(
                        "Ebb at six.",
                        {"citations": [{"type": "char_location", "cited_text": "ebb", "document_index": 0}]},
                    ),
                    Thinking(redacted="b3BhcXVl"),
                ),
                "pause",
                native="pause_turn",
            ),
        ),
        usage=Usage(
            3, 20, extra={"service_tier": "standard", "server_tool_use": {"web_search_requests": 1}}, searches=1
        ),
        extra={"container": {"id": "c1"}},
    ),
    "refusal": ChatResponse(
        wire="anthropic",
        id="msg_04",
        model="claude-x",
        choices=(
            Choice(
                0,
                (
                    Text("Well"),
                    Refusal(
                        "I cannot help with that.",
                        {
                            "stop_details": {
                                "type": "refusal",
                                "category": "bio",
                                "explanation": "I cannot help with that.",
                            }
                        },
                    ),
                ),
                "refusal",
                native="refusal",
            ),
        ),
        usage=Usage(3, 4),
    ),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [None, 1, 7, 64])
def test_recordings_read(name: str, size: int | None) -> None:
    assert folded(read(recording(name), size)) == EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_recordings_with_other_line_ends(name: str) -> None:
    data = recording(name)
    assert folded(read(data.replace(b"\n", b"\r\n"), 5)) == EXPECTED[name]
    odd = data.replace(b"event: ", b": heartbeat\n\nid: 1\nevent:").replace(b"data: ", b"data:")
    assert folded(read(odd, 5)) == EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_reads_the_same(name: str) -> None:
    for events in (read(recording(name)), unfold(EXPECTED[name])):
        encoder = WIRE.stream_encoder(OWN)
        again = b"".join(encoder.feed(event) for event in events)
        assert again.endswith(WIRE.terminator)
        assert folded(read(again)) == EXPECTED[name]


def test_the_exact_shape_of_a_stream() -> None:
    data = recording("tools")
    values = written(read(data))
    frames = [msgspec.json.decode(frame.data) for frame in SseReader().feed(data)]
    empty = {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}}
    frames.remove(empty)
    frames.insert(
        -3, {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}}
    )
    frames[-2]["usage"]["input_tokens"] = 40
    assert values == frames


def test_interleaved_blocks_are_nested() -> None:
    kinds = [(value["type"], value.get("index")) for value in written(read(recording("interleaved")))]
    assert kinds == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_a_whole_call_makes_room_for_the_next() -> None:
    encoder = WIRE.stream_encoder(FOREIGN)
    encoder.feed(Start("x", "m"))
    encoder.feed(BlockStart(0, 0, ToolCall("a", "f")))
    assert b'"partial_json":"{\\"a\\":"' in encoder.feed(Delta(0, 0, "arguments", '{"a":'))
    assert encoder.feed(BlockStart(0, 1, ToolCall("b", "g"))) == b""
    assert encoder.feed(Delta(0, 1, "arguments", '{"b"')) == b""
    freed = encoder.feed(Delta(0, 0, "arguments", "1}"))
    assert [frame.event for frame in SseReader().feed(freed)] == [
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]
    assert b'"index":1' in encoder.feed(Delta(0, 1, "arguments", ":2}"))
    assert encoder.feed(Delta(0, 0, "arguments", "\n")) == b""
    with pytest.raises(ParleyError):
        encoder.feed(Delta(0, 0, "arguments", "}"))
    assert encoder.feed(BlockStop(0, 0)) == b""
    assert b"content_block_stop" in encoder.feed(Finish(0, "tool_use"))


FOREIGN_EVENTS: list[Event] = [
    Start("chatcmpl-1", "", 5, None, {"system_fingerprint": "fp"}),
    BlockStart(0, 0, Thinking()),
    Delta(0, 0, "thinking", "hm"),
    BlockStop(0, 0),
    BlockStart(1, 0, Text("", {"annotations": []})),
    Delta(1, 0, "text", "second answer"),
    BlockStart(0, 1, Opaque("openai_chat", {"type": "x"})),
    BlockStop(0, 1),
    BlockStart(0, 2, Refusal("", {"x": 1})),
    Delta(0, 2, "refusal", "No."),
    Delta(0, 2, "refusal", ""),
    Finish(0, "end", None, "stop", {"x": 1}),
    Finish(1, "length"),
    End(Usage(9, 3, cached=4, reasoning=1, extra={"cost": 1})),
]


def test_a_foreign_stream() -> None:
    values = written(FOREIGN_EVENTS, FOREIGN)
    usage = {
        "input_tokens": 5,
        "output_tokens": 3,
        "cache_read_input_tokens": 4,
        "output_tokens_details": {"thinking_tokens": 1},
    }
    assert values == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_chatcmpl-1",
                "type": "message",
                "role": "assistant",
                "content": [],
                "model": "asked",
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
        },
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": ""}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "No."}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]


def test_an_answer_that_ended_in_error_is_no_success() -> None:
    encoder = WIRE.stream_encoder(FOREIGN)
    encoder.feed(Start("a", "m"))
    encoder.feed(Finish(0, "error"))
    with pytest.raises(ParleyError) as caught:
        encoder.feed(End())
    assert caught.value.failure.kind == "upstream_error"


def test_the_error_event() -> None:
    data = WIRE.stream_encoder(OWN).fail(Failure("upstream_incomplete", "it broke"))
    assert data == sse(
        b'{"type":"error","error":{"type":"api_error","message":"it broke","code":"upstream_incomplete",'
        b'"details":{"error_code":"upstream_incomplete"}}}',
        "error",
    )


BLOCKS = st.one_of(
    st.builds(Text, st.text(max_size=6)),
    st.builds(Thinking, st.text(max_size=6), st.text(max_size=6)),
    st.builds(Thinking, redacted=st.text(max_size=6)),
    st.builds(ToolCall, st.text(max_size=4), st.text(max_size=4), st.sampled_from(["{}", '{"a": [1, "é"]}'])),
    st.builds(Opaque, st.just("anthropic"), st.just({"type": "web_search_tool_result", "content": []})),
)
ANSWERS = st.builds(
    lambda content, stop, usage: ChatResponse(
        wire="anthropic", id="msg_1", model="m", choices=(Choice(0, tuple(content), *stop),), usage=usage
    ),
    st.lists(BLOCKS, max_size=4),
    st.sampled_from(
        [("end", None, "end_turn"), ("length", None, "max_tokens"), ("stop_sequence", "X", "stop_sequence")]
    ),
    st.builds(
        Usage, st.just(10), st.integers(0, 9), st.none() | st.just(3), st.none() | st.just(4), st.none() | st.just(0)
    ),
)


@settings(max_examples=80, deadline=None)
@given(ANSWERS, st.integers(1, 40))
def test_writing_and_reading_is_the_identity(answer: ChatResponse, size: int) -> None:
    encoder = WIRE.stream_encoder(OWN)
    data = b"".join(encoder.feed(event) for event in unfold(answer))
    assert folded(read(data, size)) == answer
    assert WIRE.decode_response(WIRE.encode_response(answer, OWN)) == answer
