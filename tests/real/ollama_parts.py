"""What the tests of Ollama's wire share: an Ollama and a server of OpenAI's wire, fakes that answer in their own words,
and a gateway's configuration with both."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import ollama

from fixtures.peer import Seen, Told

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
NOW = "2026-01-02T03:04:05.678901234Z"
COUNTS = {
    "done": True, "done_reason": "stop", "total_duration": 50, "load_duration": 1, "prompt_eval_count": 11,
    "prompt_eval_duration": 20, "eval_count": 4, "eval_duration": 29,
}  # fmt: skip
ARGUMENTS = '{"unit": "C", "city": "Paris"}'
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "tells the weather",
        "parameters": {"type": "object", "properties": {"unit": {"type": "string"}, "city": {"type": "string"}}},
    },
}
SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}, "required": ["b"]}
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"


# The fakes


def piece(seen: Seen, text: str = "", **members: Any) -> bytes:
    """One line of an Ollama."""
    head = {"model": seen.body["model"], "created_at": NOW}
    said = {"response": text} if seen.path == "/api/generate" else {"message": {"role": "assistant", "content": text}}
    top = {name: members.pop(name) for name in list(members) if name in COUNTS}
    said.get("message", said).update(members)
    return json.dumps({**head, **said, "done": False, **top}).encode() + b"\n"


def by_ollama(seen: Seen) -> Told:
    """What an Ollama would answer; the model's name chooses what goes wrong."""
    body, model = seen.body, seen.body["model"]
    if model == "gone":
        return Told([b'{"error":"model \'gone\' not found"}'], status=404)
    if model == "busy":
        return Told([b'{"error":"ollama is busy"}'], status=429)
    if seen.path == "/api/embed":
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = [[float(len(text)), 0.5] for text in texts]
        return Told([json.dumps({"model": model, "embeddings": vectors, "prompt_eval_count": 3}).encode()])
    if seen.path == "/api/embeddings":
        return Told([json.dumps({"embedding": [7.0, float(len(body["prompt"]))]}).encode()])
    if not body.get("messages", body.get("prompt")):
        return Told([piece(seen, done=True, done_reason="load")])
    return _said(seen)


def _said(seen: Seen) -> Told:
    body = seen.body
    if body["model"] == "page":
        return Told([b"<html>no</html>"], kind="text/html")
    wanted = body.get("tools") and body["messages"][-1]["role"] != "tool"
    call = b'{"function":{"name":"weather","arguments":%b}}' % ARGUMENTS.encode()
    if body.get("stream", True) is False:
        whole = piece(
            seen, "" if wanted else "ollama says hi", **COUNTS, **({"thinking": "hm"} if body.get("think") else {})
        )
        return Told([whole.replace(b'"content": ""', b'"content": "", "tool_calls": [%b, %b]' % (call, call))])
    start = [piece(seen, thinking="hm")] if body.get("think") else []
    said = [piece(seen).replace(b'"content": ""', b'"content": "", "tool_calls": [%b]' % call)] * 2
    words = said if wanted else [piece(seen, "ollama "), piece(seen, "says "), piece(seen, "hi")]
    if body["model"] == "cut":
        return Told([*start, *words], LINES, cut=True)
    if body["model"] == "short":
        return Told([*start, *words], LINES)
    if body["model"] == "breaks":
        return Told([*start, *words, b'{"error":"ollama broke"}\n'], LINES)
    return Told([*start, *words, piece(seen, **COUNTS)], LINES)


def by_openai(seen: Seen) -> Told:
    """What a server of OpenAI's wire would answer."""
    body = seen.body
    if seen.path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": n, "embedding": [n, 0.5]} for n in range(len(body["input"]))]
        return Told(
            [json.dumps({"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 3}}).encode()]
        )
    if body["model"] == "gone":
        return Told([b'{"error":{"message":"no such thing","type":"invalid_request_error"}}'], status=404)
    usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
    wanted = body.get("tools") and body["messages"][-1]["role"] != "tool"
    calls = [{"index": n, "id": f"c{n}", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
             for n in range(2)]  # fmt: skip
    message = {"content": None, "tool_calls": calls} if wanted else {"content": "openai says hi", "reasoning": "hm"}
    reason = "tool_calls" if wanted else "length" if body.get("max_tokens") == 3 else "stop"
    head = {"id": "x", "created": 1767323045, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        return Told([json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()])
    deltas: list[dict[str, Any]] = [{"reasoning": "hm"}, {"content": "openai "}, {"content": "says hi"}]
    if wanted:
        deltas = [
            {"tool_calls": [{**call, "function": {"name": "weather", "arguments": ARGUMENTS[:9]}}]} for call in calls
        ]
        deltas += [{"tool_calls": [{"index": n, "function": {"arguments": ARGUMENTS[9:]}}]} for n in range(2)]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage}]
    sent = [b"data: " + json.dumps({**head, "object": "chat.completion.chunk", **chunk}).encode() for chunk in chunks]
    if body["model"] == "cut":
        return Told([event + b"\n\n" for event in sent[:3]], EVENTS, cut=True)
    return Told([event + b"\n\n" for event in [*sent, b"data: [DONE]"]], EVENTS)


def between(native: str, other: str) -> dict[str, Any]:
    """The configuration of a gateway to both fakes; some models have one try only."""
    once = {"attempts": 1}
    return {
        "providers": {
            "ol": {"type": "ollama", "base_url": native},
            "oa": {"type": "openai", "base_url": f"{other}/v1", "api_key": "sk-1"},
        },
        "models": [
            {"model": "cool", "targets": ["ol/tiny"], "overrides": {"temperature": 0.25}},
            *(
                {"model": f"ol-{name}", "targets": [f"ol/{name}"], "retries": once}
                for name in ("gone", "busy", "cut", "short", "breaks", "page")
            ),
            *({"model": f"oa-{name}", "targets": [f"oa/{name}"], "retries": once} for name in ("gone", "cut")),
        ],
    }


def user(text: str = "hi", **members: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text, **members}]


def broken(stream: Iterator[Any]) -> tuple[list[Any], ollama.ResponseError]:
    """The pieces of a stream and the error that it must end with."""
    parts = []
    try:
        for part in stream:
            parts.append(part)
    except ollama.ResponseError as error:
        return parts, error
    raise AssertionError("the stream looks complete")
