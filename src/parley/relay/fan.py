"""Several answers of a provider that gives one at a time, carried back as one answer with several choices."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.fold import Fold, unfold
from parley.ir import (
    BlockStart,
    ChatResponse,
    Choice,
    Delta,
    End,
    Event,
    Finish,
    ImageResponse,
    Media,
    Opaque,
    Start,
    ToolCall,
    Usage,
)
from parley.relay.answer import MAX_ANSWER
from parley.relay.carrier import Relay, bad_answer, merged
from parley.relay.keeper import Keeper
from parley.relay.request import Passage
from parley.wire import Reply, StreamDecoder, StreamEncoder, Wire, unspoken

# Figures that add up; of all else what a usage tells, the first one stays.
_COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name not in ("estimated", "extra", "tier"))


class Voice:
    """One of the answers: what it has said so far, and what it used. ``over`` turns true at its own end."""

    __slots__ = ("_body", "_decoder", "_size", "_wire", "over", "pictures", "response", "usage")

    def __init__(self, wire: Wire, *, events: bool) -> None:
        self._wire = wire
        self._decoder: StreamDecoder | None = wire.stream_decoder() if events else None
        self._body: list[bytes] = []
        self._size = 0
        self.over = False
        self.usage: Usage | None = None
        self.response: ChatResponse | None = None
        self.pictures: ImageResponse | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Events that ``data`` completes; none of an answer that comes as one object."""
        if self._decoder is not None:
            return [] if self.over else self._heard(self._decoder.feed(data))
        self._size += len(data)
        if self._size > MAX_ANSWER:
            raise bad_answer("too_large", f"the provider's answer is larger than {MAX_ANSWER} bytes")
        self._body.append(data)
        return []

    def close(self) -> list[Event]:
        """What is still owed. Raises where the answer was not whole."""
        if self.over:
            return []
        if self._decoder is not None:
            return self._heard(self._decoder.close())
        body, self._body = b"".join(self._body), []
        response = self._wire.decode_response(body)
        if type(response) is ImageResponse:
            self.pictures, self.usage, self.over = response, response.usage, True
            return []
        self.response = response
        if len(response.choices) != 1:
            raise bad_answer("bad_shape", "the provider gave another number of answers than one")
        return self._heard(unfold(response))

    def _heard(self, events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, Start | End):
                if event.usage is not None:
                    self.usage = merged(self.usage, event.usage)
                self.over = self.over or isinstance(event, End)
            elif event.choice:
                raise bad_answer("bad_shape", "the provider gave another number of answers than one")
        return events


class Fan(Relay):
    """Carries them back: as a stream in which their events stand as they come, or whole when the last is there.

    ``turn`` is the number of the answer that ``feed`` speaks of; with ``whole`` its provider has sent all of it, and
    ``feed`` gives what was still owed. Identity and extras are those of the
    first that began; usage is the sum of all. ``keeper`` keeps what is sealed in them.
    """

    __slots__ = ("_encoder", "_extra", "_folds", "_keeper", "_reply", "_started", "_voices", "_way", "turn", "whole")

    def __init__(self, way: Passage, reply: Reply, count: int, *, streams: bool, keeper: Keeper | None = None) -> None:
        super().__init__()
        self._way = way
        self._reply = reply
        self._keeper = keeper
        self._encoder: StreamEncoder | None = None
        if streams:
            encoder = way.inlet.stream_encoder(reply)
            self._encoder = encoder if keeper is None else keeper.watching(encoder)
        self._voices: list[Voice | None] = [None] * count
        self._folds = [Fold(way.outlet.name) for _ in range(count)]
        self._extra: dict[str, Any] = {}
        self._started = False
        self.turn = 0
        self.whole = False

    @property
    def heard(self) -> bool:
        """Whether any of them has begun."""
        return any(voice is not None for voice in self._voices)

    def begin(self, *, events: bool) -> None:
        """An answer begins. Raises ``upstream_bad_response`` for events where the wire has none."""
        outlet = self._way.outlet
        if events and outlet.stream_decoder is unspoken:
            raise bad_answer("bad_content_type", "the provider answered with events where an object was due")
        self._voices[self.turn] = Voice(outlet, events=events)

    def feed(self, data: bytes) -> bytes:
        """The caller's bytes for what ``data`` completes."""
        if self.whole:
            return self._finish()
        voice = self._voices[self.turn]
        if voice is None or self.ended:
            self.trailing = True
            return b""
        try:
            out = self._told(voice.feed(data))
            # What precedes a fault in the same data comes first; the fault itself comes with the next call.
            return out + self._told(voice.feed(b"")) if data else out
        except ParleyError as error:
            self.failure = error.failure
            return b""

    def _finish(self) -> bytes:
        voice = self._voices[self.turn]
        try:
            if voice is None:
                raise bad_answer("empty_body", "the provider sent an empty answer")
            return self._told(voice.close())
        except ParleyError as error:
            self.failure = error.failure
            return b""

    def close(self) -> bytes:
        """The whole answer; nothing for a stream, which has had all of it."""
        if self._encoder is not None:
            return b""
        drawn = [voice.pictures for voice in self._voices if voice is not None and voice.pictures is not None]
        try:
            answer = self._drawn(drawn) if drawn else self._said()
            body = self._way.inlet.encode_response(answer, self._reply)
        except ParleyError as error:
            self.failure = error.failure
            return b""
        self.content = self.ended = True
        return body

    def fail(self, failure: Failure) -> bytes:
        """Only the encoder of the stream knows its numbers."""
        return b"" if self._encoder is None else self._encoder.fail(failure)

    def _said(self) -> ChatResponse:
        responses = [self._response(number) for number in range(len(self._voices))]
        choices = [_numbered(response.choices, number) for number, response in enumerate(responses)]
        answer = replace(responses[0], choices=tuple(choices), usage=self._summed())
        if self._keeper is not None:
            self._keeper.keep(answer)
        return answer

    def _drawn(self, drawn: list[ImageResponse]) -> ImageResponse:
        """The pictures of all of them, in order."""
        if len(drawn) != len(self._voices):
            raise bad_answer("bad_shape", "the provider gave another number of answers than one")
        pictures = tuple([picture for response in drawn for picture in response.pictures])
        return replace(drawn[0], pictures=pictures, usage=self._summed())

    def _response(self, number: int) -> ChatResponse:
        voice = self._voices[number]
        whole = None if voice is None else voice.response
        return self._folds[number].response() if whole is None else whole

    def _told(self, events: list[Event]) -> bytes:
        if self._encoder is None:
            for event in events:
                self._folds[self.turn].feed(event)
            return b""
        return b"".join([self._tell(event, self._encoder) for event in events])

    def _tell(self, event: Event, encoder: StreamEncoder) -> bytes:
        if isinstance(event, Start):
            return self._start(event, encoder)
        if isinstance(event, End):
            return self._end(event, encoder)
        if isinstance(event, Delta):
            self.content = self.content or event.text != ""
            self.pieces += 1
        elif isinstance(event, BlockStart):
            self.content = self.content or isinstance(event.block, ToolCall | Media | Opaque)
        return encoder.feed(_moved(event, self.turn))

    def _start(self, event: Start, encoder: StreamEncoder) -> bytes:
        """The stream begins once. What is used is told at its end, when all is known."""
        if self._started:
            return b""
        self._started = True
        return encoder.feed(replace(event, usage=None))

    def _end(self, event: End, encoder: StreamEncoder) -> bytes:
        self._extra = {**event.extra, **self._extra}
        if not all(voice is not None and voice.over for voice in self._voices):
            return b""
        self.ended = True
        return encoder.feed(End(self._summed(), self._extra))

    def _summed(self) -> Usage | None:
        self.usage = summed([None if voice is None else voice.usage for voice in self._voices])
        return self.usage


def summed(usages: list[Usage | None]) -> Usage | None:
    """What all of them used; None where none says so, an estimate where only some do."""
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    total = known[0]
    for usage in known[1:]:
        total = _added(total, usage)
    return total if len(known) == len(usages) else replace(total, estimated=True)


def _added(first: Usage, second: Usage) -> Usage:
    parts = {name: _both(getattr(first, name), getattr(second, name)) for name in _COUNTS}
    return replace(
        first,
        estimated=first.estimated or second.estimated,
        extra=_counted(first.extra, second.extra),
        **parts,
    )


def _both(first: Any, second: Any) -> Any:
    # Not as floats: compiled, whole numbers would become such.
    return first if second is None else second if first is None else first + second


def _counted(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The provider's further figures: numbers add up, of all else the first one stays."""
    made = {**second, **first}
    for name, value in second.items():
        before = first.get(name)
        if _is_number(before) and _is_number(value):
            made[name] = before + value
        elif isinstance(before, dict) and isinstance(value, dict):
            made[name] = _counted(before, value)
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbered(choices: tuple[Choice, ...], number: int) -> Choice:
    if len(choices) != 1:
        raise bad_answer("bad_shape", "the provider gave another number of answers than one")
    return replace(choices[0], index=number)


def _moved(event: Event, number: int) -> Event:
    """The same event of the choice of that number."""
    if not number or isinstance(event, Start | End):
        return event
    if isinstance(event, Finish):
        return Finish(number, event.stop, event.stop_sequence, event.native, event.extra)
    return replace(event, choice=number)
