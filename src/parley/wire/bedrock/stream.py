"""Amazon Bedrock Converse: streams, read from the provider.

A block of text or reasoning begins with its first delta. The answer is whole with ``metadata``, which comes after
``messageStop`` and has the usage. Source: provider contract 10.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, json

from parley.failure import Failure, ParleyError
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    Delta,
    DeltaKind,
    End,
    Event,
    Finish,
    Media,
    Opaque,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from parley.wire.bedrock.errors import exception
from parley.wire.bedrock.frames import Message, MessageReader
from parley.wire.bedrock.words import BAD_JSON, NAME, Json, bad, decode, matched, rest, stop_of, usage_of

_BODY = frozenset({"usage", "p"})


class _ToolDelta(Struct, frozen=True, gc=False):
    input: str = ""


class _Reasoned(Struct, frozen=True, gc=False, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _Reasoned | None = None
    citation: Json | None = None


class _DeltaEvent(Struct, frozen=True, rename="camel"):
    delta: _Delta
    content_block_index: int = 0


class _ToolStart(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str


class _BlockStart(Struct, frozen=True, rename="camel"):
    tool_use: _ToolStart | None = None
    image: Json | None = None


class _StartEvent(Struct, frozen=True, rename="camel"):
    start: _BlockStart
    content_block_index: int = 0


class _StopEvent(Struct, frozen=True, rename="camel"):
    content_block_index: int = 0


class _EndEvent(Struct, frozen=True, rename="camel"):
    stop_reason: str
    additional_model_response_fields: Any = None


_delta = json.Decoder(_DeltaEvent).decode
_start = json.Decoder(_StartEvent).decode
_stop = json.Decoder(_StopEvent).decode
_end = json.Decoder(_EndEvent).decode


class _Growing:
    """A block under way: what it was opened as, and what of it can be told only at its stop."""

    __slots__ = ("block", "citations", "parts")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.parts: list[str] = []
        self.citations: list[Json] = []


class ConverseDecoder:
    """Reads a provider's stream. Events before a fault are returned; the next call raises it."""

    __slots__ = ("_blocks", "_called", "_cut", "_ended", "_fault", "_finished", "_reader", "_started")

    def __init__(self) -> None:
        self._reader = MessageReader()
        self._blocks: dict[int, _Growing] = {}
        self._started = self._finished = self._ended = self._called = self._cut = False
        self._fault: ParleyError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``; whatever follows ``metadata`` is ignored."""
        events: list[Event] = []
        if self._ended:
            return events
        try:
            if self._fault is not None:
                raise self._fault
            for message in self._reader.feed(data):
                events += self._read(message)
                if self._ended:
                    return events
            if self._reader.fault is not None:
                raise self._reader.fault
        except ParleyError as fault:
            self._fault = fault
            if not events:
                raise
        return events

    def close(self) -> list[Event]:
        """The End the provider owes, where a stop reason was seen; raises where the answer is not whole."""
        if self._fault is not None:
            raise self._fault
        if self._ended:
            return []
        if self._finished and not self._reader.pending:
            self._ended = True
            return [End()]
        if not self._started and not self._reader.pending:
            bad("empty_body", "the provider's stream held no event")
        cut = self._cut or any(not _is_whole(growing) for growing in self._blocks.values())
        raise _incomplete("incomplete_tool_call" if cut else "missing_terminator")

    def _read(self, message: Message) -> list[Event]:
        headers = message.headers
        kind = headers.get(":message-type", "event")
        if kind == "exception":
            raise ParleyError(exception(headers.get(":exception-type", ""), message.payload))
        if kind == "error":
            words = json.encode({"message": headers.get(":error-message", "")})
            raise ParleyError(exception(headers.get(":error-code", ""), words))
        name = headers.get(":event-type", "")
        handler = _HANDLERS.get(name)
        try:
            if handler is not None:
                return handler(self, message.payload)
        except BAD_JSON:
            bad("bad_event", f"the provider sent an event that is not as it should be: {name}")
        if name.endswith("Exception"):
            raise ParleyError(exception(name, message.payload))
        return []

    def _message_start(self, payload: bytes) -> list[Event]:
        decode(payload)
        return self._opening()

    def _opening(self) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Start("", "")]

    def _block_start(self, payload: bytes) -> list[Event]:
        event = _start(payload)
        index, start = event.content_block_index, event.start
        if index in self._blocks or self._finished:
            bad("bad_event", "the provider started a block out of order")
        if start.tool_use is not None:
            self._called = True
            return self._open(index, ToolCall(start.tool_use.tool_use_id, start.tool_use.name))
        # Told whole, at its stop.
        self._blocks[index] = _Growing(Opaque(NAME, {"start": decode(payload).get("start")}))
        return self._opening()

    def _open(self, index: int, block: Block) -> list[Event]:
        opening = self._opening()
        self._blocks[index] = _Growing(block)
        return [*opening, BlockStart(0, index, block)]

    def _block_delta(self, payload: bytes) -> list[Event]:
        event = _delta(payload)
        index, delta = event.content_block_index, event.delta
        if self._finished:
            bad("bad_event", "the provider sent a delta after the end of the message")
        growing = self._blocks.get(index)
        if growing is not None and type(growing.block) is Opaque:
            return self._keep(growing, payload)
        if delta.text is not None:
            return self._grow(index, "text", delta.text)
        if delta.tool_use is not None:
            return self._grow(index, "arguments", delta.tool_use.input)
        if delta.reasoning_content is not None:
            return self._reason(index, delta.reasoning_content)
        if delta.citation is not None:
            opened = [] if growing is not None else self._open(index, Text(""))
            self._blocks[index].citations.append(delta.citation)
            return opened
        return []

    def _keep(self, growing: _Growing, payload: bytes) -> list[Event]:
        source = decode(payload)["delta"].get("image", {}).get("source", {})
        growing.parts.append(source.get("bytes") or "")
        return []

    def _reason(self, index: int, reasoned: _Reasoned) -> list[Event]:
        if reasoned.redacted_content is not None:
            growing = self._blocks.get(index)
            if growing is None:
                # Its start is told at its stop, when all of it is there.
                growing = self._blocks[index] = _Growing(Thinking(redacted=""))
            if type(growing.block) is not Thinking or growing.block.redacted is None:
                bad("bad_event", "the provider sent redacted reasoning for another kind of block")
            growing.parts.append(reasoned.redacted_content)
            return self._opening()
        if reasoned.signature is not None:
            return self._grow(index, "signature", reasoned.signature)
        return self._grow(index, "thinking", reasoned.text or "")

    def _grow(self, index: int, kind: DeltaKind, text: str) -> list[Event]:
        growing = self._blocks.get(index)
        opened: list[Event] = []
        if growing is None:
            if kind == "arguments":
                bad("bad_event", "the provider sent arguments without their call")
            opened = self._open(index, Text("") if kind == "text" else Thinking(""))
            growing = self._blocks[index]
        if not isinstance(growing.block, _GROWS[kind]):
            bad("bad_event", "the provider sent a delta for another kind of block")
        if kind == "arguments":
            growing.parts.append(text)
        # An empty signature is one all the same.
        return [*opened, Delta(0, index, kind, text)] if text or kind == "signature" else opened

    def _block_stop(self, payload: bytes) -> list[Event]:
        index = _stop(payload).content_block_index
        growing = self._blocks.pop(index, None)
        return [] if growing is None else self._stopped(index, growing)

    def _stopped(self, index: int, growing: _Growing) -> list[Event]:
        block, parts = growing.block, growing.parts
        if type(block) is ToolCall:
            self._cut = self._cut or not _is_whole(growing)
            empty = not "".join(parts).strip()
            return [*([Delta(0, index, "arguments", "{}")] if empty else ()), BlockStop(0, index)]
        if type(block) is Thinking and block.redacted is not None:
            return [BlockStart(0, index, Thinking(redacted=_joined(parts))), BlockStop(0, index)]
        if type(block) is Opaque:
            return [BlockStart(0, index, _picture(block, parts)), BlockStop(0, index)]
        return [BlockStop(0, index, {"citations": growing.citations} if growing.citations else {})]

    def _message_stop(self, payload: bytes) -> list[Event]:
        event = _end(payload)
        if self._finished:
            return []
        events = self._opening()
        for index in list(self._blocks):
            events += self._stopped(index, self._blocks.pop(index))
        stop = stop_of(event.stop_reason, self._called)
        if self._cut and stop in ("end", "tool_use"):
            raise _incomplete("incomplete_tool_call")
        self._finished = True
        return [*events, Finish(0, stop, matched(event.additional_model_response_fields), event.stop_reason)]

    def _metadata(self, payload: bytes) -> list[Event]:
        value = decode(payload)
        if type(value) is not dict:
            bad("bad_event", "the provider sent metadata that is no object")
        if not self._finished:
            bad("bad_event", "the provider sent metadata before the end of the message")
        self._ended = True
        return [End(usage_of(value.get("usage")), rest(value, _BODY))]


_GROWS: Mapping[DeltaKind, type[Block]] = {
    "text": Text,
    "thinking": Thinking,
    "signature": Thinking,
    "arguments": ToolCall,
}
_HANDLERS: Mapping[str, Callable[[ConverseDecoder, bytes], list[Event]]] = {
    "messageStart": ConverseDecoder._message_start,
    "contentBlockStart": ConverseDecoder._block_start,
    "contentBlockDelta": ConverseDecoder._block_delta,
    "contentBlockStop": ConverseDecoder._block_stop,
    "messageStop": ConverseDecoder._message_stop,
    "metadata": ConverseDecoder._metadata,
}


def _is_whole(growing: _Growing) -> bool:
    """Whether a call's fragments are whole JSON; nothing at all is, and stands for no arguments."""
    text = "".join(growing.parts) if type(growing.block) is ToolCall else ""
    try:
        if text.strip():
            decode(text)
    except BAD_JSON:
        return False
    return True


def _joined(parts: list[str]) -> str:
    """Base64 in pieces as one; a single piece stays as it came."""
    if len(parts) == 1:
        return parts[0]
    try:
        return b64encode(b"".join(b64decode(part, validate=True) for part in parts)).decode()
    except ValueError:
        bad("bad_event", "the provider sent redacted reasoning that is not base64")


def _picture(block: Opaque, parts: list[str]) -> Block:
    """A picture that came in pieces; any other block stays what it is."""
    image = block.value["start"].get("image") if type(block.value["start"]) is dict else None
    form = image.get("format") if type(image) is dict else None
    if type(form) is not str or not any(parts):
        return block
    return Media(kind="image", data=_joined([part for part in parts if part]), media_type=f"image/{form}")


def _incomplete(detail: str) -> ParleyError:
    return ParleyError(Failure("upstream_incomplete", "the provider's answer broke off", detail=detail))
