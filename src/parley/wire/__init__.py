"""The record every wire file ends with, and the table of wires.

A wire file translates between bytes of one format and the canonical form, in both roles: as a
dialect (ingress: decode requests, encode answers) and as a provider (egress: encode requests, decode
answers). A missing entry (None) is an answer: that role or operation is not implemented.
Wire files are pure and never import one another.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, TypeAlias

from msgspec import Raw, Struct

from parley.failure import Failure, ParleyError
from parley.framing import MAX_EVENT
from parley.ir import ChatRequest, Event, Usage

Headers = list[tuple[bytes, bytes]]
# Members in place of a request's own, and the paths of what was left out.
Cleared: TypeAlias = tuple[dict[str, Raw], tuple[str, ...]]


class Reply(Struct, frozen=True, kw_only=True):
    """What an answer's encoder must know of the request: the model's name for want of a reported one,
    whether usage was asked for in the stream, a fallback id and time (Unix seconds), known field losses.

    ``wire`` is the wire the answer comes from: a stream's extras and native words go out only to the same wire.
    ``asked`` is the caller's own request, for a wire whose answers repeat parts of it; ``members`` are those of its
    object where they were read already. ``elapsed`` gives nanoseconds since the request came, for a wire whose answers
    tell how long they took (0 where nobody measures)."""

    model: str
    id: str
    created: int
    include_usage: bool = False
    wire: str = ""
    asked: bytes = b""
    members: dict[str, Raw] | None = None
    elapsed: Callable[[], int] = int
    extra: Mapping[str, Any] = {}


class Encoded(Struct, frozen=True):
    """A request for a provider: the JSON object to send, the caller's fields that could not go
    ("seed", "messages[2].name"), and headers this request needs beside the provider's own."""

    body: dict[str, Any]
    dropped: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class StreamDecoder(Protocol):
    """Provider bytes to events, whatever the chunking."""

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``. Raises ParleyError: ``upstream_bad_response`` (detail bad_event),
        ``upstream_error`` (detail stream_error) for an in-stream error object. Events before a fault in the
        same ``data`` are returned first; the fault is raised by the next call, which may be ``feed(b"")``."""

    def close(self) -> list[Event]:
        """The upstream has ended. Raises ``upstream_incomplete`` where the answer was not whole;
        an End that the wire owes but did not send is returned when every choice had finished."""


class StreamEncoder(Protocol):
    """Events to bytes of the caller's wire."""

    def feed(self, event: Event) -> bytes:
        """Bytes for one event; b"" where the wire says nothing for it. Start gives the opening, End the terminator."""

    def fail(self, failure: Failure) -> bytes:
        """The one error event of this dialect, to be followed by closing without a terminator."""


class Mark(Struct, frozen=True):
    """What a glance at one verbatim event tells: ``content`` it carries real content (commit point),
    ``finished`` a stop reason was seen, ``end`` it is the success terminator, ``usage`` reported so far,
    ``failure`` it is an error object."""

    content: bool = False
    finished: bool = False
    end: bool = False
    usage: Usage | None = None
    failure: Failure | None = None


class Head(Struct, frozen=True, kw_only=True):
    """A cheap peek at a request: all that routing may see. ``include_usage`` only where the wire has it."""

    model: str
    stream: bool = False


def unspoken(*_: Any) -> Any:
    """Stands where a wire has no such role."""
    raise ParleyError(Failure("not_implemented", "this operation cannot be translated from or to this provider"))


class Demand(Struct, frozen=True):
    """A member that a request must have: its JSON text begins with one of ``first``; ``kinds`` says so in words."""

    name: str
    first: bytes
    kinds: str


class Wire(Struct, frozen=True, kw_only=True):
    """One wire format in both roles. See the Protocols above for the stream objects.

    A wire of an operation without canonical form (audio, moderations) passes as it is or not at all: its
    requests and answers are ``unspoken``, and only errors, glances and checks are its own. A wire without
    ``stream_decoder`` has streams that pass as they are (pictures) or none.

    ``decode_request(body)`` pops what it knows from a plain dict, raises ``invalid_request`` naming the field.
    ``encode_request(request, options)``: ``options`` are the provider row's wire options (plain data).
    ``decode_error(status, headers, body)`` reads a provider's error answer of status >= 400.
    ``encode_error(failure, request_id)`` gives (status, body) in the dialect's shape.
    ``glance(event name, data)`` is the verbatim path's only look into an event; raises on invalid JSON.
    ``check_answer(body)`` proves that a whole 200 answer has this wire's shape, without decoding the rest, and gives
    its usage, None if none. Raises ``upstream_bad_response``, ``upstream_error`` for an error object.
    ``terminator`` is the success terminator's bytes. ``rename`` maps OpenAI chat parameter names to this
    wire's top-level member; a name that is missing cannot be set by a top-level edit. ``known`` are the
    top-level request members of the specification. ``count(body, measure)`` answers a count-tokens
    request of this dialect with what ``measure`` makes of it; None where the dialect has no such operation.
    ``needs`` are headers that the provider insists on, added where neither caller nor operator gives them.
    ``called`` is the caller's own path for a parameter that wires name as OpenAI does where they cannot take it.
    ``weighty`` are top-level members on which the request's headers depend: to set one the request is rebuilt.
    ``demands`` is the member no request can do without. ``stream_member`` (name, JSON text) asks for a stream.
    ``free_form``: answers may be of any content type (audio, plain text) and pass as they come.
    ``stream_type`` is the content type of its streams, ``lines``: they are one JSON object a line; ``beats``: comments
    may stand between their events. ``placed``: the model's name is in the path, not in the body.
    ``stream_default``: a request that does not say gets a stream. ``max_event`` bounds one event in bytes.
    ``answers`` are types of whole answers that are not JSON (pictures): the first is asked for, all are prefixes.
    ``options`` names what an operator may say of such a server, ``fitted`` gives the wire with these options (raises
    ``msgspec.ValidationError``): for a wire whose answers cannot be read without them.
    ``unasked(members, reply)`` answers a request that asks nothing of a model, for a provider of another wire; None for
    every other request.
    ``places`` gives the paths of the blocks of a turn in a caller's request, where they are not all items of the
    turn's list. ``of_model`` gives the wire as one model speaks it, for a provider whose models differ.
    ``inside`` is the member of a message that holds its blocks, for field paths.
    ``several`` is the path of the member by which a request asks for several answers, empty where a wire has none.
    ``repeats``: the same event with other words, right after one that its stream decoder made one Delta of text or
    thinking, is the same Delta with these words, and of a row of such events the decoder remembers the last at most.
    This holds also where values of the members named in ``idle`` differ; ``minds``: the decoder remembers those of the
    last. ``unframed`` takes the JSON text of such an
    event out of its frame, if it is all of the data; b"" for anything else.
    ``forgets``: its stream encoder remembers nothing of a Delta of text that follows another one of the same block, and
    writes the same for both but for their words.
    ``prepared(body)`` gives the body that is read in place of a caller's own; its faults come before all others.
    ``dressed(body)`` puts a whole answer into the frame that its callers expect. ``twin`` is the wire whose requests
    and answers these are, once they were prepared and before they are dressed; errors are its own. ``private`` are
    members of requests that only a worker knows: no other provider is sent them.
    ``metered`` is the member (name, JSON text) by which a stream is asked to tell its usage in an event of its own.
    ``names_model``: its errors name the model that was asked for, which the failure then holds.
    ``cleared(body, members, options)`` gives members for a verbatim request without what another wire's provider
    sealed, and the paths of what was left out; None, and quickly, for a request that holds no such thing.

    What requests and answers decode to is the canonical form of the operation: ChatRequest and ChatResponse for all
    that make text, EmbedRequest, RerankRequest, ImageRequest and their responses for theirs.
    """

    name: str
    encode_error: Callable[[Failure, str], tuple[int, bytes]]
    decode_error: Callable[[int, Headers, bytes], Failure]
    stream_encoder: Callable[[Reply], StreamEncoder]
    glance: Callable[[str, bytes], Mark]
    check_answer: Callable[[bytes], Usage | None]
    known: frozenset[str]
    decode_request: Callable[[dict[str, Any]], Any] = unspoken
    encode_response: Callable[[Any, Reply], bytes] = unspoken
    encode_request: Callable[[Any, Mapping[str, Any]], Encoded] = unspoken
    decode_response: Callable[[bytes], Any] = unspoken
    stream_decoder: Callable[[], StreamDecoder] = unspoken
    terminator: bytes = b""
    rename: Mapping[str, str] = {}
    demands: Demand | None = None
    stream_member: tuple[str, bytes] = ("stream", b"true")
    free_form: bool = False
    stream_type: bytes = b"text/event-stream"
    lines: bool = False
    beats: bool = True
    placed: bool = False
    stream_default: bool = False
    inside: str = "content"
    max_event: int = MAX_EVENT
    unasked: Callable[[Mapping[str, Raw], Reply], bytes | None] | None = None
    several: tuple[str, ...] = ()
    repeats: bool = False
    idle: tuple[str, ...] = ()
    minds: bool = True
    unframed: Callable[[bytes], bytes] | None = None
    forgets: bool = False
    answers: tuple[bytes, ...] = ()
    options: tuple[str, ...] = ()
    fitted: "Callable[[Mapping[str, Any]], Wire] | None" = None
    of_model: "Callable[[str], Wire] | None" = None
    cleared: (
        Callable[[bytes, dict[str, Raw], Mapping[str, Any]], tuple[dict[str, Raw], tuple[str, ...]] | None] | None
    ) = None
    count: Callable[[dict[str, Any], Callable[[ChatRequest], int]], bytes] | None = None
    needs: tuple[tuple[bytes, bytes], ...] = ()
    weighty: frozenset[str] = frozenset()
    prepared: Callable[[bytes], bytes] | None = None
    dressed: Callable[[bytes], bytes] | None = None
    twin: str = ""
    private: tuple[str, ...] = ()
    names_model: bool = False
    metered: tuple[str, bytes] | None = None
    called: Mapping[str, str] = {}
    places: Callable[[Mapping[str, Any], str], list[str]] | None = None


WIRES: dict[str, str] = {
    "openai_chat": "parley.wire.openai_chat:WIRE",
    "openai_completions": "parley.wire.openai_completions:WIRE",
    "openai_responses": "parley.wire.openai_responses:WIRE",
    "openai_embeddings": "parley.wire.openai_media:EMBEDDINGS",
    "openai_images": "parley.wire.openai_media:IMAGES",
    "openai_speech": "parley.wire.openai_media:SPEECH",
    "openai_transcriptions": "parley.wire.openai_media:TRANSCRIPTIONS",
    "openai_moderations": "parley.wire.openai_media:MODERATIONS",
    "rerank": "parley.wire.openai_media:RERANK",
    "anthropic": "parley.wire.anthropic:WIRE",
    "cohere": "parley.wire.cohere:CHAT",
    "cohere_embed": "parley.wire.cohere:EMBED",
    "cohere_rerank": "parley.wire.cohere:RERANK",
    "mistral": "parley.wire.mistral:CHAT",
    "mistral_embeddings": "parley.wire.mistral:EMBED",
    "ollama": "parley.wire.ollama:CHAT",
    "ollama_generate": "parley.wire.ollama:GENERATE",
    "ollama_embed": "parley.wire.ollama:EMBED",
    "ollama_embeddings": "parley.wire.ollama:EMBEDDINGS",
    "bedrock": "parley.wire.bedrock:WIRE",
    "gemini": "parley.wire.gemini:WIRE",
    "gemini_array": "parley.wire.gemini:ARRAY",
    "gemini_embed": "parley.wire.gemini:EMBED",
    "gemini_embed_batch": "parley.wire.gemini:EMBED_BATCH",
    "gemini_embeddings": "parley.wire.gemini:EMBEDDINGS",
    "tgi": "parley.wire.tgi:WIRE",
    "tei_embed": "parley.wire.tei:EMBED",
    "tei_rerank": "parley.wire.tei:RERANK",
    "hf_text": "parley.wire.tgi:HF_TEXT",
    "hf_features": "parley.wire.hf_tasks:FEATURES",
    "hf_image": "parley.wire.hf_tasks:PICTURES",
    "oip_infer": "parley.wire.oip:INFER",
    "oip_embed": "parley.wire.oip:EMBED",
    "oip_generate": "parley.wire.oip:GENERATE",
    "kserve_predict": "parley.wire.oip:PREDICT",
    "image_worker": "parley.wire.image_worker:WIRE",
    "caila": "parley.wire.caila:WIRE",
    "caila_adapter": "parley.wire.caila:ADAPTER",
    "node_chat": "parley.wire.node:CHAT",
    "node_chat_proxy": "parley.wire.node:CHAT_PROXY",
    "node_worker_chat": "parley.wire.node:WORKER_CHAT",
    "node_images": "parley.wire.node:IMAGES",
    "node_images_proxy": "parley.wire.node:IMAGES_PROXY",
    "node_worker_images": "parley.wire.node:WORKER_IMAGES",
    "node_edits": "parley.wire.node:EDITS",
    "node_worker_edits": "parley.wire.node:WORKER_EDITS",
    "dapr_alpha1": "parley.wire.dapr:ALPHA1",
    "dapr_alpha2": "parley.wire.dapr:ALPHA2",
    "dapr_alpha1_read": "parley.wire.dapr:ALPHA1_READ",
    "dapr_alpha2_read": "parley.wire.dapr:ALPHA2_READ",
    "dapr_turns": "parley.wire.dapr:TURNS",
    "dapr_echo": "parley.wire.dapr:ECHO",
}
# The wire of each operation at a provider, by the wire that its row names (the one it speaks for chat).
SPOKEN: dict[str, dict[str, str]] = {
    "openai_chat": {
        "chat": "openai_chat",
        "completions": "openai_completions",
        "responses": "openai_responses",
        "embeddings": "openai_embeddings",
        "image_generation": "openai_images",
        "image_edit": "openai_images",
        "image_variation": "openai_images",
        "speech": "openai_speech",
        "transcription": "openai_transcriptions",
        "translation": "openai_transcriptions",
        "moderation": "openai_moderations",
        "rerank": "rerank",
    },
    "anthropic": {"chat": "anthropic", "count_tokens": "anthropic"},
    "cohere": {"chat": "cohere", "embeddings": "cohere_embed", "rerank": "cohere_rerank"},
    "mistral": {"chat": "mistral", "embeddings": "mistral_embeddings"},
    # "embedding" is no operation that can be asked for: it is the older form of embeddings, for callers who use it.
    "ollama": {
        "chat": "ollama",
        "completions": "ollama_generate",
        "embeddings": "ollama_embed",
        "embedding": "ollama_embeddings",
        "transcription": "openai_transcriptions",
    },
    "bedrock": {"chat": "bedrock"},
    "gemini": {"chat": "gemini", "count_tokens": "gemini", "embeddings": "gemini_embeddings"},
    "tgi": {"chat": "tgi"},
    "tei": {"embeddings": "tei_embed", "rerank": "tei_rerank"},
    "hf_tasks": {"chat": "hf_text", "embeddings": "hf_features", "image_generation": "hf_image"},
    "oip_infer": {"chat": "oip_infer", "embeddings": "oip_embed"},
    "oip_generate": {"chat": "oip_generate"},
    "kserve_predict": {"chat": "kserve_predict"},
    "dapr": {"chat": "dapr_echo"},
    "worker": {"chat": "openai_chat", "image_generation": "image_worker", "image_edit": "openai_images"},
}


# The configuration speaks of parameters by the names they have on this wire; the echo model speaks it.
PARAMETERS = "openai_chat"


def load(name: str) -> Wire:
    """The wire of that name, imported on first use."""
    module, _, attribute = WIRES[name].partition(":")
    wire: Wire = getattr(import_module(module), attribute)
    return wire
