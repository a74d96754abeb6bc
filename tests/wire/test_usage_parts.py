"""Parts of a usage that have prices of their own, read by every wire that tells them, passed on or decoded."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import Usage
from parley.wire import load
from parley.wire.grade import grade_of

ANTHROPIC = {
    "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
    "server_tool_use": {"web_search_requests": 2}, "service_tier": "priority",
}  # fmt: skip
OPENAI = {
    "prompt_tokens": 10, "completion_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 3},
}  # fmt: skip
GEMINI = {
    "promptTokenCount": 100, "candidatesTokenCount": 20, "cachedContentTokenCount": 30, "thoughtsTokenCount": 5,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 20}, {"modality": "AUDIO", "tokenCount": 40},
        {"modality": "IMAGE", "tokenCount": 30}, {"modality": "VIDEO", "tokenCount": 10},
    ],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}],
}  # fmt: skip
PARTS = [name for name in Usage.__struct_fields__ if name not in ("extra", "estimated")]


def chat(usage: Any, **more: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [{"message": {}}], "usage": usage, **more}


CASES = [
    (
        "anthropic",
        {"type": "message", "id": "m", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn",
         "usage": ANTHROPIC},
        Usage(20, 5, 3, 7, cache_write_1h=4, searches=2, tier="priority"),
    ),
    (
        "anthropic",
        {"type": "message", "id": "m", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn",
         "usage": {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard", "speed": "fast"}},
        Usage(1, 1, tier="fast"),
    ),
    (
        "openai_chat",
        chat(OPENAI, service_tier="flex"),
        Usage(10, 8, 2, None, 1, audio_input=4, audio_output=3, tier="flex"),
    ),
    ("openai_chat", chat(OPENAI, service_tier="default"), Usage(10, 8, 2, None, 1, audio_input=4, audio_output=3)),
    ("openai_chat", chat(OPENAI, service_tier=None), Usage(10, 8, 2, None, 1, audio_input=4, audio_output=3)),
    (
        "openai_responses",
        {"object": "response", "id": "r", "model": "m", "status": "completed", "output": [], "service_tier": "priority",
         "usage": {"input_tokens": 3, "output_tokens": 4}},
        Usage(3, 4, tier="priority"),
    ),
    (
        "gemini",
        {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}], "usageMetadata": GEMINI},
        Usage(
            100, 25, 30, None, 5, audio_input=40, audio_output=None, audio_cached=30, image_input=30, image_output=20,
            video_input=10,
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "usage"), CASES)
def test_parts_are_read_alike_as_they_pass_and_as_they_are_decoded(name: str, body: Any, usage: Usage) -> None:
    wire, text = load(name), json.encode(body)
    wanted = [getattr(usage, part) for part in PARTS]
    glanced = wire.check_answer(text)
    assert [getattr(glanced, part) for part in PARTS] == wanted
    assert wire.decode_response is not None
    decoded = wire.decode_response(text).usage
    assert [getattr(decoded, part) for part in PARTS] == wanted


def test_details_that_are_nothing_of_the_kind_are_no_parts() -> None:
    body = {
        "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            **GEMINI,
            "promptTokensDetails": "AUDIO",
            "candidatesTokensDetails": [{"modality": "IMAGE"}, 5],
        },
    }
    found = load("gemini").check_answer(json.encode(body))
    assert found is not None
    assert (found.input, found.audio_input, found.image_output, found.audio_cached) == (100, None, None, 30)


def test_the_usual_grade_is_none() -> None:
    assert [grade_of(word) for word in ("default", "auto", "standard", "", None, 5)] == [None] * 6
    assert grade_of("flex") == "flex"
    assert grade_of("priority", "fast") == "fast"
