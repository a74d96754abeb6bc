"""Callers of Responses at providers of other wires: what crosses, what is listed, what is refused."""

from typing import Any

import pytest

from parley.ir import ChatRequest
from parley.wire import load
from wire.responses_parts import CHAT, EVERYTHING, FUNCTION, HI, WIRE, body, call, decoded, failure, message, reasoning

ANTHROPIC = load("anthropic")


def at_chat(request: ChatRequest) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = CHAT.encode_request(request, {})
    return encoded.body, encoded.dropped


ROUNDS = [
    {"role": "developer", "content": "Be brief."},
    HI,
    reasoning(encrypted_content=None),
    message("I look."),
    call(),
    call('{"q": 2}', "fc_2", call_id="call_2"),
    {"type": "function_call_output", "call_id": "call_1", "output": "4"},
    {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "5"}]},
    call('{"q": 3}', "fc_3", call_id="call_3"),
    {"type": "function_call_output", "call_id": "call_3", "output": ""},
    message("Nine."),
    {"role": "user", "content": "Sure?"},
]


def chosen(number: int, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": "look", "arguments": arguments}}


TURNS = [
    {"role": "system", "content": "Be kind."},
    {"role": "developer", "content": "Be brief."},
    HI,
    {
        "role": "assistant",
        "content": "I look.",
        "reasoning_content": "Hm.",
        "tool_calls": [chosen(1, '{"q": 1}'), chosen(2, '{"q": 2}')],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "4"},
    {"role": "tool", "tool_call_id": "call_2", "content": "5"},
    {"role": "assistant", "content": None, "tool_calls": [chosen(3, '{"q": 3}')]},
    {"role": "tool", "tool_call_id": "call_3", "content": ""},
    {"role": "assistant", "content": "Nine."},
    {"role": "user", "content": "Sure?"},
]


def test_several_rounds_of_tools_at_a_chat_provider() -> None:
    request = decoded(
        *ROUNDS,
        instructions="Be kind.",
        tools=[FUNCTION],
        max_output_tokens=64,
        text={"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}},
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        stream=True,
        store=False,
    )
    made, lost = at_chat(request)
    assert made == {
        "model": "m",
        "messages": TURNS,
        "logprobs": True,
        "top_logprobs": 2,
        "max_tokens": 64,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True}},
        "tools": [{"type": "function", "function": {k: v for k, v in FUNCTION.items() if k != "type"}}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert lost == ()


def test_what_a_chat_provider_does_not_get_is_listed_by_the_caller_s_own_paths() -> None:
    _, lost = at_chat(
        WIRE.decode_request({**EVERYTHING, "input": [HI, *EVERYTHING["input"][2:6], HI], "tool_choice": "auto"})
    )
    assert sorted(lost) == [
        "include",
        "input[1].content[3]",
        "input[1].encrypted_content",
        "max_tool_calls",
        "metadata",
        "of_tomorrow",
        "prompt_cache_key",
        "reasoning.summary",
        "service_tier",
        "text.verbosity",
        "tools[1]",
        "tools[2]",
        "truncation",
    ]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "computer_call_output", "call_id": "c", "output": {}}, "input[1].content[0]"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[1].content[0]"),
        ({"role": "user", "content": [{"type": "input_smell"}]}, "input[1].content[0]"),
    ],
)
@pytest.mark.parametrize("wire", [CHAT, ANTHROPIC], ids=["chat", "anthropic"])
def test_content_of_this_wire_alone_is_refused_elsewhere(wire: Any, item: dict[str, Any], param: str) -> None:
    request = decoded(HI, item, instructions="Be kind.")
    assert failure(wire.encode_request, request, {}).param == param


def test_a_stored_prompt_is_refused_elsewhere() -> None:
    for wire in (CHAT, ANTHROPIC):
        found = failure(wire.encode_request, WIRE.decode_request(body(prompt={"id": "pmpt_1"})), {})
        assert found.param == "prompt.content[0]"


def test_an_anthropic_provider_gets_back_what_it_signed() -> None:
    request = decoded(
        HI,
        reasoning(encrypted_content="parley:signature:AbC==", summary=[], content=[{"type": "x", "text": "Hm."}]),
        reasoning(encrypted_content="parley:redacted:XyZ"),
        reasoning(),
        message(),
        HI,
        instructions="Be kind.",
    )
    encoded = ANTHROPIC.encode_request(request, {})
    assert encoded.body["system"] == "Be kind."
    assert encoded.body["messages"][1] == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "AbC=="},
            {"type": "redacted_thinking", "data": "XyZ"},
            {"type": "text", "text": "Hello"},
        ],
    }
    assert encoded.dropped == ("input[1].encrypted_content", "input[1]")
