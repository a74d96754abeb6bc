"""Requests to a provider: what is really sent, what is dropped and said to be."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.failure import ParleyError
from parley.ir import (
    Block,
    ChatRequest,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire.anthropic import WIRE
from parley.wire.anthropic.prompt import call_id

RECORDED = Path(__file__).parent.parent / "recordings" / "anthropic"


def request(*messages: Message, wire: str = "openai_chat", **fields: Any) -> ChatRequest:
    return ChatRequest(wire=wire, model="m", messages=messages or (user("hi"),), **fields)


def user(*content: Block | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in content))


def sent(asked: ChatRequest, **options: Any) -> dict[str, Any]:
    """The body as the provider reads it."""
    return msgspec.json.decode(msgspec.json.encode(WIRE.encode_request(asked, options).body))


def dropped(asked: ChatRequest, **options: Any) -> tuple[str, ...]:
    return WIRE.encode_request(asked, options).dropped


def refused(asked: ChatRequest) -> str | None:
    with pytest.raises(ParleyError) as caught:
        WIRE.encode_request(asked, {})
    assert caught.value.failure.kind == "invalid_request"
    assert caught.value.failure.param is not None
    return caught.value.failure.param


def test_the_least_request() -> None:
    assert sent(request()) == {"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]}
    assert sent(request(), max_tokens=7)["max_tokens"] == 7
    assert sent(request(max_tokens=0))["max_tokens"] == 0


def test_this_wire_s_own_request_goes_out_as_it_came() -> None:
    body = msgspec.json.decode((RECORDED / "request.json").read_bytes())
    encoded = WIRE.encode_request(WIRE.decode_request(body), {"system_role": True})
    again = msgspec.json.decode(msgspec.json.encode(encoded.body))
    # Null is absent for members that have a meaning; unknown ones keep it.
    assert again == body
    assert encoded.dropped == ()


def test_leading_instructions_are_hoisted_and_later_ones_become_the_user_s() -> None:
    asked = request(
        Message("system", (Text("a"),)),
        Message("developer", (Text("b"), Text(""))),
        user("hi"),
        Message("system", (Text("c"),)),
        Message("assistant", (Text("yes"),)),
    )
    body = sent(asked)
    assert body["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": "yes"},
    ]
    capable = sent(asked, system_role=True)["messages"]
    assert [turn["role"] for turn in capable] == ["user", "system", "assistant"]
    assert capable[1]["content"] == "c"


def test_instructions_alone_become_the_user_s_turn() -> None:
    body = sent(request(Message("system", (Text("Say hi."),))))
    assert body["messages"] == [{"role": "user", "content": "Say hi."}]
    assert "system" not in body
    assert refused(request(user(""))) == "messages"


def test_tool_results_are_one_user_turn_and_come_first() -> None:
    body = sent(
        request(
            user("weather?"),
            Message("assistant", (ToolCall("call:1", "w", '{"c": 1.0}'), ToolCall("call_2", "t"))),
            Message("tool", (ToolResult("call:1", (Text("sun"),)),)),
            user("and?"),
            Message("tool", (ToolResult("call_2", (), True),)),
        )
    )
    calls = body["messages"][1]["content"]
    assert calls == [
        {"type": "tool_use", "id": "esc_call_3a_1", "name": "w", "input": {"c": 1.0}},
        {"type": "tool_use", "id": "call_2", "name": "t", "input": {}},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "esc_call_3a_1", "content": "sun"},
        {"type": "tool_result", "tool_use_id": "call_2", "is_error": True},
        {"type": "text", "text": "and?"},
    ]


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("", b"{}"),
        (" \n", b"{}"),
        ('{"a" : 1.0, "b":12345678901234567890123}', b'{"a" : 1.0, "b":12345678901234567890123}'),
        ("[1]", b'{"_raw":"[1]"}'),
        ('{"a": ', b'{"_raw":"{\\"a\\": "}'),
    ],
)
def test_arguments_are_always_an_object(arguments: str, written: bytes) -> None:
    asked = request(user("x"), Message("assistant", (ToolCall("i", "n", arguments),)))
    assert b'"input":' + written + b"}" in msgspec.json.encode(WIRE.encode_request(asked, {}).body)


@given(st.lists(st.text(max_size=6) | st.text("esc_3a:", max_size=8), max_size=20))
def test_ids_stay_different_and_plain(ids: list[str]) -> None:
    found = {each: call_id(each) for each in ids}
    assert len(set(found.values())) == len(found)
    assert all(
        set(new) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for new in found.values()
    )
    assert all(new for new in found.values())


def test_media() -> None:
    body = sent(
        request(
            user(
                Media(kind="image", data="QQ==", media_type="image/jpg"),
                Media(kind="image", url="https://example.com/a.png"),
                Media(kind="image", url="data:image/webp;base64,UklGRg=="),
                Media(kind="image", data="/9j/4AAQ"),
                Media(kind="document", data="JVBERg==", name="a.pdf"),
                Media(kind="document", data="aGk=", media_type="text/markdown"),
            )
        )
    )
    content = body["messages"][0]["content"]
    assert [block["source"] for block in content] == [
        {"type": "base64", "media_type": "image/jpeg", "data": "QQ=="},
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "base64", "media_type": "image/webp", "data": "UklGRg=="},
        {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"},
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
        {"type": "text", "media_type": "text/plain", "data": "hi"},
    ]
    assert content[4]["title"] == "a.pdf"
    own = sent(request(user(Media(kind="document", file_id="f1")), wire="anthropic"))
    assert own["messages"][0]["content"][0]["source"] == {"type": "file", "file_id": "f1"}


@pytest.mark.parametrize(
    "block",
    [
        Media(kind="audio", data="QQ==", media_type="audio/wav"),
        Media(kind="video", url="https://example.com/a.mp4"),
        Media(kind="image", data="????"),
        Media(kind="image", url="data:image/png,plain"),
        Media(kind="document", data="?", media_type="text/plain"),
        Media(kind="document", file_id="f1"),
        Media(kind="image", file_id="f1"),
        Opaque("openai_chat", {"type": "hologram"}),
    ],
)
def test_content_that_cannot_go_is_refused_by_name(block: Block) -> None:
    assert refused(request(user("a"), user("b", block))) == "messages[1].content[1]"
    told = Message("tool", (ToolResult("c", (Text("a"), block)),))
    assert refused(request(user("a"), told)) == "messages[1].content[1]"
    assert refused(request(Message("system", (Text("a"), block)), user("b"))) == "messages[0].content[1]"


def test_what_this_wire_cannot_say_is_listed() -> None:
    asked = request(
        Message(
            "user", (Text("a", {"x": 1}), Media(kind="image", url="https://e.com/i", detail="low")), "bob", {"y": 2}
        ),
        Message("assistant", (Thinking("unsigned"), Opaque("other", {"type": "z"}), Refusal("no"))),
        tools=(Tool("f", extra={"q": 1}), Opaque("other", {"type": "s"})),
        output=OutputFormat("json"),
        seed=0,
        logit_bias={},
        logprobs=False,
        top_logprobs=0,
        presence_penalty=0.0,
        frequency_penalty=1.0,
        reasoning=Reasoning(effort="low", extra={"summary": "auto"}),
        extra={"store": True},
    )
    assert sorted(dropped(asked)) == sorted(
        [
            "messages[0].name",
            "messages[0].y",
            "messages[0].content[0].x",
            "messages[0].content[1].detail",
            "messages[1].reasoning_content",
            "messages[1].content[1]",
            "tools[0].q",
            "tools[1]",
            "response_format",
            "seed",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "presence_penalty",
            "frequency_penalty",
            "reasoning.summary",
            "store",
        ]
    )
    body = sent(asked)
    assert set(body) == {"model", "max_tokens", "messages", "tools", "output_config"}
    assert body["messages"][1] == {"role": "assistant", "content": "no"}
    assert refused(request(n=2)) == "n"
    assert dropped(request(n=1)) == ()


def test_thinking_with_a_signature_survives_another_dialect() -> None:
    asked = request(
        user("a"),
        Message("assistant", (Thinking("t", "c2ln+/=="), Thinking(redacted="b3A="), Thinking("u", ""), Text("b"))),
        user("c"),
    )
    blocks = sent(asked)["messages"][1]["content"]
    assert blocks[:2] == [
        {"type": "thinking", "thinking": "t", "signature": "c2ln+/=="},
        {"type": "redacted_thinking", "data": "b3A="},
    ]
    assert blocks[2] == {"type": "thinking", "thinking": "u", "signature": ""}
    assert dropped(asked) == ()
    assert dropped(asked, signed_thinking=True) == ("messages[1].reasoning_content",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tool_choice": ToolChoice("required")}, {"type": "any"}),
        ({"tool_choice": ToolChoice("named", "f")}, {"type": "tool", "name": "f"}),
        ({"tool_choice": ToolChoice("none"), "parallel_tool_calls": False}, {"type": "none"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_tools(fields: dict[str, Any], expected: dict[str, Any] | None) -> None:
    body = sent(request(tools=(Tool("f"), Tool("g", "d", {"properties": {}}, False)), **fields))
    assert body["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}},
        {"name": "g", "description": "d", "input_schema": {"type": "object", "properties": {}}, "strict": False},
    ]
    assert body.get("tool_choice") == expected
    bare = request(**fields)
    assert "tool_choice" not in sent(bare)
    assert set(dropped(bare)) == set(fields)


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort"),
    [
        (Reasoning(effort="none"), {"type": "disabled"}, None),
        (Reasoning(effort="minimal"), None, "low"),
        (Reasoning(effort="xhigh"), None, "xhigh"),
        (Reasoning(budget=1024), {"type": "enabled", "budget_tokens": 1024}, None),
        (Reasoning(budget=2000), {"type": "adaptive"}, None),
        (Reasoning(budget=1023), {"type": "adaptive"}, None),
        (Reasoning(budget=0), {"type": "disabled"}, None),
        (Reasoning("enabled"), {"type": "adaptive"}, None),
        (Reasoning("disabled"), {"type": "disabled"}, None),
    ],
)
def test_reasoning(reasoning: Reasoning, thinking: dict[str, Any] | None, effort: str | None) -> None:
    body = sent(request(reasoning=reasoning, max_tokens=2000, output=OutputFormat("schema", {"type": "object"})))
    assert body.get("thinking") == thinking
    assert body["output_config"].get("effort") == effort
    assert body["output_config"]["format"] == {"type": "json_schema", "schema": {"type": "object"}}


def test_api_versions() -> None:
    def version(asked: ChatRequest, **options: Any) -> str:
        ((name, value),) = WIRE.encode_request(asked, options).headers
        assert name == "anthropic-version"
        return value

    warm = request(temperature=1, top_p=0.0, top_k=0)
    assert version(request()) == "2026-10-21"
    assert version(warm) == "2023-06-01"
    assert {"temperature", "top_p", "top_k"} <= set(sent(warm))
    assert version(warm, version="2026-10-21") == "2026-10-21"
    assert dropped(warm, version="2026-10-21") == ("temperature", "top_p", "top_k")
    assert not {"temperature", "top_p", "top_k"} & set(sent(warm, version="2026-11-01"))
    assert dropped(warm, version="2023-06-01") == ()
    cited = request(user(Text("a", {"citations": [{"type": "x"}]})), wire="anthropic")
    assert version(cited) == "2023-06-01"
    assert version(request(user("a"), Message("assistant", (Media(kind="document", data="QQ=="),)))) == "2023-06-01"


TEXTS = st.builds(Text, st.text(min_size=1, max_size=8))
CALLS = st.builds(
    ToolCall,
    st.from_regex(r"[a-z][a-zA-Z0-9_-]{0,5}", fullmatch=True),
    st.sampled_from(["f", "g"]),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2).map(
        lambda value: msgspec.json.encode(value).decode()
    ),
)
THOUGHTS = st.builds(Thinking, st.text(max_size=8), st.text(max_size=8)) | st.builds(
    Thinking, redacted=st.text(max_size=8)
)
TURNS = st.tuples(
    st.lists(TEXTS, min_size=1, max_size=3).map(lambda content: Message("user", tuple(content))),
    st.lists(TEXTS | CALLS | THOUGHTS, min_size=1, max_size=4).map(
        lambda content: Message("assistant", tuple(content))
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TURNS, min_size=1, max_size=3))
def test_what_is_encoded_reads_back_the_same(turns: list[tuple[Message, Message]]) -> None:
    asked = request(*(message for turn in turns for message in turn))
    assert WIRE.decode_request(sent(asked)).messages == asked.messages
    assert sent(replace(asked, wire="anthropic")) == sent(asked)
