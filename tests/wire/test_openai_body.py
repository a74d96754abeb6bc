"""OpenAI chat requests for a provider: what goes out, and the list of what cannot."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.ir import (
    Block,
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
from wire.openai_requests import WIRE, body, decoded, dropped, foreign, refused, sent


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
                ToolResult("c", (Text("t"),), True, {"r": 1}),
                Media(kind="document", data="aGk=", media_type="text/plain", name="T", extra={"context": "x"}),
                Text("hi"),
            ),
        ),
        Message("assistant", (ToolCall("c", "f", "", {"caller": 1}), Opaque("other", {"type": "search"}))),
        tools=(Tool("f", extra={"cache_control": 1}), Opaque("other", {"type": "bash"})),
        top_k=5,
        ahead=1,
        extra={"container": "x"},
    )
    encoded = WIRE.encode_request(request, {})
    assert set(encoded.dropped) == {
        "system.content[0].cache_control",
        "system.m",
        "messages[0].content[0].is_error",
        "messages[0].content[0].r",
        "messages[0].content[1].context",
        "messages[0].content[1].title",
        "messages[1].content[0].caller",
        "messages[1].content[1]",
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
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }


@pytest.mark.parametrize(
    "block",
    [
        Media(kind="video", url="u"),
        Media(kind="audio", url="u"),
        Media(kind="document", url="u"),
        Media(kind="document", file_id="f"),
        Media(kind="image", file_id="f"),
        Opaque("other", {"type": "search_result"}),
        Opaque("other", {}),
    ],
)
def test_content_that_cannot_go_is_refused_by_name(block: Block) -> None:
    system, turn = Message("system", (Text("s"),)), Message("user", (Text("hi"), block))
    result = Message("user", (ToolResult("c", (Text("t"), block)),))
    assert refused(foreign(turn)) == "messages[0].content[1]"
    assert refused(foreign(system, turn, ahead=1)) == "messages[0].content[1]"
    assert refused(foreign(system, turn)) == "messages[1].content[1]"
    assert refused(foreign(result)) == "messages[0].content[0].content[1]"
    assert refused(foreign(Message("system", (block,)), turn, ahead=1)) == "system.content[0]"


@pytest.mark.parametrize(
    ("extra", "listed"),
    [
        ({}, ()),
        ({"source": {"type": "content", "content": "hé"}}, ()),
        ({"source": {"type": "content", "content": [{"type": "text", "text": "hé"}]}}, ()),
        ({"source": {"type": "content", "content": [{"type": "text", "text": "hé", "x": 1}]}}, ("source",)),
        ({"source": {"type": "text", "data": "hé", "x": 1}}, ("source",)),
        ({"source": {"x": 1}}, ("source",)),
        ({"cache_control": {}}, ("cache_control",)),
    ],
)
def test_a_text_document_is_told_as_text(extra: dict[str, Any], listed: tuple[str, ...]) -> None:
    media = Media(kind="document", data="aMOp", media_type="text/plain", extra=extra)
    result = foreign(Message("user", (ToolResult("c", (media,)),)))
    assert sent(result)["messages"] == [{"role": "tool", "tool_call_id": "c", "content": "hé"}]
    assert dropped(result) == tuple(f"messages[0].content[0].content[0].{name}" for name in listed)
    request = foreign(Message("user", (Text("a"), media)))
    assert sent(request)["messages"][0]["content"][1] == {"type": "text", "text": "hé"}
    assert dropped(request) == tuple(f"messages[0].content[1].{name}" for name in listed)


PICTURE = Media(kind="image", data="A", media_type="image/png")
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}}


def named(call_id: str) -> dict[str, str]:
    return {"type": "text", "text": f"Content of the result of tool call {call_id}:"}


def test_what_tools_show_follows_their_results() -> None:
    pdf = Media(kind="document", data="C", media_type="application/pdf")
    results = ToolResult("c1", (PICTURE,)), ToolResult("c2", (Text("t"),)), ToolResult("c3", (pdf, Text("u"), PICTURE))
    told = [
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "tool", "tool_call_id": "c2", "content": "t"},
        {"role": "tool", "tool_call_id": "c3", "content": "u"},
    ]
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,C", "filename": "document.pdf"}}
    shown = [named("c1"), SHOWN, named("c3"), file, SHOWN]
    together = foreign(Message("user", results))
    assert sent(together)["messages"] == [*told, {"role": "user", "content": shown}]
    assert dropped(together) == ()
    apart = foreign(*(Message("tool", (result,)) for result in results), Message("user", (Text("so?"),)))
    expected = [*told, {"role": "user", "content": shown}, {"role": "user", "content": "so?"}]
    assert sent(apart)["messages"] == expected
    asked = foreign(Message("tool", results[:1]), Message("user", (*results[1:], Text("so?"))))
    last = {"role": "user", "content": [*shown, {"type": "text", "text": "so?"}]}
    assert sent(asked)["messages"] == [*told, last]


def test_what_tools_show_stays_in_place_for_a_caller_of_this_wire() -> None:
    request = replace(foreign(Message("tool", (ToolResult("c", (PICTURE,)),))), wire="openai_chat")
    assert sent(request)["messages"] == [{"role": "tool", "tool_call_id": "c", "content": [SHOWN]}]


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
        (Reasoning("adaptive", effort="low"), "low"),
    ],
)
def test_reasoning_becomes_an_effort(reasoning: Reasoning, effort: str | None) -> None:
    request = foreign(Message("user", (Text("hi"),)), reasoning=reasoning)
    assert sent(request).get("reasoning_effort") == effort
    assert "reasoning_effort" not in sent(request, reasoning_effort=False)
    said = (("reasoning_effort",) if reasoning.effort else ()) + (
        ("thinking",) if reasoning.mode or reasoning.budget else ()
    )
    assert dropped(request, reasoning_effort=False) == said
    assert dropped(request) == (() if effort else ("thinking",))


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
