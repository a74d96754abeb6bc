"""Which path is which operation of which dialect. A table; the listener looks a request up once.

Source: product contract section 5 ("a missing or doubled /v1 is tolerated").
"""

import re
from collections.abc import Collection
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from msgspec import Raw

from parley.operations import OPERATIONS
from parley.wire import SPOKEN, Wire, load, unspoken
from parley.wire.predict_paths import adapter_paths, form_at

COUNT: Final = "count_tokens"
# Every dialect, by the name that a row begins with.
DIALECTS: Final = ("openai", "anthropic", "gemini", "ollama", "dapr", "caila", "node")
# How a request says whether it wants a stream: by its path, or (empty) by a member.
STREAM: Final = "stream"
_TWIN: Final = b"beta=true"
WHOLE: Final = "whole"
_UNBUFFERED: Final = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
# The projects and publishers stand in the paths of callers whose client thinks that it speaks to Vertex.
_GEMINI: Final = re.compile(
    rb"(?:/genai)?/(?:v1|v1beta|v1beta1|v1alpha)(?:(?:/projects/[^/]+/locations/[^/]+)?/publishers/[^/]+)?"
    rb"/(?:models|tunedModels)/(.+):([A-Za-z]+)"
)
_CAILA: Final = b"/api/mlp"
# Wires whose requests hold one of another wire.
ENVELOPES: Final = ("caila", "caila_adapter")
# Clients of Dapr's runtime may end a path with a slash.
_DAPR: Final = re.compile(rb"/+v1\.0(?:-(alpha[12]))?/+conversation/+([^/?]+)/+converse/*")
# dialect, operation, wire, how a stream is asked for.
Row: TypeAlias = tuple[str, str, str, str]


class Inlet:
    """One operation of one dialect; ``number`` tells them apart at the least cost.

    ``form``: requests are multipart. ``demanded`` is the member no request can do without ("" for none), whose JSON
    text begins with one of ``first``. ``counts``: the operation only counts tokens. ``stateful``: requests refer to
    earlier ones, ``remembers``: or may. ``placed``: the model is named in the path. ``streams``: whether one is wanted
    where no member says so; ``fixed``: no member can. ``stream_head`` are the header lines of a stream. ``texts``: its
    bytes are mostly words, from which tokens can be guessed. ``model`` is asked for where a request names none.
    ``documented``: the published document says what a request may hold. ``envelope`` is the form of
    what stands around the request proper, "" for nothing; that one is of another inlet of the ``family``.
    """

    __slots__ = (
        "beats",
        "counts",
        "demanded",
        "dialect",
        "documented",
        "envelope",
        "family",
        "first",
        "fixed",
        "form",
        "kinds",
        "model",
        "number",
        "operation",
        "placed",
        "remembers",
        "stateful",
        "stream_head",
        "stream_member",
        "stream_value",
        "streams",
        "texts",
        "wire",
    )

    def __init__(self, number: int, row: Row, wire: Wire, family: "Inlets") -> None:
        dialect, operation, _, mode = row
        self.envelope = mode if wire.name in ENVELOPES else ""
        self.family = family
        self.number = number
        self.dialect = dialect
        self.operation = operation
        self.wire = wire
        self.beats = wire.beats
        self.documented = dialect in ("openai", "caila")
        self.placed = wire.placed
        self.fixed = mode != ""
        self.streams = mode == STREAM or (not mode and wire.stream_default)
        self.stream_head = b"content-type: %b\r\n%b" % (wire.stream_type, _UNBUFFERED)
        self.counts = operation == COUNT
        self.stateful = operation == "responses"
        self.remembers = self.stateful or self.envelope != "" or (dialect == "dapr" and wire.placed)
        # An edit may come in JSON, with pictures to be fetched.
        self.remembers = self.remembers or wire.twin == "openai_images"
        self.texts = wire.stream_decoder is not unspoken
        self.model = OPERATIONS[operation].model if operation in OPERATIONS else ""
        self.form = operation in OPERATIONS and OPERATIONS[operation].form
        demand = wire.demands
        self.demanded = demand.name if demand is not None else ""
        self.first = demand.first if demand is not None else b""
        self.kinds = demand.kinds if demand is not None else ""
        self.stream_member = wire.stream_member[0]
        self.stream_value = Raw(wire.stream_member[1])


class Inlets:
    """Every path that takes a POST on the hot path. A wire is imported when first asked for, chat at start."""

    __slots__ = ("_made", "_rows", "known")

    def __init__(self) -> None:
        self._rows: dict[bytes, Row] = {}
        self._made: dict[Row, Inlet] = {}
        self.known: dict[bytes, Inlet] = {}
        spoken = SPOKEN["openai_chat"]
        for prefix in openai_prefixes():
            for operation in OPERATIONS.values():
                self._rows[f"{prefix}{operation.path}".encode()] = (
                    "openai",
                    operation.name,
                    spoken[operation.name],
                    "",
                )
            self._rows[f"{prefix}/responses/input_tokens".encode()] = ("openai", COUNT, "openai_responses", "")
        for prefix in ("/v1", "", "/v1/v1", "/anthropic/v1", "/anthropic", "/anthropic/v1/v1"):
            self._rows[f"{prefix}/messages".encode()] = ("anthropic", "chat", "anthropic", "")
            self._rows[f"{prefix}/messages/count_tokens".encode()] = ("anthropic", COUNT, "anthropic", "")
        for prefix in _OLLAMA_PREFIXES:
            for path, asked, name in _OLLAMA:
                self._rows[f"{prefix}{path}".encode()] = ("ollama", asked, name, "")
        for place, (asked, form) in adapter_paths().items():
            self._rows[place.encode()] = ("caila", asked, "caila_adapter", form)
        for written, spoken_as, named in _NODE:
            self._rows[written] = ("node", spoken_as, named, "")
        self.find(b"/v1/chat/completions")
        self.find(b"/v1/messages")

    def find(self, path: bytes, query: bytes = b"") -> Inlet | None:
        """The inlet at that path, None where there is none."""
        found = self.known.get(path)
        if found is not None and not query:
            return found
        row = self._rows.get(path)
        if row is not None and row[0] == "openai" and _TWIN in query.split(b"&"):
            # Another operation on the same path, which is not served.
            return None
        if row is not None:
            found = self.known[path] = self._of(row)
            return found
        row = placed_row(path, query)
        return None if row is None else self._of(row)

    def within(self, dialect: str, operation: str, wire: str) -> Inlet:
        """The inlet of what a dialect's envelopes hold: a request of another's wire."""
        return self._of((dialect, operation, wire, ""))

    def _of(self, row: Row) -> Inlet:
        made = self._made.get(row)
        if made is None:
            made = self._made[row] = Inlet(len(self._made), row, load(row[2]), self)
        return made

    def __contains__(self, path: object) -> bool:
        return path in self._rows or (isinstance(path, bytes) and placed_row(path, b"") is not None)

    def wire_at(self, path: bytes) -> str:
        """The name of the wire whose errors callers of that path read; "" where nothing is there."""
        row = self._rows.get(path) or placed_row(path, b"")
        return row[2] if row is not None else ""


def placed_row(path: bytes, query: bytes) -> Row | None:
    """The row of a path that names its model; None for every other."""
    if path.startswith((b"/v1.0", b"//")):
        found = _DAPR.fullmatch(path)
        return None if found is None else ("dapr", "chat", f"dapr_{(found[1] or b'turns').decode()}", WHOLE)
    if path.startswith(_CAILA):
        form = form_at(path)
        return ("caila", "chat", "caila", form) if form else None
    match = _GEMINI.fullmatch(path) if b":" in path else None
    row = None if match is None else PLACED.get(match[2])
    if row is not None and row[3] == STREAM and b"alt=sse" not in query.split(b"&"):
        return (row[0], row[1], ARRAY, STREAM)
    return row


def placed_model(target: bytes) -> str:
    """The model that a path names, "" where none; ``target`` may have a query."""
    path = target.partition(b"?")[0]
    if path.startswith((b"/v1.0", b"//")):
        found = _DAPR.fullmatch(path)
        return "" if found is None else unquote_to_bytes(found[2].replace(b"+", b" ")).decode("utf-8", "replace")
    match = _GEMINI.fullmatch(path)
    return "" if match is None else unquote_to_bytes(match[1]).decode("utf-8", "replace")


# Generate is a chat of one turn: the server puts its chat template around the prompt, unlike OpenAI's completions.
_OLLAMA: Final = (
    ("/api/chat", "chat", "ollama"),
    ("/api/generate", "chat", "ollama_generate"),
    ("/api/embed", "embeddings", "ollama_embed"),
    ("/api/embeddings", "embeddings", "ollama_embeddings"),
)
_OLLAMA_PREFIXES: Final = ("", "/ollama")
# Its other paths; of /api/ not all is Ollama's.
_OLLAMA_PATH: Final = re.compile(
    rb"/ollama(/.*)?|/api/(chat|generate|embed|embeddings|tags|show|ps|version|pull|push|create|copy|delete|blobs(/.*)?)"
)
# What a node is asked, and what a worker is asked by a node; all else of theirs is no hot path.
_NODE: Final = (
    (b"/api/v0/chat/completion", "chat", "node_chat"),
    (b"/api/v0/chat/completion/proxy", "chat", "node_chat_proxy"),
    (b"/api/v0/image/gen", "image_generation", "node_images"),
    (b"/api/v0/image/gen/proxy", "image_generation", "node_images_proxy"),
    (b"/api/v0/image/edit", "image_edit", "node_edits"),
    (b"/api/v0/image/edit/proxy", "image_edit", "node_edits"),
    (b"/node/v1/chat/completions", "chat", "node_worker_chat"),
    (b"/node/v1/images/generations", "image_generation", "node_worker_images"),
    (b"/node/v1/images/edits", "image_edit", "node_worker_edits"),
)
_NODE_PATHS: Final = (b"/api/v0/", b"/node/v1/")
_GEMINI_PREFIXES: Final = ("/v1beta", "/v1alpha", "/genai/v1", "/genai/v1beta", "/genai/v1alpha", "/genai")
_GEMINI_PATHS: Final = (b"/v1beta/", b"/v1alpha/", b"/v1beta1/", b"/genai/")
# What stands behind the colon of a path that names its model.
PLACED: Final[dict[bytes, Row]] = {
    b"generateContent": ("gemini", "chat", "gemini", WHOLE),
    b"streamGenerateContent": ("gemini", "chat", "gemini", STREAM),
    b"countTokens": ("gemini", COUNT, "gemini", WHOLE),
    b"embedContent": ("gemini", "embeddings", "gemini_embed", WHOLE),
    b"batchEmbedContents": ("gemini", "embeddings", "gemini_embed_batch", WHOLE),
}
ARRAY: Final = "gemini_array"


def openai_prefixes() -> tuple[str, ...]:
    """Where the OpenAI surface is found."""
    return ("/v1", "", "/v1/v1", "/openai/v1", "/openai", "/openai/v1/v1")


def upload_paths() -> frozenset[bytes]:
    """Where files are sent that may be larger than a request."""
    return frozenset(f"{prefix}/files".encode() for prefix in openai_prefixes())


def model_prefixes() -> tuple[str, ...]:
    """Where the lists of models are found."""
    return (*openai_prefixes(), "/anthropic", "/anthropic/v1", *_GEMINI_PREFIXES)


def greeted(agent: str) -> bool:
    """Whether the client of that User-Agent looks for Ollama's greeting at the root (its official clients do)."""
    return agent.lower().startswith(("ollama/", "ollama-"))


def dialect_of(path: bytes, headers: Collection[str] = ()) -> str:
    """The wire that callers of a path read, where the path is no inlet. A header (names in lower case) decides
    on paths that dialects share (product contract section 5)."""
    if "anthropic-version" in headers or path.startswith(b"/anthropic"):
        return "anthropic"
    if path.startswith(_CAILA):
        return "caila"
    if path.startswith(b"/api/adapters/"):
        return "caila_adapter"
    if path.startswith(_NODE_PATHS):
        return "node_images"
    if _OLLAMA_PATH.fullmatch(path):
        return "ollama"
    if path.lstrip(b"/").startswith((b"v1.0-alpha", b"v1.0/")):
        return "dapr_alpha2"
    if "x-goog-api-key" in headers or path.startswith(_GEMINI_PATHS):
        return "gemini"
    return "openai_chat"


def below(path: str) -> str | None:
    """A path as OpenAI writes it, without what stands in front of it here; None where it cannot be one."""
    for prefix in sorted(openai_prefixes(), key=len, reverse=True):
        if path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return None
