"""Task pipelines of Hugging Face, hosted or self-hosted, as a provider: ``{"inputs": .., "parameters": {..}}``.

features   feature-extraction: texts to vectors
pictures   text-to-image: the answer is the picture itself

Text generation of the same pipelines is a form of another wire's, see SPOKEN. Source: provider contract 5.2.
"""

from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from parley.wire import Wire, unspoken
from parley.wire.flat_error import flat_failure
from parley.wire.hf_tasks import features, pictures
from parley.wire.hf_tasks.features import Pooling
from parley.wire.plain_prompt import converted


class FeatureOptions(Struct, frozen=True):
    """What an operator may say of the pipeline: ``pooling`` makes one vector of a text's tokens where the pipeline does
    not, ``normalize`` is passed on (None: as the pipeline does), ``prompts`` are prompt names by a text's purpose."""

    pooling: Pooling = "mean"
    normalize: bool | None = None
    prompts: dict[str, str] = {}


def fitted(options: Any) -> Wire:
    """The embeddings wire with a provider's options. Raises ``msgspec.ValidationError``."""
    found: FeatureOptions = converted(options, FeatureOptions)
    return replace(
        FEATURES,
        encode_request=partial(features.encode_request, found.prompts, found.normalize),
        decode_response=partial(features.decode_response, found.pooling),
    )


FEATURES = Wire(
    name=features.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, features.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(features.encode_request, {}, None),
    decode_response=partial(features.decode_response, "mean"),
    options=("pooling", "normalize", "prompts"),
    fitted=fitted,
)
PICTURES = Wire(
    name=pictures.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, pictures.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=pictures.encode_request,
    decode_response=pictures.decode_response,
    answers=(b"image/png", b"image/"),
)
