"""What is asked, what a provider saw of it, what it answers and what the caller got, in nobody's words."""

import json
from dataclasses import dataclass, field
from typing import Any

# One pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)  # fmt: skip
SIGNATURE = "c2lnbmVkIGJ5IHRoZSBmYWtl"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
TOOLS: dict[str, dict[str, Any]] = {
    "get_weather": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "get_time": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}
Call = tuple[str, str, str]  # id, name, arguments as JSON text


class Wrong(Exception):  # noqa: N818 - what a provider says of a request that breaks its rules
    """A request that the wire's contract does not allow."""


@dataclass(frozen=True)
class Tokens:
    """Usage as OpenAI counts it: cached inside input, reasoning inside output; None where nobody says."""

    input: int
    output: int
    cached: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True)
class Plan:
    """What a provider answers. ``stop``: end, length or tool_use."""

    text: str = ""
    thinking: str = ""
    signature: str = ""
    calls: tuple[Call, ...] = ()
    stop: str = "end"
    tokens: Tokens = Tokens(11, 7)

    @property
    def words(self) -> list[str]:
        """The text in the pieces it is streamed in."""
        return pieces(self.text, 9)


@dataclass
class Turn:
    """One turn as the provider understood it. ``results`` are (call's id or its name, text), ``images``
    (type, data)."""

    role: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    calls: list[Call] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)
    images: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Seen:
    """A request as the provider understood it."""

    model: str = ""
    stream: bool = False
    system: str = ""
    turns: list[Turn] = field(default_factory=list)
    tools: dict[str, Any] = field(default_factory=dict)
    schema: Any = None
    thinks: bool = False
    stop: list[str] = field(default_factory=list)
    max_tokens: int | None = None

    @property
    def text(self) -> str:
        """The last user's words."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user" and turn.text), "")

    @property
    def calls(self) -> list[Call]:
        """Every call of the history."""
        return [call for turn in self.turns for call in turn.calls]

    @property
    def results(self) -> list[tuple[str, str]]:
        """Every result of the history."""
        return [result for turn in self.turns for result in turn.results]

    @property
    def images(self) -> list[tuple[str, str]]:
        """Every image."""
        return [image for turn in self.turns for image in turn.images]

    @property
    def signatures(self) -> list[str]:
        """Every signature that came back."""
        return [turn.signature for turn in self.turns if turn.signature]


@dataclass(frozen=True)
class Wish:
    """What a caller wants. ``before`` is an earlier answer, sent back as the client has it, with ``results`` for its
    calls."""

    model: str
    text: str = "What is it like, naïvely?"
    system: str = ""
    tools: int = 0
    image: bool = False
    schema: bool = False
    think: bool = False
    stop: str = ""
    before: "Got | None" = None
    results: tuple[str, ...] = ()


@dataclass
class Got:
    """What a caller got. ``pieces`` counts the pieces of text of a stream, ``said`` is the client's turn."""

    text: str = ""
    thinking: str = ""
    calls: list[Call] = field(default_factory=list)
    stop: str = ""
    tokens: Tokens | None = None
    pieces: int = 0
    said: Any = None

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """The calls without their ids."""
        return [(name, json.loads(arguments)) for _, name, arguments in self.calls]


def pieces(text: str, size: int) -> list[str]:
    """``text`` in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def need(held: object, what: str) -> None:
    """Raises Wrong unless ``held``."""
    if not held:
        raise Wrong(what)


def only(value: dict[str, Any], known: set[str], what: str) -> None:
    """Raises Wrong for members that the wire does not have."""
    need(isinstance(value, dict), f"{what} is no object")
    need(set(value) <= known, f"{what} holds {sorted(set(value) - known)}")


def dump(value: Any) -> bytes:
    """JSON as servers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(value: Any, event: str = "") -> bytes:
    """One server-sent event."""
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + dump(value) + b"\n\n"
