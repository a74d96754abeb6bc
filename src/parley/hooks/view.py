"""What a hook sees of a request and of an answer. Pure."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from parley.hooks.places import Place, places
from parley.jsontext import encode
from parley.keys import Holder


class Refusal(Struct, frozen=True):
    """The caller gets an error in its place: 400 and 401 as such, any other ``status`` as forbidden."""

    message: str
    status: int = 403


class Refused(Exception):  # noqa: N818 - it is what happened
    """Raised where there is nothing to return a Refusal from."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Pieces(Protocol):
    """What one text of a streamed answer goes through."""

    def feed(self, text: str) -> str:
        """More of it; what may go out now. May raise Refused."""

    def close(self) -> str:
        """It is over; the rest. May raise Refused."""


class Text:
    """One text; set ``text`` to change it. ``role`` says whose words it holds, "" where nobody says."""

    __slots__ = ("_before", "_place", "role", "text")

    def __init__(self, text: str, place: Place | str = "", role: str = "") -> None:
        self.text = self._before = text
        self._place = place
        self.role = role

    @property
    def where(self) -> str:
        """Its path: ``messages[0].content``."""
        return self._place if isinstance(self._place, str) else self._place.where

    @property
    def changed(self) -> bool:
        """Whether it is another one now."""
        return self.text != self._before


class Edited:
    """A JSON object whose texts may be changed; everything else stays byte for byte."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._places: list[Place] = places(body).places
        self.texts = [Text(place.text(body), place, place.role) for place in self._places]

    def written(self) -> bytes:
        """The object as it is now; the very same one where nothing was changed."""
        changed = [(place, text.text) for place, text in zip(self._places, self.texts, strict=True) if text.changed]
        return spliced(self._body, [(place.start, place.end, text) for place, text in changed])


def spliced(body: bytes, edits: list[tuple[int, int, str]]) -> bytes:
    """The body with other strings in these places, which are in order."""
    if not edits:
        return body
    parts: list[bytes] = []
    position = 0
    for start, end, text in edits:
        parts += (body[position:start], encode(text))
        position = end
    return b"".join((*parts, body[position:]))


class RequestView:
    """A request. ``texts`` may be changed; ``replace`` puts another body in place of all of it.

    ``headers`` are the caller's, without credentials, names in lower case. ``key`` is whose key it came with.
    """

    def __init__(self, facts: "Facts", body: bytes, texts: list[Text]) -> None:
        self.dialect, self.operation, self.model = facts.dialect, facts.operation, facts.model
        self.streams, self.key, self.headers = facts.streams, facts.key, facts.headers
        self.texts = texts
        self._body = body
        self.replaced: bytes | None = None

    @property
    def body(self) -> Any:
        """The whole request, decoded; a copy. None for a form with files."""
        return msgspec.json.decode(self._body) if self._body[:1] == b"{" else None

    def replace(self, body: Mapping[str, Any]) -> None:
        """Send this instead; changes of ``texts`` are lost."""
        self.replaced = encode(body)


class AnswerView:
    """An answer, or one that is about to be streamed (then ``texts`` is empty). ``target`` is ``provider/model``."""

    def __init__(self, facts: "Facts", target: str, texts: list[Text]) -> None:
        self.dialect, self.operation, self.model = facts.dialect, facts.operation, facts.model
        self.streams, self.key, self.headers = facts.streams, facts.key, facts.headers
        self.target = target
        self.texts = texts


class Facts(Struct, frozen=True):
    """What both views tell."""

    dialect: str
    operation: str
    model: str
    streams: bool
    key: Holder | None
    headers: Mapping[str, str]
