"""Texts to vectors: POST /embed. The answer is a plain list of vectors, one for each text."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import ValidationError, convert

from parley.failure import invalid
from parley.ir import EmbedRequest, EmbedResponse
from parley.wire import Encoded
from parley.wire.flat_error import bad_shape, object_of, refuse_told

NAME: Final = "tei_embed"
_WHAT: Final = "a list of vectors"


def encode_request(
    prompts: Mapping[str, str], normalize: bool | None, request: EmbedRequest, options: Mapping[str, Any]
) -> Encoded:
    """The body for a provider. Raises ``invalid_request`` for token numbers."""
    texts: list[str] = []
    for index, text in enumerate(request.inputs):
        if not isinstance(text, str):
            path = "input" if request.single else f"input[{index}]"
            raise invalid(f"{path}: this provider reads texts, not token numbers", path)
        texts.append(text)
    body: dict[str, Any] = {"inputs": texts}
    given = {"truncate": request.truncate, "dimensions": request.dimensions, "normalize": normalize}
    body |= {name: value for name, value in given.items() if value is not None}
    dropped = [*request.extra] if request.user is None else ["user", *request.extra]
    if request.purpose is not None:
        prompt = prompts.get(request.purpose)
        if prompt is None:
            dropped.append("input_type")
        else:
            body["prompt_name"] = prompt
    return Encoded(body, tuple(dropped))


def decode_response(body: bytes) -> EmbedResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, _WHAT)
    refuse_told(NAME, data)
    try:
        vectors = convert(data, tuple[tuple[float, ...], ...])
    except ValidationError:
        raise bad_shape(_WHAT) from None
    if not vectors or not all(vectors):
        raise bad_shape(_WHAT)
    return EmbedResponse(wire=NAME, vectors=vectors)
