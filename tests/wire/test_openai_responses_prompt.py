"""Responses requests for a provider, from callers of every wire; and callers of this wire at other providers."""

from typing import Any

import pytest
from msgspec.structs import replace

from parley.failure import invalid
from parley.ir import ChatRequest, Media, Message, Opaque, Reasoning, Text, Thinking, Tool, ToolCall, ToolResult
from parley.wire import load
from wire.responses_parts import CHAT, EVERYTHING, HI, WIRE, dropped, failure, sent

ANTHROPIC = load("anthropic")


def test_a_request_of_this_wire_goes_out_as_it_came() -> None:
    encoded = WIRE.encode_request(WIRE.decode_request(EVERYTHING), {})
    assert encoded.body == EVERYTHING
    assert encoded.dropped == ()


def test_what_was_changed_since_wins() -> None:
    request = replace(WIRE.decode_request(EVERYTHING), reasoning=Reasoning(effort="high"), max_tokens=99)
    made = sent(request)
    assert made["reasoning"] == {"effort": "high"}
    assert made["max_output_tokens"] == 99
    turns = request.messages
    other = replace(turns[-1], content=(Text("instead"),))
    assert sent(replace(request, messages=(*turns[:-1], other)))["input"][-1] == {"role": "user", "content": "instead"}


def chat(*messages: dict[str, Any], **members: Any) -> ChatRequest:
    return CHAT.decode_request({"model": "m", "messages": list(messages), **members})


TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": "https://h/a.png"}},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        ],
    },
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"x" : 1.0}'}},
            {"id": "b", "type": "function", "function": {"name": "look", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "4"},
    {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "5"}]},
    {"role": "assistant", "content": None, "refusal": "No."},
    HI,
]
ITEMS = [
    {"role": "system", "content": "Be kind."},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look."},
            {"type": "input_image", "detail": "auto", "image_url": "https://h/a.png"},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
            {
                "type": "input_file",
                "file_data": "data:application/pdf;base64,AAAA",
                "filename": "document.pdf",
            },
        ],
    },
    {"role": "assistant", "content": "I look."},
    {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"x" : 1.0}'},
    {"type": "function_call", "call_id": "b", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "a", "output": "4"},
    {"type": "function_call_output", "call_id": "b", "output": "5"},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    HI,
]


def test_a_chat_caller_with_tools_and_pictures() -> None:
    request = chat(
        *TALK,
        tools=[{"type": "function", "function": {"name": "look"}}],
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True}},
        reasoning_effort="low",
        max_completion_tokens=64,
        logprobs=True,
        top_logprobs=2,
        stream=True,
        user="u",
    )
    assert sent(request) == {
        "model": "m",
        "input": ITEMS,
        "top_logprobs": 2,
        "user": "u",
        "max_output_tokens": 64,
        "tools": [
            {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}
        ],
        "tool_choice": {"type": "function", "name": "look"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}},
        "reasoning": {"effort": "low"},
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    }
    assert dropped(request) == ()


def test_what_this_wire_cannot_say_is_listed() -> None:
    request = chat(
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": "x", "reasoning_content": "Hm."},
        HI,
        stop=["."],
        seed=1,
        presence_penalty=1,
        frequency_penalty=1,
        logit_bias={"1": 2},
        top_k=3,
        tools=[{"type": "custom", "custom": {"name": "c"}}],
        audio={"voice": "x"},
    )
    assert sorted(dropped(request)) == [
        "audio",
        "frequency_penalty",
        "logit_bias",
        "messages[0].name",
        "messages[1].reasoning_content",
        "presence_penalty",
        "seed",
        "stop",
        "tools[0]",
        "top_k",
    ]
    assert sent(request)["input"] == [HI, {"role": "assistant", "content": "x"}, HI]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (Message("user", (Media(kind="video", url="https://h/a.mp4"),)), "messages[0].content[0]"),
        (Message("user", (Text("a"), Media(kind="image", file_id="f"))), "messages[0].content[1]"),
        (Message("user", (Opaque("other", {"type": "smell"}),)), "messages[0].content[0]"),
        (Message("assistant", (Media(kind="image", url="https://h/a.png"),)), "messages[0].content[0]"),
        (
            Message("tool", (ToolResult("c", (Media(kind="video", url="https://h/a.mp4"),)),)),
            "messages[0].content[0].content[0]",
        ),
    ],
)
def test_content_this_wire_cannot_say_is_refused(message: Message, param: str) -> None:
    found = failure(WIRE.encode_request, ChatRequest(wire="other", model="m", messages=(message,)), {})
    assert (found.kind, found.param) == ("invalid_request", param)


def test_more_than_one_answer_is_refused() -> None:
    assert failure(WIRE.encode_request, chat(HI, n=2), {}).param == invalid("", "n").failure.param
    assert "n" not in sent(chat(HI, n=1))


ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 99,
    "system": "Be kind.",
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "openai_responses:rs_1:gAAA="},
                {"type": "thinking", "thinking": "Other.", "signature": "AbC=="},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "a", "name": "look", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "So?"},
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "4"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "AA"},
                        },
                    ],
                },
            ],
        },
    ],
    "thinking": {"type": "enabled", "budget_tokens": 5000},
}


def test_an_anthropic_caller() -> None:
    request = ANTHROPIC.decode_request(ASKED)
    made = sent(request)
    assert made["instructions"] == "Be kind."
    assert made["reasoning"] == {"effort": "medium"}
    assert made["input"] == [
        HI,
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "gAAA=",
        },
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"x":1}'},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [
                {"type": "input_text", "text": "4"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AA"},
            ],
        },
        {"role": "user", "content": "So?"},
    ]
    assert dropped(request) == ("messages[1].content[1]", "messages[2].content[1].is_error")


def test_an_option_lets_the_provider_keep_what_was_said() -> None:
    assert sent(chat(HI))["store"] is False
    assert sent(chat(HI), store=True)["store"] is True


def test_blocks_of_this_wire_without_their_items() -> None:
    content = (
        Thinking("Hm.", "s", extra={"x": 1}),
        ToolCall("a", "f", "", {"namespace": "n"}),
        Opaque("openai_responses", {"type": "web_search_call"}),
    )
    tool = Tool("f", extra={"defer_loading": True})
    request = ChatRequest(
        wire="openai_responses", model="m", messages=(Message("assistant", content),), tools=(tool,), extra={"x": 1}
    )
    assert sent(request) == {
        "model": "m",
        "input": [
            {
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "Hm."}],
                "encrypted_content": "parley:signature:s",
                "x": 1,
            },
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}", "namespace": "n"},
            {"type": "web_search_call"},
        ],
        "tools": [{"type": "function", "name": "f", "defer_loading": True}],
        "x": 1,
    }
