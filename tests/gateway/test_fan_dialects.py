"""Several answers of a provider that gives one at a time, asked for in each dialect that can."""

from typing import Any

import msgspec
import pytest

from gateway.parts import CHAT, INLETS, Ear, Stage
from gateway.test_fan import CLOSING, chunks, claude, opening, stage, word
from parley.ports import Request

COMPLETIONS = b"/v1/completions"
OF_GEMINI = b"/v1beta/models/fan:generateContent"
STREAM_OF_GEMINI = b"/v1beta/models/fan:streamGenerateContent"


@pytest.mark.parametrize(("path", "name"), [(CHAT, "n"), (OF_GEMINI, "generationConfig.candidateCount")])
def test_too_many_are_refused_by_the_callers_own_name(path: bytes, name: str):
    on = stage()
    asked: dict[str, Any] = {"model": "fan", "messages": [{"role": "user", "content": "hi"}], "n": 17}
    if path == OF_GEMINI:
        asked = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"candidateCount": 17}}
    ear = gemini(on, asked) if path == OF_GEMINI else on.ask_raw(msgspec.json.encode(asked))[1]
    assert (ear.status, on.sent) == (400, [])
    assert f"{name}: at most 16" in ear.error["message"]
    on.quiet()


def test_completions():
    on = stage()
    body = {"model": "fan", "prompt": "hi", "n": 2, "max_tokens": 5}
    _, ear = on.ask_raw(msgspec.json.encode(body), COMPLETIONS)
    for sent, text in zip(on.sent, "ab", strict=True):
        sent.whole(claude(text))
    choices = msgspec.json.decode(ear.text)["choices"]
    assert [(choice["index"], choice["text"]) for choice in choices] == [(0, "a"), (1, "b")]


def gemini(on: Stage, body: dict[str, Any], path: bytes = OF_GEMINI) -> Ear:
    ear = Ear()
    inlet = INLETS.find(path, b"alt=sse")
    assert inlet is not None
    on.gateway.begin(inlet, Request([], msgspec.json.encode(body), "req-1", path + b"?alt=sse"), ear)
    return ear


@pytest.mark.parametrize("spelling", [("generationConfig", "candidateCount"), ("generation_config", "candidate_count")])
def test_gemini_callers(spelling: tuple[str, str]):
    on = stage()
    outer, inner = spelling
    ear = gemini(on, {"contents": [{"parts": [{"text": "hi"}]}], outer: {inner: 2, "temperature": 0.5}})
    assert [sent.body["temperature"] for sent in on.sent] == [0.5, 0.5]
    for sent, text in zip(on.sent, "ab", strict=True):
        sent.whole(claude(text))
    answer = msgspec.json.decode(ear.text)
    told = [(one["index"], one["content"]["parts"][0]["text"]) for one in answer["candidates"]]
    assert told == [(0, "a"), (1, "b")]
    assert answer["usageMetadata"]["promptTokenCount"] == 6


def test_gemini_streams():
    on = stage()
    body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"candidateCount": 2}}
    ear = gemini(on, body, STREAM_OF_GEMINI)
    for sent, text in zip(on.sent, "ab", strict=True):
        sent.stream(opening("m"), word(text), CLOSING)
    items = [one for item in chunks(ear) for one in item["candidates"]]
    said_by = {(one["index"], part["text"]) for one in items for part in one["content"]["parts"] if part["text"]}
    assert said_by == {(0, "a"), (1, "b")}
    assert [one["index"] for one in items if "finishReason" in one] == [0, 1]
    assert chunks(ear)[-1]["usageMetadata"]["candidatesTokenCount"] == 10
    on.quiet()
