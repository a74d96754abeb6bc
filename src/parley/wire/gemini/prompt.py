"""Gemini as a provider: the canonical form to a request body. The model and the stream are said by the path.

What this wire cannot say is refused by name or listed in ``dropped``, never left out in silence.
Source: provider contract 3.2, 3.6, 0.3.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, json

from parley.failure import invalid
from parley.ir import Block, ChatRequest, Media, Message, Opaque, Refusal, Text, Thinking, ToolCall, ToolResult
from parley.wire import Cleared, Encoded
from parley.wire.cleared import without
from parley.wire.fields import thought_at
from parley.wire.gemini.answer import filled
from parley.wire.gemini.names import BAD_JSON, NAME, Json, rest
from parley.wire.gemini.settings import put_settings
from parley.wire.media_type import named
from parley.wire.signature import SIGNED, WRAPPED, call_signature, native, of_text, opened

_SYSTEM: Final = ("system", "developer")
_SIGNS: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lG": "image/gif",
    "UklG": "image/webp",
    "JVBE": "application/pdf",
}
_MEDIA_TYPES: Final = {"image/jpg": "image/jpeg", "audio/mp3": "audio/mpeg", "audio/x-wav": "audio/wav"}
_object: Final = json.Decoder(dict[str, Any])


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST models/{model}:generateContent.

    Options: ``thinking`` "budget" or "level", how the model is told how much to think (else its name decides),
    ``schemas`` "openapi" where it takes no JSON Schema, ``urls`` False where it fetches no pictures.
    Raises ``invalid_request`` for file ids and content of another wire's own, for the result of a call that
    nobody made, and for a conversation without content.
    """
    prompt = Prompt(request, options)
    body = prompt.conversation()
    put_settings(request, options, body, prompt.dropped)
    return Encoded(body, tuple(prompt.dropped))


def cleared(body: bytes, members: dict[str, Raw], options: Mapping[str, Any]) -> Cleared | None:
    """``contents`` without thoughts that others signed; see ``Wire.cleared``."""
    return without(members, "contents", "parts", _others) if WRAPPED in body else None


def _others(part: Mapping[str, Any]) -> bool:
    """Whether a part is a thought with somebody else's signature."""
    signature = part.get(SIGNED, part.get("thought_signature"))
    return part.get("thought") is True and type(signature) is str and native(signature) is not None


class _Turn:
    """One content under way; ``results`` are its function responses by the id of their call."""

    __slots__ = ("extra", "parts", "results", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.parts: list[Json] = []
        self.results: list[tuple[str, Json]] = []
        self.extra: Json = {}


class Prompt:
    """A request under way: its contents, the calls made so far, and what had to be dropped."""

    __slots__ = (
        "_at",
        "_before",
        "_calls",
        "_pending",
        "_place",
        "_seal",
        "_turns",
        "dropped",
        "options",
        "request",
        "same",
    )

    def __init__(self, request: ChatRequest, options: Mapping[str, Any]) -> None:
        self.request, self.options = request, options
        self.same = request.wire == NAME
        self.dropped: list[str] = []
        self._turns: list[_Turn] = []
        self._calls: dict[str, str] = {}
        self._pending: str | None = None
        # A text's signature that waits for its text, and the parts of the turn that others said.
        self._seal: tuple[str, bool] | None = None
        self._before = 0
        self._place = ""
        self._at = 0

    def drop(self, *names: str) -> None:
        """List what could not go."""
        self.dropped += names

    @property
    def path(self) -> str:
        """The caller's own path of the block at hand."""
        return f"{self._place}.content[{self._at}]"

    def conversation(self) -> Json:
        """``systemInstruction`` and ``contents``. Instructions alone become the user's turn: this wire needs one."""
        system = _Turn("system")
        for index, message in enumerate(self.request.messages):
            ahead = self.request.ahead
            self._place = message.place or (f"messages[{index - ahead}]" if index >= ahead else "system")
            instructs = message.role in _SYSTEM
            self._add(message, system if instructs else self._turn(message))
        contents = [made for turn in self._turns if (made := self._content(turn))]
        if not contents:
            if not system.parts:
                raise invalid("no message has any content", "messages")
            return {"contents": [{"role": "user", "parts": system.parts}]}
        if not system.parts:
            return {"contents": contents}
        return {"systemInstruction": {**system.extra, "parts": system.parts}, "contents": contents}

    def _turn(self, message: Message) -> _Turn:
        """The turn it belongs to: those of one role in a row are one."""
        role = "model" if message.role == "assistant" else "user"
        # What came on this wire goes as it came.
        if self._turns and self._turns[-1].role == role and not self._own(message):
            return self._turns[-1]
        self._turns.append(_Turn(role))
        return self._turns[-1]

    def _own(self, message: Message) -> bool:
        origin = message.origin
        return self.same and origin is not None and origin.content is message.content

    def _content(self, turn: _Turn) -> Json:
        """The whole turn; results come first and in the order of their calls."""
        order = {call: place for place, call in enumerate(self._calls)}
        results = [part for _, part in sorted(turn.results, key=lambda item: order.get(item[0], 0))]
        parts = results + turn.parts
        return {**turn.extra, "role": turn.role, "parts": parts} if parts or turn.extra else {}

    def _add(self, message: Message, turn: _Turn) -> None:
        if self._own(message) and message.origin is not None:
            for item in message.origin.items:
                found: Any = item.get("parts") or []
                self._as_it_came([found] if type(found) is dict else found, turn)
                turn.extra.update(rest(item, frozenset({"parts", "role"})))
            return
        if message.name is not None:
            self.drop(f"{self._place}.name")
        self.drop(*(f"{self._place}.{key}" for key in message.extra))
        if turn.role != "model":
            self._pending = None
        self._before = len(turn.parts)
        for self._at, block in enumerate(message.content):
            if turn.role == "system" and not isinstance(block, Text | Refusal | Opaque):
                raise invalid("system messages hold only text with this provider", self.path)
            _WRITERS[type(block)](self, block, turn)
        if turn.role == "model":
            self._close(turn)
            filled(turn.parts)

    def _as_it_came(self, parts: list[Any], turn: _Turn) -> None:
        for self._at, part in enumerate(parts):
            if _others(part):
                self.drop(self.path)
            else:
                turn.parts.append(part)

    # Blocks

    def text(self, block: Any, turn: _Turn) -> None:
        """Words; none at all are no part, which this wire refuses."""
        if block.text:
            part = {"text": block.text}
            self._extra(part, block.extra)
            turn.parts.append(part)
            if self._seal is not None:
                self._sign(turn)

    def _sign(self, turn: _Turn) -> None:
        """Put a text's signature where it was: on the text before it, or after that."""
        last = turn.parts[-1] if len(turn.parts) > self._before else None
        if self._seal is None or last is None or "text" not in last or "thought" in last:
            return
        signature, own = self._seal
        self._seal = None
        if own and SIGNED not in last:
            last[SIGNED] = signature
        else:
            turn.parts.append({"text": "", SIGNED: signature})

    def _close(self, turn: _Turn) -> None:
        """The end of what the model said: a signature whose text is not there stands alone."""
        if self._seal is not None:
            turn.parts.append({"text": "", SIGNED: self._seal[0]})
            self._seal = None

    def thinking(self, block: Any, turn: _Turn) -> None:
        """A thought that this wire signed; one without words is the signature of the call that follows."""
        signature, signs = opened(block.signature), of_text(block.signature)
        if signs is not None:
            self._close(turn)
            self._seal = signs
            self._sign(turn)
        elif signature is None:
            self.drop(self.path if block.signature else thought_at(self.request.wire, self._place, self.path))
        elif block.text:
            turn.parts.append({"text": block.text, "thought": True, SIGNED: signature})
        else:
            self._pending = signature

    def call(self, block: Any, turn: _Turn) -> None:
        """A call, with its signature wherever the caller kept it."""
        self._calls.pop(block.id, None)
        self._calls[block.id] = block.name
        part: Json = {"functionCall": {"id": block.id, "name": block.name, "args": _arguments(block.arguments)}}
        signature = call_signature(block.extra) or self._pending
        self._pending = None
        if signature is not None:
            part[SIGNED] = signature
        self._extra(part, {name: value for name, value in block.extra.items() if name not in (SIGNED, "extra_content")})
        turn.parts.append(part)

    def result(self, block: Any, turn: _Turn) -> None:
        """What a tool answered: an object, as this wire wants it; pictures follow after it."""
        name = self._calls.get(block.call_id)
        if name is None:
            raise invalid(f"no call before this has the id {block.call_id[:80]!r}", self.path)
        texts = [inner.text for inner in block.content if isinstance(inner, Text | Refusal)]
        shown = [inner for inner in block.content if not isinstance(inner, Text | Refusal)]
        said = "\n".join(texts)
        response = {"error": said} if block.is_error else {"output": said}
        turn.results.append(
            (block.call_id, {"functionResponse": {"id": block.call_id, "name": name, "response": response}})
        )
        if shown:
            turn.parts.append({"text": f"Content of the result of {name} ({block.call_id}):"})
        for inner in shown:
            _WRITERS[type(inner)](self, inner, turn)
        self._extra({}, block.extra)

    def opaque(self, block: Any, turn: _Turn) -> None:
        """What only its own wire understands."""
        if block.wire == NAME:
            turn.parts.append(block.value)
        elif turn.role == "model":
            self.drop(self.path)
        else:
            kind = block.value.get("type")
            raise invalid(f"{self.path}: this provider takes no content of type {kind!r}", self.path)

    def media(self, block: Any, turn: _Turn) -> None:
        """A picture, sound, video or document."""
        path = self.path
        if block.file_id is not None and not self.same:
            raise invalid(f"{path}: a file_id is known only to the provider that gave it", path)
        if block.detail is not None and block.detail != "auto":
            self.drop(f"{path}.detail")
        if block.name is not None:
            self.drop(f"{path}.{'displayName' if self.same else 'name'}")
        part = self._source(block)
        self._extra(part, block.extra)
        turn.parts.append(part)

    def _source(self, block: Media) -> Json:
        data, media_type, url = block.data, block.media_type, block.url or block.file_id
        if url is not None and url.startswith("data:"):
            head, _, data = url[5:].partition(",")
            if not head.endswith(";base64"):
                raise invalid(f"{self.path}: a data URL must be base64", self.path)
            media_type = head[:-7].partition(";")[0] or media_type
        if data is not None:
            return {"inlineData": {"mimeType": self._typed(media_type, data), "data": data}}
        if self.options.get("urls") is False:
            raise invalid(f"{self.path}: this provider takes no URL; send the data itself", self.path)
        known = media_type or named(str(url)) or ("image/jpeg" if block.kind == "image" else None)
        return {"fileData": {"fileUri": url, **({"mimeType": known} if known else {})}}

    def _typed(self, stated: str | None, data: str) -> str:
        if stated:
            return _MEDIA_TYPES.get(stated.lower(), stated.lower())
        for sign, found in _SIGNS.items():
            if data.startswith(sign):
                return found
        raise invalid(f"{self.path}: the media type is missing", self.path)

    def _extra(self, part: Json, extra: Json) -> None:
        if self.same:
            part.update(extra)
        elif extra:
            self.drop(*(f"{self.path}.{key}" for key in extra))


def _arguments(text: str) -> Any:
    """Arguments as an object, the text itself where it is one; other text is wrapped as ``_raw``."""
    if not text or text.isspace():
        return {}
    try:
        _object.decode(text)
    except BAD_JSON:
        return {"_raw": text}
    return Raw(text.encode())


_WRITERS: Final[Mapping[type[Block], Callable[[Prompt, Any, _Turn], None]]] = {
    Text: Prompt.text,
    Refusal: Prompt.text,
    Thinking: Prompt.thinking,
    ToolCall: Prompt.call,
    ToolResult: Prompt.result,
    Opaque: Prompt.opaque,
    Media: Prompt.media,
}
