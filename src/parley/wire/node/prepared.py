"""Requests as a node reads them: members in any case, types first, then what must be there, in a node's own words.

What comes out is a request of the wire that carries it, with the model's name as our own gateway knows it.
Sources: contract sections 2.1, 2.2, 3, 5.1, 5.2.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw, json

from parley import jsontext
from parley.wire.node.errors import parameter, parsing
from parley.wire.node.names import called
from parley.wire.openai_error import BAD_JSON

ROLES: Final = frozenset({"system", "user", "assistant", "tool", "function"})
# A node passes on what callers of other dialects say, and a Parley is such a node.
_WORKER_ROLES: Final = ROLES | {"developer"}
_SELECTS: Final = ("node_id", "project", "model", "cid")
_TEXTS: Final = (*_SELECTS, "wallet", "signature", "hash")
_CHAT_TEXTS: Final = _TEXTS
_PICTURE_TEXTS: Final = (*_TEXTS, "prompt", "size", "response_format")
_CHAT: Final = frozenset((*_CHAT_TEXTS, "messages", "stream", "temperature", "top_p"))
_PICTURE: Final = frozenset((*_PICTURE_TEXTS, "n", "width", "height", "step"))
_MESSAGE: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
_INSIDE: Final = {"image_url": frozenset({"url", "detail"}), "input_audio": frozenset({"data", "format"})}
_PART: Final = frozenset({"type", "text", *_INSIDE})
_NULL: Final = Raw(b"null")
_WHOLE: Final = ("n", "width", "height", "step")
_NO_URL: Final = "the url of image content object is nil"
_NO_DATA: Final = "the data of audio content object is nil"

Members = dict[str, Raw]


def chat(body: bytes, *, proxy: bool) -> bytes:
    """A chat through a node. ``proxy``: the node is ours to choose."""
    members = _members(body, _CHAT, _CHAT_TEXTS)
    _numbers(members)
    messages = _messages(members)
    name = _selected(members, proxy=proxy)
    for message in messages:
        _judge(message)
    return _carried(members, name)


def worker_chat(body: bytes) -> bytes:
    """A chat that a node asks its worker for: the model is one of ours."""
    members = _members(body, _CHAT, _CHAT_TEXTS)
    _numbers(members)
    messages = _messages(members)
    model = _text(members, "model")
    if not model:
        raise parameter("empty model")
    for message in messages:
        _judge(message, _WORKER_ROLES)
    return _carried(members, model)


def picture(body: bytes, *, proxy: bool) -> bytes:
    """A picture through a node."""
    members = _members(body, _PICTURE, _PICTURE_TEXTS)
    _whole_numbers(members)
    return _sent(members, _selected(members, proxy=proxy))


def worker_picture(body: bytes) -> bytes:
    """A picture that a node asks its worker for."""
    members = _members(body, _PICTURE, _PICTURE_TEXTS)
    _whole_numbers(members)
    model = _text(members, "model")
    if not model:
        raise parameter("empty model")
    return _sent(members, model)


def selected(values: Mapping[str, str], *, proxy: bool) -> str:
    """The name of the model that is meant; what lacks is told in a node's order."""
    for name in ("project", "model") if proxy else ("node_id", "project", "model"):
        if not values.get(name):
            raise parameter(f"empty {name}")
    node = "" if proxy else values["node_id"]
    return called(values["project"], values["model"], node, "" if proxy else values.get("cid", ""))


def in_any_case(members: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The members with known names as they are written here, however they came; of two the one that is so wins."""
    made: dict[str, Any] = {}
    for name, value in members.items():
        lowered = name.lower()
        meant = lowered if lowered in known else name
        if meant == name or meant not in members:
            made[meant] = value
    return made


def _members(body: bytes, known: frozenset[str], texts: tuple[str, ...]) -> Members:
    members = in_any_case(jsontext.members(body), known)
    for name in texts:
        value = members.get(name)
        if value == _NULL:
            del members[name]
        elif value is not None and jsontext.text(value) is None:
            raise parsing()
    return members


def _text(members: Members, name: str) -> str:
    value = members.get(name)
    return "" if value is None else jsontext.text(value) or ""


def _selected(members: Members, *, proxy: bool) -> str:
    return selected({name: _text(members, name) for name in _SELECTS}, proxy=proxy)


def _numbers(members: Members) -> None:
    stream = members.get("stream")
    if stream is not None and stream not in (Raw(b"true"), Raw(b"false"), _NULL):
        raise parsing()
    for name in ("temperature", "top_p"):
        value = members.get(name)
        if value is not None and value != _NULL and not isinstance(_read(value), int | float):
            raise parsing()


def _whole_numbers(members: Members) -> None:
    for name in _WHOLE:
        value = members.get(name)
        if value == _NULL:
            del members[name]
        elif value is not None and type(_read(value)) is not int:
            raise parsing()


def _messages(members: Members) -> list[dict[str, Any]]:
    value = members.get("messages")
    found = [] if value is None or value == _NULL else _read(value)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise parsing()
    read = [_message_in_case(message) for message in found]
    if not found:
        members["messages"] = Raw(b"[]")
    elif any(one is not other for one, other in zip(read, found, strict=True)):
        members["messages"] = Raw(json.encode(read))
    return read


def _message_in_case(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its members and those of its parts as they are written here; the same object where they are."""
    made = _in_case(message, _MESSAGE)
    content = made.get("content")
    if not isinstance(content, list):
        return made
    parts = [_part_in_case(part) for part in content]
    if all(one is other for one, other in zip(parts, content, strict=True)):
        return made
    return {**made, "content": parts}


def _part_in_case(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    made = _in_case(part, _PART)
    for name, known in _INSIDE.items():
        inside = made.get(name)
        read = _in_case(inside, known) if isinstance(inside, dict) else inside
        if read is not inside:
            made = {**made, name: read}
    return made


def _in_case(members: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    if all(name in known or name.lower() not in known for name in members):
        return members
    return in_any_case(members, known)


def _judge(message: dict[str, Any], roles: frozenset[str] = ROLES) -> None:
    role, content = message.get("role"), message.get("content")
    if role is not None and not isinstance(role, str):
        raise parsing()
    if role not in roles:
        raise parameter("unknown role of chat message author")
    if isinstance(content, str):
        return
    if content is None and message.get("tool_calls"):
        # A turn that only calls tools; other nodes send none.
        return
    if not isinstance(content, list):
        raise parameter("invalid content of chat message")
    for part in content:
        _judge_part(part)


def _judge_part(part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return
    if kind == "image_url":
        if not isinstance(part.get("image_url"), dict):
            raise parameter(_NO_URL)
    elif kind == "input_audio":
        if not isinstance(part.get("input_audio"), dict):
            raise parameter(_NO_DATA)
    else:
        raise parameter("unknown part type of chat content")


def _carried(members: Members, name: str) -> bytes:
    rest = _sendable(members)
    stream = rest.get("stream", _NULL)
    rest["stream"] = Raw(b"false") if stream == _NULL else stream
    return json.encode({"model": name, **rest})


def _sent(members: Members, name: str) -> bytes:
    return json.encode({"model": name, **_sendable(members)})


def _sendable(members: Members) -> Members:
    """Without what chose the model, and without empty words that a worker is not sent."""
    empty = {name for name in ("wallet", "signature", "hash") if name in members and not _text(members, name)}
    return {name: value for name, value in members.items() if name not in _SELECTS and name not in empty}


def _read(value: Raw) -> Any:
    """What it says; what cannot be read, such as 1e999, is told as a node tells what it cannot parse."""
    try:
        return json.decode(value)
    except BAD_JSON:
        raise parsing() from None
