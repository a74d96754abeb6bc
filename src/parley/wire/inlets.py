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

COUNT: Final = "count_tokens"
# Every dialect, by the name that a row begins with.
DIALECTS: Final = ("openai", "anthropic", "gemini", "ollama")
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
# dialect, operation, wire, how a stream is asked for.
Row: TypeAlias = tuple[str, str, str, str]


class Inlet:
    """One operation of one dialect; ``number`` tells them apart at the least cost.

    ``form``: requests are multipart. ``demanded`` is the member no request can do without ("" for none), whose JSON
    text begins with one of ``first``. ``counts``: the operation only counts tokens. ``stateful``: requests refer to
    earlier ones. ``placed``: the model is named in the path. ``streams``: whether one is wanted where no member says
    so; ``fixed``: no member can. ``stream_head`` are the header lines of a stream. ``texts``: its bytes are mostly
    words, from which tokens can be guessed. ``model`` is asked for where a
    request names none. ``documented``: the published document says what a request may hold.
    """

    __slots__ = (
        "beats",
        "counts",
        "demanded",
        "dialect",
        "documented",
        "first",
        "fixed",
        "form",
        "kinds",
        "model",
        "number",
        "operation",
        "placed",
        "stateful",
        "stream_head",
        "stream_member",
        "stream_value",
        "streams",
        "texts",
        "wire",
    )

    def __init__(self, number: int, row: Row, wire: Wire) -> None:
        dialect, operation, _, mode = row
        self.number = number
        self.dialect = dialect
        self.operation = operation
        self.wire = wire
        self.beats = wire.beats
        self.documented = dialect == "openai"
        self.placed = wire.placed
        self.fixed = mode != ""
        self.streams = mode == STREAM or (not mode and wire.stream_default)
        self.stream_head = b"content-type: %b\r\n%b" % (wire.stream_type, _UNBUFFERED)
        self.counts = operation == COUNT
        self.stateful = operation == "responses"
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

    def _of(self, row: Row) -> Inlet:
        made = self._made.get(row)
        if made is None:
            made = self._made[row] = Inlet(len(self._made), row, load(row[2]))
        return made

    def __contains__(self, path: object) -> bool:
        return path in self._rows or (isinstance(path, bytes) and placed_row(path, b"") is not None)

    def wire_at(self, path: bytes) -> str:
        """The name of the wire whose errors callers of that path read; "" where nothing is there."""
        row = self._rows.get(path) or placed_row(path, b"")
        return row[2] if row is not None else ""


def placed_row(path: bytes, query: bytes) -> Row | None:
    """The row of a path that names its model; None for every other."""
    match = _GEMINI.fullmatch(path) if b":" in path else None
    row = None if match is None else PLACED.get(match[2])
    if row is not None and row[3] == STREAM and b"alt=sse" not in query.split(b"&"):
        return (row[0], row[1], ARRAY, STREAM)
    return row


def placed_model(target: bytes) -> str:
    """The model that a path names, "" where none; ``target`` may have a query."""
    match = _GEMINI.fullmatch(target.partition(b"?")[0])
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
    if _OLLAMA_PATH.fullmatch(path):
        return "ollama"
    if "x-goog-api-key" in headers or path.startswith(_GEMINI_PATHS):
        return "gemini"
    return "openai_chat"


def below(path: str) -> str | None:
    """A path as OpenAI writes it, without what stands in front of it here; None where it cannot be one."""
    for prefix in sorted(openai_prefixes(), key=len, reverse=True):
        if path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return None
