"""Ollama's two ways to make vectors, both roles."""

from typing import Any

import ollama
import pytest
from msgspec import json

from parley.failure import ParleyError
from parley.ir import EmbedRequest, EmbedResponse, Usage
from parley.wire import Reply
from parley.wire.ollama import EMBED, EMBEDDINGS

REPLY = Reply(model="m", id="r", created=0, elapsed=lambda: 5)


def refused(call: Any, *given: Any) -> str | None:
    with pytest.raises(ParleyError) as caught:
        call(*given)
    return caught.value.failure.param or caught.value.failure.detail


def test_requests_are_read() -> None:
    body = {"model": "m", "input": ["a", "b"], "dimensions": 3, "truncate": False, "options": {"num_ctx": 9}, "x": 1}
    found = EMBED.decode_request(body)
    assert found == EmbedRequest(
        wire="ollama_embed", model="m", inputs=("a", "b"), dimensions=3, truncate=False,
        extra={"x": 1, "options.num_ctx": 9},
    )  # fmt: skip
    assert EMBED.decode_request({"model": "m", "input": "a"}).single
    assert EMBED.encode_request(found, {}).body == body
    assert EMBED.encode_request(found, {}).dropped == ()


def test_the_older_request() -> None:
    body = {"model": "m", "prompt": "p", "keep_alive": "1m"}
    found = EMBEDDINGS.decode_request(body)
    assert (found.inputs, found.single) == (("p",), True)
    assert EMBEDDINGS.encode_request(found, {}).body == body
    assert EMBED.encode_request(found, {}).body == {"model": "m", "input": "p", "keep_alive": "1m"}


def test_requests_of_another_wire() -> None:
    request = EmbedRequest(
        wire="openai_embeddings", model="m", inputs=("a",), dimensions=2, encoding="base64", purpose="query",
        user="u", extra={"odd": 1},
    )  # fmt: skip
    found = EMBED.encode_request(request, {})
    assert found.body == {"model": "m", "input": ["a"], "dimensions": 2}
    assert set(found.dropped) == {"purpose", "user", "odd"}
    older = EMBEDDINGS.encode_request(request, {})
    assert older.body == {"model": "m", "prompt": "a"}
    assert set(older.dropped) == {"purpose", "user", "odd", "dimensions"}


@pytest.mark.parametrize("wire", [EMBED, EMBEDDINGS], ids=["embed", "embeddings"])
def test_token_numbers_are_refused(wire: Any) -> None:
    request = EmbedRequest(wire="openai_embeddings", model="m", inputs=((1, 2),))
    assert refused(wire.encode_request, request, {}) == "input"


def test_the_older_way_takes_one_text() -> None:
    request = EmbedRequest(wire="openai_embeddings", model="m", inputs=("a", "b"))
    assert refused(EMBEDDINGS.encode_request, request, {}) == "input"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "input"),
        ({"model": "m", "input": 5}, "input"),
        ({"model": "m", "input": ["a", 5]}, "input[1]"),
        ({"input": "a"}, "model"),
        ({"model": "m", "input": "a", "dimensions": "many"}, "dimensions"),
        ({"model": "m", "input": "a", "options": 1}, "options"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    assert refused(EMBED.decode_request, body) == param


def test_answers_are_read() -> None:
    body = b'{"model":"n","embeddings":[[0.5,1],[2,-3e-2]],"total_duration":1,"prompt_eval_count":4}'
    found = EMBED.decode_response(body)
    assert (found.vectors, found.model, found.usage) == (((0.5, 1.0), (2.0, -0.03)), "n", Usage(4))
    assert EMBED.check_answer(body) == Usage(4)
    older = EMBEDDINGS.decode_response(b'{"embedding":[1,2]}')
    assert (older.vectors, older.usage) == (((1.0, 2.0),), None)
    assert EMBEDDINGS.check_answer(b'{"embedding":[1,2]}') is None


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"<html>", "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"embeddings":"x"}', "bad_shape"),
        (b'{"error":"it broke"}', "stream_error"),
    ],
)
def test_what_is_no_answer(body: bytes, detail: str) -> None:
    assert refused(EMBED.decode_response, body) == detail
    assert refused(EMBED.check_answer, body) == detail


def test_answers_are_written() -> None:
    response = EmbedResponse(wire="openai_embeddings", vectors=((0.5, 1.0),), usage=Usage(4))
    found = json.decode(EMBED.encode_response(response, REPLY))
    assert found == {
        "model": "m", "embeddings": [[0.5, 1.0]], "total_duration": 5, "load_duration": 0, "prompt_eval_count": 4,
    }  # fmt: skip
    assert ollama.EmbedResponse(**found).embeddings == [[0.5, 1.0]]
    older = json.decode(EMBEDDINGS.encode_response(response, REPLY))
    assert ollama.EmbeddingsResponse(**older).embedding == [0.5, 1.0]


def test_the_older_answer_has_one_vector() -> None:
    response = EmbedResponse(wire="openai_embeddings", vectors=((0.5,), (1.0,)))
    assert refused(EMBEDDINGS.encode_response, response, REPLY) == "bad_shape"
