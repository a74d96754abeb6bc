"""What the tests of this wire's requests are made of, among it one request that says everything."""

from typing import Any

import pytest

from parley.failure import ParleyError
from parley.ir import ChatRequest, Message
from parley.wire import load

WIRE = load("openai_chat")
HI = {"role": "user", "content": "hi"}


def body(**members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [HI], **members}


def said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages)}


def decoded(**members: Any) -> ChatRequest:
    return WIRE.decode_request(body(**members))


def foreign(*messages: Message, **members: Any) -> ChatRequest:
    return ChatRequest(wire="other", model="m", messages=messages, **members)


def sent(request: ChatRequest, **options: Any) -> dict[str, Any]:
    return WIRE.encode_request(request, options).body


def dropped(request: ChatRequest, **options: Any) -> tuple[str, ...]:
    return WIRE.encode_request(request, options).dropped


def refused(request: ChatRequest) -> str | None:
    """The field that the refusal names; its words name it too."""
    with pytest.raises(ParleyError) as caught:
        WIRE.encode_request(request, {})
    failure = caught.value.failure
    assert failure.kind == "invalid_request"
    assert failure.param is not None
    assert failure.message.startswith(failure.param + ":")
    return failure.param


FULL: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://host/a.png", "detail": "low", "x": 1}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,CCCC", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": "file-1"}, "prompt_cache_breakpoint": True},
                {"type": "hologram", "hologram": [1]},
            ],
        },
        {
            "role": "assistant",
            "content": "So",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln+/=="},
                {"type": "redacted_thinking", "data": "b3Bh", "x": 1},
            ],
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.50}', "y": 2}, "z": 3},
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
            "audio": {"id": "audio-1"},
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "system", "content": "Now rhyme.", "weight": 0},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": "", "parameters": {"type": "object"}, "strict": True, "x": 1},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": False,
    "max_completion_tokens": 0,
    "temperature": 0,
    "top_p": 1.0,
    "n": 2,
    "seed": -1,
    "presence_penalty": -2,
    "frequency_penalty": 2,
    "logit_bias": {"5": 1},
    "logprobs": True,
    "top_logprobs": 0,
    "stop": ["a", "b"],
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
    },
    "reasoning_effort": "xhigh",
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "user": "",
    "store": False,
    "metadata": {"a": "b"},
    "vendor_field": {"deep": [1, None]},
}
