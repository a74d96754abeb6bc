"""Cohere v2 chat: streams. Every event says by ``type`` what it is; content and calls are each numbered by themselves.

The plan for calls has no beginning or end of its own: it ends where anything else begins. A stream is whole with
``message-end``, which may tell an error instead. Source: provider contract section 9.
"""

from typing import Any, Final

from parley.framing import Frame
from parley.ir import (
    BlockStart,
    BlockStop,
    Delta,
    DeltaKind,
    End,
    Event,
    Extra,
    Finish,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from parley.jsontext import is_whole
from parley.wire import Mark
from parley.wire.cohere.answer import arguments_of, logprobs_of, stop_of, usage_of
from parley.wire.cohere.errors import stream_failure
from parley.wire.frames import FrameDecoder, cut_call, early, members
from parley.wire.openai_error import bad_event, bad_response

# The plan's number among the pieces of content.
_PLAN: Final = -1
_CONTENT: Final = ("content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta")
_KINDS: Final = (*_CONTENT, "message-start", "content-start", "message-end")


class _Open:
    """A block under way; ``parts`` are the arguments of a call so far."""

    __slots__ = ("index", "kind", "parts")

    def __init__(self, index: int, kind: DeltaKind) -> None:
        self.index = index
        self.kind = kind
        self.parts: list[str] = []


class ChatDecoder(FrameDecoder):
    """A provider's stream as events."""

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._count = 0
        self._content: dict[int, _Open] = {}
        self._calls: dict[int, _Open] = {}
        self._spoken: list[_Open] = []
        self._extra: Extra = {}

    def frame(self, frame: Frame, events: list[Event]) -> None:
        """Add what one event says; one of a type that is not known says nothing."""
        if frame.data.startswith(b"[DONE]"):
            raise early()
        value = members(frame.data)
        kind = value.get("type") or frame.event
        delta = value.get("delta")
        if kind == "error" or value.get("error") or (not value.get("type") and isinstance(value.get("message"), str)):
            raise stream_failure(value)
        if not self._started and kind in _KINDS:
            self._start(value, events)
        if kind == "message-end":
            self._end(delta if isinstance(delta, dict) else {}, events)
            return
        message = delta.get("message") if isinstance(delta, dict) else None
        place = value.get("index")
        self._say(
            str(kind),
            place if isinstance(place, int) else 0,
            message if isinstance(message, dict) else {},
            value.get("logprobs"),
            events,
        )

    def ending(self, events: list[Event]) -> None:
        """A stream without ``message-end`` is not whole."""
        if not self._started:
            raise bad_response("bad_event", "the provider's stream held no answer")
        raise early()

    def _start(self, value: dict[str, Any], events: list[Event]) -> None:
        self._started = True
        id_ = value.get("id")
        events.append(Start(id_ if isinstance(id_, str) else "", ""))

    def _say(self, kind: str, place: int, message: dict[str, Any], logprobs: Any, events: list[Event]) -> None:
        if kind in ("content-start", "content-delta"):
            self._words(place, message.get("content"), logprobs, events)
        elif kind == "content-end":
            self._shut(self._content.pop(place, None), events)
        elif kind == "tool-plan-delta":
            self._plan(message.get("tool_plan"), events)
        elif kind in ("tool-call-start", "tool-call-delta"):
            self._call(kind, place, message.get("tool_calls"), events)
        elif kind == "tool-call-end":
            self._shut(self._calls.pop(place, None), events)
        elif kind == "citation-start":
            found = message.get("citations")
            kept = self._extra.setdefault("citations", [])
            kept += found if isinstance(found, list) else [] if found is None else [found]

    def _words(self, place: int, content: Any, logprobs: Any, events: list[Event]) -> None:
        """A piece of content begins or grows; one that was never announced begins with its first words."""
        if not isinstance(content, dict):
            raise bad_event()
        kind: DeltaKind = "thinking" if content.get("type") == "thinking" or "thinking" in content else "text"
        words = content.get(kind)
        if words is not None and not isinstance(words, str):
            raise bad_event()
        self._shut(self._content.pop(_PLAN, None), events)
        block = self._content.get(place)
        if block is None:
            block = self._content[place] = self._open(kind, events)
        if words:
            events.append(Delta(0, block.index, block.kind, words, logprobs_of(logprobs)))

    def _plan(self, words: Any, events: list[Event]) -> None:
        if not isinstance(words, str):
            raise bad_event()
        block = self._content.get(_PLAN)
        if block is None:
            block = self._content[_PLAN] = self._open("thinking", events)
        if words:
            events.append(Delta(0, block.index, "thinking", words))

    def _open(self, kind: DeltaKind, events: list[Event]) -> _Open:
        block = _Open(self._count, kind)
        self._count += 1
        events.append(BlockStart(0, block.index, Thinking() if kind == "thinking" else Text("")))
        return block

    def _call(self, kind: str, place: int, value: Any, events: list[Event]) -> None:
        """A call begins or its arguments grow. One is told as an object; a list of one says the same."""
        found = value[0] if isinstance(value, list) and value else value
        if not isinstance(found, dict):
            raise bad_event()
        function = found.get("function")
        block = self._calls.get(place)
        if kind == "tool-call-start":
            self._shut(block, events)
            block = self._calls[place] = self._begin(found, function, events)
        if block is None:
            raise bad_event()
        text = arguments_of(function)
        if text:
            block.parts.append(text)
            events.append(Delta(0, block.index, "arguments", text))

    def _begin(self, found: dict[str, Any], function: Any, events: list[Event]) -> _Open:
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not name:
            raise bad_event()
        self._shut(self._content.pop(_PLAN, None), events)
        block = _Open(self._count, "arguments")
        self._count += 1
        self._spoken.append(block)
        id_ = found.get("id")
        given = id_ if isinstance(id_, str) and id_ else f"call_{len(self._spoken)}"
        events.append(BlockStart(0, block.index, ToolCall(given, name)))
        return block

    def _shut(self, block: _Open | None, events: list[Event]) -> None:
        if block is not None:
            events.append(BlockStop(0, block.index))

    def _end(self, delta: dict[str, Any], events: list[Event]) -> None:
        """The last event: why it stopped, what it cost. Arguments that were cut off are no call."""
        reason = delta.get("finish_reason")
        stop = stop_of(reason, delta.get("error"))
        if stop == "end" and self._spoken:
            stop = "tool_use"
        if stop == "tool_use" and not all(is_whole("".join(call.parts)) for call in self._spoken):
            raise cut_call()
        for block in (*self._content.values(), *self._calls.values()):
            self._shut(block, events)
        events.append(Finish(0, stop, native=reason if isinstance(reason, str) else None, extra=self._extra))
        events.append(End(usage_of(delta.get("usage"))))
        self.done = True


def glance(event: str, data: bytes) -> Mark:
    """What one event tells; raises bad_event where it is no JSON object."""
    if data.startswith(b"[DONE]"):
        return Mark()
    value = members(data)
    kind, delta = value.get("type") or event, value.get("delta")
    if kind != "message-end":
        return Mark(content=kind in _CONTENT)
    last = delta if isinstance(delta, dict) else {}
    return Mark(finished=True, end=True, usage=usage_of(last.get("usage")))
