"""Requests of OpenAI's wire put into an envelope for a gate, and what comes back taken out of its own.

A stream may come as events, as lines of JSON or as objects one after the other; to whoever reads it it is events.
Source: predict contract sections 2, 4, 6 and 8.
"""

from typing import Any, Final

from msgspec import DecodeError, Raw, json

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.framing import MAX_EVENT, SseReader, parse_block
from parley.wire.caila.kinds import as_ours, event_as_ours

# What the type of the request has; everything else is config.
_REQUEST: Final = ("messages", "model", "stream", "tools", "tool_choice", "logprobs", "top_logprobs")
_encode: Final = json.Encoder().encode
_members: Final = json.Decoder(dict[str, Raw]).decode
_SPACE: Final = b" \t\r\n"
# What an answer is called, by whether it is a piece of a stream.
_KINDS: Final = {False: "chat.completion", True: "chat.completion.chunk"}


def sealed(body: bytes, *, texts: bool) -> bytes:
    """The envelope; ``texts``: in the form that holds JSON as text."""
    members = _members(body)
    data = {name: members.pop(name) for name in _REQUEST if name in members}
    service = jsontext.text(data.pop("model", Raw(b'""'))) or ""
    # The first two parts name the service itself, and are in the path.
    own = service.partition("/")[2].partition("/")[2]
    if own:
        data["model"] = Raw(_encode(own))
    if b'"reasoning_content"' in body:
        data["messages"] = Raw(_encode([_thought(turn) for turn in json.decode(data["messages"])]))
    if not texts:
        return _encode({"data": data, "config": members} if members else {"data": data})
    made = {"data": _encode(data).decode()}
    return _encode({**made, "config": _encode(members).decode()} if members else made)


def _thought(turn: Any) -> Any:
    if not isinstance(turn, dict) or not isinstance(turn.get("reasoning_content"), str) or "thinking" in turn:
        return turn
    rest = {name: value for name, value in turn.items() if name != "reasoning_content"}
    return {**rest, "thinking": turn["reasoning_content"]}


def refusal(body: bytes) -> bytes:
    """A gate's error as OpenAI's wire writes one; anything else as it came."""
    try:
        told = json.decode(body)
    except (DecodeError, UnicodeDecodeError):
        return body
    if not isinstance(told, dict) or "error" in told or not isinstance(told.get("message"), str):
        return body
    return _encode({"error": {"type": None, "param": None, **told}})


class Unsealed:
    """An answer: ``feed`` and ``close`` give it as OpenAI's wire has it, for ``kind`` is known what content type that
    is, once any of it is. ``streams``: a stream was asked for. ``name`` and ``created`` (seconds since 1970) are the id
    and the time of an answer that has none of its own, as a gate's has not; without a name it stays as it is."""

    def __init__(self, *, streams: bool, name: str = "", created: int = 0) -> None:
        self._streams = streams
        self._mark: jsontext.Members = {}
        if name:
            told = {"id": name, "object": _KINDS[streams], "created": created}
            self._mark = {member: Raw(_encode(value)) for member, value in told.items()}
        self._reader: SseReader | None = None
        self._held = b""
        self._whole = not streams
        self.kind = b"" if streams else b"application/json"

    def feed(self, data: bytes) -> bytes:
        """What is known of it by now. Raises ``upstream_bad_response``."""
        if self._reader is not None:
            return b"".join(map(self._event, self._reader.blocks(data)))
        self._held += data
        if self._whole:
            return b""
        first = self._held.lstrip(_SPACE)[:1]
        if first and first not in b"{[" and not self.kind:
            self.kind, self._reader = b"text/event-stream", SseReader()
            held, self._held = self._held, b""
            return self.feed(held)
        return self._objects() if first else b""

    def close(self) -> bytes:
        """The rest."""
        held, self._held = self._held, b""
        if self._reader is not None:
            return b""
        self.kind = self.kind or b"application/json"
        # Of a stream that is an object cut short, which whoever reads the events will miss.
        return self._marked(as_ours(held), _KINDS[False]) if self.kind == b"application/json" else b""

    def _event(self, block: bytes) -> bytes:
        """One event with what a client of OpenAI's looks for in each, if it is a chunk that lacks it."""
        event = event_as_ours(block)
        if not self._mark or event.find(b'"object"') >= 0:
            return event
        frame = parse_block(event[:-2])
        if frame is None or frame.data.startswith(b"[DONE]"):
            return event
        data = self._marked(frame.data, _KINDS[True])
        return event if data is frame.data else b"data: %b\n\n" % data

    def _marked(self, text: bytes, kind: str) -> bytes:
        if not self._mark:
            return text
        try:
            members = _members(text)
        except (DecodeError, UnicodeDecodeError):
            # Whoever reads it judges it.
            return text
        if "choices" not in members or self._mark.keys() <= members.keys():
            return text
        return _encode({**self._mark, "object": Raw(_encode(kind)), **members})

    def _objects(self) -> bytes:
        """All objects that are whole; the first one says whether it is a stream after all."""
        made = []
        while (end := _end(self._held)) > 0:
            text, self._held = self._held[:end].strip(_SPACE), self._held[end:]
            if not self.kind and _is_whole(text):
                self._whole, self._held = True, text + self._held
                self.kind = b"application/json"
                return b""
            self.kind = b"text/event-stream"
            made.append(self._event(b"data: " + b" ".join(text.split(b"\n"))))
        if len(self._held) > MAX_EVENT:
            message = "the provider sent an endless object"
            raise ParleyError(Failure("upstream_bad_response", message, detail="bad_event"))
        return b"".join(made)


def _is_whole(text: bytes) -> bool:
    try:
        return any("message" in choice for choice in json.decode(text).get("choices") or ())
    except (DecodeError, UnicodeDecodeError, AttributeError, TypeError):
        return True


def _end(text: bytes) -> int:
    """Where the first object of the text ends, 0 where it does not."""
    depth, place, size = 0, 0, len(text)
    while place < size:
        letter = text[place]
        if letter == 0x22:
            place = _string_end(text, place)
            if not place:
                return 0
            continue
        depth += (letter in b"{[") - (letter in b"}]")
        place += 1
        if not depth and letter in b"}]":
            return place
    return 0


def _string_end(text: bytes, start: int) -> int:
    """The place after the string that begins there, 0 where it does not end."""
    place = text.find(b'"', start + 1)
    while place > 0:
        escapes = place - len(text[:place].rstrip(b"\\"))
        if not escapes % 2:
            return place + 1
        place = text.find(b'"', place + 1)
    return 0
