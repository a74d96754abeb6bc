"""Rerank: requests and answers, both ways, to and from the canonical form. The shape is what Cohere's first API, Jina's
and the servers that follow them share.

A provider that does not repeat the documents gets them repeated here, for callers who want them.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import DecodeError, Struct, ValidationError, json

from parley.failure import invalid
from parley.ir import Ranked, RerankRequest, RerankResponse, Usage
from parley.wire import Encoded, Reply
from parley.wire.fields import Scalar, check, optional, required
from parley.wire.openai_error import bad_response
from parley.wire.openai_media.answer import check_rerank
from parley.wire.openai_media.embeddings import plain, word
from parley.wire.openai_media.members import no_stream
from parley.wire.openai_shape import members_of

NAME: Final = "rerank"
_COUNT: Final = Scalar((int,), 1)


class _Result(Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None
    document: str | dict[str, Any] | None = None
    text: str | None = None


class _Asked(Struct):
    documents: list[Any] = []
    return_documents: bool | None = None
    top_n: int | None = None


_results: Final = json.Decoder(list[_Result]).decode
_asked: Final = json.Decoder(_Asked).decode


def decode_request(body: dict[str, Any]) -> RerankRequest:
    """The request in ``body``, which is left as it is. Raises ``invalid_request`` naming the field."""
    body = body.copy()
    model, query = required(body, "model", str), required(body, "query", str)
    no_stream(body)
    documents = required(body, "documents", list)
    for place, document in enumerate(documents):
        if not isinstance(document, str | dict):
            raise invalid(f"documents[{place}] must be a string or an object", f"documents[{place}]")
    top = body.pop("top_n", None)
    if top is not None:
        check("top_n", top, _COUNT)
    return RerankRequest(
        wire=NAME,
        model=model,
        query=query,
        documents=tuple(documents),
        top_n=top,
        return_documents=optional(body, "return_documents", bool),
        extra=body,
    )


def encode_request(request: RerankRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider."""
    body: dict[str, Any] = {"model": request.model, "query": request.query, "documents": list(request.documents)}
    named = {"top_n": request.top_n, "return_documents": request.return_documents}
    body.update({name: value for name, value in named.items() if value is not None})
    if request.wire == NAME:
        return Encoded({**body, **request.extra})
    return Encoded(body, tuple(request.extra))


def decode_response(body: bytes) -> RerankResponse:
    """A whole answer, also one that is only the list. Raises ``upstream_bad_response`` (empty_body, bad_json,
    bad_shape)."""
    usage = check_rerank(body)
    if body.lstrip().startswith(b"["):
        return RerankResponse(wire=NAME, results=_ranked(body))
    found = members_of(body)
    results = _ranked(bytes(found["results"] if "results" in found else found["data"]))
    rest = plain(found, "results", "data", "usage", "object")
    return RerankResponse(
        wire=NAME, results=results, model=word(rest, "model"), id=word(rest, "id"), usage=usage, extra=rest
    )


def _ranked(data: bytes) -> tuple[Ranked, ...]:
    try:
        found = _results(data)
    except ValidationError:
        raise bad_response("bad_shape", "the provider's answer holds a result that is none") from None
    return tuple(map(_one, found))


def _one(result: _Result) -> Ranked:
    score = result.relevance_score if result.relevance_score is not None else result.score
    if score is None:
        raise bad_response("bad_shape", "the provider's answer holds a result without a score")
    return Ranked(result.index, score, result.document if result.document is not None else result.text)


def encode_response(response: RerankResponse, reply: Reply) -> bytes:
    """The whole answer for the caller. Raises ``upstream_bad_response`` for a document that was not sent."""
    asked = _request_of(reply)
    same = response.wire == NAME
    made: dict[str, Any] = {
        "id": response.id or reply.id,
        "model": response.model or reply.model,
        # Some servers rank all, however many were asked for.
        "results": [_result(ranked, asked) for ranked in response.results[: asked.top_n]],
    }
    if response.usage is not None:
        made["usage"] = _usage(response.usage)
    return json.encode({**made, **response.extra} if same else made)


def _request_of(reply: Reply) -> _Asked:
    try:
        return _asked(reply.asked)
    except DecodeError:
        return _Asked()


def _result(ranked: Ranked, asked: _Asked) -> dict[str, Any]:
    made: dict[str, Any] = {"index": ranked.index, "relevance_score": ranked.score}
    count = len(asked.documents)
    if count and not 0 <= ranked.index < count:
        raise bad_response("bad_shape", f"the provider ranked document {ranked.index} of {count}")
    document = ranked.document
    if document is None and asked.return_documents and count:
        document = asked.documents[ranked.index]
    if document is not None:
        made["document"] = {"text": document} if isinstance(document, str) else document
    return made


def _usage(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input, "total_tokens": usage.input + usage.output}
