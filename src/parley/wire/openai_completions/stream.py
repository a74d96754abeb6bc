"""Legacy completions streams, written for a caller and read from a provider.

Every chunk is a whole ``text_completion`` object with one choice; the end is ``data: [DONE]``.
"""

from typing import Any, Final

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.framing import SseReader
from parley.ir import (
    BlockStart,
    BlockStop,
    Delta,
    DeltaKind,
    End,
    Event,
    Extra,
    Finish,
    Refusal,
    Start,
    Text,
    Thinking,
    Usage,
)
from parley.wire import Reply
from parley.wire.openai_completions.answer import STOPS, identity, reason_of, refuse_calls
from parley.wire.openai_completions.request import WIRE_NAME
from parley.wire.openai_error import BAD_JSON, bad_event, bad_response, error_event, stream_failure, told_error
from parley.wire.openai_usage import read_usage, usage_object

DONE: Final = b"data: [DONE]\n\n"
_OPEN: Final = b',"finish_reason":null'
_encode: Final = json.Encoder().encode
_decode: Final = json.Decoder().decode


class CompletionStreamEncoder:
    """A stream for the caller. What all chunks share is written once."""

    __slots__ = ("_head", "_reply", "_same", "_tail")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._same = reply.wire == WIRE_NAME
        self._tail = b'}],"usage":null}\n\n' if reply.include_usage else b"}]}\n\n"
        self._head = self._opening(Start("", ""))

    def feed(self, event: Event) -> bytes:
        """The chunks that say it; blocks begin and end unheard, and the stream has no opening of its own."""
        match event:
            case Delta():
                return self._delta(event)
            case BlockStart():
                refuse_calls(event.block)
                return self._begun(event)
            case Start():
                self._head = self._opening(event)
            case Finish():
                return self._finish(event)
            case End():
                return self._end(event)
        return b""

    def fail(self, failure: Failure) -> bytes:
        """The error event; no terminator may follow it."""
        return error_event(failure)

    def _opening(self, start: Start) -> bytes:
        """What all chunks begin with, up to their choices."""
        head = {
            "id": start.id or self._reply.id,
            "object": "text_completion",
            "created": start.created or self._reply.created,
            "model": start.model or self._reply.model,
        }
        return b"data: " + _encode({**head, **start.extra} if self._same else head)[:-1] + b',"choices":['

    def _chunk(
        self, choice: int, text: bytes, rest: bytes = b',"finish_reason":null', logprobs: bytes = b"null"
    ) -> bytes:
        """One chunk; ``text`` and ``logprobs`` are JSON, ``rest`` the other members of its choice."""
        head = b'{"text":%b,"index":%d,"logprobs":%b' % (text, choice, logprobs)
        return self._head + head + rest + self._tail

    def _delta(self, delta: Delta) -> bytes:
        if delta.kind in ("text", "refusal"):
            logprobs = _encode(delta.logprobs) if self._same else b"null"
            return self._chunk(delta.choice, _encode(delta.text), logprobs=logprobs)
        if delta.kind == "thinking":
            return self._thought(delta.choice, delta.text)
        return b""

    def _thought(self, choice: int, text: str) -> bytes:
        return self._chunk(choice, b'""', b',"reasoning_content":' + _encode(text) + _OPEN)

    def _begun(self, event: BlockStart) -> bytes:
        """What a block says at once, which most do not."""
        match event.block:
            case Text(text) | Refusal(text) if text:
                return self._chunk(event.choice, _encode(text))
            case Thinking(text) if text:
                return self._thought(event.choice, text)
        return b""

    def _finish(self, finish: Finish) -> bytes:
        reason = _encode(reason_of(finish.stop, finish.native, self._same))
        more = b"," + _encode(finish.extra)[1:-1] if self._same and finish.extra else b""
        return self._chunk(finish.choice, b'""', b',"finish_reason":' + reason + more)

    def _end(self, end: End) -> bytes:
        """The usage chunk where it was asked for and is known, then the terminator."""
        if end.usage is None or not self._reply.include_usage:
            return DONE
        more = {"usage": usage_object(end.usage, self._same), **(end.extra if self._same else {})}
        return self._head + b"]," + _encode(more)[1:] + b"\n\n" + DONE


class _Voice:
    """One choice of a stream: its open block, and what is left over for its end."""

    __slots__ = ("extra", "finished", "index", "kind", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.index = -1
        self.kind: DeltaKind | None = None
        self.finished = False
        self.extra: Extra = {}

    def hear(self, choice: dict[str, Any], events: list[Event]) -> None:
        """What one chunk says of this choice."""
        text, thought = choice.pop("text", None), choice.pop("reasoning_content", None)
        reason, logprobs = choice.pop("finish_reason", None), choice.pop("logprobs", None)
        for said in (text, thought):
            if said is not None and not isinstance(said, str):
                raise bad_event()
        if thought:
            self._grow("thinking", thought, None, events)
        if text or logprobs is not None:
            self._grow("text", text or "", logprobs, events)
        self.extra.update(choice)
        if reason:
            self.finish(str(reason), events)

    def _grow(self, kind: DeltaKind, text: str, logprobs: Any, events: list[Event]) -> None:
        if self.kind != kind:
            self._shut(events)
            self.kind, self.index = kind, self.index + 1
            events.append(BlockStart(self.number, self.index, Text("") if kind == "text" else Thinking()))
        events.append(Delta(self.number, self.index, kind, text, logprobs))

    def _shut(self, events: list[Event]) -> None:
        if self.kind is not None:
            events.append(BlockStop(self.number, self.index))
            self.kind = None

    def finish(self, reason: str, events: list[Event]) -> None:
        """The choice is complete; one that said nothing is an empty text."""
        if self.index < 0:
            self.kind, self.index = "text", 0
            events.append(BlockStart(self.number, 0, Text("")))
        self._shut(events)
        self.finished = True
        events.append(Finish(self.number, STOPS.get(reason, "end"), None, reason or None, self.extra))


class CompletionStreamDecoder:
    """A provider's stream. Ends with [DONE], or with the connection once every choice has finished."""

    __slots__ = ("_done", "_fault", "_reader", "_seen", "_started", "_usage", "_voices")

    def __init__(self) -> None:
        self._reader = SseReader()
        self._voices: dict[int, _Voice] = {}
        self._usage: Usage | None = None
        self._fault: ParleyError | None = None
        self._started = self._done = self._seen = False

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``; what follows the terminator is ignored."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        self._seen = self._seen or bool(data)
        try:
            for frame in self._reader.feed(data):
                if not self._done:
                    self._frame(frame.event, frame.data, events)
        except ParleyError as error:
            if not events:
                raise
            self._fault = error
        return events

    def close(self) -> list[Event]:
        """The upstream has ended."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self._done:
            return events
        if not self._seen:
            raise bad_response("empty_body", "the provider sent an empty answer")
        if not self._voices or not all(voice.finished for voice in self._voices.values()):
            message = "the provider's stream ended early"
            raise ParleyError(Failure("upstream_incomplete", message, detail="missing_terminator"))
        self._end(events)
        return events

    def _frame(self, event: str, data: bytes, events: list[Event]) -> None:
        if data.startswith(b"[DONE]"):
            self._end(events)
            return
        try:
            chunk = _decode(data)
        except BAD_JSON:
            raise bad_event() from None
        if not isinstance(chunk, dict):
            raise bad_event()
        if error := told_error(chunk, event):
            raise ParleyError(stream_failure(error))
        self._chunk(chunk, events)

    def _chunk(self, chunk: dict[str, Any], events: list[Event]) -> None:
        usage, choices = chunk.pop("usage", None), chunk.pop("choices", None)
        if isinstance(usage, dict):
            self._usage = read_usage(usage)
        if choices and not isinstance(choices, list):
            raise bad_event()
        if choices and not self._started:
            self._started = True
            extra = {name: value for name, value in chunk.items() if name not in ("object", "error")}
            events.append(Start(**identity(extra), extra=extra))
        for choice in choices or ():
            if not isinstance(choice, dict) or not isinstance(choice.get("index", 0), int):
                raise bad_event()
            voice = self._voice(choice.pop("index", 0))
            if not voice.finished:
                voice.hear(choice, events)

    def _voice(self, number: int) -> _Voice:
        voice = self._voices.get(number)
        if voice is None:
            voice = self._voices[number] = _Voice(number)
        return voice

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            raise bad_response("empty_body", "the provider's stream held no answer")
        for voice in self._voices.values():
            if not voice.finished:
                voice.finish("", events)
        self._done = True
        events.append(End(self._usage))
