"""Text Embeddings Inference's own wire."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import EmbedRequest, Ranked, RerankRequest
from parley.wire import load
from wire.server_parts import failure, fitted

EMBED, RERANK = load("tei_embed"), load("tei_rerank")


def embed(*inputs: Any, **more: Any) -> EmbedRequest:
    return EmbedRequest(wire="openai_embeddings", model="m", inputs=inputs, **more)


def rerank(*documents: Any, **more: Any) -> RerankRequest:
    return RerankRequest(wire="rerank", model="m", query="q", documents=documents, **more)


def refusal(call: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        call(*arguments)
    return caught.value.failure


def test_texts_leave() -> None:
    made = EMBED.encode_request(embed("a", "b", dimensions=8, truncate=False), {})
    assert made.body == {"inputs": ["a", "b"], "dimensions": 8, "truncate": False}
    assert made.dropped == ()
    assert EMBED.encode_request(embed("a", single=True), {}).body == {"inputs": ["a"]}


def test_what_has_no_name_there_is_listed() -> None:
    made = EMBED.encode_request(embed("a", user="u", purpose="search_query", extra={"odd": 1}, encoding="base64"), {})
    assert made.body == {"inputs": ["a"]}
    assert made.dropped == ("user", "odd", "input_type")


def test_a_purpose_is_a_prompt_where_the_operator_says_which() -> None:
    wire = fitted("tei_embed", prompts={"search_query": "query"}, normalize=False)
    made = wire.encode_request(embed("a", purpose="search_query"), {})
    assert made.body == {"inputs": ["a"], "normalize": False, "prompt_name": "query"}
    assert made.dropped == ()
    assert wire.encode_request(embed("a", purpose="search_document"), {}).dropped == ("input_type",)


@pytest.mark.parametrize(("single", "field"), [(True, "input"), (False, "input[1]")])
def test_token_numbers_are_refused(single: bool, field: str) -> None:
    inputs: tuple[Any, ...] = ((1, 2),) if single else ("a", (1, 2))
    found = refusal(EMBED.encode_request, embed(*inputs, single=single), {})
    assert (found.kind, found.param) == ("invalid_request", field)


def test_vectors_come() -> None:
    found = EMBED.decode_response(b"[[0.5,-1],[2,1e-3]]")
    assert found.vectors == ((0.5, -1.0), (2.0, 0.001))
    assert all(type(number) is float for vector in found.vectors for number in vector)
    assert (found.wire, found.usage) == ("tei_embed", None)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"[[0.1,", "bad_json"),
        (b"[]", "bad_shape"),
        (b"[[]]", "bad_shape"),
        (b"[0.1]", "bad_shape"),
        (b"[[null]]", "bad_shape"),
        (b'{"data":[]}', "bad_shape"),
        (b'{"error":"no","error_type":"Backend"}', "stream_error"),
    ],
)
def test_answers_without_vectors(body: bytes, detail: str) -> None:
    assert failure(EMBED.decode_response, body).detail == detail


def test_documents_leave() -> None:
    made = RERANK.encode_request(rerank("a", {"text": "b"}, return_documents=True, top_n=2), {})
    assert made.body == {"query": "q", "texts": ["a", "b"], "return_text": True}
    assert made.dropped == ()


def test_members_of_other_servers_are_listed() -> None:
    assert RERANK.encode_request(rerank("a", "b", top_n=1, extra={"odd": 1}), {}).dropped == ("odd",)


@pytest.mark.parametrize("document", [{"title": "t", "text": "x"}, {"body": "x"}, {"text": 1}, {}])
def test_documents_of_members_are_refused(document: Any) -> None:
    assert refusal(RERANK.encode_request, rerank("a", document), {}).param == "documents[1]"


def test_ranks_come_the_best_first() -> None:
    body = json.encode([{"index": 0, "score": 0.1}, {"index": 1, "score": 2, "text": "b"}])
    assert RERANK.decode_response(body).results == (Ranked(1, 2.0, "b"), Ranked(0, 0.1))
    assert RERANK.decode_response(b"[]").results == ()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{}", "bad_shape"),
        (b'[{"index":0}]', "bad_shape"),
        (b'[{"index":"0","score":1}]', "bad_shape"),
        (b'{"error":"no","error_type":"Overloaded"}', "stream_error"),
    ],
)
def test_answers_without_ranks(body: bytes, detail: str) -> None:
    assert failure(RERANK.decode_response, body).detail == detail
