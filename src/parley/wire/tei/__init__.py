"""Text Embeddings Inference's own wire, as a provider: /embed and /rerank.

embed    texts to vectors
rerank   documents by what they say about a query

Neither tells tokens. Source: provider contract 5.4.
"""

from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from parley.wire import Wire, unspoken
from parley.wire.flat_error import flat_failure
from parley.wire.plain_prompt import converted
from parley.wire.tei import embed, rerank


class EmbedOptions(Struct, frozen=True):
    """What an operator may say of the server: ``prompts`` are its model's prompt names by what callers call the purpose
    of a text (``search_query``), ``normalize`` whether vectors shall have length 1 (None: as the server does)."""

    prompts: dict[str, str] = {}
    normalize: bool | None = None


def fitted(options: Any) -> Wire:
    """The embeddings wire with a provider's options. Raises ``msgspec.ValidationError``."""
    found: EmbedOptions = converted(options, EmbedOptions)
    return replace(EMBED, encode_request=partial(embed.encode_request, found.prompts, found.normalize))


EMBED = Wire(
    name=embed.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, embed.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(embed.encode_request, {}, None),
    decode_response=embed.decode_response,
    options=("prompts", "normalize"),
    fitted=fitted,
)
RERANK = Wire(
    name=rerank.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, rerank.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=rerank.encode_request,
    decode_response=rerank.decode_response,
)
