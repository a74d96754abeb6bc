"""The tiny model answers as designed, from the real server, on both of its wires, before anything is built on it."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from faults.raw import sse_events
from fixtures.children import ROOT
from fixtures.llama import Llama
from real import tiny

SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": tiny.ANSWER, "strict": True}}
NAMED_TOOL = {"type": "tool", "name": "get_weather"}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def post(llama: Llama, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    wanted = urllib.request.Request(llama.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(wanted, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def chat(llama: Llama, text: str, **more: Any) -> dict[str, Any]:
    status, body = post(llama, "/v1/chat/completions", {"messages": tiny.user(text), **more})
    assert status == 200, body
    value: dict[str, Any] = json.loads(body)
    return value


def message(llama: Llama, text: str, **more: Any) -> dict[str, Any]:
    wanted = {"model": "tiny", "max_tokens": 100, "messages": tiny.user(text), **more}
    status, body = post(llama, "/v1/messages", wanted)
    assert status == 200, body
    value: dict[str, Any] = json.loads(body)
    return value


TEXTS = [
    ("hi", {}, "stop", tiny.HI, (6, 8)),
    ("Привет", {}, "stop", tiny.HI, (16, 8)),
    ("COUNT", {}, "stop", tiny.COUNT, (10, 13)),
    ("COUNT", {"max_tokens": 3}, "length", "one two three", (10, 3)),
    ("COUNT", {"stop": [" four"]}, "stop", "one two three", (10, 4)),
    ("LOOP", {"max_tokens": 20}, "length", " ".join(["again and"] * 10), (9, 20)),
    ("JSON", {}, "stop", '{"answer": 42} ', (9, 5)),
    ("JSON", {"response_format": {"type": "json_object"}}, "stop", '{"answer": 42}', (9, 5)),
    ("JSON", {"response_format": SCHEMA}, "stop", '{"answer": 42}', (9, 5)),
    ("THINK", {}, "stop", "Greetings!", (10, 10)),
    ("hi", {"tools": tiny.OPENAI_ONE, "tool_choice": "none"}, "stop", tiny.CALL_TEXT, (None, 11)),
]


@pytest.mark.parametrize(("text", "more", "finish", "content", "tokens"), TEXTS)
def test_texts(
    llama: Llama, text: str, more: dict[str, Any], finish: str, content: str, tokens: tuple[int | None, int]
) -> None:
    prompt, completion = tokens
    answer = chat(llama, text, **more)
    choice, usage = answer["choices"][0], answer["usage"]
    assert (choice["finish_reason"], choice["message"]["content"]) == (finish, content)
    assert usage["completion_tokens"] == completion
    assert prompt in (None, usage["prompt_tokens"])
    assert choice["message"].get("reasoning_content") == (tiny.THOUGHT if text == "THINK" else None)


def calls(answer: dict[str, Any]) -> list[tuple[str, Any]]:
    found = [call["function"] for call in answer["choices"][0]["message"]["tool_calls"]]
    return [(function["name"], json.loads(function["arguments"])) for function in found]


@pytest.mark.parametrize("choice", ["auto", "required", NAMED])
def test_one_tool_call(llama: Llama, choice: Any) -> None:
    answer = chat(llama, "hi", tools=tiny.OPENAI_ONE, tool_choice=choice)
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert calls(answer) == [tiny.PARIS]
    assert answer["usage"]["completion_tokens"] == 11


def test_two_tool_calls(llama: Llama) -> None:
    answer = chat(llama, "TWO", tools=tiny.OPENAI_TWO)
    assert calls(answer) == [tiny.OSLO, tiny.UTC]
    assert answer["usage"]["completion_tokens"] == 8


def test_a_tool_round_trip_ends(llama: Llama) -> None:
    first = chat(llama, "hi", tools=tiny.OPENAI_ONE)["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "sunny"}
    turns = [*tiny.user("hi"), first, result]
    answer = chat(llama, "", tools=tiny.OPENAI_ONE, messages=turns)
    assert answer["choices"][0]["message"]["content"] == tiny.HI


def test_system_counts_as_prompt(llama: Llama) -> None:
    answer = chat(llama, "", messages=[{"role": "system", "content": "S"}, *tiny.user("hi")])
    assert (answer["choices"][0]["message"]["content"], answer["usage"]["prompt_tokens"]) == (tiny.HI, 9)


@pytest.mark.parametrize(("path", "more"), [("/v1/chat/completions", {}), ("/v1/messages", {"max_tokens": 5})])
def test_too_much_context(llama: Llama, path: str, more: dict[str, Any]) -> None:
    status, body = post(llama, path, {"model": "tiny", "messages": tiny.user(tiny.OVERFLOW), **more})
    assert status == 400
    assert json.loads(body)["error"]["type"] == "exceed_context_size_error"


def streamed(llama: Llama, path: str, body: dict[str, Any]) -> list[tuple[str, bytes]]:
    status, answer = post(llama, path, {**body, "stream": True})
    assert status == 200, answer
    return sse_events(answer)


def test_a_chat_stream_gives_a_chunk_per_piece(llama: Llama) -> None:
    options = {"include_usage": True}
    events = streamed(llama, "/v1/chat/completions", {"messages": tiny.user("COUNT"), "stream_options": options})
    assert events[-1] == ("", b"[DONE]")
    chunks = [json.loads(data) for _, data in events[:-1]]
    texts = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    assert [text for text in texts if text] == ["one"] + [f" {word}" for word in tiny.COUNT.split()[1:]]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 13


def test_a_chat_stream_gives_arguments_in_fragments(llama: Llama) -> None:
    events = streamed(llama, "/v1/chat/completions", {"messages": tiny.user("TWO"), "tools": tiny.OPENAI_TWO})
    parts: dict[int, list[str]] = {}
    for _, data in events[:-1]:
        for choice in json.loads(data)["choices"]:
            for part in choice["delta"].get("tool_calls", ()):
                parts.setdefault(part["index"], []).append(part["function"].get("arguments", ""))
    assert [json.loads("".join(fragments)) for fragments in parts.values()] == [tiny.OSLO[1], tiny.UTC[1]]


MESSAGES = [
    ("hi", {}, "end_turn", tiny.HI, 8),
    ("hi", {"system": "S"}, "end_turn", tiny.HI, 8),
    ("COUNT", {"max_tokens": 3}, "max_tokens", "one two three", 3),
    ("COUNT", {"stop_sequences": [" four"]}, "end_turn", "one two three", 4),
    ("THINK", {}, "end_turn", "Greetings!", 10),
]


@pytest.mark.parametrize(("text", "more", "stop", "content", "output"), MESSAGES)
def test_messages(llama: Llama, text: str, more: dict[str, Any], stop: str, content: str, output: int) -> None:
    answer = message(llama, text, **more)
    assert answer["stop_reason"] == stop
    assert [block["text"] for block in answer["content"] if block["type"] == "text"] == [content]
    thoughts = [block["thinking"] for block in answer["content"] if block["type"] == "thinking"]
    assert thoughts == ([tiny.THOUGHT] if text == "THINK" else [])
    assert answer["usage"]["output_tokens"] == output


# "none" is here too: this server's Messages wire does not heed it, which the tests of the gateway must know.
@pytest.mark.parametrize("choice", [{"type": name} for name in ("auto", "any", "none")] + [NAMED_TOOL])
def test_a_message_calls_a_tool(llama: Llama, choice: dict[str, Any]) -> None:
    answer = message(llama, "hi", tools=tiny.ANTHROPIC_ONE, tool_choice=choice)
    assert answer["stop_reason"] == "tool_use"
    assert [(b["name"], b["input"]) for b in answer["content"] if b["type"] == "tool_use"] == [tiny.PARIS]


def test_a_message_calls_two_tools(llama: Llama) -> None:
    answer = message(llama, "TWO", tools=tiny.ANTHROPIC_TWO)
    assert [(b["name"], b["input"]) for b in answer["content"] if b["type"] == "tool_use"] == [tiny.OSLO, tiny.UTC]


def test_a_message_stream(llama: Llama) -> None:
    events = streamed(llama, "/v1/messages", {"model": "tiny", "max_tokens": 99, "messages": tiny.user("THINK")})
    values = [json.loads(data) for _, data in events]
    assert [name for name, _ in events] == [value["type"] for value in values]
    deltas = [value["delta"] for value in values if value["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "Greetings!"
    assert "".join(delta.get("thinking", "") for delta in deltas) == tiny.THOUGHT
    assert values[-1] == {"type": "message_stop"}


def test_tokens_are_counted(llama: Llama) -> None:
    status, body = post(llama, "/v1/messages/count_tokens", {"model": "tiny", "messages": tiny.user("hi")})
    assert (status, json.loads(body)) == (200, {"input_tokens": 6})


def test_two_builds_are_the_same_bytes(tiny_gguf: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.gguf"
    script = str(ROOT / "scripts/tiny_model.py")
    told = subprocess.run([sys.executable, script, str(again)], check=True, capture_output=True, text=True)
    assert again.read_bytes() == tiny_gguf.read_bytes()
    assert "sha256" in told.stdout


def test_the_script_wants_a_name() -> None:
    script = str(ROOT / "scripts/tiny_model.py")
    told = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (2, "")
    assert "usage" in told.stderr
