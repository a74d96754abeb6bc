"""V2 infer of a model that makes vectors: texts go in as one tensor, a tensor of as many vectors comes out."""

from collections.abc import Mapping
from math import prod
from typing import Any, Final

from msgspec import ValidationError, convert

from parley.failure import invalid
from parley.ir import EmbedRequest, EmbedResponse
from parley.wire import Encoded
from parley.wire.flat_error import bad_shape, object_of, refuse_told
from parley.wire.oip.options import InferOptions
from parley.wire.oip.tensors import flat, infer_body, name_of, tensor_of

NAME: Final = "oip_embed"
_WHAT: Final = "a tensor of one vector for each text"
_KINDS: Final = ("FP32", "FP64", "FP16")
# Fields of a request that the protocol has no place for, as callers know them.
_LOST: Final = {"dimensions": "dimensions", "user": "user", "purpose": "input_type", "truncate": "truncate"}


def encode_request(fixed: InferOptions, request: EmbedRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider of which ``fixed`` tells. Raises ``invalid_request`` for token numbers."""
    texts: list[str] = []
    for index, text in enumerate(request.inputs):
        if not isinstance(text, str):
            path = "input" if request.single else f"input[{index}]"
            raise invalid(f"{path}: this provider reads texts, not token numbers", path)
        texts.append(text)
    dropped = [name for field, name in _LOST.items() if getattr(request, field) is not None]
    return Encoded(infer_body(fixed, texts, {}), (*dropped, *request.extra))


def decode_response(output: str | None, body: bytes) -> EmbedResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, "list of tensors")
    refuse_told(NAME, data)
    tensor = tensor_of(data, output, _KINDS)
    try:
        shape = convert(tensor.get("shape"), list[int])
        numbers = convert(list(flat(tensor.get("data"))), tuple[float, ...])
    except ValidationError:
        raise bad_shape(_WHAT) from None
    count, size = (shape[0], shape[-1]) if len(shape) > 1 else (0, 0)
    if count < 1 or size < 1 or prod(shape) != count * size or len(numbers) != count * size:
        raise bad_shape(_WHAT)
    vectors = tuple(numbers[place : place + size] for place in range(0, len(numbers), size))
    return EmbedResponse(wire=NAME, model=name_of(data), vectors=vectors)
