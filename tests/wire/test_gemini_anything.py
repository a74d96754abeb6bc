"""Requests, answers and events of any shape: an error of their own kind, or a result, and nothing else."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import json

from parley.failure import ParleyError
from parley.wire import load
from wire.gemini_parts import WIRE, read, reply
from wire.test_gemini_answer import WHOLE
from wire.test_gemini_request import EVERYTHING_CAMEL

ODD: tuple[Any, ...] = (None, True, 0, -1.5, "", "x", [], [None], {}, {"text": 1}, [[]], {"parts": {}})
EMBED = {
    "requests": [{"model": "m", "content": {"parts": [{"text": "a"}]}, "taskType": "X", "outputDimensionality": 3}]
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a value."""
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [each for key, item in value.items() for each in places(item, (*path, key))]
    if isinstance(value, list):
        return found + [each for index, item in enumerate(value) for each in places(item, (*path, index))]
    return found


def broken(whole: Any) -> list[Any]:
    """The value with something odd at each of its places."""
    made = []
    for path in places(whole):
        for odd in ODD:
            copy = json.decode(json.encode(whole))
            holder = copy
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = odd
            made.append(copy)
    return made


def kinds(values: list[Any], use: Callable[[Any], Any]) -> set[str]:
    found = set()
    for value in values:
        try:
            use(value)
            found.add("fine")
        except ParleyError as error:
            found.add(error.failure.kind)
    return found


@pytest.mark.parametrize("outlet", ["gemini", "openai_chat", "anthropic"])
def test_requests(outlet: str) -> None:
    def use(value: Any) -> None:
        json.encode(load(outlet).encode_request(WIRE.decode_request({"model": "m", **value}), {}).body)

    assert kinds(broken(EVERYTHING_CAMEL), use) == {"fine", "invalid_request"}


def test_answers() -> None:
    def use(value: Any) -> None:
        found = WIRE.decode_response(json.encode(value))
        for name in ("gemini", "openai_chat", "anthropic"):
            json.decode(load(name).encode_response(found, reply("gemini")))
        WIRE.check_answer(json.encode(value))

    assert kinds(broken(json.decode(WHOLE)), use) <= {"fine", "upstream_bad_response", "upstream_error"}


def test_events() -> None:
    def use(value: Any) -> None:
        data = json.encode(value)
        WIRE.glance("", data)
        encoder = WIRE.stream_encoder(reply())
        for event in read(b"data: " + data + b"\n\n"):
            encoder.feed(event)

    found = kinds(broken(json.decode(WHOLE)), use)
    assert found <= {"fine", "upstream_bad_response", "upstream_error", "upstream_incomplete"}


def test_pieces_of_calls() -> None:
    call = {
        "name": "f",
        "id": "x",
        "willContinue": False,
        "partialArgs": [{"jsonPath": "$.a[0].b", "stringValue": "s"}],
    }
    whole = {"candidates": [{"content": {"parts": [{"functionCall": call}]}, "finishReason": "STOP"}]}
    found = kinds(broken(whole), lambda value: read(b"data: " + json.encode(value) + b"\n\n"))
    assert found <= {"fine", "upstream_bad_response", "upstream_error", "upstream_incomplete"}


def test_embeddings() -> None:
    batch, there = load("gemini_embed_batch"), load("gemini_embeddings")

    def use(value: Any) -> None:
        there.encode_request(batch.decode_request({**value, "model": "m"}), {})

    assert kinds(broken(EMBED), use) == {"fine", "invalid_request"}
    answer = {"embeddings": [{"values": [1, 2]}], "usageMetadata": {"promptTokenCount": 1}}
    found = kinds(broken(answer), lambda value: there.decode_response(json.encode(value)))
    assert found <= {"fine", "upstream_bad_response", "upstream_error"}


def test_errors() -> None:
    info = {"@type": "x", "reason": "R", "retryDelay": "3s"}
    error = {"error": {"code": 429, "message": "m", "status": "S", "details": [info]}}
    found = kinds(broken(error), lambda value: WIRE.encode_error(WIRE.decode_error(429, [], json.encode(value)), "id"))
    assert found == {"fine"}


def test_bytes() -> None:
    rand = random.Random(7)
    for _ in range(300):
        data = bytearray(WHOLE)
        for _ in range(3):
            data[rand.randrange(len(data))] = rand.randrange(256)
        for use in (WIRE.decode_response, WIRE.check_answer, lambda body: WIRE.glance("", body)):
            assert kinds([bytes(data)], use) <= {"fine", "upstream_bad_response", "upstream_error"}
