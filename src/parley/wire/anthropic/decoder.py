"""Anthropic Messages: streams, read from a provider.

Blocks may interleave (llama.cpp writes such streams), so they are addressed by index.
Source: provider contract 2.4.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.framing import SseReader, parse_block
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    Delta,
    DeltaKind,
    End,
    Event,
    Finish,
    Opaque,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire.anthropic.blocks import (
    BAD_JSON,
    NAME,
    Json,
    block_of,
    decode,
    explained,
    rest,
    shell_of,
    stop_of,
    usage_from,
    word,
)
from parley.wire.anthropic.errors import bad, stream_failure

MESSAGE = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"})
_ENDING = frozenset({"stop_reason", "stop_sequence", "stop_details"})


class _Delta(Struct, frozen=True, gc=False):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""


class _Event(Struct, frozen=True):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: Json | None = None


_event = json.Decoder(_Event)
# What a block start may leave out; a thinking block of a stream always has a signature, perhaps empty.
_SHELLS: Mapping[str, Json] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
_GROWTH: Mapping[str, tuple[type[Block], DeltaKind, str]] = {
    "text_delta": (Text, "text", "text"),
    "thinking_delta": (Thinking, "thinking", "thinking"),
    "signature_delta": (Thinking, "signature", "signature"),
    "input_json_delta": (ToolCall, "arguments", "partial_json"),
}


class _Growing:
    """A block under way: its shell, its argument fragments and its citations."""

    __slots__ = ("block", "citations", "parts")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.parts: list[str] = []
        self.citations: list[Any] = []


class MessageDecoder:
    """Reads a provider's stream. Events before a fault are returned; the next call raises it."""

    __slots__ = ("_blocks", "_cut", "_ended", "_fault", "_finished", "_next", "_reader", "_started", "_usage")

    def __init__(self) -> None:
        self._reader = SseReader()
        self._blocks: dict[int, _Growing] = {}
        self._usage: Json = {}
        self._next = 0
        self._started = self._finished = self._ended = self._cut = False
        self._fault: ParleyError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``; whatever follows ``message_stop`` is ignored."""
        events: list[Event] = []
        if self._ended:
            return events
        try:
            if self._fault is not None:
                raise self._fault
            for block in self._reader.blocks(data):
                events += self._read(block)
                if self._ended:
                    break
        except ParleyError as fault:
            self._fault = fault
            if not events:
                raise
        return events

    def close(self) -> list[Event]:
        """The End the provider owes, where a stop reason was seen; raises where the answer is not whole."""
        self._reader.close()
        if self._fault is not None:
            raise self._fault
        if self._ended:
            return []
        if self._finished:
            self._ended = True
            return [End(self._known_usage())]
        if not self._started:
            bad("empty_body", "the provider's stream held no event")
        open_call = not all(_is_whole(growing.parts) for growing in self._blocks.values())
        raise _incomplete("incomplete_tool_call" if self._cut or open_call else "missing_terminator")

    def _read(self, block: bytes) -> list[Event]:
        frame = _frame(block)
        if frame is None:
            return []
        name, data = frame
        try:
            event = _event.decode(data)
            handler = _HANDLERS.get(event.type or name)
            return _unknown(name, data) if handler is None else handler(self, event, data)
        except BAD_JSON:
            check_unknown(name, data)
            return []

    def _start(self, _event: _Event, data: bytes) -> list[Event]:
        message = decode(data).get("message")
        if type(message) is not dict:
            bad("bad_event", "the provider's message_start holds no message")
        self._started = True
        self._add_usage(message.get("usage"))
        usage, extra = self._known_usage(), rest(message, MESSAGE)
        return [Start(word(message, "id") or "", word(message, "model") or "", usage=usage, extra=extra)]

    def _block_start(self, event: _Event, _data: bytes) -> list[Event]:
        index, value = event.index, event.content_block
        if value is None or index in self._blocks or self._finished:
            bad("bad_event", "the provider started a block out of order")
        try:
            block = block_of({**_SHELLS.get(str(value.get("type")), {}), **value})
        except ParleyError as error:
            bad("bad_event", f"the provider sent a block that is not valid: {error.failure.param}")
        opening: list[Event] = [] if self._started else [Start("", "")]
        self._started = True
        self._next = max(self._next, index + 1)
        shell, first = shell_of(block)
        self._blocks[index] = _Growing(block)
        if type(block) is Opaque:
            # Its value is whole only at its stop.
            return opening
        return [*opening, BlockStart(0, index, shell), *(Delta(0, index, kind, text) for kind, text in first)]

    def _block_delta(self, event: _Event, data: bytes) -> list[Event]:
        growing, delta = self._blocks.get(event.index), event.delta
        if growing is None or delta is None:
            bad("bad_event", "the provider sent a delta without its block")
        if delta.type == "citations_delta":
            growing.citations.append(decode(data)["delta"].get("citation"))
            return []
        if delta.type not in _GROWTH:
            return []
        kind_of_block, kind, field = _GROWTH[delta.type]
        text = getattr(delta, field)
        if kind == "arguments" and text:
            growing.parts.append(text)
        if type(growing.block) is Opaque:
            return []
        if not isinstance(growing.block, kind_of_block):
            bad("bad_event", f"the provider sent a {delta.type} for another kind of block")
        return [Delta(0, event.index, kind, text)] if text else []

    def _block_stop(self, event: _Event, _data: bytes) -> list[Event]:
        growing = self._blocks.pop(event.index, None)
        return [] if growing is None else self._stop_block(event.index, growing)

    def _stop_block(self, index: int, growing: _Growing) -> list[Event]:
        block, parts = growing.block, growing.parts
        whole = _is_whole(parts)
        self._cut |= not whole
        if type(block) is Opaque:
            value = {**block.value, "input": decode("".join(parts))} if parts and whole else block.value
            return [BlockStart(0, index, Opaque(NAME, value)), BlockStop(0, index)]
        if type(block) is ToolCall and not "".join(parts).strip():
            return [Delta(0, index, "arguments", block.arguments), BlockStop(0, index)]
        if type(block) is Text and growing.citations:
            earlier = block.extra.get("citations") or []
            return [BlockStop(0, index, {"citations": [*earlier, *growing.citations]})]
        return [BlockStop(0, index)]

    def _message_delta(self, _event: _Event, data: bytes) -> list[Event]:
        value = decode(data)
        self._add_usage(value.get("usage"))
        delta = value.get("delta")
        reason = delta.get("stop_reason") if type(delta) is dict else None
        if reason is None or self._finished:
            return []
        if type(reason) is not str:
            bad("bad_event", "the provider's stop reason is not a word")
        return self._finish(stop_of(reason), reason, delta)

    def _finish(self, stop: Stop, native: str | None, delta: Json) -> list[Event]:
        events = [event for index in list(self._blocks) for event in self._stop_block(index, self._blocks.pop(index))]
        if self._cut and stop in ("end", "tool_use"):
            raise _incomplete("incomplete_tool_call")
        self._finished = True
        extra = rest(delta, _ENDING)
        refusal = explained(delta.get("stop_details"))
        if refusal is not None:
            index = self._next
            events += [
                BlockStart(0, index, replace(refusal, text="")),
                Delta(0, index, "refusal", refusal.text),
                BlockStop(0, index),
            ]
        elif "stop_details" in delta:
            extra["stop_details"] = delta["stop_details"]
        return [*events, Finish(0, stop, word(delta, "stop_sequence"), native, extra)]

    def _message_stop(self, _event: _Event, _data: bytes) -> list[Event]:
        events = [] if self._finished else self._finish("end", None, {})
        self._ended = True
        return [*events, End(self._known_usage())]

    def _error(self, _event: _Event, data: bytes) -> list[Event]:
        raise ParleyError(stream_failure(decode(data), data))

    def _add_usage(self, value: Any) -> None:
        """Later counts replace earlier ones: they are cumulative."""
        if type(value) is dict:
            self._usage.update((key, count) for key, count in value.items() if count is not None)

    def _known_usage(self) -> Usage | None:
        return usage_from(self._usage) if self._usage else None


_HANDLERS: Mapping[str, Callable[[MessageDecoder, _Event, bytes], list[Event]]] = {
    "message_start": MessageDecoder._start,
    "content_block_start": MessageDecoder._block_start,
    "content_block_delta": MessageDecoder._block_delta,
    "content_block_stop": MessageDecoder._block_stop,
    "message_delta": MessageDecoder._message_delta,
    "message_stop": MessageDecoder._message_stop,
    "error": MessageDecoder._error,
}


def _frame(block: bytes) -> tuple[str, bytes] | None:
    """Event name and data; the two lines every server writes are cut without the general parser."""
    head, mark, data = block.partition(b"\ndata: ")
    if mark and head.startswith(b"event: ") and data.find(b"\n") < 0 and head.find(b"\n") < 0:
        return head[7:].decode("utf-8", "replace"), data
    frame = parse_block(block)
    return None if frame is None else (frame.event, frame.data)


def _unknown(event: str, data: bytes) -> list[Event]:
    failure = unnamed_failure(event, data)
    if failure is not None:
        raise ParleyError(failure)
    return []


def unnamed_failure(event: str, data: bytes) -> Failure | None:
    """The failure that an event of no known type tells of, None where it is no error.

    Servers of this wire also send an error under another type, or as an event that only its name says is one.
    """
    named = event == "error"
    if not named and data.find(b'"error"') < 0:
        return None
    try:
        value = decode(data)
    except BAD_JSON:
        return None
    if named or (type(value) is dict and (value.get("type") == "error" or value.get("error"))):
        return stream_failure(value, data)
    return None


def check_unknown(event: str, data: bytes) -> None:
    """Raise unless the data is JSON of an event this wire does not know: what an error object means, else
    ``upstream_bad_response`` (bad_event).

    For events whose members have other types than those of the known ones.
    """
    try:
        value = decode(data)
    except BAD_JSON:
        bad("bad_event", "the provider sent an event that is not JSON")
    _unknown(event, data)
    kind = (word(value, "type") if type(value) is dict else None) or event
    if not kind or kind in _HANDLERS:
        bad("bad_event", "the provider sent an event of the wrong shape")


def _is_whole(parts: list[str]) -> bool:
    """Whether fragments are whole JSON; nothing at all is, and stands for no arguments."""
    text = "".join(parts)
    try:
        if text.strip():
            decode(text)
    except BAD_JSON:
        return False
    return True


def _incomplete(detail: str) -> ParleyError:
    return ParleyError(Failure("upstream_incomplete", "the provider's answer broke off", detail=detail))
