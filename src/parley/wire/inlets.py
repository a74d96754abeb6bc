"""Which path is which operation of which dialect. A table; the listener looks a request up once.

Source: product contract section 5 ("a missing or doubled /v1 is tolerated").
"""

from collections.abc import Collection, Mapping

from msgspec import Struct

from parley.wire import Wire, load


class Inlet(Struct, frozen=True):
    """One operation of one dialect; ``number`` tells them apart at the least cost."""

    number: int
    dialect: str
    operation: str
    wire: Wire


def inlets() -> Mapping[bytes, Inlet]:
    """Every path that takes a POST on the hot path."""
    chat = Inlet(0, "openai", "chat", load("openai_chat"))
    messages = Inlet(1, "anthropic", "chat", load("anthropic"))
    count = Inlet(2, "anthropic", "count_tokens", messages.wire)
    table: dict[bytes, Inlet] = {}
    for prefix in openai_prefixes():
        table[f"{prefix}/chat/completions".encode()] = chat
    for prefix in ("/v1", "", "/v1/v1", "/anthropic/v1", "/anthropic", "/anthropic/v1/v1"):
        table[f"{prefix}/messages".encode()] = messages
        table[f"{prefix}/messages/count_tokens".encode()] = count
    return table


def openai_prefixes() -> tuple[str, ...]:
    """Where the OpenAI surface is found."""
    return ("/v1", "", "/v1/v1", "/openai/v1", "/openai", "/openai/v1/v1")


def model_prefixes() -> tuple[str, ...]:
    """Where the lists of models are found."""
    return (*openai_prefixes(), "/anthropic", "/anthropic/v1")


def dialect_of(path: bytes, headers: Collection[str] = ()) -> str:
    """The wire that callers of a path read, where the path is no inlet. A header (names in lower case) decides
    on paths that dialects share (product contract section 5)."""
    if "anthropic-version" in headers or path.startswith(b"/anthropic"):
        return "anthropic"
    return "openai_chat"


# First path segments of operations that the dialect has and this server does not (yet) serve.
_UNSERVED = frozenset(
    (
        "completions", "responses", "embeddings", "images", "audio", "moderations", "rerank", "files", "batches",
        "uploads", "conversations", "realtime", "live", "videos", "voices", "assistants", "threads", "vector_stores",
        "fine_tuning", "evals", "containers", "skills", "chatkit", "agents", "vaults", "decisions", "safety",
        "webhooks", "content_provenance_checks", "organization", "projects",
    )
)  # fmt: skip


def unserved(path: str) -> bool:
    """Whether a path belongs to an operation of OpenAI's surface that is known and not implemented."""
    for prefix in sorted(openai_prefixes(), key=len, reverse=True):
        if path.startswith(f"{prefix}/"):
            return path[len(prefix) + 1 :].partition("/")[0] in _UNSERVED
    return False
