"""Cohere v2 embed: requests, and answers in numbers.

Every request must say what the vectors are for; who does not say makes documents to be searched. Lists of tokens are
nothing this wire takes. Source: provider contract section 9.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, ValidationError, json

from parley.failure import invalid
from parley.ir import EmbedRequest, EmbedResponse, Usage
from parley.wire import Encoded
from parley.wire.openai_error import bad_response
from parley.wire.openai_shape import members_of
from parley.wire.vectors import purpose_member

NAME: Final = "cohere_embed"
DOCUMENT: Final = "search_document"
_QUERY: Final = "search_query"
# Purposes by the names they have here and elsewhere, in small letters.
_PURPOSES: Final[Mapping[str, str]] = {
    "search_document": DOCUMENT,
    "search_query": _QUERY,
    "classification": "classification",
    "clustering": "clustering",
    "image": "image",
    "document": DOCUMENT,
    "passage": DOCUMENT,
    "retrieval_document": DOCUMENT,
    "retrieval.passage": DOCUMENT,
    "query": _QUERY,
    "retrieval_query": _QUERY,
    "retrieval.query": _QUERY,
    "question_answering": _QUERY,
    "fact_verification": _QUERY,
    "code_retrieval_query": _QUERY,
    "semantic_similarity": "clustering",
    "separation": "clustering",
}


class _Floats(Struct, rename={"floats": "float"}):
    floats: list[list[float]] | None = None


_floats: Final = json.Decoder(_Floats | list[list[float]]).decode
_anything: Final = json.Decoder().decode


def encode_request(request: EmbedRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /v2/embed. Options: ``input_type`` where the caller does not say. Numbers are asked for
    whatever form the caller wants them in. Raises ``invalid_request`` for tokens."""
    texts = [each for each in request.inputs if isinstance(each, str)]
    if len(texts) != len(request.inputs):
        raise invalid("input: this provider takes texts, not tokens", "input")
    said = request.purpose.lower() if request.purpose is not None else ""
    purpose = _PURPOSES.get(said) or str(options.get("input_type", DOCUMENT))
    body: dict[str, Any] = {
        "model": request.model,
        "texts": texts,
        "input_type": purpose,
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    if request.truncate is not None:
        body["truncate"] = "END" if request.truncate else "NONE"
    lost = [purpose_member(request.wire)] if said and said not in _PURPOSES else []
    lost += ["user"] if request.user is not None else []
    return Encoded(body, (*lost, *request.extra))


def decode_response(body: bytes) -> EmbedResponse:
    """A whole answer; of the first API too, where the vectors are a list. Raises ``upstream_bad_response``
    (empty_body, bad_json, bad_shape)."""
    found = members_of(body)
    try:
        made = _floats(found.pop("embeddings", b"null"))
    except ValidationError:
        raise bad_response("bad_shape", "the provider's answer holds no vectors") from None
    vectors = made if isinstance(made, list) else made.floats
    if vectors is None:
        raise bad_response("bad_shape", "the provider's answer holds no vectors of floats")
    rest = {name: _anything(value) for name, value in found.items() if name not in ("texts", "images")}
    id_ = rest.pop("id", None)
    return EmbedResponse(
        wire=NAME,
        vectors=tuple(map(tuple, vectors)),
        id=id_ if isinstance(id_, str) else "",
        usage=billed_usage(rest.get("meta")),
        extra=rest,
    )


def billed_usage(meta: Any) -> Usage | None:
    """Tokens that ``meta`` tells of, None where it tells none."""
    for name in ("tokens", "billed_units"):
        counts = meta.get(name) if isinstance(meta, dict) else None
        read = counts.get("input_tokens") if isinstance(counts, dict) else None
        if type(read) is int or type(read) is float:
            return Usage(int(read))
    return None
