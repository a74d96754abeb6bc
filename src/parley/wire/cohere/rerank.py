"""Cohere v2 rerank: requests and answers.

Documents are texts here. One with members goes as its ``text``; with others, as JSON of all of them or of those that
``rank_fields`` names, which this API reads as it reads YAML. Answers repeat no documents and count no tokens.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, ValidationError, json

from parley.ir import Ranked, RerankRequest, RerankResponse
from parley.wire import Encoded
from parley.wire.cohere.embed import billed_usage
from parley.wire.openai_error import bad_response
from parley.wire.openai_shape import members_of

NAME: Final = "cohere_rerank"
_OWN: Final = frozenset({"max_tokens_per_doc", "priority", "relevant_spans"})


class _Result(Struct):
    index: int
    relevance_score: float


_results: Final = json.Decoder(list[_Result]).decode
_anything: Final = json.Decoder().decode


def encode_request(request: RerankRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /v2/rerank. What is common to all of these APIs has the caller's own names."""
    extra = dict(request.extra)
    chosen = extra.pop("rank_fields", None)
    fields = chosen if isinstance(chosen, list) and chosen else None
    body: dict[str, Any] = {
        "model": request.model,
        "query": request.query,
        "documents": [_text(document, fields) for document in request.documents],
    }
    if request.top_n is not None:
        body["top_n"] = request.top_n
    body.update({name: value for name, value in extra.items() if name in _OWN})
    return Encoded(body, tuple(name for name in extra if name not in _OWN))


def _text(document: str | dict[str, Any], fields: list[Any] | None) -> str:
    if isinstance(document, str):
        return document
    chosen = {name: value for name, value in document.items() if fields is None or name in fields} or document
    text = chosen.get("text")
    if len(chosen) == 1 and isinstance(text, str):
        return text
    return json.encode(chosen).decode()


def decode_response(body: bytes) -> RerankResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape)."""
    found = members_of(body)
    try:
        results = _results(found.pop("results", b"null"))
    except ValidationError:
        raise bad_response("bad_shape", "the provider's answer holds no list of results") from None
    rest = {name: _anything(value) for name, value in found.items()}
    id_ = rest.pop("id", None)
    return RerankResponse(
        wire=NAME,
        results=tuple(Ranked(one.index, one.relevance_score) for one in results),
        id=id_ if isinstance(id_, str) else "",
        usage=billed_usage(rest.get("meta")),
        extra=rest,
    )
