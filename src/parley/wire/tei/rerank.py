"""Documents by what they say about a query: POST /rerank.

The server ranks all of them; of more than the caller asked for (``top_n``) the best are given on by the caller's wire.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, ValidationError, convert

from parley.failure import invalid
from parley.ir import Ranked, RerankRequest, RerankResponse
from parley.wire import Encoded
from parley.wire.flat_error import bad_shape, object_of, refuse_told

NAME: Final = "tei_rerank"
_WHAT: Final = "a list of ranked texts"


class _Rank(Struct):
    index: int
    score: float
    text: str | None = None


def encode_request(request: RerankRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider. Raises ``invalid_request`` for a document that is no text."""
    texts = [_text(index, document) for index, document in enumerate(request.documents)]
    body: dict[str, Any] = {"query": request.query, "texts": texts}
    if request.return_documents is not None:
        body["return_text"] = request.return_documents
    return Encoded(body, tuple(request.extra))


def _text(index: int, document: str | dict[str, Any]) -> str:
    if isinstance(document, str):
        return document
    text = document.get("text")
    if isinstance(text, str) and len(document) == 1:
        return text
    path = f"documents[{index}]"
    raise invalid(f"{path}: this provider ranks texts; a document of several members cannot be sent", path)


def decode_response(body: bytes) -> RerankResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, _WHAT)
    refuse_told(NAME, data)
    try:
        ranks = convert(data, list[_Rank])
    except ValidationError:
        raise bad_shape(_WHAT) from None
    ranks.sort(key=lambda rank: -rank.score)
    return RerankResponse(wire=NAME, results=tuple(Ranked(rank.index, rank.score, rank.text) for rank in ranks))
