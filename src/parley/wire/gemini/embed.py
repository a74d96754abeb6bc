"""Gemini's embedContent and batchEmbedContents, as a dialect and as a provider.

A provider is always asked for a batch, and each of its requests names the model again. Texts only: a picture or sound
to be embedded is refused by name. Source: provider contract 3.6 (9).
"""

from collections.abc import Mapping
from typing import Any, Final

from parley.failure import Failure, ParleyError, at, invalid
from parley.ir import EmbedRequest, EmbedResponse, Event, Usage
from parley.wire import Encoded, Mark, Reply, unspoken
from parley.wire.gemini.answer import answer_of
from parley.wire.gemini.counts import usage_from
from parley.wire.gemini.errors import bad, error_event
from parley.wire.gemini.names import NAME, Json, camel, encode, rest
from parley.wire.gemini.parts import optional, required

_READ: Final = frozenset({"model", "content", "taskType", "outputDimensionality", "embedContentConfig"})
_SHARED: Final = ("taskType", "outputDimensionality")
# What other wires call the purpose of a vector.
_PURPOSES: Final[Mapping[str, str]] = {
    "query": "RETRIEVAL_QUERY",
    "search_query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "search_document": "RETRIEVAL_DOCUMENT",
    "passage": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


def decode_one(body: dict[str, Any]) -> EmbedRequest:
    """The request of POST models/{model}:embedContent. Raises ``invalid_request`` with the field's path."""
    members = _flat(camel(body))
    return EmbedRequest(
        wire=NAME,
        model=required(members, "model", str),
        inputs=(_text(members),),
        single=True,
        dimensions=optional(members, "outputDimensionality", int),
        purpose=optional(members, "taskType", str),
        extra=rest(members, _READ),
    )


def decode_batch(body: dict[str, Any]) -> EmbedRequest:
    """The request of POST models/{model}:batchEmbedContents, whose requests must agree on all but their texts."""
    members = camel(body)
    values = required(members, "requests", list)
    if not values:
        raise invalid("requests must hold at least one request", "requests")
    made: list[EmbedRequest] = []
    for index, value in enumerate(values):
        place = f"requests[{index}]"
        if type(value) is not dict:
            raise invalid(f"{place} must be an object", place)
        try:
            made.append(decode_one({**value, "model": required(members, "model", str)}))
        except ParleyError as error:
            raise at(error, place) from None
        _agree(made[0], made[-1], place)
    first = made[0]
    return EmbedRequest(
        wire=NAME,
        model=first.model,
        inputs=tuple(one.inputs[0] for one in made),
        dimensions=first.dimensions,
        purpose=first.purpose,
        extra={**first.extra, **rest(members, frozenset({"model", "requests"}))},
    )


def _flat(members: Json) -> Json:
    """The settings of the newer form beside the older ones."""
    config = optional(members, "embedContentConfig", dict)
    return members if config is None else {**members, **config}


def _agree(first: EmbedRequest, other: EmbedRequest, place: str) -> None:
    for name, field in (("outputDimensionality", "dimensions"), ("taskType", "purpose"), ("title", "extra")):
        if getattr(first, field) != getattr(other, field):
            raise invalid(f"{place}.{name} must be that of the first request", f"{place}.{name}")


def _text(members: Json) -> str:
    content = required(members, "content", dict)
    try:
        parts = required(content, "parts", list)
        texts = []
        for index, part in enumerate(parts):
            text = part.get("text") if type(part) is dict else None
            if type(text) is not str:
                raise invalid("only text can be embedded", f"parts[{index}]")
            texts.append(text)
    except ParleyError as error:
        raise at(error, "content") from None
    return "".join(texts)


def encode_request(request: EmbedRequest, options: Mapping[str, Any]) -> Encoded:
    """A batch. Raises ``invalid_request`` for tokens in place of text."""
    same = request.wire == NAME
    shared: Json = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    dropped = [name for name in ("user", "truncate") if getattr(request, name) is not None]
    if request.purpose is not None:
        known = request.purpose if same else _PURPOSES.get(request.purpose.lower())
        if known is None:
            dropped.append("input_type")
        else:
            shared["taskType"] = known
    if same:
        shared = {**request.extra, **shared}
    else:
        dropped += request.extra
    model = request.model if "/" in request.model else f"models/{request.model}"
    requests = []
    for index, text in enumerate(request.inputs):
        if not isinstance(text, str):
            path = "input" if request.single else f"input[{index}]"
            raise invalid(f"{path}: this provider embeds text, not tokens", path)
        requests.append({"model": model, "content": {"parts": [{"text": text}]}, **shared})
    return Encoded({"requests": requests}, tuple(dropped))


def decode_response(body: bytes) -> EmbedResponse:
    """The vectors. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error tells."""
    answer = _answer(body)
    found = answer.get("embeddings")
    values = found if type(found) is list else [answer["embedding"]]
    usage = answer.get("usageMetadata")
    known = frozenset({"embeddings", "embedding", "usageMetadata"})
    return EmbedResponse(
        wire=NAME,
        vectors=tuple(_vector(value) for value in values),
        usage=usage_from(usage) if type(usage) is dict else None,
        extra=rest(answer, known),
    )


def _answer(body: bytes) -> Json:
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    answer = answer_of(body, "bad_json")
    if type(answer.get("embeddings")) is not list and type(answer.get("embedding")) is not dict:
        bad("bad_shape", "the provider's answer holds no embeddings")
    return answer


def _vector(value: Any) -> tuple[float, ...]:
    found = value.get("values") if type(value) is dict else None
    if type(found) is not list or not all(type(item) is float or type(item) is int for item in found):
        bad("bad_shape", "the provider's embedding is not a list of numbers")
    return tuple(found)


def encode_one(response: EmbedResponse, reply: Reply) -> bytes:
    """The answer of embedContent."""
    return encode({"embedding": {"values": response.vectors[0] if response.vectors else ()}, **_more(response)})


def encode_batch(response: EmbedResponse, reply: Reply) -> bytes:
    """The answer of batchEmbedContents."""
    return encode({"embeddings": [{"values": vector} for vector in response.vectors], **_more(response)})


def _more(response: EmbedResponse) -> Json:
    return response.extra if response.wire == NAME else {}


def check_answer(body: bytes) -> Usage | None:
    """Raises unless it holds embeddings; their usage where it is told."""
    usage = _answer(body).get("usageMetadata")
    return usage_from(usage) if type(usage) is dict else None


def glance(event: str, data: bytes) -> Mark:
    """Raises ``upstream_bad_response``: this operation has no streams."""
    bad("bad_content_type", "the provider answered with events where an object was asked for")


class NoStream:
    """Vectors do not stream: only an error could be told."""

    __slots__ = ()

    def __init__(self, reply: Reply) -> None:
        """Nothing of the request is needed."""

    def feed(self, event: Event) -> bytes:
        """Raises ``not_implemented``."""
        unspoken()
        return b""

    def fail(self, failure: Failure) -> bytes:
        """The error event."""
        return error_event(failure)
