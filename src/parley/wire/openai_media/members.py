"""The top-level members of each request, form fields by their names without brackets.

Sources: surface contract sections 5, 7, 8, 9; for rerank what Cohere's and Jina's public APIs share, each one's own
members included.
"""

from collections.abc import Mapping
from typing import Any, Final

from parley.failure import invalid
from parley.wire.fields import optional

EMBEDDINGS: Final = frozenset({"dimensions", "encoding_format", "input", "model", "user"})
# Of generations, edits and variations, which share one wire.
IMAGES: Final = frozenset(
    {
        "background",
        "complexity",
        "frame_count",
        "frame_duration_ms",
        "image",
        "input_fidelity",
        "markup",
        "mask",
        "model",
        "moderation",
        "n",
        "output_compression",
        "output_format",
        "partial_images",
        "prompt",
        "quality",
        "response_format",
        "safety_identifier",
        "size",
        "stream",
        "style",
        "svg",
        "user",
    }
)
SPEECH: Final = frozenset({"input", "instructions", "model", "response_format", "speed", "stream_format", "voice"})
TRANSCRIPTIONS: Final = frozenset(
    {
        "chunking_strategy",
        "file",
        "include",
        "keywords",
        "known_speaker_names",
        "known_speaker_references",
        "language",
        "languages",
        "model",
        "prompt",
        "response_format",
        "stream",
        "temperature",
        "timestamp_granularities",
    }
)
MODERATIONS: Final = frozenset({"input", "model"})
RERANK: Final = frozenset(
    {
        "documents",
        "max_chunks_per_doc",
        "max_tokens_per_doc",
        "model",
        "query",
        "rank_fields",
        "return_documents",
        "top_n",
    }
)
_NEVER_SET: Final = frozenset({"model", "stream", "stream_format", "file", "image", "mask", "markup"})


def named(known: frozenset[str]) -> Mapping[str, str]:
    """What configuration may set: every member by its own name, but the model, the stream and files."""
    return {name: name for name in sorted(known - _NEVER_SET)}


def no_stream(body: dict[str, Any]) -> None:
    """Take out ``stream``, which only a provider of the same wire may understand. Raises ``invalid_request``."""
    if optional(body, "stream", bool):
        raise invalid("stream: this provider answers only whole", "stream")
