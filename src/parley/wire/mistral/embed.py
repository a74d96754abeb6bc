"""Mistral embeddings. Answers are OpenAI's; requests know neither tokens nor users, and dimensions by another name.

Source: provider contract section 8.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import json

from parley.failure import invalid
from parley.ir import EmbedRequest, EmbedResponse
from parley.wire import Encoded
from parley.wire.mistral.answer import identity
from parley.wire.openai_error import bad_response
from parley.wire.openai_shape import members_of
from parley.wire.openai_usage import read_usage
from parley.wire.vectors import purpose_member, vectors_of

NAME: Final = "mistral_embeddings"
_OWN: Final = frozenset({"metadata"})
_anything: Final = json.Decoder().decode


def encode_request(request: EmbedRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /v1/embeddings. Numbers are asked for whatever form the caller wants them in. Raises
    ``invalid_request`` for tokens."""
    texts = [each for each in request.inputs if isinstance(each, str)]
    if len(texts) != len(request.inputs):
        raise invalid("input: this provider takes texts, not tokens", "input")
    body: dict[str, Any] = {"model": request.model, "input": texts[0] if request.single else texts}
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    body.update({name: value for name, value in request.extra.items() if name in _OWN})
    lost = [name for name in ("truncate", "user") if getattr(request, name) is not None]
    lost += [purpose_member(request.wire)] if request.purpose is not None else []
    return Encoded(body, (*lost, *(name for name in request.extra if name not in _OWN)))


def decode_response(body: bytes) -> EmbedResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape)."""
    found = members_of(body)
    data = found.pop("data", None)
    if data is None:
        raise bad_response("bad_shape", "the provider's answer holds no list named data")
    rest = {name: _anything(value) for name, value in found.items() if name != "object"}
    usage, head = rest.pop("usage", None), identity(rest)
    return EmbedResponse(
        wire=NAME,
        vectors=vectors_of(data),
        model=head["model"],
        id=head["id"],
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        extra=rest,
    )
