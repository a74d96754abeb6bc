"""What the types of this API say otherwise than OpenAI's: thoughts, calls among the parts, words in any case.

Requests and answers that say nothing of that kind are not read for it. Source: predict contract section 4.
"""

from typing import Any, Final

from msgspec import DecodeError, Raw, json

from parley import jsontext
from parley.failure import invalid
from parley.framing import parse_block

_TELLING: Final = (b'"thinking"', b'"tool_use"', b'"marker"')
_THOUGHTS: Final = (b'"reasoning_content"', b'"reasoning"')
_WORDS: Final = ("none", "auto", "required")
_encode: Final = json.Encoder().encode
_anything: Final = json.Decoder().decode


def as_usual(members: jsontext.Members, where: str = "") -> jsontext.Members:
    """Members of a chat request as OpenAI's wire writes them. Raises ``invalid_request`` for what no model takes."""
    changes: jsontext.Members = {}
    messages, choice = members.get("messages"), members.get("tool_choice")
    if messages is not None and _tells(bytes(memoryview(messages)), _TELLING):
        turns = _anything(messages)
        if isinstance(turns, list):
            prefix = f"{where}.messages" if where else "messages"
            changes["messages"] = Raw(_encode([_turn(turn, f"{prefix}[{at}]") for at, turn in enumerate(turns)]))
    if choice is not None and memoryview(choice)[0] == 0x22:
        word = jsontext.text(choice)
        if word is not None and word not in _WORDS and word.lower() in _WORDS:
            changes["tool_choice"] = Raw(_encode(word.lower()))
    return {**members, **changes} if changes else members


def _tells(text: bytes, words: tuple[bytes, ...]) -> bool:
    """Whether one of the words is there. Not "in": bytes that look for bytes first raise and drop an error there."""
    return max(map(text.find, words)) >= 0


def _turn(turn: Any, where: str) -> Any:
    if not isinstance(turn, dict):
        return turn
    if turn.get("role") == "marker":
        raise invalid(f"{where}: a marker is nothing that a model could be told", f"{where}.role")
    made = {name: value for name, value in turn.items() if name != "thinking"}
    thought = turn.get("thinking")
    if isinstance(thought, str):
        _think(made, thought)
    elif "thinking" in turn:
        made["thinking"] = thought
    if isinstance(turn.get("content"), list):
        _parts(made, turn["content"], where)
    return made


def _think(made: dict[str, Any], thought: str) -> None:
    """One more thought of a turn, behind those that it has: there a turn has one text of them all."""
    before = made.get("reasoning_content")
    if not isinstance(before, str) or not before:
        made["reasoning_content"] = thought
    elif thought and thought != before:
        made["reasoning_content"] = f"{before}\n{thought}"


def _parts(made: dict[str, Any], parts: list[Any], where: str) -> None:
    """Calls among the parts are members of the turn there; so are the thoughts of a text."""
    calls, rest = [], []
    for at, part in enumerate(parts):
        if isinstance(part, dict) and part.get("type") == "tool_use":
            if made.get("role", "assistant") != "assistant":
                raise invalid("calls are said by the assistant alone", f"{where}.role")
            calls.append(_call(part, f"{where}.content[{at}]"))
            continue
        kept = part
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("thinking"), str):
            kept = {name: value for name, value in part.items() if name != "thinking"}
            _think(made, part["thinking"])
        rest.append(kept)
    if calls:
        made["tool_calls"] = [*(made.get("tool_calls") or ()), *calls]
    made["content"] = rest or None


def _call(part: dict[str, Any], where: str) -> dict[str, Any]:
    name, given = part.get("name"), part.get("input")
    if not isinstance(name, str):
        raise invalid("name must be a string", f"{where}.name")
    if not isinstance(given, str | dict):
        raise invalid("input must be a string that holds JSON", f"{where}.input")
    arguments = given if isinstance(given, str) else _encode(given).decode()
    rest = {key: value for key, value in part.items() if key not in ("type", "id", "name", "input")}
    function = {"name": name, "arguments": arguments}
    return {"id": part.get("id"), "type": "function", "function": function, **rest}


def as_theirs(answer: bytes) -> bytes:
    """A whole answer of OpenAI's wire with thoughts where this API has them."""
    return _renamed(answer, "reasoning_content", "thinking") if _tells(answer, _THOUGHTS) else answer


def as_ours(answer: bytes) -> bytes:
    """The other way round: an answer of this API as OpenAI's wire writes it."""
    return _renamed(answer, "thinking", "reasoning_content") if b'"thinking"' in answer else answer


def events_as_theirs(events: bytes) -> bytes:
    """The same for whole events of a stream."""
    if not _tells(events, _THOUGHTS):
        return events
    return b"".join([_event(block, "reasoning_content", "thinking") for block in events.split(b"\n\n") if block])


def event_as_ours(block: bytes) -> bytes:
    """One event without its empty line, as OpenAI's wire writes it, with it."""
    return _event(block, "thinking", "reasoning_content")


def _event(block: bytes, old: str, new: str) -> bytes:
    frame = parse_block(block) if f'"{old}"'.encode() in block or b'"reasoning"' in block else None
    if frame is None:
        return block + b"\n\n"
    return b"data: %b\n\n" % _renamed(frame.data, old, new)


def _renamed(text: bytes, old: str, new: str) -> bytes:
    try:
        value = _anything(text)
        for choice in value["choices"]:
            for name in ("message", "delta"):
                _rename(choice.get(name), old, new)
    except (DecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError):
        # Whoever reads it judges it.
        return text
    return _encode(value)


def _rename(said: Any, old: str, new: str) -> None:
    if not isinstance(said, dict) or new in said:
        return
    if old not in said and old == "reasoning_content":
        old = "reasoning"
    if isinstance(said.get(old), str):
        said[new] = said.pop(old)


def line_of(block: bytes) -> bytes:
    """One event of a stream as a line of JSON; b"" for what is none: the terminator, comments."""
    frame = parse_block(block)
    return b"" if frame is None or frame.data.startswith(b"[DONE]") else frame.data + b"\n"


def wrapped(events: bytes, name: str) -> bytes:
    """Whole events of a stream, each as the member of that name of the older envelope."""
    return b"".join([_wrapped(block, name.encode()) for block in events.split(b"\n\n") if block])


def _wrapped(block: bytes, name: bytes) -> bytes:
    line = line_of(block)
    return b'data: {"%b":%b}\n\n' % (name, line[:-1]) if line else block + b"\n\n"
