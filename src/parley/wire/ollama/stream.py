"""Streams of /api/chat and /api/generate, read from a provider: one JSON object a line, the last one done."""

from collections.abc import Iterable
from typing import Any, Final

from parley.failure import ParleyError
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    Delta,
    DeltaKind,
    End,
    Event,
    Finish,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from parley.wire.ollama.errors import BAD_JSON, bad
from parley.wire.ollama.lines import (
    ANSWER,
    Call,
    CallIds,
    Line,
    arguments_of,
    created_of,
    incomplete,
    line_of,
    logprobs_of,
    object_of,
    stop_of,
    usage_of,
)

MAX_LINE: Final = 8 * 1024 * 1024


class LinesDecoder:
    """Reads a provider's stream, whatever the chunking. Without a line that says ``done`` it is not whole."""

    __slots__ = ("_called", "_done", "_fault", "_ids", "_index", "_kind", "_logprobs", "_rest", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._ids = CallIds("")
        self._index = -1
        self._kind: DeltaKind | None = None
        self._logprobs: list[Any] = []
        self._fault: ParleyError | None = None
        self._started = self._called = self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``; what follows the last line is ignored."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self._done:
            return events
        lines = (self._rest + data).split(b"\n") if data.find(b"\n") >= 0 else [self._rest + data]
        self._rest = lines.pop()
        try:
            for line in lines:
                if line.strip() and not self._done:
                    self._read(line, events)
            if len(self._rest) > MAX_LINE and not self._done:
                bad("event_too_large", f"the provider sent a line of more than {MAX_LINE} bytes")
        except ParleyError as error:
            self._fault = error
            if not events:
                raise
        return events

    def close(self) -> list[Event]:
        """The upstream has ended; its last line may lack its end."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self._done:
            return events
        if self._rest.strip():
            self._last(events)
        elif not self._started:
            bad("empty_body", "the provider's stream held no line")
        if not self._done:
            raise incomplete()
        return events

    def _last(self, events: list[Event]) -> None:
        """A line that was cut is no answer of the wrong shape but one that is not whole."""
        try:
            object_of(self._rest, "bad_event")
        except ParleyError:
            if self._started or self._rest.lstrip().startswith(b"{"):
                raise incomplete() from None
            raise
        self._read(self._rest, events)

    def _read(self, data: bytes, events: list[Event]) -> None:
        line = line_of(data)
        if not self._started:
            self._start(line, events)
        if line.logprobs:
            self._logprobs += line.logprobs
        said = line.message
        if said is None:
            self._say(line.thinking, line.response, (), events)
        else:
            self._say(said.thinking, said.content, said.tool_calls or (), events)
        if line.done:
            self._end(data, events)

    def _say(self, thought: str | None, text: str | None, calls: Iterable[Call], events: list[Event]) -> None:
        if thought:
            self._grow("thinking", thought, events)
        if text:
            self._grow("text", text, events)
        for call in calls:
            self._call(call, events)

    def _start(self, line: Line, events: list[Event]) -> None:
        if line.message is None and line.response is None and not line.done:
            bad("bad_event", "the provider sent a line that is no part of an answer")
        self._started = True
        self._ids = CallIds(line.created_at or "")
        events.append(Start("", line.model or "", created_of(line.created_at)))

    def _grow(self, kind: DeltaKind, text: str, events: list[Event]) -> None:
        if self._kind != kind:
            self._open(Text("") if kind == "text" else Thinking(), events)
            self._kind = kind
        logprobs = None
        if self._logprobs:
            logprobs, self._logprobs = logprobs_of(self._logprobs), []
        events.append(Delta(0, self._index, kind, text, logprobs))

    def _open(self, shell: Block, events: list[Event]) -> None:
        self._shut(events)
        self._index += 1
        events.append(BlockStart(0, self._index, shell))

    def _shut(self, events: list[Event]) -> None:
        if self._kind is not None:
            events.append(BlockStop(0, self._index))
            self._kind = None

    def _call(self, call: Call, events: list[Event]) -> None:
        """A call comes whole, in one line."""
        self._called = True
        self._open(ToolCall(self._ids.of(call), call.function.name), events)
        arguments = _text_of(call)
        if arguments:
            events.append(Delta(0, self._index, "arguments", arguments))
        events.append(BlockStop(0, self._index))

    def _end(self, data: bytes, events: list[Event]) -> None:
        self._shut(events)
        value = object_of(data, "bad_event")
        if "image" in value:
            bad("bad_event", "the provider answered with a picture")
        stop, native = stop_of(value.get("done_reason"), called=self._called)
        events.append(Finish(0, stop, None, native))
        events.append(End(usage_of(value), {name: item for name, item in value.items() if name not in ANSWER}))
        self._done = True


def _text_of(call: Call) -> str:
    try:
        return arguments_of(call)
    except BAD_JSON:
        bad("bad_event", "the provider sent a tool call that is not UTF-8")
