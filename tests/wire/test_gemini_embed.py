"""Embeddings in both of this wire's forms, and through the relay to a provider's."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure
from parley.ir import EmbedRequest, EmbedResponse, Usage
from parley.wire import load
from relay_parts import refused as relay_refused
from relay_parts import sent, way
from wire.gemini_parts import failing, reply

ONE, BATCH, THERE = load("gemini_embed"), load("gemini_embed_batch"), load("gemini_embeddings")


def text(words: str) -> dict[str, Any]:
    return {"parts": [{"text": words}]}


@pytest.mark.parametrize(
    "members",
    [
        {"taskType": "CLUSTERING", "outputDimensionality": 3},
        {"task_type": "CLUSTERING", "output_dimensionality": 3},
        {"embedContentConfig": {"taskType": "CLUSTERING", "outputDimensionality": 3}},
    ],
)
def test_one(members: dict[str, Any]) -> None:
    found = ONE.decode_request({"model": "m", "content": text("a"), "title": "t", **members})
    assert found == EmbedRequest(
        wire="gemini", model="m", inputs=("a",), single=True, dimensions=3, purpose="CLUSTERING", extra={"title": "t"}
    )


def test_a_batch_goes_to_the_targets_model() -> None:
    body = {"requests": [{"model": "models/asked", "content": text(words), "taskType": "X"} for words in "ab"]}
    made, dropped = sent(way("gemini_embed_batch", "gemini_embeddings"), body)
    assert made == {"requests": [{"model": "models/real-1", "content": text(words), "taskType": "X"} for words in "ab"]}
    assert dropped == ()


def test_one_goes_as_a_batch() -> None:
    made, _ = sent(way("gemini_embed", "gemini_embeddings"), {"content": text("a"), "title": "t"})
    assert made == {"requests": [{"model": "models/real-1", "content": text("a"), "title": "t"}]}


@pytest.mark.parametrize(
    ("requests", "param"),
    [
        ([], "requests"),
        ([1], "requests[0]"),
        ([{"content": {}}], "requests[0].content.parts"),
        ([{"content": {"parts": [{"inlineData": {}}]}}], "requests[0].content.parts[0]"),
        ([{"content": text("a")}, {"content": text("b"), "taskType": "X"}], "requests[1].taskType"),
        (
            [{"content": text("a")}, {"content": text("b"), "outputDimensionality": 1}],
            "requests[1].outputDimensionality",
        ),
    ],
)
def test_refusals(requests: Any, param: str) -> None:
    assert relay_refused(way("gemini_embed_batch", "gemini_embeddings"), {"requests": requests}).param == param


def test_other_wires_requests() -> None:
    asked = EmbedRequest(
        wire="cohere",
        model="m",
        inputs=("a", "b"),
        dimensions=2,
        purpose="search_query",
        truncate=True,
        user="u",
        extra={"x": 1},
    )
    encoded = THERE.encode_request(asked, {})
    shared = {"outputDimensionality": 2, "taskType": "RETRIEVAL_QUERY"}
    assert encoded.body == {"requests": [{"model": "models/m", "content": text(words), **shared} for words in "ab"]}
    assert encoded.dropped == ("user", "truncate", "x")
    odd = EmbedRequest(wire="x", model="m", inputs=("a",), purpose="image")
    assert THERE.encode_request(odd, {}).dropped == ("input_type",)
    tokens = EmbedRequest(wire="openai_embeddings", model="m", inputs=("a", (1, 2)))
    assert failing(THERE.encode_request, tokens, {}).param == "input[1]"


def test_answers() -> None:
    body = json.encode({"embeddings": [{"values": [0.5, 1]}, {"values": []}], "usageMetadata": {"promptTokenCount": 3}})
    found = THERE.decode_response(body)
    assert found == EmbedResponse(wire="gemini", vectors=((0.5, 1), ()), usage=Usage(3, 0))
    assert json.decode(BATCH.encode_response(found, reply())) == {"embeddings": [{"values": [0.5, 1]}, {"values": []}]}
    assert json.decode(ONE.encode_response(found, reply())) == {"embedding": {"values": [0.5, 1]}}
    assert THERE.decode_response(b'{"embedding":{"values":[1]}}').vectors == ((1,),)
    assert THERE.check_answer(body) == Usage(3, 0)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"<html>", "bad_json"),
        (b"{}", "bad_shape"),
        (b'{"embeddings":[{"values":["a"]}]}', "bad_shape"),
        (b'{"embeddings":[1]}', "bad_shape"),
    ],
)
def test_what_is_no_answer(body: bytes, detail: str) -> None:
    assert failing(THERE.decode_response, body).detail == detail


def test_there_are_no_streams() -> None:
    assert failing(THERE.glance, "", b"{}").detail == "bad_content_type"
    assert THERE.stream_encoder(reply()).fail(Failure("internal", "no")).startswith(b'data: {"error"')
