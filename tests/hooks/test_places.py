"""Where texts stand in requests and answers of every dialect, and that nothing else changes."""

import time
from typing import Any

import msgspec
import pytest

from parley.hooks.places import places
from parley.hooks.view import Edited

CHAT = {
    "model": "no",
    "messages": [
        {"role": "system", "content": "T1"},
        {"role": "user", "name": "no", "content": [
            {"type": "text", "text": "T2"}, {"type": "image_url", "image_url": {"url": "no"}}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "no", "function": {"name": "no", "arguments": "no"}}]},
        {"role": "tool", "tool_call_id": "no", "content": "T3"},
    ],
    "tools": [{"type": "function", "function": {"name": "no", "description": "no", "parameters": {"content": "no"}}}],
    "metadata": {"text": "no"}, "stop": ["no"], "user": "no",
    "response_format": {"type": "json_schema", "json_schema": {"name": "no", "schema": {"text": "no"}}},
}  # fmt: skip
MESSAGES = {
    "model": "no", "system": [{"type": "text", "text": "T1", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "T2"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "no", "signature": "no"}, {"type": "text", "text": "T3"},
            {"input": {"text": "no", "content": "no"}, "id": "no", "name": "no", "type": "tool_use"}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "no", "content": [{"type": "text", "text": "T4"}]},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "T5"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "no"}}]},
    ],
}  # fmt: skip
RESPONSES = {
    "model": "no", "instructions": "T1",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "T2"}]},
        {"type": "function_call", "call_id": "no", "name": "no", "arguments": "no"},
        {"type": "function_call_output", "call_id": "no", "output": "T3"},
        {"type": "custom_tool_call", "name": "no", "input": "no"},
        {"type": "reasoning", "id": "no", "encrypted_content": "no",
         "summary": [{"type": "summary_text", "text": "T4"}]},
    ],
    "text": {"format": {"type": "json_schema", "name": "no", "schema": {"content": "no"}}},
    "previous_response_id": "no",
}  # fmt: skip
GEMINI = {
    "systemInstruction": {"parts": [{"text": "T1"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "T2"}, {"inlineData": {"mimeType": "no", "data": "no"}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "no", "args": {"text": "no"}}}]},
    ],
    "generationConfig": {"stopSequences": ["no"], "responseMimeType": "no"},
}  # fmt: skip
OTHERS: list[dict[str, Any]] = [
    {"model": "no", "prompt": ["T1", "T2"], "suffix": "T3"},
    {"model": "no", "input": ["T1", "T2"], "encoding_format": "no"},
    {"model": "no", "input": "T1", "voice": "no"},
    {"model": "no", "query": "T1", "documents": ["T2", {"text": "T3"}]},
    {"model": "no", "prompt": "T1", "system": "T2", "images": ["no"], "options": {"stop": ["no"]}, "keep_alive": "no"},
    {"id": "no", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "T1", "reasoning_content": "T2"}}]},
    {"id": "no", "content": [{"type": "text", "text": "T1"}], "stop_reason": "no", "role": "assistant"},
    {"candidates": [{"content": {"parts": [{"text": "T1"}]}, "finishReason": "no"}]},
    {"model": "no", "message": {"role": "assistant", "content": "T1"}, "done_reason": "no"},
    {"text": "T1", "language": "no", "segments": [{"text": "T2"}]},
]  # fmt: skip


@pytest.mark.parametrize("body", [CHAT, MESSAGES, RESPONSES, GEMINI, *OTHERS], ids=lambda body: next(iter(body)))
def test_every_text_is_found_and_nothing_else(body: dict[str, Any]) -> None:
    written = msgspec.json.encode(body)
    found = [text.text for text in Edited(written).texts]
    assert found == sorted(found)
    assert found == [f"T{number + 1}" for number in range(len(found))]
    assert written.count(b'"T') == len(found) > 0


def test_who_said_it_and_where_it_stands() -> None:
    texts = Edited(msgspec.json.encode(CHAT)).texts
    assert [(text.role, text.where) for text in texts] == [
        ("system", "messages[0].content"),
        ("user", "messages[1].content[0].text"),
        ("tool", "messages[3].content"),
    ]


def test_only_what_is_changed_changes() -> None:
    body = (
        b'{ "temperature":1.0,\n "messages" : [{"content":"caf\\u00e9 \\"x\\"","role":"user"}, '
        b'{"role":"user","content" : "b" }],"n":1e0 }'
    )
    edited = Edited(body)
    assert [text.text for text in edited.texts] == ['café "x"', "b"]
    assert edited.written() is body
    edited.texts[1].text = 'new "é"\n'
    assert edited.written() == body.replace(b'"b"', '"new \\"é\\"\\n"'.encode())
    edited.texts[0].text = ""
    assert msgspec.json.decode(edited.written())["messages"][0]["content"] == ""


def test_a_type_that_comes_last_counts() -> None:
    assert [place.text(b) for b in [b'{"text":"x","type":"thinking"}'] for place in places(b).places] == []
    body = b'{"source":{"data":"plain","type":"text"}}'
    assert [place.text(body) for place in places(body).places] == ["plain"]


@pytest.mark.parametrize(
    ("before", "unit"),
    [(b"", b'{"text":'), (b"", b"["), (b"", b'"\\"'), (b"", b'"text",'), (b"", b"\\"), (b'[{"text":' * 500, b'"x",')],
)
def test_time_grows_with_the_length_alone(before: bytes, unit: bytes) -> None:
    took = []
    for size in (4_000, 16_000):
        begun = time.process_time()
        Edited(before + unit * size)
        took.append(time.process_time() - begun)
    assert took[1] < 10 * took[0] + 0.2
