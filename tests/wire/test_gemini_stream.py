"""Streams, read and written, under any chunking; what is written is read with the official client's own types."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.fold import Fold, unfold
from parley.framing import SseReader
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    ChatResponse,
    Choice,
    Delta,
    End,
    Event,
    Finish,
    Media,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import load
from parley.wire.signature import FILLER, beside, sealed
from real.genai_client import types
from wire.gemini_parts import ARRAY, SIGNATURE, WIRE, candidate, event, failing, folded, read, reply

STREAM = (
    event(candidate({"text": "hm ", "thought": True}), usageMetadata={"promptTokenCount": 4, "totalTokenCount": 4})
    + event(candidate({"text": "so", "thought": True, "thoughtSignature": SIGNATURE}))
    + event(candidate({"text": "Hel"}, {"text": "lo"}))
    + event(candidate({"text": " 🚀"}, index=None))
    + event(candidate({"text": "", "thoughtSignature": "dGV4dA=="}))
    + event(
        candidate(
            {"functionCall": {"name": "f", "args": {"b": 1, "a": "ü"}}, "thoughtSignature": SIGNATURE},
            {"functionCall": {"name": "g", "args": {}, "id": "own"}},
        )
    )
    + event(
        candidate({"text": ""}, reason="STOP", safetyRatings=[]),
        usageMetadata={
            "promptTokenCount": 4,
            "candidatesTokenCount": 7,
            "thoughtsTokenCount": 3,
            "totalTokenCount": 14,
        },
    )
)
EXPECTED = ChatResponse(
    wire="gemini",
    id="r1",
    model="g-1",
    choices=(
        Choice(
            0,
            (
                Thinking("hm so", sealed(SIGNATURE)),
                Text("Hello 🚀"),
                beside("", "dGV4dA=="),
                ToolCall("call_1", "f", '{"b":1,"a":"ü"}', {"thoughtSignature": SIGNATURE}),
                ToolCall("own", "g", "{}"),
            ),
            "tool_use",
            native="STOP",
            extra={"safetyRatings": []},
        ),
    ),
    usage=Usage(4, 10, reasoning=3),
)


@pytest.mark.parametrize("size", [1, 2, 7, 100, None])
def test_reading(size: int | None) -> None:
    assert folded(read(STREAM, size)) == EXPECTED


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_reading_other_line_ends(ends: str) -> None:
    assert folded(read(STREAM.decode().replace("\n", ends).encode())) == EXPECTED


def test_each_block_is_whole_before_the_next() -> None:
    events = read(STREAM)
    assert [(each.index, type(each.block)) for each in events if isinstance(each, BlockStart)] == [
        (0, Thinking),
        (1, Text),
        (2, Thinking),
        (3, ToolCall),
        (4, ToolCall),
    ]
    stopped = [each.index for each in events if isinstance(each, BlockStop)]
    assert stopped == [0, 1, 2, 3, 4]
    assert [type(each) for each in events[-2:]] == [Finish, End]


def test_several_candidates() -> None:
    data = (
        event(candidate({"text": "a"}), candidate({"text": "x"}, index=1))
        + event(candidate({"text": "y"}, reason="MAX_TOKENS", index=1))
        + event(candidate({"text": "b"}, reason="STOP"))
    )
    found = folded(read(data))
    assert [(choice.content, choice.stop) for choice in found.choices] == [
        ((Text("ab"),), "end"),
        ((Text("xy"),), "length"),
    ]


def test_a_refused_prompt() -> None:
    data = b'data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":2}}\n\n'
    found = folded(read(data))
    assert found.choices == (Choice(0, (), "refusal"),)
    assert found.usage == Usage(2, 0)
    assert found.extra == {"promptFeedback": {"blockReason": "SAFETY"}}
    mark = WIRE.glance("", data[6:].strip())
    assert (mark.finished, mark.content, mark.usage) == (True, False, Usage(2, 0))


def test_log_probabilities_are_on_the_text_they_belong_to() -> None:
    result = {"chosenCandidates": [{"token": "a", "logProbability": -1}]}
    events = read(event(candidate({"text": "a"}, logprobsResult=result)) + event(candidate(reason="STOP")))
    found = [each.logprobs for each in events if isinstance(each, Delta)]
    assert [logprobs["content"][0]["token"] for logprobs in found] == ["a"]


def test_a_call_in_pieces() -> None:
    def piece(**members: Any) -> bytes:
        return event(candidate({"functionCall": members}))

    data = (
        event(candidate({"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": SIGNATURE}))
        + piece(partialArgs=[{"jsonPath": "$.city", "stringValue": "Ri", "willContinue": True}], willContinue=True)
        + piece(partialArgs=[{"jsonPath": "$.city", "stringValue": "ga"}], willContinue=True)
        + piece(
            partialArgs=[
                {"jsonPath": "$.days[0].n", "numberValue": 2},
                {"jsonPath": "$.days[1].n", "boolValue": True},
                {"jsonPath": "$['odd key']", "nullValue": "NULL_VALUE"},
            ],
            willContinue=True,
        )
        + piece()
        + event(candidate({"text": "x"}, reason="STOP"))
    )
    content = folded(read(data)).choices[0].content
    arguments = '{"city":"Riga","days":[{"n":2},{"n":true}],"odd key":null}'
    assert content == (ToolCall("call_1", "f", arguments, {"thoughtSignature": SIGNATURE}), Text("x"))
    cut = data[: data.index(b"numberValue")].rpartition(b"data: ")[0]
    assert failing(read, cut).detail == "incomplete_tool_call"


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b": nothing\n\n", "upstream_bad_response", "empty_body"),
        (event(candidate({"text": "a"})), "upstream_incomplete", "missing_terminator"),
        (event(usageMetadata={"promptTokenCount": 1}), "upstream_incomplete", "missing_terminator"),
        (
            event(candidate({"text": "a"}, reason="STOP"), candidate({"text": "b"}, index=1)),
            "upstream_incomplete",
            "missing_terminator",
        ),
        (b"data: nonsense\n\n", "upstream_bad_response", "bad_event"),
        (b"data: []\n\n", "upstream_bad_response", "bad_event"),
        (b'data: {"candidates":{}}\n\n', "upstream_bad_response", "bad_event"),
        (b'data: {"candidates":[{"content":{"parts":[1]}}]}\n\n', "upstream_bad_response", "bad_event"),
        (b'data: {"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}\n\n', "upstream_bad_response", "bad_event"),
        (b'data: {"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}\n\n', "upstream_error", "stream_error"),
        (event({"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}), "upstream_error", "stream_error"),
    ],
)
def test_faults(data: bytes, kind: str, detail: str) -> None:
    for size in (1, None):
        with pytest.raises(ParleyError) as caught:
            read(data, size)
        assert (caught.value.failure.kind, caught.value.failure.detail) == (kind, detail)


def test_what_precedes_a_fault_is_told_first() -> None:
    decoder = WIRE.stream_decoder()
    events = decoder.feed(event(candidate({"text": "a"})) + b"data: nonsense\n\n")
    assert [each.text for each in events if isinstance(each, Delta)] == ["a"]
    assert failing(decoder.feed, b"").detail == "bad_event"


def test_glances() -> None:
    assert WIRE.glance("", event(candidate({"text": "a"}))[6:].strip()).content
    assert WIRE.glance("", event(candidate({"functionCall": {"name": "f"}}))[6:].strip()).content
    assert not WIRE.glance("", event(candidate({"text": ""}))[6:].strip()).content
    last = WIRE.glance("", event(candidate(reason="STOP"), usageMetadata={"promptTokenCount": 1})[6:].strip())
    assert (last.finished, last.end, last.usage) == (True, False, Usage(1, 0))
    assert WIRE.glance("", b'{"candidates":[{"content":1,"finishReason":"STOP"}]}').finished
    for data in (b"nonsense", b'{"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}', b"[]"):
        assert failing(WIRE.glance, "", data).detail == "bad_event"
    error = b'{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}'
    assert failing(WIRE.glance, "", error).kind == "upstream_rate_limited"


# --- writing -----------------------------------------------------------------------------------


def written(events: list[Event], wire: str = "gemini", *, array: bool = False) -> list[dict[str, Any]]:
    """What a caller reads; every event must begin as the official client wants it."""
    encoder = (ARRAY if array else WIRE).stream_encoder(reply(wire))
    data = b"".join(encoder.feed(each) for each in events)
    if array:
        items: list[dict[str, Any]] = json.decode(data)
        return items
    assert all(block.startswith(b"data: {") for block in data.split(b"\n\n") if block)
    return [json.decode(frame.data) for frame in SseReader().feed(data)]


def parts_in(items: list[dict[str, Any]], number: int = 0) -> list[dict[str, Any]]:
    found = [each for item in items for each in item["candidates"] if each["index"] == number]
    return [part for each in found for part in each["content"]["parts"] if part != {"text": ""}]


def test_writing_for_its_own_callers_says_the_same_again() -> None:
    items = written(read(STREAM))
    again = b"".join(b"data: " + json.encode(item) + b"\n\n" for item in items)
    assert folded(read(again)) == EXPECTED
    assert [part.get("thoughtSignature") for part in parts_in(items) if "functionCall" in part] == [SIGNATURE, None]
    assert all(item["modelVersion"] == "g-1" and item["responseId"] == "r1" for item in items)
    assert ["usageMetadata" in item for item in items] == [False] * (len(items) - 1) + [True]


def test_an_array_holds_the_same_items() -> None:
    assert written(read(STREAM), array=True) == written(read(STREAM))


def test_pieces_of_an_array_join_to_one() -> None:
    encoder = ARRAY.stream_encoder(reply())
    pieces = [encoder.feed(each) for each in read(STREAM)]
    said = [piece for piece in pieces if piece]
    assert len(said) > 5
    assert said[0].startswith(b"[{")
    broken = b"".join(said[:3]) + ARRAY.stream_encoder(reply()).fail(Failure("upstream_incomplete", "cut"))
    told = json.decode(broken)[-1]["error"]
    assert (told["code"], told["status"]) == (503, "UNAVAILABLE")


def test_a_failure_is_the_last_event() -> None:
    data = WIRE.stream_encoder(reply()).fail(Failure("upstream_error", "no", status=529))
    # The official client looks for exactly this beginning.
    assert data.startswith(b'data: {"error":{"code":503,')
    assert data.endswith(b"\n\n")


FRAGMENTS: list[Event] = [
    Start("id", "", usage=Usage(9, 0)),
    BlockStart(0, 0, Thinking()),
    Delta(0, 0, "thinking", "hm"),
    Delta(0, 0, "signature", "claude's"),
    BlockStop(0, 0),
    BlockStart(0, 1, Text("")),
    Delta(0, 1, "text", "a"),
    BlockStart(0, 2, ToolCall("c0", "f")),
    BlockStart(0, 3, ToolCall("c1", "g", '{"whole":')),
    Delta(0, 2, "arguments", '{"x"'),
    Delta(0, 3, "arguments", "1}"),
    Delta(0, 2, "arguments", ":1}"),
    BlockStop(0, 1),
    BlockStop(0, 3),
    BlockStop(0, 2),
    BlockStart(0, 4, Refusal("")),
    Delta(0, 4, "refusal", "no"),
    BlockStop(0, 4),
    BlockStart(0, 5, Media(kind="image", data="AA==", media_type="image/png")),
    BlockStop(0, 5),
    Finish(0, "tool_use", native="tool_use", extra={"own": 1}),
    End(Usage(9, 4), {"own": 1}),
]


def test_writing_what_another_wire_streams() -> None:
    items = written(FRAGMENTS, "anthropic")
    said = parts_in(items)
    assert [part for part in said if "text" in part and not part.get("thought")] == [{"text": "a"}, {"text": "no"}]
    assert [part["text"] for part in said if part.get("thought")] == ["hm", ""]
    assert [part["functionCall"] for part in said if "functionCall" in part] == [
        {"id": "c1", "name": "g", "args": {"whole": 1}},
        {"id": "c0", "name": "f", "args": {"x": 1}},
    ]
    # A caller whose history goes to this wire's own provider next needs the first call of a turn signed.
    assert [part.get("thoughtSignature") for part in said if "functionCall" in part] == [FILLER, None]
    assert said[-1] == {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    assert items[-1]["candidates"][0]["finishReason"] == "STOP"
    assert items[-1]["usageMetadata"]["totalTokenCount"] == 13
    assert "own" not in json.encode(items).decode()
    for item in items:
        types.GenerateContentResponse.model_validate(item)


def test_a_stream_without_usage_tells_none() -> None:
    assert "usageMetadata" not in written([Start("", ""), Finish(0, "end"), End(None)], "openai_chat")[-1]


def test_an_anthropic_caller_reads_signatures_before_their_calls() -> None:
    encoder = load("anthropic").stream_encoder(reply("gemini"))
    frames = SseReader().feed(b"".join(encoder.feed(each) for each in read(STREAM)))
    values = [json.decode(frame.data) for frame in frames]
    starts = [value["content_block"]["type"] for value in values if value["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "thinking", "thinking", "tool_use", "tool_use"]
    assert [value["index"] for value in values if value["type"] == "content_block_start"] == [0, 1, 2, 3, 4, 5]
    signed = [
        value["delta"]["signature"] for value in values if value.get("delta", {}).get("type") == "signature_delta"
    ]
    assert signed == [sealed(SIGNATURE), beside("", "dGV4dA==").signature, sealed(SIGNATURE)]


def test_an_openai_caller_reads_signatures_on_their_calls() -> None:
    encoder = load("openai_chat").stream_encoder(reply("gemini"))
    frames = SseReader().feed(b"".join(encoder.feed(each) for each in read(STREAM)))
    chunks = [json.decode(frame.data) for frame in frames if frame.data != b"[DONE]"]
    calls = [call for each in chunks for call in each["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["extra_content"] for call in calls if "extra_content" in call] == [
        {"google": {"thought_signature": SIGNATURE}}
    ]


def test_an_openai_caller_sees_pictures() -> None:
    encoder = load("openai_chat").stream_encoder(reply("gemini"))
    picture = event(candidate({"inlineData": {"mimeType": "image/png", "data": "AA=="}}, reason="STOP"))
    frames = SseReader().feed(b"".join(encoder.feed(each) for each in read(picture)))
    deltas = [json.decode(frame.data)["choices"][0]["delta"] for frame in frames if frame.data != b"[DONE]"]
    assert [each["images"] for each in deltas if "images" in each] == [
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    ]


TEXTS = st.text(min_size=1, max_size=8)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    TEXTS.map(Text),
    st.builds(Thinking, TEXTS, st.one_of(st.none(), st.just(sealed(SIGNATURE)))),
    st.builds(
        lambda name, value, number: ToolCall(f"id{number}", name, json.encode({"v": value}).decode()),
        st.sampled_from(["f", "g"]),
        TEXTS,
        st.integers(0, 99),
    ),
)


ANSWERS = st.lists(
    BLOCKS, min_size=1, max_size=6, unique_by=lambda block: block.id if isinstance(block, ToolCall) else object()
)


def merged(blocks: list[Block]) -> list[Block]:
    """What neighbours of one kind become where a stream has no bounds between them."""
    found: list[Block] = []
    for block in blocks:
        last = found[-1] if found else None
        if isinstance(last, Text) and isinstance(block, Text):
            found[-1] = Text(last.text + block.text)
        elif isinstance(last, Thinking) and isinstance(block, Thinking) and last.signature is None:
            found[-1] = Thinking(last.text + block.text, block.signature)
        else:
            found.append(block)
    return found


@settings(max_examples=60, deadline=None)
@given(ANSWERS, st.sampled_from([1, 3, 50]), st.booleans())
def test_any_answer_survives_writing_and_reading(blocks: list[Block], size: int, array: bool) -> None:
    whole = ChatResponse(wire="openai_chat", id="i", model="m", choices=(Choice(0, tuple(blocks)),), usage=Usage(1, 2))
    items = written(unfold(whole), "openai_chat", array=array)
    data = b"".join(b"data: " + json.encode(item) + b"\n\n" for item in items)
    fold = Fold("gemini")
    for each in read(data, size):
        fold.feed(each)
    found = fold.response()
    assert list(found.choices[0].content) == merged(blocks)
    assert found.usage == Usage(1, 2)
    for item in items:
        types.GenerateContentResponse.model_validate(item)
