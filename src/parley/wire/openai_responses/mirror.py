"""The response object around an answer: which members repeat the request, and what the others are at the start.

It is JSON text from the beginning: what the caller said is copied as it was written, and only what changes until the
end is put in later.
"""

import re
from typing import Any, Final

from msgspec import Raw, json

from parley.ir import Start
from parley.wire import Reply
from parley.wire.openai_error import BAD_JSON
from parley.wire.openai_responses.sealed import NAME

Json = dict[str, Any]
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")
# Members that change until the end: a whole answer's are not told at the start of a stream made of it.
LATE = frozenset({"output", "status", "usage", "error", "incomplete_details", "completed_at", "object", "output_text"})
# Every member in its order, and what it is where nobody has said anything.
_UNSAID: Final[dict[str, bytes]] = {
    "id": b'""',
    "object": b'"response"',
    "created_at": b"0",
    "status": b'"in_progress"',
    "background": b"false",
    "completed_at": b"null",
    "error": b"null",
    "incomplete_details": b"null",
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "model": b"null",
    "output": b"[]",
    "parallel_tool_calls": b"true",
    "previous_response_id": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "service_tier": b"null",
    "store": b"true",
    "temperature": b"null",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"null",
    "truncation": b'"disabled"',
    "usage": b"null",
    "user": b"null",
    "metadata": b"{}",
}
# The same as JSON writes them.
_PARTS: Final = tuple(b'"%b":%b' % (name.encode(), text) for name, text in _UNSAID.items())
_SLOTS: Final[dict[str, int]] = {name: place for place, name in enumerate(_UNSAID)}
_REPEATED: Final[dict[str, int]] = {
    name: _SLOTS[name]
    for name in (
        "background", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls",
        "previous_response_id", "reasoning", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs",
        "top_p", "truncation", "user",
    )
}  # fmt: skip
# Those that are there only where the caller gave them, behind all others.
_GIVEN: Final = ("prompt", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "conversation")
# Objects, and what they hold where the caller leaves it open.
_OPEN: Final[dict[str, Json]] = {
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}},
}
_ID, _CREATED, _MODEL = _SLOTS["id"], _SLOTS["created_at"], _SLOTS["model"]
# How values begin that are no numbers and no words.
_STRING, _ARRAY, _OBJECT = 0x22, 0x5B, 0x7B
_encode: Final = json.Encoder().encode
_decode: Final = json.Decoder().decode
_members: Final = json.Decoder(dict[str, Raw]).decode


class Mirror:
    """The object as it stands. ``id`` is its own."""

    __slots__ = ("_parts", "id")

    def __init__(self, id_: str, parts: list[bytes]) -> None:
        self.id = id_
        self._parts = parts

    def put(self, name: str, value: bytes) -> None:
        """What a member is from now on, as JSON."""
        self._parts[_SLOTS[name]] = b'"%b":%b' % (name.encode(), value)

    def written(self) -> bytes:
        """All of it as JSON."""
        return b"{%b}" % b",".join(self._parts)


def opened(reply: Reply, start: Start) -> Mirror:
    """The response as it begins. What the caller did not say and nobody knows is null."""
    try:
        return _opened(reply, start, _said(reply))
    except BAD_JSON:
        # A provider of this wire may take text that is none; it is not repeated.
        return _opened(reply, start, {})


def opened_here(reply: Reply, start: Start) -> Json:
    """The same for an answer of this wire, whose own members it keeps."""
    try:
        made: Json = _decode(opened(reply, start).written())
    except BAD_JSON:
        made = _decode(_opened(reply, start, {}).written())
    made.update({name: value for name, value in start.extra.items() if name not in LATE})
    return made


def _opened(reply: Reply, start: Start, said: dict[str, Raw]) -> Mirror:
    id_ = start.id if start.id and reply.wire == NAME else "resp_" + _plain(reply.id.removeprefix("req_"))
    parts = list(_PARTS)
    parts[_ID] = b'"id":%b' % _encode(id_)
    parts[_CREATED] = b'"created_at":%d' % (start.created or reply.created)
    parts[_MODEL] = b'"model":%b' % _encode(start.model or reply.model)
    for name, raw in said.items():
        slot = _REPEATED.get(name)
        if slot is not None and (value := bytes(raw)) != b"null":
            parts[slot] = b'"%b":%b' % (name.encode(), _repeated(name, value))
    for name in _GIVEN:
        if name in said and (value := bytes(said[name])) != b"null":
            parts.append(b'"%b":%b' % (name.encode(), _repeated(name, value)))
    return Mirror(id_, parts)


def _repeated(name: str, value: bytes) -> bytes:
    """What the caller gave, in one line; what it leaves open is added."""
    if name == "conversation" and value[0] == _STRING:
        return b'{"id":%b}' % value
    if value[0] != _OBJECT and value[0] != _ARRAY:
        return _UNSAID[name] if name in _OPEN else value
    found: Any = _decode(value)
    left = _OPEN.get(name)
    return _encode(found if left is None else {**left, **_spoken(found)})


def _spoken(found: Any) -> Json:
    """What a member says, as far as it says anything."""
    return {key: value for key, value in found.items() if value is not None} if type(found) is dict else {}


def _plain(name: str) -> str:
    """The name in characters that ids have here."""
    return name if name.isalnum() and name.isascii() else _ODD.sub("_", name)


def _said(reply: Reply) -> dict[str, Raw]:
    """The caller's own members, as far as there are any."""
    if reply.members is not None:
        return reply.members
    if not reply.asked:
        return {}
    try:
        return _members(reply.asked)
    except BAD_JSON:
        return {}
