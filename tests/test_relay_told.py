"""What a provider cannot take is named by its path in the caller's very request."""

from typing import Any

import pytest

from relay_parts import ANTHROPIC, OPENAI, refused, sent, way

RESPONSES, GENERATE, OLLAMA, GEMINI = "openai_responses", "ollama_generate", "ollama", "gemini"
BEDROCK, TGI = "bedrock", "tgi"
PNG, WAV = "iVBORw0KGgo=", "UklGRg=="
IMAGE = {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}
SOUND = {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "EqQ="}
REDACTED = {"type": "redacted_thinking", "data": "UkVE"}
HI = {"role": "user", "content": "hi"}
Json = dict[str, Any]


def chat(*turns: Json, **members: Any) -> Json:
    return {"model": "m", "messages": list(turns), **members}


def call(**members: Any) -> Json:
    return {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "d", **members}]}


def messages(*turns: Json) -> Json:
    return {"model": "m", "max_tokens": 9, "messages": list(turns)}


def items(*given: Json, **members: Any) -> Json:
    return {"model": "m", "input": list(given), **members}


FUNCTION_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
TOOL = {"type": "function", "function": {"name": "f", "strict": True}}


@pytest.mark.parametrize(
    ("inlet", "outlet", "asked", "names"),
    [
        (OPENAI, ANTHROPIC, chat({"role": "user", "content": [IMAGE]}), ("messages[0].content[0].image_url.detail",)),
        (OPENAI, ANTHROPIC, chat(HI, call(odd=1)), ("messages[1].tool_calls[1].odd",)),
        (OPENAI, ANTHROPIC, chat(HI, {**call(odd=1), "reasoning": "hm", "content": "a"}),
         ("messages[1].reasoning", "messages[1].tool_calls[1].odd")),
        (OPENAI, OLLAMA, chat(HI, {"role": "assistant", "content": "b", "thinking_blocks": [THOUGHT]}),
         ("messages[1].thinking_blocks[0].signature",)),
        (OPENAI, OLLAMA, chat(HI, tools=[TOOL]), ("tools[0].function.strict",)),
        (OPENAI, TGI, chat(HI, functions=[{"name": "f"}], function_call="none"), ("functions", "function_call")),
        (ANTHROPIC, OPENAI, messages(HI, {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "b"}]}),
         ("messages[1].content[0].signature",)),
        (ANTHROPIC, OPENAI, messages(HI, {"role": "assistant", "content": [THOUGHT, REDACTED, THOUGHT]}),
         ("messages[1].content[0].signature", "messages[1].content[1]", "messages[1].content[2].signature")),
        (ANTHROPIC, OLLAMA, {**messages(HI), "thinking": {"type": "adaptive", "display": "omitted"}},
         ("thinking.display",)),
        (RESPONSES, GEMINI, items(HI, tools=[{"type": "function", "name": "f", "strict": False}]),
         ("tools[0].strict",)),
        (ANTHROPIC, OPENAI, messages({"role": "user", "content": [{"type": "text", "text": "a", "odd": 1}]}),
         ("messages[0].content[0].odd",)),
        (RESPONSES, ANTHROPIC, items(HI, SEALED, FUNCTION_CALL, {**FUNCTION_CALL, "call_id": "d", "odd": 1}),
         ("input[1].encrypted_content", "input[1]", "input[3].odd")),
        (RESPONSES, OPENAI, items(HI, {**SEALED, "encrypted_content": "parley:signature:EqQ="},
                                  {"role": "assistant", "content": "b"}), ("input[1].encrypted_content",)),
        (GEMINI, OPENAI, {"contents": [{"role": "model", "parts": [{"text": "a", "thought": True,
         "thought_signature": "c2ln"}, {"text": "b"}]}]}, ("contents[0].parts[0].thought_signature",)),
    ],
)  # fmt: skip
def test_what_is_dropped(inlet: str, outlet: str, asked: Json, names: tuple[str, ...]) -> None:
    assert sent(way(inlet, outlet), asked)[1] == names


@pytest.mark.parametrize(
    ("inlet", "outlet", "asked", "name"),
    [
        (OPENAI, ANTHROPIC, chat({"role": "user", "content": [{"type": "text", "text": "a"}, SOUND]}),
         "messages[0].content[1]"),
        (OPENAI, TGI, chat(HI, {**call(), "content": "said"}), "messages[1].tool_calls[0]"),
        (GENERATE, ANTHROPIC, {"model": "m", "prompt": "a", "suffix": "b"}, "suffix"),
        (GENERATE, ANTHROPIC, {"model": "m", "prompt": "a", "images": [PNG], "raw": True, "suffix": ""}, "raw"),
        (GENERATE, TGI, {"model": "m", "prompt": "a", "images": [PNG, PNG]}, "images[0]"),
        (OLLAMA, TGI, {"model": "m", "messages": [{"role": "user", "content": "a", "images": [PNG]}]},
         "messages[0].images[0]"),
        (OLLAMA, TGI, {"model": "m", "messages": [HI, {"role": "assistant", "content": "", "thinking": "hm",
         "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]}, "messages[1].tool_calls[0]"),
        (RESPONSES, TGI, items(HI, {"role": "assistant", "content": "a"}, FUNCTION_CALL), "input[2]"),
        (RESPONSES, BEDROCK, items(HI, prompt={"id": "p"}), "prompt"),
        (RESPONSES, BEDROCK, items({"role": "user", "content": [{"type": "input_text", "text": "a"},
         {"type": "input_image", "image_url": "https://x/y.png"}]}), "input[0].content[1]"),
        (GEMINI, ANTHROPIC, {"contents": [{"parts": [{"text": "a"}, {"inline_data": {"mime_type": "audio/wav",
         "data": WAV}}]}]}, "contents[0].parts[1]"),
    ],
)  # fmt: skip
def test_what_is_refused(inlet: str, outlet: str, asked: Json, name: str) -> None:
    failure = refused(way(inlet, outlet), asked)
    assert (failure.kind, failure.param) == ("invalid_request", name)
    assert ".content[" not in failure.message.replace(name, "")
