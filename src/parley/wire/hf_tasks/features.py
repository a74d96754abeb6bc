"""Feature extraction: texts to vectors.

Texts go as a list, so that the depth of the answer tells what it is: one vector for each text, one for each token of
each text, or the latter in a list of its own. Vectors of tokens are pooled into one.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import ValidationError, convert

from parley.failure import invalid
from parley.ir import EmbedRequest, EmbedResponse
from parley.wire import Encoded
from parley.wire.flat_error import bad_shape, object_of, refuse_told

NAME: Final = "hf_features"
Pooling: TypeAlias = Literal["mean", "first", "last", "max"]
Vector: TypeAlias = tuple[float, ...]
_WHAT: Final = "one vector, or a list of them, for each text"


def encode_request(
    prompts: Mapping[str, str], normalize: bool | None, request: EmbedRequest, options: Mapping[str, Any]
) -> Encoded:
    """The body for a pipeline. Raises ``invalid_request`` for token numbers."""
    for index, text in enumerate(request.inputs):
        if not isinstance(text, str):
            path = "input" if request.single else f"input[{index}]"
            raise invalid(f"{path}: this provider reads texts, not token numbers", path)
    body: dict[str, Any] = {"inputs": list(request.inputs)}
    if normalize is not None:
        body["normalize"] = normalize
    if request.truncate is not None:
        body["truncate"] = request.truncate
    given = {"dimensions": request.dimensions, "user": request.user}
    dropped = [*(name for name, value in given.items() if value is not None), *request.extra]
    if request.purpose is not None:
        prompt = prompts.get(request.purpose)
        if prompt is None:
            dropped.append("input_type")
        else:
            body["prompt_name"] = prompt
    return Encoded(body, tuple(dropped))


def decode_response(pooling: Pooling, body: bytes) -> EmbedResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, _WHAT)
    refuse_told(NAME, data)
    if not isinstance(data, list) or not data:
        raise bad_shape(_WHAT)
    return EmbedResponse(wire=NAME, vectors=tuple(_vector(pooling, item) for item in data))


def _vector(pooling: Pooling, item: Any) -> Vector:
    if isinstance(item, list) and len(item) == 1 and _depth(item) == 3:
        item = item[0]
    try:
        if _depth(item) == 1:
            return _whole((convert(item, Vector),))[0]
        return pooled(pooling, _whole(convert(item, tuple[Vector, ...])))
    except ValidationError:
        raise bad_shape(_WHAT) from None


def _depth(item: Any) -> int:
    depth = 0
    while isinstance(item, list) and item:
        depth, item = depth + 1, item[0]
    return depth


def _whole(vectors: tuple[Vector, ...]) -> tuple[Vector, ...]:
    """The vectors, proven to be of one length."""
    if not vectors or not vectors[0] or any(len(vector) != len(vectors[0]) for vector in vectors):
        raise bad_shape(_WHAT)
    return vectors


def pooled(pooling: Pooling, tokens: tuple[Vector, ...]) -> Vector:
    """One vector of a text's tokens, which are of one length."""
    if pooling == "first":
        return tokens[0]
    if pooling == "last":
        return tokens[-1]
    if pooling == "max":
        return tuple(map(max, zip(*tokens, strict=True)))
    return tuple(sum(column) / len(tokens) for column in zip(*tokens, strict=True))
