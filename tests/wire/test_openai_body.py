"""OpenAI chat requests for a provider: what goes out, and the list of what cannot."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.ir import (
    ChatRequest,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from wire.openai_requests import WIRE, body, decoded, dropped, foreign, sent


def test_results_come_before_what_the_user_says() -> None:
    request = foreign(
        Message("user", (Text("and?"), ToolResult("c1", (Text("1"),)), ToolResult("c2", (Text("2"), Text("3"))))),
        Message("user", (ToolResult("c3"),)),
    )
    assert sent(request)["messages"] == [
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "3"}],
        },
        {"role": "user", "content": "and?"},
        {"role": "tool", "tool_call_id": "c3", "content": ""},
    ]


def test_what_this_wire_cannot_say_is_listed() -> None:
    request = foreign(
        Message("system", (Text("s", {"cache_control": 1}),), extra={"m": 1}),
        Message(
            "user",
            (
                ToolResult("c", (Media(kind="image", data="A", media_type="image/png"), Text("t")), True, {"r": 1}),
                Media(kind="video", url="u"),
                Media(kind="document", url="u"),
                Opaque("other", {}),
                Text("hi"),
            ),
        ),
        Message("assistant", (ToolCall("c", "f", "", {"caller": 1}),)),
        tools=(Tool("f", extra={"cache_control": 1}), Opaque("other", {"type": "bash"})),
        top_k=5,
        extra={"container": "x"},
    )
    encoded = WIRE.encode_request(request, {})
    assert set(encoded.dropped) == {
        "messages[0].content[0].cache_control",
        "messages[0].m",
        "messages[1].content[0].content[0]",
        "messages[1].content[0].is_error",
        "messages[1].content[0].r",
        "messages[1].content[1]",
        "messages[1].content[2]",
        "messages[1].content[3]",
        "messages[2].content[0].caller",
        "tools[0].cache_control",
        "tools[1]",
        "top_k",
        "container",
    }
    assert encoded.body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "tool", "tool_call_id": "c", "content": "t"},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }


def test_a_text_document_in_a_result_is_told_as_text() -> None:
    media = Media(kind="document", data="aMOp", media_type="text/plain")
    request = foreign(Message("user", (ToolResult("c", (media,)),)))
    assert sent(request)["messages"] == [{"role": "tool", "tool_call_id": "c", "content": "hé"}]
    assert dropped(request) == ()


def test_media_of_other_wires() -> None:
    request = foreign(
        Message(
            "user",
            (
                Media(kind="image", data="A", media_type="image/png"),
                Media(kind="image", url="https://host/a"),
                Media(kind="audio", data="B", media_type="audio/wav"),
                Media(kind="document", data="C", media_type="application/pdf", name="c.pdf"),
            ),
        )
    )
    assert sent(request)["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}},
        {"type": "image_url", "image_url": {"url": "https://host/a"}},
        {"type": "input_audio", "input_audio": {"data": "B", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,C", "filename": "c.pdf"}},
    ]


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(effort="max", budget=1), "max"),
        (Reasoning("disabled"), "none"),
        (Reasoning("enabled", budget=1024), "low"),
        (Reasoning("enabled", budget=4096), "medium"),
        (Reasoning("adaptive", budget=16384), "high"),
        (Reasoning("enabled"), "medium"),
        (Reasoning("adaptive"), None),
    ],
)
def test_reasoning_becomes_an_effort(reasoning: Reasoning, effort: str | None) -> None:
    request = foreign(Message("user", (Text("hi"),)), reasoning=reasoning)
    assert sent(request).get("reasoning_effort") == effort
    assert "reasoning_effort" not in sent(request, reasoning_effort=False)
    assert dropped(request, reasoning_effort=False) == (("reasoning_effort",) if effort else ())


@pytest.mark.parametrize(
    ("wire", "options", "goes"),
    [
        ("other", {}, False),
        ("other", {"top_k": True}, True),
        ("openai_chat", {}, True),
        ("openai_chat", {"top_k": False}, False),
    ],
)
def test_top_k_goes_where_it_is_known(wire: str, options: dict[str, Any], goes: bool) -> None:
    request = replace(decoded(top_k=4), wire=wire)
    encoded = WIRE.encode_request(request, options)
    assert (encoded.body.get("top_k"), encoded.dropped) == ((4, ()) if goes else (None, ("top_k",)))


def test_usage_is_always_asked_for_in_a_stream() -> None:
    assert sent(decoded(stream=True)) == {**body(), "stream": True, "stream_options": {"include_usage": True}}
    assert sent(decoded(stream=True), stream_usage=False) == {**body(), "stream": True}
    assert "stream_options" not in sent(decoded())


words = st.text(max_size=4)
kept = st.dictionaries(st.sampled_from(["x", "cache_control"]), st.integers(), max_size=1)
texts = st.builds(Text, words, kept)
images = st.builds(Media, kind=st.just("image"), url=st.just("https://h/a"), detail=st.none() | words, extra=kept)
turns = st.one_of(
    st.builds(
        Message,
        st.sampled_from(["user", "system", "developer"]),
        st.lists(texts | images, min_size=1, max_size=3).map(tuple),
        st.none() | words,
        kept,
    ),
    st.builds(
        lambda thoughts, said_texts, refusal, calls: Message("assistant", (*thoughts, *said_texts, *refusal, *calls)),
        st.lists(st.builds(Thinking, words, words, st.none(), kept), max_size=2),
        st.lists(texts, max_size=2),
        st.lists(st.builds(Refusal, words), max_size=1),
        st.lists(st.builds(ToolCall, words, words, words, kept), max_size=2),
    ),
    st.builds(
        lambda id_, inner: Message("tool", (ToolResult(id_, inner),)),
        words,
        st.lists(texts, min_size=1, max_size=2).map(tuple),
    ),
)


@settings(max_examples=60)
@given(
    st.lists(turns, min_size=1, max_size=4).map(tuple),
    st.lists(
        st.builds(Tool, words, st.none() | words, st.none() | kept, st.none() | st.booleans(), kept), max_size=2
    ).map(tuple),
    kept,
)
def test_decoding_undoes_encoding(
    messages: tuple[Message, ...], tools: tuple[Tool, ...], extra: dict[str, Any]
) -> None:
    request = ChatRequest(wire="openai_chat", model="m", messages=messages, tools=tools, extra=extra)
    encoded = WIRE.encode_request(request, {})
    assert encoded.dropped == ()
    assert WIRE.decode_request(encoded.body) == request
