"""OpenAI chat completions streams, read from a provider: chunks to events.

This wire has no block boundaries: a text, reasoning or refusal block ends where another block begins, a tool
call where its choice finishes. Providers differ: see the members of Voice and Call for what is absorbed.
"""

from typing import Any

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.framing import Frame, SseReader
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    Delta,
    DeltaKind,
    End,
    Event,
    Extra,
    Finish,
    Opaque,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.jsontext import is_whole
from parley.wire.openai_chat.answer import (
    CallIds,
    arguments_text,
    content_part,
    identity,
    is_id,
    stop_of,
    thinking_of,
)
from parley.wire.openai_chat.error import BAD_JSON, WIRE_NAME, stream_failure, told_error
from parley.wire.openai_error import bad_event, bad_response
from parley.wire.openai_usage import read_usage

_LEGACY = -1
_SHELLS: dict[DeltaKind, type[Text] | type[Thinking] | type[Refusal]] = {
    "text": Text,
    "thinking": Thinking,
    "refusal": Refusal,
}
_GROWN = frozenset(
    {"role", "content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "thinking_blocks"}
)
_decode = json.Decoder().decode


class Call:
    """A tool call under way. It begins where its name is known."""

    __slots__ = ("given", "id", "index", "name", "parts")

    def __init__(self, given: Any) -> None:
        self.given = given
        self.id = ""
        self.name = ""
        self.index = -1
        self.parts: list[str] = []

    def succeeded_by(self, given: Any, name: Any) -> bool:
        """Whether a fragment of the same index is another call: another id or name, or a name after arguments."""
        if is_id(given):
            return bool(given != self.given and (is_id(self.given) or name))
        if not name or not self.name:
            return False
        arguments = "".join(self.parts)
        return bool(name != self.name or (arguments and is_whole(arguments)))


class Voice:
    """One choice of a stream: which block is open, which calls there are, what is left over."""

    __slots__ = ("calls", "extra", "finished", "ids", "index", "kind", "latest", "logprobs", "number", "open")

    def __init__(self, number: int, ids: CallIds) -> None:
        self.number = number
        self.ids = ids
        self.index = -1
        self.open = -1
        self.kind: DeltaKind | None = None
        self.calls: list[Call] = []
        self.latest: dict[int, Call] = {}
        self.extra: Extra = {}
        self.logprobs: Any = None
        self.finished = False

    def hear(self, choice: dict[str, Any], events: list[Event]) -> None:
        """What one chunk says of this choice."""
        delta, reason, logprobs = (
            choice.pop("delta", None),
            choice.pop("finish_reason", None),
            choice.pop("logprobs", None),
        )
        if logprobs is not None:
            self.logprobs = logprobs
        if delta:
            if not isinstance(delta, dict):
                raise bad_event()
            self.say(delta, events)
        if choice:
            self.extra.update(choice)
        if reason:
            self.finish(str(reason), choice, events)

    def say(self, delta: dict[str, Any], events: list[Event]) -> None:
        """What one delta adds."""
        content = delta.get("content")
        if content and len(delta) == 1:
            self.content(content, events)
            return
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and isinstance(thought, str):
            self.grow("thinking", thought, events)
        if content:
            self.content(content, events)
        self._rest(delta, events)

    def _rest(self, delta: dict[str, Any], events: list[Event]) -> None:
        """Everything but the plain text."""
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self.grow("refusal", refusal, events)
        for block in _list(delta.get("thinking_blocks")):
            self.seal(thinking_of(block), events)
        for value in _list(delta.get("tool_calls")):
            self.fragment(value, events)
        if legacy := delta.get("function_call"):
            self.fragment({"index": _LEGACY, "function": legacy}, events)
        for name, value in delta.items():
            if name not in _GROWN and value is not None:
                self.extra["message"] = _merged(self.extra.get("message", {}), name, value)

    def content(self, content: Any, events: list[Event]) -> None:
        """Text, or the list of chunks that some providers send."""
        if isinstance(content, str):
            self.grow("text", content, events)
            return
        if not isinstance(content, list):
            raise bad_event()
        for part in map(content_part, content):
            if type(part) is Text and not part.extra:
                self.grow("text", part.text, events)
            elif type(part) is Thinking and part.signature is None:
                self.grow("thinking", part.text, events)
            elif type(part) is Thinking:
                self.seal(part, events)
            else:
                self.whole(part, events)

    def grow(self, kind: DeltaKind, text: str, events: list[Event]) -> None:
        """More of the open block, or a new one."""
        if self.kind != kind:
            self.shut(events)
            self.index += 1
            self.kind, self.open = kind, self.index
            events.append(BlockStart(self.number, self.index, _SHELLS[kind]("")))
        logprobs, self.logprobs = self.logprobs, None
        events.append(Delta(self.number, self.open, kind, text, logprobs))

    def whole(self, block: Block, events: list[Event]) -> None:
        """A block that comes in one piece."""
        self.shut(events)
        self.index += 1
        events.append(BlockStart(self.number, self.index, block))
        events.append(BlockStop(self.number, self.index))

    def seal(self, block: Thinking, events: list[Event]) -> None:
        """A thinking block told whole: the signature of the reasoning before it, or a block of its own."""
        if self.kind == "thinking" and block.redacted is None:
            if block.signature is not None:
                events.append(Delta(self.number, self.open, "signature", block.signature))
            events.append(BlockStop(self.number, self.open, block.extra))
            self.kind = None
        else:
            self.whole(block, events)

    def shut(self, events: list[Event]) -> None:
        """The open block ends."""
        if self.kind is not None:
            events.append(BlockStop(self.number, self.open))
            self.kind = None

    def fragment(self, value: Any, events: list[Event]) -> None:
        """A piece of a tool call."""
        if not isinstance(value, dict):
            raise bad_event()
        if value.get("type") == "custom":
            self.whole(Opaque(WIRE_NAME, {name: item for name, item in value.items() if name != "index"}), events)
            return
        function = value.get("function") or {}
        if not isinstance(function, dict):
            raise bad_event()
        call = self._call(value, function.get("name"))
        call.name = call.name or function.get("name") or ""
        text = arguments_text(function.get("arguments"))
        if call.index >= 0:
            self._argue(call, text, events)
        else:
            call.parts.append(text)
            if call.name:
                self._begin(call, value, function, events)

    def _call(self, value: dict[str, Any], name: Any) -> Call:
        given, place = value.get("id"), value.get("index")
        if not isinstance(place, int):
            place = self._place(given)
        call = self.latest.get(place)
        if call is None or call.succeeded_by(given, name):
            call = self.latest[place] = Call(given)
            self.calls.append(call)
        return call

    def _place(self, given: Any) -> int:
        """The index of a fragment that has none: the call with this id, else the latest."""
        for place, call in self.latest.items():
            if is_id(given) and call.given == given:
                return place
        return next(reversed(self.latest), 0) if not is_id(given) else len(self.latest)

    def _begin(self, call: Call, value: dict[str, Any], function: dict[str, Any], events: list[Event]) -> None:
        self.shut(events)
        self.index += 1
        call.index, call.id = self.index, self.ids.of(call.given)
        extra = {name: item for name, item in value.items() if name not in ("index", "id", "type", "function")}
        inner = {name: item for name, item in function.items() if name not in ("name", "arguments")}
        if inner:
            extra["function"] = inner
        events.append(BlockStart(self.number, call.index, ToolCall(call.id, call.name, "", extra)))
        held, call.parts = "".join(call.parts), []
        self._argue(call, held, events)

    def _argue(self, call: Call, text: str, events: list[Event]) -> None:
        if text:
            call.parts.append(text)
            logprobs, self.logprobs = self.logprobs, None
            events.append(Delta(self.number, call.index, "arguments", text, logprobs))

    def finish(self, reason: str, choice: dict[str, Any], events: list[Event]) -> None:
        """The choice is complete. A call cut in its arguments is not."""
        self.shut(events)
        stop, matched = stop_of(reason, choice, bool(self.calls))
        for call in self.calls:
            if call.index < 0:
                self._begin(call, {}, {}, events)
            if stop == "tool_use" and not is_whole("".join(call.parts)):
                message = "the provider's stream ended in the middle of a tool call"
                raise ParleyError(Failure("upstream_incomplete", message, detail="incomplete_tool_call"))
            events.append(BlockStop(self.number, call.index))
        self.finished = True
        events.append(Finish(self.number, stop, matched, reason or None, self.extra))


def _merged(members: Extra, name: str, value: Any) -> Extra:
    """A message's other members, grown by one delta: lists and sound grow, anything else is replaced."""
    before = members.get(name)
    if isinstance(before, list) and isinstance(value, list):
        value = before + value
    elif isinstance(before, dict) and isinstance(value, dict):
        grown = {
            part: before[part] + value[part] for part in ("data", "transcript") if part in before and part in value
        }
        value = {**before, **value, **grown}
    return {**members, name: value}


class ChatStreamDecoder:
    """A provider's stream. Ends with [DONE], or with the connection once every choice has finished."""

    __slots__ = ("_done", "_extra", "_fault", "_head", "_ids", "_latest", "_reader", "_seen", "_usage", "_voices")

    def __init__(self) -> None:
        self._reader = SseReader()
        self._voices: dict[int, Voice] = {}
        self._ids = CallIds()
        self._head: Extra | None = None
        self._latest: Extra = {}
        self._extra: Extra = {}
        self._usage: Usage | None = None
        self._fault: ParleyError | None = None
        self._seen = self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``; what follows the terminator is ignored."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self._done:
            return events
        self._seen = self._seen or bool(data)
        try:
            for frame in self._reader.feed(data):
                self._frame(frame, events)
        except ParleyError as error:
            if not events:
                raise
            self._fault = error
        return events

    def close(self) -> list[Event]:
        """The upstream has ended."""
        if self._fault is not None:
            raise self._fault
        if self._done:
            return []
        if not self._seen:
            raise bad_response("empty_body", "the provider sent an empty answer")
        if self._head is None and not self._extra:
            raise bad_event()
        if not self._voices or not all(voice.finished for voice in self._voices.values()):
            message = "the provider's stream ended early"
            raise ParleyError(Failure("upstream_incomplete", message, detail="missing_terminator"))
        events: list[Event] = []
        self._end(events)
        return events

    def _frame(self, frame: Frame, events: list[Event]) -> None:
        if self._done:
            return
        if frame.data.startswith(b"[DONE]"):
            self._end(events)
            return
        try:
            chunk = _decode(frame.data)
        except BAD_JSON:
            raise bad_event() from None
        if not isinstance(chunk, dict):
            raise bad_event()
        if error := told_error(chunk, frame.event):
            raise ParleyError(stream_failure(error))
        self._chunk(chunk, events)

    def _chunk(self, chunk: dict[str, Any], events: list[Event]) -> None:
        usage = chunk.pop("usage", None)
        if isinstance(usage, dict):
            self._usage = read_usage(usage, chunk.get("service_tier"))
        choices = chunk.pop("choices", None)
        if choices and not isinstance(choices, list):
            raise bad_event()
        self._keep(chunk, bool(choices), events)
        for choice in choices or ():
            self._choice(choice, events)

    def _keep(self, chunk: dict[str, Any], opens: bool, events: list[Event]) -> None:
        """The members of the chunk itself. The stream starts with the first one that has choices."""
        head = self._head
        if head is None:
            self._extra.update(chunk)
            if opens:
                self._start(events)
            return
        if chunk == self._latest:
            return
        self._latest = chunk
        for name, value in chunk.items():
            if name not in head or (head[name] != value and name not in ("id", "created", "model", "obfuscation")):
                self._extra[name] = value

    def _start(self, events: list[Event]) -> None:
        self._head, self._extra = {"object": "", "error": None, **self._extra}, {}
        extra = {name: value for name, value in self._head.items() if name not in ("object", "error", "obfuscation")}
        events.append(Start(**identity(extra), extra=extra))

    def _choice(self, choice: Any, events: list[Event]) -> None:
        if not isinstance(choice, dict):
            raise bad_event()
        number = choice.pop("index", 0)
        if not isinstance(number, int):
            raise bad_event()
        voice = self._voices.get(number)
        if voice is None:
            voice = self._voices[number] = Voice(number, self._ids)
        if not voice.finished:
            voice.hear(choice, events)

    def _end(self, events: list[Event]) -> None:
        if self._head is None:
            raise bad_response("empty_body", "the provider's stream held no answer")
        for voice in self._voices.values():
            if not voice.finished:
                voice.finish("", {}, events)
        self._done = True
        events.append(End(self._usage, self._extra))


def _list(value: Any) -> list[Any]:
    """A list that may be null or absent."""
    if value is not None and not isinstance(value, list):
        raise bad_event()
    return value or []
