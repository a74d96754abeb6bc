"""Embeddings: OpenAI's form to the canonical form and back."""

import struct
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import EmbedRequest, EmbedResponse, Usage
from parley.wire import Reply, load

EMBEDDINGS = load("openai_embeddings")
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def failure(call: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        call(*arguments)
    return caught.value.failure


def reply(wire: str, **asked: Any) -> Reply:
    return Reply(model="m", id="req-1", created=9, wire=wire, asked=json.encode(asked))


def base64_of(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize(
    ("given_input", "inputs", "single"),
    [
        ("a", ("a",), True),
        ("", ("",), True),
        (["a"], ("a",), False),
        (["a", "b"], ("a", "b"), False),
        ([1, 2], ((1, 2),), True),
        ([[1, 2], [3]], ((1, 2), (3,)), False),
    ],
)
def test_inputs(given_input: Any, inputs: Any, single: bool) -> None:
    body = {"model": "m", "input": given_input}
    request = EMBEDDINGS.decode_request(body)
    assert (request.inputs, request.single) == (inputs, single)
    assert body == {"model": "m", "input": given_input}
    assert EMBEDDINGS.encode_request(request, {}).body == body


def test_every_member_of_an_embeddings_request_comes_back() -> None:
    body = {
        "model": "m",
        "input": ["a"],
        "dimensions": 2,
        "encoding_format": "base64",
        "user": "u",
        "input_type": "query",
        "odd": {"x": None},
    }
    request = EMBEDDINGS.decode_request(body)
    assert request == EmbedRequest(
        wire="openai_embeddings",
        model="m",
        inputs=("a",),
        dimensions=2,
        encoding="base64",
        user="u",
        purpose="query",
        extra={"odd": {"x": None}},
    )
    assert EMBEDDINGS.encode_request(request, {}).body == body
    assert EMBEDDINGS.encode_request(request, {}).dropped == ()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [1, "a"]}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": ["a", []]}, "input[1]"),
        ({"input": [True]}, "input[0]"),
        ({"input": [[1, 2.5]]}, "input[0]"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"user": 5}, "user"),
        ({"model": None}, "model"),
    ],
)
def test_embeddings_requests_that_are_none(members: dict[str, Any], param: str) -> None:
    found = failure(EMBEDDINGS.decode_request, {"model": "m", "input": "a", **members})
    assert (found.kind, found.param) == ("invalid_request", param)


def test_another_wires_request_loses_by_name() -> None:
    request = EmbedRequest(
        wire="other", model="m", inputs=("a", "b"), purpose="query", truncate=True, user="u", extra={"odd": 1}
    )
    encoded = EMBEDDINGS.encode_request(request, {})
    assert encoded.body == {"model": "m", "input": ["a", "b"], "user": "u"}
    assert encoded.dropped == ("input_type", "truncate", "odd")


@pytest.mark.parametrize("vector", [[0.5, -1.25], base64_of(0.5, -1.25)])
def test_vectors_are_read_in_either_form_and_by_their_index(vector: Any) -> None:
    data = [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": vector, "object": "embedding"}]
    body = json.encode({"object": "list", "model": "m-1", "data": data, "usage": {"prompt_tokens": 3}, "odd": 1})
    response = EMBEDDINGS.decode_response(body)
    assert response == EmbedResponse(
        wire="openai_embeddings",
        vectors=((0.5, -1.25), (1.0,)),
        model="m-1",
        usage=Usage(3),
        extra={"odd": 1},
    )


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"data":null}',
        b'{"data":[{}]}',
        b'{"data":[{"embedding":null}]}',
        b'{"data":[{"embedding":["a"]}]}',
        b'{"data":[{"embedding":"AAA="}]}',
        b'{"data":[{"embedding":"!"}]}',
        b'{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}',
        b'{"data":[{"index":1,"embedding":[1]}]}',
    ],
)
def test_answers_without_vectors(body: bytes) -> None:
    assert failure(EMBEDDINGS.decode_response, body).detail == "bad_shape"


def test_a_caller_gets_floats_or_base64_as_asked_whatever_the_provider_sent() -> None:
    response = EmbedResponse(wire="other", vectors=((0.5, -2.0), (0.1, 3.0)), usage=Usage(4), extra={"odd": 1})
    made = json.decode(EMBEDDINGS.encode_response(response, reply("other", input=["a", "b"])))
    assert made == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -2.0]},
            {"object": "embedding", "index": 1, "embedding": [0.1, 3.0]},
        ],
        "model": "m",
        "id": "req-1",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    asked = reply("other", input=["a", "b"], encoding_format="base64")
    texts = [item["embedding"] for item in json.decode(EMBEDDINGS.encode_response(response, asked))["data"]]
    assert texts == [base64_of(0.5, -2.0), base64_of(0.1, 3.0)]
    assert b64decode(texts[0]) == b"\x00\x00\x00\x3f\x00\x00\x00\xc0"


@settings(deadline=None)
@given(st.lists(FLOATS, max_size=8))
def test_base64_is_exact_for_what_it_can_hold(numbers: list[float]) -> None:
    response = EmbedResponse(wire="other", vectors=(tuple(numbers),))
    made = EMBEDDINGS.encode_response(response, reply("other", input="a", encoding_format="base64"))
    assert EMBEDDINGS.decode_response(made).vectors == response.vectors


def test_vectors_that_cannot_be_the_inputs() -> None:
    response = EmbedResponse(wire="other", vectors=((0.5,),))
    assert (
        failure(EMBEDDINGS.encode_response, response, reply("other", input=["a", "b"])).kind == "upstream_bad_response"
    )
    huge = EmbedResponse(wire="other", vectors=((1e300,),))
    asked = reply("other", input="a", encoding_format="base64")
    assert failure(EMBEDDINGS.encode_response, huge, asked).kind == "upstream_bad_response"


def test_usage_nobody_told_is_guessed_for_it_must_be_there() -> None:
    response = EmbedResponse(wire="other", vectors=((0.5,),))
    made = json.decode(EMBEDDINGS.encode_response(response, reply("other", input="x" * 38)))
    assert made["usage"] == {"prompt_tokens": 10, "total_tokens": 10}
