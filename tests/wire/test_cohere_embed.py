"""Cohere v2 embeddings and reranking."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import EmbedRequest, EmbedResponse, Ranked, RerankRequest, RerankResponse, Usage
from parley.wire import Encoded
from wire.cohere_parts import EMBED, RERANK, failure


def embed(options: dict[str, Any] | None = None, **members: Any) -> Encoded:
    members = {"inputs": ("a", "b"), **members}
    found: Encoded = EMBED.encode_request(EmbedRequest(wire="openai_embeddings", model="e", **members), options or {})
    return found


def test_a_request_says_what_the_vectors_are_for() -> None:
    found = embed(dimensions=256, truncate=False, encoding="base64")
    assert found.body == {
        "model": "e",
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 256,
        "truncate": "NONE",
    }
    assert found.dropped == ()
    assert embed(inputs=("a",), single=True).body["texts"] == ["a"]
    assert embed(truncate=True).body["truncate"] == "END"


@pytest.mark.parametrize(
    ("purpose", "sent", "dropped"),
    [
        (None, "search_document", ()),
        ("search_query", "search_query", ()),
        ("query", "search_query", ()),
        ("passage", "search_document", ()),
        ("RETRIEVAL_QUERY", "search_query", ()),
        ("RETRIEVAL_DOCUMENT", "search_document", ()),
        ("CLASSIFICATION", "classification", ()),
        ("SEMANTIC_SIMILARITY", "clustering", ()),
        ("retrieval.passage", "search_document", ()),
        ("poetry", "search_document", ("input_type",)),
    ],
)
def test_purposes(purpose: str | None, sent: str, dropped: tuple[str, ...]) -> None:
    found = embed(purpose=purpose)
    assert (found.body["input_type"], found.dropped) == (sent, dropped)
    assert embed({"input_type": "clustering"}).body["input_type"] == "clustering"


def test_what_cannot_go() -> None:
    found = failure(lambda: embed(inputs=("a", (1, 2))))
    assert (found.kind, found.param) == ("invalid_request", "input")
    assert embed(user="u", extra={"odd": 1}).dropped == ("user", "odd")


@pytest.mark.parametrize("embeddings", [{"float": [[0.5, 1]], "int8": None}, [[0.5, 1]]])
def test_vectors(embeddings: Any) -> None:
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3.0}}
    body = json.encode({"id": "e-1", "embeddings": embeddings, "texts": ["a"], "meta": meta})
    usage = Usage(3)
    response = EMBED.decode_response(body)
    assert response == EmbedResponse(
        wire="cohere_embed", vectors=((0.5, 1.0),), id="e-1", usage=usage, extra={"meta": meta}
    )
    assert EMBED.check_answer(body) == usage


@pytest.mark.parametrize(
    "body", [b"{}", b'{"embeddings":null}', b'{"embeddings":{"int8":[[1]]}}', b'{"embeddings":[["a"]]}']
)
def test_answers_without_vectors(body: bytes) -> None:
    assert failure(EMBED.decode_response, body).detail == "bad_shape"
    assert failure(EMBED.decode_response, b"").detail == "empty_body"


def rerank(*documents: Any, **members: Any) -> Encoded:
    request = RerankRequest(wire="rerank", model="r", query="q", documents=documents, **members)
    found: Encoded = RERANK.encode_request(request, {})
    return found


def test_documents_become_texts() -> None:
    found = rerank("a", {"text": "b"}, {"text": "c", "title": "t"}, top_n=2, return_documents=True)
    assert found.body == {
        "model": "r",
        "query": "q",
        "documents": ["a", "b", '{"text":"c","title":"t"}'],
        "top_n": 2,
    }
    assert found.dropped == ()
    chosen = rerank({"text": "c", "title": "t"}, {"x": 1}, extra={"rank_fields": ["title"]})
    assert chosen.body["documents"] == ['{"title":"t"}', '{"x":1}']


def test_members_of_its_own_go_and_others_are_listed() -> None:
    found = rerank("a", extra={"max_tokens_per_doc": 9, "max_chunks_per_doc": 3, "odd": 1})
    assert found.body["max_tokens_per_doc"] == 9
    assert found.dropped == ("max_chunks_per_doc", "odd")


def test_ranked_documents() -> None:
    meta = {"billed_units": {"search_units": 1}}
    body = {"id": "r-1", "results": [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0}]}
    response = RERANK.decode_response(json.encode({**body, "meta": meta}))
    ranked = (Ranked(1, 0.5), Ranked(0, 0.0))
    assert response == RerankResponse(wire="cohere_rerank", results=ranked, id="r-1", extra={"meta": meta})
    assert response.usage is None
    assert failure(RERANK.decode_response, b'{"id":"x"}').detail == "bad_shape"
    assert failure(RERANK.decode_response, b'{"results":[{"index":0}]}').detail == "bad_shape"
