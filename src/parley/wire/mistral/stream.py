"""Mistral chat: streams. Chunks as OpenAI's, with the differences of whole answers.

The number of a call may be missing or repeated while ids tell calls apart, so calls are counted here. The usage comes
in the last chunk, asked for or not. Source: provider contract section 8.
"""

from typing import Any, Final

from parley.framing import Frame
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
    Usage,
)
from parley.jsontext import is_whole
from parley.wire import Mark
from parley.wire.frames import FrameDecoder, cut_call, early, members
from parley.wire.mistral.answer import arguments_of, chunk_of, given_id, identity, short_id, stop_of
from parley.wire.mistral.errors import told
from parley.wire.openai_error import bad_event, bad_response
from parley.wire.openai_usage import read_usage

_SHELLS: Final[dict[str, Block]] = {"text": Text(""), "thinking": Thinking()}


class _Call:
    """A call under way. ``given`` is its id as the provider gave it, ``place`` the number it gave."""

    __slots__ = ("given", "index", "name", "parts", "place")

    def __init__(self, given: str, place: int, name: str, index: int) -> None:
        self.given = given
        self.place = place
        self.name = name
        self.index = index
        self.parts: list[str] = []

    def goes_on(self, given: str, place: int, name: str) -> bool:
        """Whether a fragment is more of it: the same id, or none and the same number; a name without an id begins
        another call once the arguments are whole."""
        if given and self.given:
            return given == self.given
        if place != self.place:
            return False
        return not name or not is_whole("".join(self.parts) or "{")


class _Voice:
    """One choice of a stream."""

    __slots__ = ("calls", "finished", "index", "kind", "number", "open", "seed")

    def __init__(self, number: int, seed: str) -> None:
        self.number = number
        self.seed = seed
        self.index = -1
        self.open = -1
        self.kind: DeltaKind | None = None
        self.calls: list[_Call] = []
        self.finished = False

    def hear(self, choice: dict[str, Any], events: list[Event]) -> None:
        """What one chunk says of this choice."""
        delta, reason = choice.get("delta"), choice.get("finish_reason")
        if delta:
            if not isinstance(delta, dict):
                raise bad_event()
            self._say(delta, choice.get("logprobs"), events)
        if reason:
            self.finish(str(reason), events)

    def _say(self, delta: dict[str, Any], logprobs: Any, events: list[Event]) -> None:
        content, calls = delta.get("content"), delta.get("tool_calls")
        if isinstance(content, str):
            if content:
                self._grow(Text(content), logprobs, events)
        elif content is not None:
            for chunk in _list(content):
                self._grow(chunk_of(chunk), logprobs, events)
        if calls is not None:
            for call in _list(calls):
                self._fragment(call, events)

    def _grow(self, block: Block, logprobs: Any, events: list[Event]) -> None:
        """More of the open block, a new one, or something that comes whole."""
        if type(block) is not Text and type(block) is not Thinking:
            self._shut(events)
            self.index += 1
            events += (BlockStart(self.number, self.index, block), BlockStop(self.number, self.index))
            return
        kind: DeltaKind = "text" if type(block) is Text else "thinking"
        if self.kind != kind:
            self._shut(events)
            self.index += 1
            self.kind, self.open = kind, self.index
            events.append(BlockStart(self.number, self.index, _SHELLS[kind]))
        if block.text:
            events.append(Delta(self.number, self.open, kind, block.text, logprobs))
        if type(block) is Thinking and block.signature:
            events.append(Delta(self.number, self.open, "signature", block.signature))
            self._shut(events)

    def _shut(self, events: list[Event]) -> None:
        if self.kind is not None:
            events.append(BlockStop(self.number, self.open))
            self.kind = None

    def _fragment(self, value: Any, events: list[Event]) -> None:
        function = value.get("function") if isinstance(value, dict) else None
        if not isinstance(function, dict):
            raise bad_event()
        given, place, name = given_id(value.get("id")), value.get("index"), function.get("name")
        place, name = place if isinstance(place, int) else 0, name if isinstance(name, str) else ""
        call = next((call for call in reversed(self.calls) if call.goes_on(given, place, name)), None)
        if call is None:
            call = self._begin(given, place, name, events)
        text = arguments_of(function)
        if text:
            call.parts.append(text)
            events.append(Delta(self.number, call.index, "arguments", text))

    def _begin(self, given: str, place: int, name: str, events: list[Event]) -> _Call:
        if not name:
            raise bad_event()
        self._shut(events)
        self.index += 1
        call = _Call(given, place, name, self.index)
        id_ = given or short_id(f"{self.seed}:{self.number}:{len(self.calls)}")
        self.calls.append(call)
        events.append(BlockStart(self.number, call.index, ToolCall(id_, name)))
        return call

    def finish(self, reason: str, events: list[Event]) -> None:
        """The choice is complete. A call cut in its arguments is not."""
        self._shut(events)
        stop = stop_of(reason, bool(self.calls))
        for call in self.calls:
            if stop == "tool_use" and not is_whole("".join(call.parts)):
                raise cut_call()
            events.append(BlockStop(self.number, call.index))
        self.finished = True
        events.append(Finish(self.number, stop, native=reason or None))


class ChatDecoder(FrameDecoder):
    """A provider's stream as events. It ends with [DONE], or with the connection once every choice has finished."""

    def __init__(self) -> None:
        super().__init__()
        self._voices: dict[int, _Voice] = {}
        self._usage: Usage | None = None
        self._start: Start | None = None

    def frame(self, frame: Frame, events: list[Event]) -> None:
        """Add what one chunk says."""
        if frame.data.startswith(b"[DONE]"):
            self.ending(events)
            return
        chunk = members(frame.data)
        error = told({"object": "error", **chunk} if frame.event == "error" else chunk)
        if error is not None:
            raise error
        usage, choices = chunk.pop("usage", None), chunk.pop("choices", None)
        if isinstance(usage, dict):
            self._usage = read_usage(usage)
        heard = _list(choices)
        if self._start is None and heard:
            self._start = Start(**identity(chunk))
            events.append(self._start)
        for choice in heard:
            self._choice(choice, events)

    def ending(self, events: list[Event]) -> None:
        """Whole where every choice had finished."""
        if self._start is None:
            raise bad_response("bad_event", "the provider's stream held no answer")
        if not all(voice.finished for voice in self._voices.values()):
            raise early()
        events.append(End(self._usage))
        self.done = True

    def _choice(self, choice: Any, events: list[Event]) -> None:
        number = choice.get("index", 0) if isinstance(choice, dict) else None
        if not isinstance(number, int):
            raise bad_event()
        voice = self._voices.get(number)
        if voice is None:
            assert self._start is not None
            voice = self._voices[number] = _Voice(number, self._start.id)
        if not voice.finished:
            voice.hear(choice, events)


def _list(value: Any) -> list[Any]:
    """A list that may be null or absent."""
    if value is not None and not isinstance(value, list):
        raise bad_event()
    return value or []


def glance(event: str, data: bytes) -> Mark:
    """What one event tells; raises bad_event where it is no JSON object."""
    if data.startswith(b"[DONE]"):
        return Mark(end=True)
    chunk = members(data)
    error = told(chunk)
    if error is not None:
        return Mark(failure=error.failure)
    found, usage = chunk.get("choices"), chunk.get("usage")
    choices = [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []
    return Mark(
        content=any(bool(choice.get("delta")) for choice in choices),
        finished=any(bool(choice.get("finish_reason")) for choice in choices),
        usage=read_usage(usage) if isinstance(usage, dict) else None,
    )
