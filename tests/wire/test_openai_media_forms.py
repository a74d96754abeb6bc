"""Embeddings, rerank and pictures: OpenAI's forms to the canonical form and back."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import (
    ImageRequest,
    ImageResponse,
    Picture,
    Ranked,
    RerankRequest,
    RerankResponse,
    Usage,
)
from parley.wire import Reply, load

EMBEDDINGS, IMAGES, RERANK = load("openai_embeddings"), load("openai_images"), load("rerank")


def failure(call: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        call(*arguments)
    return caught.value.failure


def reply(wire: str, **asked: Any) -> Reply:
    return Reply(model="m", id="req-1", created=9, wire=wire, asked=json.encode(asked))


# Rerank


def test_every_member_of_a_rerank_request_comes_back() -> None:
    body = {
        "model": "m",
        "query": "q",
        "documents": ["a", {"text": "b", "title": "t"}],
        "top_n": 1,
        "return_documents": False,
        "max_tokens_per_doc": 9,
    }
    request = RERANK.decode_request(body)
    assert request == RerankRequest(
        wire="rerank",
        model="m",
        query="q",
        documents=("a", {"text": "b", "title": "t"}),
        top_n=1,
        return_documents=False,
        extra={"max_tokens_per_doc": 9},
    )
    assert RERANK.encode_request(request, {}).body == body
    encoded = RERANK.encode_request(RerankRequest(wire="x", model="m", query="q", documents=("a",), extra={"o": 1}), {})
    assert (encoded.body, encoded.dropped) == ({"model": "m", "query": "q", "documents": ["a"]}, ("o",))


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"query": None}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"top_n": 0}, "top_n"),
        ({"return_documents": 1}, "return_documents"),
    ],
)
def test_rerank_requests_that_are_none(members: dict[str, Any], param: str) -> None:
    found = failure(RERANK.decode_request, {"model": "m", "query": "q", "documents": ["a"], **members})
    assert (found.kind, found.param) == ("invalid_request", param)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"r","model":"m","results":[{"index":1,"relevance_score":0.5,"document":{"text":"b"}}],"odd":1}',
        b'{"id":"r","model":"m","data":[{"index":1,"score":0.5,"document":{"text":"b"}}],"odd":1}',
    ],
)
def test_ranked_documents_are_read(body: bytes) -> None:
    response = RERANK.decode_response(body)
    ranked = (Ranked(1, 0.5, {"text": "b"}),)
    assert response == RerankResponse(wire="rerank", results=ranked, model="m", id="r", extra={"odd": 1})
    bare = RERANK.decode_response(b'[{"index":0,"score":1,"text":"a"}]')
    assert bare.results == (Ranked(0, 1.0, "a"),)


@pytest.mark.parametrize("body", [b"{}", b'{"results":[{}]}', b'{"results":[{"index":0}]}', b'{"results":[1]}'])
def test_answers_without_ranks(body: bytes) -> None:
    assert failure(RERANK.decode_response, body).detail == "bad_shape"


def test_documents_are_repeated_for_callers_who_want_them() -> None:
    response = RerankResponse(wire="other", results=(Ranked(1, 0.5), Ranked(0, 0.25)), usage=Usage(7))
    asked = {"documents": ["a", {"text": "b", "title": "t"}]}
    made = json.decode(RERANK.encode_response(response, reply("other", **asked)))
    results = [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.25}]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    assert made == {"id": "req-1", "model": "m", "results": results, "usage": usage}
    made = json.decode(RERANK.encode_response(response, reply("other", **asked, return_documents=True)))
    assert [one["document"] for one in made["results"]] == [{"text": "b", "title": "t"}, {"text": "a"}]


def test_a_document_that_was_never_sent() -> None:
    response = RerankResponse(wire="other", results=(Ranked(2, 0.5),))
    assert failure(RERANK.encode_response, response, reply("other", documents=["a"])).kind == "upstream_bad_response"


# Pictures


def test_every_member_of_a_pictures_request_comes_back() -> None:
    body = {
        "model": "m",
        "prompt": "a cat",
        "n": 2,
        "size": "1024x1024",
        "quality": "high",
        "style": "vivid",
        "background": "opaque",
        "output_format": "webp",
        "response_format": "b64_json",
        "seed": 5,
        "user": "u",
        "moderation": "low",
    }
    request = IMAGES.decode_request({**body, "stream": False})
    assert request == ImageRequest(
        wire="openai_images",
        model="m",
        prompt="a cat",
        n=2,
        size="1024x1024",
        quality="high",
        style="vivid",
        background="opaque",
        format="webp",
        answer="b64_json",
        seed=5,
        user="u",
        extra={"moderation": "low"},
    )
    assert IMAGES.encode_request(request, {}).body == body
    other = IMAGES.encode_request(ImageRequest(wire="x", model="m", prompt="p", extra={"o": 1}), {})
    assert (other.body, other.dropped) == ({"model": "m", "prompt": "p"}, ("o",))


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": 5}, "size"),
        ({"response_format": "png"}, "response_format"),
        ({"stream": 1}, "stream"),
    ],
)
def test_pictures_requests_that_are_none_or_cannot_cross(members: dict[str, Any], param: str) -> None:
    found = failure(IMAGES.decode_request, {"model": "m", "prompt": "p", **members})
    assert (found.kind, found.param) == ("invalid_request", param)


def test_pictures_are_read() -> None:
    body = {
        "created": 5,
        "data": [
            {"b64_json": "AA==", "revised_prompt": "r"},
            {"url": "https://x.example/a.png"},
            {"url": "data:image/gif;base64,BB=="},
        ],
        "output_format": "webp",
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    }
    response = IMAGES.decode_response(json.encode(body))
    assert response == ImageResponse(
        wire="openai_images",
        pictures=(
            Picture("AA==", None, "image/webp", "r"),
            Picture(None, "https://x.example/a.png", "image/webp"),
            Picture("BB==", None, "image/gif"),
        ),
        created=5,
        usage=Usage(1, 2),
        extra={"output_format": "webp"},
    )


@pytest.mark.parametrize("body", [b"{}", b'{"data":[{}]}', b'{"data":[1]}', b'{"data":{}}'])
def test_answers_without_pictures(body: bytes) -> None:
    assert failure(IMAGES.decode_response, body).detail == "bad_shape"


@pytest.mark.parametrize(
    ("asked", "datum"),
    [
        ({}, {"b64_json": "AA==", "revised_prompt": "r"}),
        ({"response_format": "b64_json"}, {"b64_json": "AA==", "revised_prompt": "r"}),
        ({"response_format": "url"}, {"url": "data:image/jpeg;base64,AA==", "revised_prompt": "r"}),
    ],
)
def test_a_picture_of_data_alone_goes_as_the_caller_wants_it(asked: dict[str, Any], datum: dict[str, Any]) -> None:
    response = ImageResponse(wire="other", pictures=(Picture("AA==", None, "image/jpeg", "r"),), usage=Usage(3, 4))
    made = json.decode(IMAGES.encode_response(response, reply("other", prompt="p", **asked)))
    assert made == {
        "created": 9,
        "data": [datum],
        "usage": {
            "input_tokens": 3,
            "output_tokens": 4,
            "total_tokens": 7,
            "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
        },
    }


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (
            EMBEDDINGS,
            {"data": [{"index": 0, "embedding": [0.5]}], "model": "m-1", "usage": {"prompt_tokens": 1}, "o": 1},
        ),
        (RERANK, {"id": "i", "model": "m-1", "results": [{"index": 0, "relevance_score": 0.5}], "o": 1}),
        (IMAGES, {"created": 5, "data": [{"url": "https://x.example/"}], "o": 1}),
    ],
)
def test_on_its_own_wire_an_answer_keeps_what_nobody_knows(wire: Any, body: dict[str, Any]) -> None:
    made = json.decode(wire.encode_response(wire.decode_response(json.encode(body)), reply(wire.name)))
    assert made["o"] == 1
    assert made.get("model", "m-1") == "m-1"


@pytest.mark.parametrize("wire", [EMBEDDINGS, RERANK, IMAGES])
def test_only_a_provider_of_the_same_wire_may_stream(wire: Any) -> None:
    body = {"model": "m", "input": "a", "query": "q", "documents": ["a"], "prompt": "p"}
    assert "stream" not in wire.decode_request({**body, "stream": False}).extra
    assert failure(wire.decode_request, {**body, "stream": True}).param == "stream"


@pytest.mark.parametrize("wire", [EMBEDDINGS, RERANK, IMAGES])
def test_what_is_no_answer(wire: Any) -> None:
    assert failure(wire.decode_response, b" ").detail == "empty_body"
    assert failure(wire.decode_response, b"<html>").detail == "bad_json"
    told = failure(wire.decode_response, b'{"error":{"message":"no","type":"rate_limit_error"}}')
    assert (told.kind, told.message) == ("upstream_rate_limited", "no")
