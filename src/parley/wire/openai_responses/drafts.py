"""Output items under way, each of which writes its own events.

An item is added when its first block begins and done when all is known of it; between them its parts grow.
"""

from typing import Any

from msgspec import json

from parley.framing import sse
from parley.ir import Opaque, Refusal, Text, Thinking, ToolCall
from parley.wire.openai_responses.sealed import encrypted_of, own_seal

Json = dict[str, Any]
_encode = json.Encoder().encode


class Pen:
    """Writes events with their numbers. A silent one only counts: for an answer that is one object."""

    __slots__ = ("number", "silent")

    def __init__(self, silent: bool) -> None:
        self.number = 0
        self.silent = silent

    def write(self, kind: str, members: Json) -> bytes:
        """One event."""
        number, self.number = self.number, self.number + 1
        return b"" if self.silent else sse(_encode({"type": kind, "sequence_number": number, **members}), kind)

    def grow(self, head: bytes, place: bytes, text: str, tail: bytes) -> bytes:
        """One delta, of parts that were encoded before."""
        number, self.number = self.number, self.number + 1
        return b"" if self.silent else b"%b%d%b%b%b" % (head, number, place, _encode(text), tail)

    def put(self, head: bytes, *parts: bytes) -> bytes:
        """Any event of which all was encoded before; its end is not among the parts."""
        number, self.number = self.number, self.number + 1
        return b"" if self.silent else b"%b%d%b}\n\n" % (head, number, b"".join(parts))


def head_of(kind: str) -> bytes:
    """What precedes the number of an event."""
    return b'event: %b\ndata: {"type":"%b","sequence_number":' % (kind.encode(), kind.encode())


def _place(members: Json) -> bytes:
    """What stands between the number and the text of a delta."""
    return b"," + _encode(members)[1:-1] + b',"delta":'


_TEXT = head_of("response.output_text.delta")
_REFUSAL = head_of("response.refusal.delta")
_THOUGHT = head_of("response.reasoning_text.delta")
_ARGUMENTS = head_of("response.function_call_arguments.delta")
_END = b"}\n\n"
_NO_LOGPROBS = b',"logprobs":[]}\n\n'
_ITEM_ADDED = head_of("response.output_item.added")
_ITEM_DONE = head_of("response.output_item.done")
_PART_ADDED = head_of("response.content_part.added")
_PART_DONE = head_of("response.content_part.done")
_TEXT_DONE = head_of("response.output_text.done")
_REFUSAL_DONE = head_of("response.refusal.done")
_NO_TEXT = b',"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}'
_NO_REFUSAL = b',"part":{"type":"refusal","refusal":""}'


class Draft:
    """One output item. ``final`` is the item itself once it is done, as JSON."""

    __slots__ = ("final", "id", "pen", "place", "stopped")

    def __init__(self, pen: Pen, place: int, item_id: str) -> None:
        self.pen = pen
        self.place = place
        self.id = item_id
        self.stopped = False
        self.final = b""

    def item(self, status: str) -> Json:
        """The item as it stands."""
        raise NotImplementedError

    def text(self, status: str) -> bytes:
        """The same as JSON."""
        return _encode(self.item(status))

    def added(self) -> bytes:
        """The event that opens it."""
        pen = self.pen
        item = b"" if pen.silent else b',"output_index":%d,"item":%b' % (self.place, self.text("in_progress"))
        return pen.put(_ITEM_ADDED, item)

    def grow(self, kind: str, text: str, logprobs: Any) -> bytes:
        """More of it."""
        return b""

    def stop(self, extra: Json) -> bytes:
        """Nothing more will come; ``extra`` came while it grew."""
        self.stopped = True
        return b""

    def done(self, status: str) -> bytes:
        """The event that closes it."""
        final = self.final = self.text(status)
        return self.pen.put(_ITEM_DONE, b',"output_index":%d,"item":%b' % (self.place, final))

    def told(self, kind: str, members: Json) -> bytes:
        """An event about this item."""
        return self.pen.write(kind, {"item_id": self.id, "output_index": self.place, **members})


class MessageDraft(Draft):
    """What the model says: texts and refusals in a row."""

    __slots__ = ("frame", "left", "parts")

    def __init__(self, pen: Pen, place: int, item_id: str, frame: Json) -> None:
        super().__init__(pen, place, item_id)
        self.frame = frame
        self.parts: list[PartDraft] = []
        self.left = False

    def item(self, status: str) -> Json:
        """The message with its parts so far."""
        content = [part.part() for part in self.parts]
        own = {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}
        return {**own, **self.frame, **own} if self.frame else own

    def text(self, status: str) -> bytes:
        """The same as JSON, of parts that were written before."""
        if self.frame:
            return super().text(status)
        parts = b",".join([part.text() for part in self.parts])
        members = (_encode(self.id), status.encode(), parts)
        return b'{"id":%b,"type":"message","status":"%b","role":"assistant","content":[%b]}' % members

    def done(self, status: str) -> bytes:
        """The event that closes it. Its parts hold it, so it lets go of them."""
        out = super().done(status)
        self.parts = []
        return out

    def is_open(self) -> bool:
        """Whether a part of it still grows."""
        return any(not part.stopped for part in self.parts)


class PartDraft:
    """One content part of a message. ``_at`` is what its events say of its place, ``_final`` the part as JSON once it
    is whole."""

    __slots__ = (
        "_at", "_delta", "_final", "_head", "_texts", "extra", "logprobs", "message", "place", "refusal", "stopped",
    )  # fmt: skip

    def __init__(self, message: MessageDraft, block: Text | Refusal, extra: Json) -> None:
        self.message = message
        self.place = len(message.parts)
        message.parts.append(self)
        self.refusal = type(block) is Refusal
        self.extra = extra
        self.logprobs: list[Any] = []
        self.stopped = False
        self._texts: list[str] = []
        self._final = b""
        self._head = _REFUSAL if self.refusal else _TEXT
        places = (_encode(message.id), message.place, self.place)
        self._at = b',"item_id":%b,"output_index":%d,"content_index":%d' % places
        self._delta = self._at + b',"delta":'

    def part(self) -> Json:
        """The part as it stands."""
        text = "".join(self._texts)
        if self.refusal:
            return {"type": "refusal", "refusal": text, **self.extra}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self.logprobs, **self.extra}

    def added(self) -> bytes:
        """The event that opens it; what is known at the end only is not told here."""
        return self.message.pen.put(_PART_ADDED, self._at, _NO_REFUSAL if self.refusal else _NO_TEXT)

    def grow(self, kind: str, text: str, logprobs: Any) -> bytes:
        """More text, with the probabilities of its tokens where they are known."""
        self._texts.append(text)
        pen = self.message.pen
        if self.refusal:
            return pen.grow(self._head, self._delta, text, _END)
        tokens = _tokens(logprobs) if logprobs is not None else None
        if not tokens:
            return pen.grow(self._head, self._delta, text, _NO_LOGPROBS)
        self.logprobs += tokens
        return pen.grow(self._head, self._delta, text, b',"logprobs":%b}\n\n' % _encode(tokens))

    def text(self) -> bytes:
        """The same as JSON."""
        return self._final or _encode(self.part())

    def stop(self, extra: Json) -> bytes:
        """The part is whole."""
        self.stopped = True
        if extra:
            self.extra = {**self.extra, **extra.get("part", {})}
        pen = self.message.pen
        if pen.silent:
            return b""
        return self._kept() if self.extra else self._plain()

    def _plain(self) -> bytes:
        """Its last events, where it is nothing but what was said: that is written once."""
        text, pen, at = _encode("".join(self._texts)), self.message.pen, self._at
        if self.refusal:
            final = self._final = b'{"type":"refusal","refusal":%b}' % text
            out = pen.put(_REFUSAL_DONE, at, b',"refusal":', text)
        else:
            logprobs = _encode(self.logprobs) if self.logprobs else b"[]"
            final = b'{"type":"output_text","text":%b,"annotations":[],"logprobs":%b}' % (text, logprobs)
            self._final = final
            out = pen.put(_TEXT_DONE, at, b',"text":', text, b',"logprobs":', logprobs)
        return out + pen.put(_PART_DONE, at, b',"part":', final)

    def _kept(self) -> bytes:
        """Its last events, where it has members of its own."""
        part, pen, at = self.part(), self.message.pen, self._at
        if self.refusal:
            out = pen.put(_REFUSAL_DONE, at, b',"refusal":', _encode(part["refusal"]))
        else:
            out = self._annotations(part)
            logprobs = _encode(part["logprobs"] or [])
            out += pen.put(_TEXT_DONE, at, b',"text":', _encode(part["text"]), b',"logprobs":', logprobs)
        final = self._final = _encode(part)
        return out + pen.put(_PART_DONE, at, b',"part":', final)

    def _annotations(self, part: Json) -> bytes:
        """What it refers to, an event for each."""
        given = _parts(part["annotations"])
        if not given:
            return b""
        told = [
            self._told("response.output_text.annotation.added", {"annotation_index": index, "annotation": annotation})
            for index, annotation in enumerate(given)
        ]
        return b"".join(told)

    def _told(self, kind: str, members: Json) -> bytes:
        return self.message.told(kind, {"content_index": self.place, **members})


def _parts(value: Any) -> list[Json]:
    """The objects of a list that a provider sent, whatever it sent."""
    return [part for part in value if type(part) is dict] if type(value) is list else []


def _tokens(logprobs: Any) -> list[Json]:
    """Tokens as this wire has them: bytes and alternatives are not optional here."""
    given = logprobs.get("content") if type(logprobs) is dict else None
    return [_token(token) for token in given if type(token) is dict] if type(given) is list else []


def _token(token: Json) -> Json:
    others = token.get("top_logprobs")
    return {
        **_bare(token),
        "top_logprobs": [_bare(one) for one in others if type(one) is dict] if type(others) is list else [],
    }


def _bare(token: Json) -> Json:
    text = str(token.get("token", ""))
    raw = token.get("bytes")
    known = raw if type(raw) is list else list(text.encode("utf-8", "surrogatepass"))
    return {"token": text, "bytes": known, "logprob": token.get("logprob", 0.0)}


class CallDraft(Draft):
    """A function call. Arguments that were never given are an empty object, but on their own wire."""

    __slots__ = ("_at", "_texts", "call", "frame", "same")

    def __init__(self, pen: Pen, place: int, item_id: str, call: ToolCall, same: bool) -> None:
        super().__init__(pen, place, item_id)
        self.call = call
        self.same = same
        self.frame: Json = call.extra.get("item", {}) if same else {}
        self._texts: list[str] = []
        self._at = _place({"item_id": item_id, "output_index": place})

    def item(self, status: str) -> Json:
        """The call with its arguments so far."""
        own = {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "arguments": "".join(self._texts),
            "call_id": self.call.id,
            "name": self.call.name,
        }
        return {**own, **self.frame, **own}

    def grow(self, kind: str, text: str, logprobs: Any) -> bytes:
        """More arguments."""
        self._texts.append(text)
        return self.pen.grow(_ARGUMENTS, self._at, text, _END)

    def stop(self, extra: Json) -> bytes:
        """The arguments are whole."""
        self.stopped = True
        if self.same:
            self.frame = extra.get("item", self.frame)
        out = b""
        if not self.same and not "".join(self._texts).strip():
            out = self.grow("arguments", "{}", None)
        return out + self.told("response.function_call_arguments.done", {"arguments": "".join(self._texts)})


class ThoughtDraft(Draft):
    """Reasoning of another wire: its words are the item's content, what seals it the encrypted content."""

    __slots__ = ("_at", "_open", "_signatures", "_texts", "block")

    def __init__(self, pen: Pen, place: int, item_id: str, block: Thinking) -> None:
        super().__init__(pen, place, item_id)
        self.block = block
        self._open = False
        self._texts: list[str] = []
        self._signatures: list[str] = []
        self._at = _place({"item_id": item_id, "output_index": place, "content_index": 0})

    def item(self, status: str) -> Json:
        """The item with its words so far."""
        text = "".join(self._texts)
        made: Json = {
            "id": self.id,
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": text}] if text else [],
            "status": status,
        }
        signature = "".join(self._signatures) if self._signatures else self.block.signature
        encrypted = encrypted_of(signature, self.block.redacted) if self.stopped else None
        return made if encrypted is None else made | {"encrypted_content": encrypted}

    def grow(self, kind: str, text: str, logprobs: Any) -> bytes:
        """More words, or more of the signature."""
        if kind == "signature":
            self._signatures.append(text)
            return b""
        out = b""
        if not self._open:
            self._open = True
            out = self.told("response.content_part.added", _thought(""))
        self._texts.append(text)
        return out + self.pen.grow(_THOUGHT, self._at, text, _END)

    def stop(self, extra: Json) -> bytes:
        """The words are whole."""
        self.stopped = True
        if not self._open:
            return b""
        text = "".join(self._texts)
        out = self.told("response.reasoning_text.done", {"content_index": 0, "text": text})
        return out + self.told("response.content_part.done", _thought(text))


def _thought(text: str) -> Json:
    return {"content_index": 0, "part": {"type": "reasoning_text", "text": text}}


class KeptThought(Draft):
    """Reasoning of this wire, told as it came once it is whole: its summary, its words, the item."""

    __slots__ = ("frame",)

    def __init__(self, pen: Pen, place: int, item_id: str, frame: Json) -> None:
        super().__init__(pen, place, item_id)
        self.frame = frame

    def item(self, status: str) -> Json:
        """The item: empty until it is whole."""
        if not self.stopped:
            return {"id": self.id, "type": "reasoning", "summary": [], "status": status}
        return self.frame

    def stop(self, extra: Json) -> bytes:
        """Everything it holds."""
        self.stopped = True
        summary, content = _parts(self.frame.get("summary")), _parts(self.frame.get("content"))
        out = b"".join([self._summary(index, part) for index, part in enumerate(summary)])
        return out + b"".join([self._content(index, part) for index, part in enumerate(content)])

    def _summary(self, index: int, part: Json) -> bytes:
        at, text, kind = {"summary_index": index}, part.get("text", ""), "response.reasoning_summary"
        out = self.told(f"{kind}_part.added", {**at, "part": {**part, "text": ""}})
        out += self.told(f"{kind}_text.delta", {**at, "delta": text})
        out += self.told(f"{kind}_text.done", {**at, "text": text})
        return out + self.told(f"{kind}_part.done", {**at, "part": part})

    def _content(self, index: int, part: Json) -> bytes:
        at, text = {"content_index": index}, part.get("text", "")
        out = self.told("response.content_part.added", {**at, "part": {**part, "text": ""}})
        out += self.told("response.reasoning_text.delta", {**at, "delta": text})
        out += self.told("response.reasoning_text.done", {**at, "text": text})
        return out + self.told("response.content_part.done", {**at, "part": part})


class KeptItem(Draft):
    """An item that only this wire knows, as it came."""

    __slots__ = ("value",)

    def __init__(self, pen: Pen, place: int, block: Opaque) -> None:
        super().__init__(pen, place, str(block.value.get("id", "")))
        self.value = block.value

    def item(self, status: str) -> Json:
        """The item itself."""
        return self.value


def sealed_id(block: Thinking) -> str | None:
    """The id under which a provider of this wire sealed the reasoning, None where none did."""
    seal = own_seal(block.signature)
    return seal[0] or None if seal is not None else None
