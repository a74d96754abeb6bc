"""Where texts stand in a JSON object of any dialect: what people and models said, not names, ids or arguments. Pure.

The object is read as text, so that what is not changed stays byte for byte. Names of members decide; every dialect
calls what was said by one of a few.
"""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

# Members whose strings, or lists of strings, are what somebody said.
PROSE: Final = frozenset(
    (
        "content", "text", "prompt", "negative_prompt", "suffix", "input", "instructions", "system", "output", "query",
        "documents", "response", "message", "preamble", "context", "refusal", "reasoning", "reasoning_content",
        "transcript", "output_text",
    )
)  # fmt: skip
# Below these nothing is: schemas, arguments, references.
_SKIPPED: Final = frozenset(
    (
        "tools", "tool_calls", "toolCalls", "tool_choice", "functions", "function_call", "functionCall", "args",
        "arguments", "metadata", "response_format", "format", "schema", "input_schema", "json_schema", "parameters",
        "logprobs", "top_logprobs", "annotations", "citations", "image_url", "input_audio", "file", "options",
        "usage", "images",
    )
)  # fmt: skip
# Objects of these types are calls of tools, or sealed.
_CALLS: Final = frozenset(
    (
        "tool_use", "server_tool_use", "mcp_tool_use", "tool-call", "function_call", "custom_tool_call", "mcp_call",
        "computer_call", "web_search_call", "code_interpreter_call", "local_shell_call", "thinking",
        "redacted_thinking",
    )
)  # fmt: skip
# Events that carry a piece of text in a member that other events use for something else.
_DELTAS: Final = frozenset(
    f"response.{kind}.delta" for kind in ("output_text", "refusal", "reasoning_text", "reasoning_summary_text")
)
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)
_string: Final = msgspec.json.Decoder(str).decode
# Members that tell one choice, block or part of an answer from another.
INDEXES: Final = ("index", "output_index", "content_index", "summary_index", "item_id", "thought")
Indexes: TypeAlias = tuple[tuple[str, bytes], ...]


class Frame:
    """An object or a list. ``name`` is the member that holds it, ``at`` its place in what holds it, ``scalars`` what
    its own plain members are. ``sealed``: what is in it was not said; ``role``: by whom it was."""

    __slots__ = ("above", "at", "count", "key", "listed", "name", "role", "scalars", "sealed", "skipped")

    def __init__(self, name: str, above: "Frame | None", *, listed: bool) -> None:
        self.name = name
        self.above = above
        self.at = "" if above is None else above.next
        self.listed = listed
        self.count = 0
        self.key: str | None = None
        self.scalars: dict[str, bytes] = {}
        self.skipped: bool = above is not None and (above.skipped or name in _SKIPPED)
        self.sealed = False
        self.role = ""

    @property
    def member(self) -> str:
        """The member that its next value belongs to: of a list the one that holds the list."""
        return self.name if self.listed else self.key or ""

    @property
    def next(self) -> str:
        """The place of its next value in it, as errors name it."""
        return f"[{self.count}]" if self.listed else f".{self.key}"

    def lines(self) -> Iterator["Frame"]:
        """From here to the top."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.above

    def settle(self) -> None:
        """All of it has been read: its type and its role may come last. What holds it was settled before."""
        above = self.above
        self.sealed = plain(self.scalars.get("type", b"")) in _CALLS or (above is not None and above.sealed)
        self.role = plain(self.scalars.get("role", b"")) or ("" if above is None else above.role)


class Place:
    """A text, quotation marks included, at ``start:end``; ``frame`` is what it stands in, ``at`` where."""

    __slots__ = ("at", "end", "frame", "name", "start")

    def __init__(self, start: int, end: int, frame: Frame) -> None:
        self.start, self.end, self.frame = start, end, frame
        self.name, self.at = frame.member, frame.next

    def text(self, body: bytes) -> str:
        """What it says."""
        return _string(body[self.start : self.end])

    @property
    def where(self) -> str:
        """Its path, as errors name it."""
        # What is outermost is held by nothing.
        path = [frame.at for frame in self.frame.lines() if frame.above is not None and frame.above.above is not None]
        return "".join((*reversed(path), self.at)).removeprefix(".")

    @property
    def role(self) -> str:
        """Whose words these are, "" where nobody says."""
        return self.frame.role

    @property
    def indexes(self) -> Indexes:
        """Of which choice, block or part it is."""
        return tuple(
            (name, frame.scalars[name]) for frame in self.frame.lines() for name in INDEXES if name in frame.scalars
        )

    @property
    def is_prose(self) -> bool:
        """Whether somebody said it; known once all was read."""
        frame = self.frame
        if frame.sealed:
            return False
        if self.name == "delta":
            return plain(frame.scalars.get("type", b"")) in _DELTAS
        if self.name == "data":
            return frame.name == "source" and plain(frame.scalars.get("type", b"")) == "text"
        return True


class Found:
    """The places of one object, and what its own plain members are, those of choices within it too."""

    __slots__ = ("frames", "places")

    def __init__(self, places: list[Place], frames: list[Frame]) -> None:
        self.places = places
        self.frames = frames


def plain(scalar: bytes) -> str:
    """A string's words where it has no escapes."""
    return scalar.strip(b'"').decode("utf-8", "replace")


def places(body: bytes) -> Found:
    """Every text of a JSON value that is known to be one."""
    found: list[Place] = []
    frames: list[Frame] = []
    top = frame = Frame("", None, listed=True)
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        if first in b"{[":
            frame = Frame(frame.member, frame, listed=first == 0x5B)
            frames.append(frame)
        elif first in b"}]":
            frame = frame.above or top
            frame.count += frame.listed
            frame.key = None
        elif first == 0x2C:
            frame.key = None
        elif first != 0x3A:
            _take(body, token.start(), token.end(), frame, found)
    for frame in frames:
        frame.settle()
    return Found([place for place in found if place.is_prose], frames)


def _take(body: bytes, start: int, end: int, frame: Frame, found: list[Place]) -> None:
    """A string or another plain value: a member's name, or what it is."""
    if not frame.listed and frame.key is None:
        frame.key = _string(body[start:end])
        return
    name = frame.member
    is_text = body[start] == 0x22
    if not frame.listed and end - start < 200:
        frame.scalars[name] = body[start:end]
    if is_text and not frame.skipped and (name in PROSE or name in ("delta", "data")):
        found.append(Place(start, end, frame))
    if frame.listed:
        frame.count += 1
