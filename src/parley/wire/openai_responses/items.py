"""Responses input items, read from a caller: items in, turns of the canonical form out.

What the model said in a row (reasoning, messages, calls) is one turn of the assistant. Every turn keeps the items it
was read from, so that this wire's own provider gets them as they came. Ids, statuses and phases of past output, the
probabilities of its tokens and empty lists of annotations say nothing to another provider and are no loss.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from parley.failure import ParleyError, at, invalid
from parley.ir import Block, Extra, Media, Message, Opaque, Origin, Refusal, Role, Text, Thinking, ToolCall, ToolResult
from parley.wire.data_url import split_data_url
from parley.wire.fields import each, missing, optional, required, wrong
from parley.wire.openai_responses.sealed import NAME, foreign_thinking, words_of

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
}
# Items in which the provider tells of its own doings; other items of unknown type are the caller's.
DOINGS = frozenset(
    {
        "file_search_call",
        "web_search_call",
        "computer_call",
        "code_interpreter_call",
        "image_generation_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "custom_tool_call",
        "tool_search_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_call",
        "program",
    }
)
_LABELS = ("id", "status", "phase")


class Turn(Struct, frozen=True):
    """One item as the canonical form sees it; ``extra`` are members that have no place there."""

    role: Role
    content: tuple[Block, ...]
    extra: Extra = {}


def turns_of(value: Any) -> list[Message]:
    """The turns of ``input``. Raises ``invalid_request`` naming the field."""
    if type(value) is str:
        return [Message("user", (Text(value),), place="input")]
    if type(value) is not list:
        raise wrong("input", str, list)
    found: list[Message] = []
    for index, turn in enumerate(each(value, "input", _item)):
        item = value[index]
        last = found[-1] if found else None
        if last is not None and last.role == "assistant" == turn.role:
            found[-1] = _joined(last, turn, item)
        else:
            origin = Origin(turn.content, (item,))
            found.append(Message(turn.role, turn.content, None, turn.extra, origin, f"input[{index}]"))
    return found


def _joined(message: Message, turn: Turn, item: dict[str, Any]) -> Message:
    """The turn with one more item of the same speaker."""
    content = message.content + turn.content
    items = () if message.origin is None else message.origin.items
    origin = Origin(content, (*items, item))
    return Message(message.role, content, None, {**message.extra, **turn.extra}, origin, message.place)


def _item(given: dict[str, Any]) -> Turn:
    """One item. ``type`` may be left out for messages; its three shapes are told apart by what they hold."""
    value = given.copy()
    if "type" not in value and "role" not in value:
        raise missing("type")
    kind = required(value, "type", str) if "type" in value else "message"
    read = _READERS.get(kind)
    if read is not None:
        return read(value)
    return Turn("assistant" if kind in DOINGS else "user", (Opaque(NAME, given),))


def _message(value: dict[str, Any]) -> Turn:
    role = _ROLES.get(required(value, "role", str))
    if role is None:
        raise invalid("role must be user, assistant, system or developer", "role")
    _unlabelled(value)
    return Turn(role, _content(value, "content"), value)


def _unlabelled(value: dict[str, Any]) -> None:
    """Take out what only labels past output, checked."""
    for name in _LABELS:
        if name in value:
            optional(value, name, str)


def _content(value: dict[str, Any], name: str) -> tuple[Block, ...]:
    found = value.pop(name, None)
    if type(found) is str:
        return (Text(found),)
    if type(found) is list:
        return each(found, name, _part)
    raise missing(name) if found is None else wrong(name, str, list)


def _call(value: dict[str, Any]) -> Turn:
    _unlabelled(value)
    call_id, name = required(value, "call_id", str), required(value, "name", str)
    return Turn("assistant", (ToolCall(call_id, name, required(value, "arguments", str), _said(value)),))


def _call_output(value: dict[str, Any]) -> Turn:
    _unlabelled(value)
    return Turn("tool", (ToolResult(required(value, "call_id", str), _content(value, "output"), extra=_said(value)),))


def _said(value: dict[str, Any]) -> Extra:
    """The members that say something; null is none."""
    return {name: member for name, member in value.items() if member is not None}


def _reasoning(value: dict[str, Any]) -> Turn:
    """Reasoning; what a provider of this wire sealed is of no use to any other."""
    _unlabelled(value)
    for name in ("summary", "content"):
        each(value.get(name) or [] if _is_listed(value, name) else [], name, _thought)
    text, encrypted = words_of(value), optional(value, "encrypted_content", str)
    for name in ("summary", "content"):
        value.pop(name, None)
    block = Thinking(text) if encrypted is None else foreign_thinking(text, encrypted)
    if block is None:
        # On the turn as well: what that has is listed by other wires, of reasoning only the text is looked at.
        value["encrypted_content"] = encrypted
        block = Thinking(text, extra={"encrypted_content": encrypted})
    return Turn("assistant", (block,), _said(value))


def _is_listed(value: dict[str, Any], name: str) -> bool:
    found = value.get(name)
    if found is not None and type(found) is not list:
        raise wrong(name, list)
    return found is not None


def _thought(part: dict[str, Any]) -> str:
    return required(part.copy(), "text", str)


def _reference(value: dict[str, Any]) -> Turn:
    named = required(value, "id", str)
    raise invalid(f"item_reference: no item with id {named!r} is kept here", "id")


_READERS: Mapping[str, Callable[[dict[str, Any]], Turn]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _call_output,
    "reasoning": _reasoning,
    "item_reference": _reference,
}


# --- parts -------------------------------------------------------------------------------------


def _part(given: dict[str, Any]) -> Block:
    """One content part; one of a type that is not known goes out again to this wire as it came."""
    value = given.copy()
    read = _PARTS.get(required(value, "type", str))
    found = None if read is None else read(value)
    return Opaque(NAME, given) if found is None else found


def _text(value: dict[str, Any]) -> Block:
    text = required(value, "text", str)
    if not value:
        return Text(text)
    optional(value, "logprobs", list)
    if not value.get("annotations"):
        optional(value, "annotations", list)
    return Text(text, _said(value))


def _refusal(value: dict[str, Any]) -> Block:
    return Refusal(required(value, "refusal", str), _said(value))


def _image(value: dict[str, Any]) -> Block | None:
    """A picture by URL, data or file; one that is given twice stays as it is."""
    url, file_id, detail = (optional(value, name, str) for name in ("image_url", "file_id", "detail"))
    if url is None and file_id is None:
        raise missing("image_url")
    if url is not None and file_id is not None:
        return None
    extra = _said(value)
    if url is None:
        return Media(kind="image", file_id=file_id, detail=detail, extra=extra)
    media_type, data = split_data_url(url)
    if data is None:
        return Media(kind="image", url=url, detail=detail, extra=extra)
    return Media(kind="image", data=data, media_type=media_type, detail=detail, extra=extra)


def _file(value: dict[str, Any]) -> Block | None:
    """A document by data, URL or file; one that is given twice stays as it is."""
    data, url, file_id, name = (optional(value, key, str) for key in ("file_data", "file_url", "file_id", "filename"))
    detail = optional(value, "detail", str)
    if data is None and url is None and file_id is None:
        raise missing("file_data")
    if sum(given is not None for given in (data, url, file_id)) > 1:
        return None
    extra = _said(value)
    if data is None:
        return Media(kind="document", url=url, file_id=file_id, name=name, detail=detail, extra=extra)
    media_type, split = split_data_url(data)
    words = data if split is None else split
    return Media(kind="document", data=words, media_type=media_type, name=name, detail=detail, extra=extra)


_SOUNDS = {"mp3": "audio/mpeg"}


def _audio(value: dict[str, Any]) -> Block:
    inner = required(value, "input_audio", dict).copy()
    try:
        data, form = required(inner, "data", str), required(inner, "format", str)
    except ParleyError as error:
        raise at(error, "input_audio") from None
    extra = {**value, "input_audio": inner} if inner else value
    return Media(kind="audio", data=data, media_type=_SOUNDS.get(form, f"audio/{form}"), extra=extra)


_PARTS: Mapping[str, Callable[[dict[str, Any]], Block | None]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
