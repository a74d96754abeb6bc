"""Texts to vectors: /api/embed, and the older /api/embeddings that takes one text. Both ways, both roles.

Source: provider contract 4.2.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, json

from parley.failure import Failure, ParleyError, invalid
from parley.ir import EmbedRequest, EmbedResponse, Event, Extra, Usage
from parley.wire import Encoded, Reply, unspoken
from parley.wire.fields import missing, optional, required, wrong
from parley.wire.ollama.errors import BAD_JSON, bad, encode, error_line
from parley.wire.ollama.lines import object_of, refuse_error
from parley.wire.ollama.options import put_kept

EMBED: Final = "ollama_embed"
EMBEDDINGS: Final = "ollama_embeddings"
KIN: Final = frozenset({EMBED, EMBEDDINGS})
KNOWN_EMBED: Final = frozenset({"model", "input", "truncate", "dimensions", "options", "keep_alive"})
KNOWN_EMBEDDINGS: Final = frozenset({"model", "prompt", "options", "keep_alive"})


# --- requests ----------------------------------------------------------------------------------


def decode_embed(body: dict[str, Any]) -> EmbedRequest:
    """The request of POST /api/embed. Raises ``invalid_request`` naming the field."""
    rest = body.copy()
    given = rest.pop("input", None)
    single = isinstance(given, str)
    texts = [given] if single else given
    if texts is None:
        raise missing("input")
    if not isinstance(texts, list):
        raise wrong("input", str, list)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise wrong(f"input[{index}]", str)
    return EmbedRequest(
        wire=EMBED,
        model=required(rest, "model", str),
        inputs=tuple(texts),
        single=single,
        dimensions=optional(rest, "dimensions", int),
        truncate=optional(rest, "truncate", bool),
        extra=_kept(rest),
    )


def decode_embeddings(body: dict[str, Any]) -> EmbedRequest:
    """The request of POST /api/embeddings. Raises ``invalid_request`` naming the field."""
    rest = body.copy()
    model, prompt = required(rest, "model", str), required(rest, "prompt", str)
    return EmbedRequest(wire=EMBEDDINGS, model=model, inputs=(prompt,), single=True, extra=_kept(rest))


def _kept(rest: Extra) -> Extra:
    """Options under their dotted names, and what nobody knows."""
    options = optional(rest, "options", dict) or {}
    dotted = {f"options.{name}": value for name, value in options.items() if value is not None}
    return {**{name: value for name, value in rest.items() if value is not None}, **dotted}


def encode_embed(request: EmbedRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /api/embed. Raises ``invalid_request`` for a model's own tokens."""
    texts = _texts(request)
    body: Extra = {"model": request.model, "input": texts[0] if request.single and len(texts) == 1 else texts}
    for name in ("truncate", "dimensions"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    return Encoded(body, _left(request, body))


def encode_embeddings(request: EmbedRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /api/embeddings. Raises ``invalid_request`` for a model's own tokens and for more than one
    text."""
    texts = _texts(request)
    if len(texts) != 1:
        raise invalid("input: this provider's embeddings take one text a request", "input")
    body: Extra = {"model": request.model, "prompt": texts[0]}
    unsaid = [name for name in ("truncate", "dimensions") if getattr(request, name) is not None]
    return Encoded(body, (*unsaid, *_left(request, body)))


def _texts(request: EmbedRequest) -> list[str]:
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        raise invalid("input: this provider takes texts, no token numbers", "input")
    return texts


def _left(request: EmbedRequest, body: Extra) -> tuple[str, ...]:
    """What cannot go; what was kept of this wire goes back into ``body``."""
    unsaid = [name for name in ("purpose", "user") if getattr(request, name) is not None]
    if request.wire not in KIN:
        return (*unsaid, *request.extra)
    held: Extra = {}
    put_kept(body, held, request.extra)
    if held:
        body["options"] = held
    return tuple(unsaid)


# --- answers -----------------------------------------------------------------------------------


class _Answer(Struct):
    model: str = ""
    embeddings: tuple[tuple[float, ...], ...] | None = None
    embedding: tuple[float, ...] | None = None
    prompt_eval_count: float | int | None = None


_answer: Final = json.Decoder(_Answer).decode


def decode_response(body: bytes) -> EmbedResponse:
    """A whole answer of either path. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an
    error object means (detail stream_error)."""
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    try:
        found = _answer(body)
    except BAD_JSON:
        found = _Answer()
    vectors = found.embeddings
    if vectors is None and found.embedding is not None:
        vectors = (found.embedding,)
    if vectors is None:
        refuse_error(object_of(body, "bad_shape"))
        bad("bad_shape", "the provider's answer holds no vectors")
    count = found.prompt_eval_count
    usage = None if count is None else Usage(int(count))
    return EmbedResponse(wire=EMBED, vectors=vectors, model=found.model, usage=usage)


def encode_embed_answer(response: EmbedResponse, reply: Reply) -> bytes:
    """The answer of POST /api/embed; the time is measured by the gateway, in nanoseconds."""
    made: Extra = {
        "model": response.model or reply.model,
        "embeddings": response.vectors,
        "total_duration": max(1, reply.elapsed()),
        "load_duration": 0,
    }
    if response.usage is not None:
        made["prompt_eval_count"] = response.usage.input
    return encode(made)


def encode_embeddings_answer(response: EmbedResponse, reply: Reply) -> bytes:
    """The answer of POST /api/embeddings. Raises ``upstream_bad_response`` unless there is one vector."""
    if len(response.vectors) != 1:
        bad("bad_shape", "the provider's answer holds another number of vectors than was asked for")
    return encode({"embedding": response.vectors[0]})


class NoLines:
    """Vectors are never streamed: the encoder only ends what cannot have begun."""

    __slots__ = ()

    def __init__(self, reply: Reply) -> None:
        """Nothing of the request is needed."""

    def feed(self, event: Event) -> bytes:
        """Raises ``not_implemented``."""
        unspoken()
        return b""

    def fail(self, failure: Failure) -> bytes:
        """The error line."""
        return error_line(failure)


def no_line(event: str, data: bytes) -> Any:
    """There is nothing to glance at."""
    raise ParleyError(Failure("upstream_bad_response", "the provider streamed vectors", detail="bad_event"))
