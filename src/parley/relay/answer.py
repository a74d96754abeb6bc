"""How an answer comes back: verbatim or rebuilt, whole or as a stream, all with ``feed`` and ``close``."""

from collections.abc import Callable
from typing import Final

from parley.failure import Failure, ParleyError
from parley.fold import Fold, unfold
from parley.framing import SseReader, check_text, parse_block
from parley.ir import ChatResponse
from parley.relay.carrier import Relay, bad_answer, empty, incomplete, merged
from parley.relay.keeper import Keeper
from parley.relay.rebuilt import RebuiltStream
from parley.relay.request import Passage
from parley.relay.sound import checked
from parley.relay.steady import Steady
from parley.wire import Mark, Reply, Wire, unspoken

MAX_ANSWER: Final = 32 * 1024 * 1024
# Of a block without data: a comment, an id.
_QUIET: Final = Mark()
MAX_LINE: Final = 8 * 1024 * 1024


def relay(
    way: Passage, reply: Callable[[], Reply], *, streams: bool, events: bool, keeper: Keeper | None = None
) -> Relay:
    """The relay for an answer: the caller ``streams`` or not, the provider sent ``events`` or one object.

    ``reply`` is asked only where an encoder needs it; ``keeper`` keeps what is sealed. Raises
    ``upstream_bad_response`` for events where the wire has none.
    """
    found = verbatim(way.inlet, streams=streams, events=events) if way.inlet is way.outlet else None
    if found is None and events and way.outlet.stream_decoder is unspoken:
        raise bad_answer("bad_content_type", "the provider answered with events where an object was due")
    if found is None and streams and events:
        return RebuiltStream(way, reply(), keeper)
    return found or RebuiltWhole(way, reply(), streams=streams, events=events, keeper=keeper)


def verbatim(wire: Wire, *, streams: bool, events: bool) -> Relay | None:
    """The relay for an answer in the caller's own wire, None where it must be rebuilt all the same."""
    if streams and events:
        return VerbatimLines(wire) if wire.lines else VerbatimStream(wire)
    return None if streams or events else VerbatimWhole(wire)


def untranslated(wire: Wire, *, streams: bool, events: bool, objects: bool) -> Relay:
    """The relay for an answer of a wire that passes as it is or not at all: events, an object, or any bytes.

    Raises ``upstream_bad_response`` where one object came for a stream.
    """
    if events:
        return VerbatimStream(wire)
    if not objects:
        return Through()
    if streams:
        raise bad_answer("bad_content_type", "the provider answered with one object where a stream was asked for")
    return VerbatimWhole(wire)


class VerbatimStream(Relay):
    """Events pass as they came; each gets one glance for content, usage, errors and the end."""

    __slots__ = ("_any", "_finished", "_glance", "_heard", "_last", "_reader", "_steady", "_wire")

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._glance = wire.glance
        self._reader = SseReader(wire.max_event)
        self._steady = Steady()
        self._any = self._finished = self._heard = False
        # A mark that was taken note of, without usage or end: again it says nothing new.
        self._last = Mark()

    def feed(self, data: bytes) -> bytes:
        """Whole events, unchanged but for line ends; an event is never passed on in part."""
        if self._steady.repeats(data) and self._reader.at_rest and not self.ended:
            self.pieces += 1
            return data
        self._any = True
        try:
            blocks = self._reader.blocks(data)
        except ParleyError as error:
            self.failure = error.failure
            return b""
        passed = 0
        for block in blocks:
            if self.ended or not self._look(block):
                self.trailing = self.ended
                break
            passed += 1
        if passed == 1:
            return blocks[0] + b"\n\n"
        return b"\n\n".join(blocks[:passed]) + b"\n\n" if passed else b""

    def close(self) -> bytes:
        """Nothing after a terminator; the terminator itself where only that was missing."""
        if self.ended:
            return b""
        if not self._finished:
            self.failure = incomplete() if self._any else empty()
            return b""
        self.ended = True
        return self._wire.terminator

    def _look(self, block: bytes) -> bool:
        """Take note of one event; False when it must not be passed on."""
        try:
            mark = self._glanced(block)
        except ParleyError as error:
            self.failure = error.failure
            return False
        if mark.content:
            self.pieces += 1
        if mark is self._last:
            if mark.content:
                self._steady.learn(block)
            return True
        if mark.failure is not None:
            self.failure = mark.failure
            return False
        self.content = self.content or mark.content
        self._finished = self._finished or mark.finished
        self.ended = mark.end
        if mark.usage is not None:
            self.usage = merged(self.usage, mark.usage)
        elif not mark.end:
            self._last = mark
        return True

    def _glanced(self, block: bytes) -> Mark:
        """What one event tells; of one without data nothing. Raises ``upstream_bad_response`` (bad_event)."""
        event, data = "", block[6:]
        if not block.startswith(b"data: ") or block.find(b"\n") >= 0:
            frame = parse_block(block)
            if frame is None:
                return _QUIET
            event, data = frame.event, frame.data
        if not block.isascii():
            check_text(block)
        if not self._heard:
            if data.startswith(b"[DONE]"):
                raise bad_answer("empty_body", "the provider's stream held no answer")
            self._heard = True
        return self._glance(event, data)


class MeteredStream(VerbatimStream):
    """The same for a caller who did not ask what it used: the event that only tells that is for us."""

    __slots__ = ("_hidden",)

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._hidden = b""

    def feed(self, data: bytes) -> bytes:
        """Whole events, unchanged, without that one."""
        out = super().feed(data)
        hidden, self._hidden = self._hidden, b""
        return out.replace(hidden + b"\n\n", b"", 1) if hidden else out

    def _glanced(self, block: bytes) -> Mark:
        mark = super()._glanced(block)
        if mark.usage is not None and not (mark.content or mark.finished or mark.end):
            self._hidden = block
        return mark


class VerbatimLines(VerbatimStream):
    """The same for a wire whose events are lines, each one JSON object."""

    __slots__ = ("_rest",)

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Whole lines, unchanged."""
        self._any = True
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            self.failure = Failure("upstream_bad_response", "the provider sent an endless line", detail="bad_event")
            return b""
        return self._passed(lines)

    def close(self) -> bytes:
        """The last line may lack its end."""
        last = self._passed([self._rest]) if self._rest.strip() and not self.ended else b""
        return last if self.failure is not None else last + super().close()

    def _passed(self, lines: list[bytes]) -> bytes:
        out: list[bytes] = []
        for line in lines:
            if not line.strip():
                continue
            if self.ended or not self._look(line):
                self.trailing = self.ended
                break
            out.append(line + b"\n")
        return b"".join(out)

    def _glanced(self, block: bytes) -> Mark:
        if not block.isascii():
            check_text(block)
        return self._glance("", block)


class Asis(Relay):
    """An answer of an operation that has no canonical form: the provider's object, as it came."""

    __slots__ = ("_body", "_size")

    def __init__(self) -> None:
        super().__init__()
        self._body: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Keep the bytes, up to MAX_ANSWER."""
        self._size += len(data)
        if self._size > MAX_ANSWER:
            message = f"the provider's answer is larger than {MAX_ANSWER} bytes"
            self.failure = Failure("upstream_bad_response", message, detail="too_large")
        else:
            self._body.append(data)
        return b""

    def close(self) -> bytes:
        """The whole answer, or a ``failure``."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        try:
            answer = self._answer(body)
        except ParleyError as error:
            self.failure = error.failure
            return b""
        self.content = self.ended = True
        return answer

    def _answer(self, body: bytes) -> bytes:
        return body


class Through(Relay):
    """Bytes of any type (sound, plain text), passed on as they come. Nothing in them can tell of an error."""

    def feed(self, data: bytes) -> bytes:
        """The same bytes."""
        self.content = self.content or data != b""
        return data

    def close(self) -> bytes:
        """Nothing more; an answer without a byte is none."""
        if self.content:
            self.ended = True
        else:
            self.failure = empty()
        return b""


class VerbatimWhole(Asis):
    """A whole answer in the caller's own wire: one glance at its shape and its usage."""

    __slots__ = ("_wire",)

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def _answer(self, body: bytes) -> bytes:
        self.usage = self._wire.check_answer(body)
        return body


class RebuiltWhole(Asis):
    """Collects the provider's answer, then gives the caller's: one object, or a stream made of it."""

    __slots__ = ("_events", "_keeper", "_reply", "_streams", "_way")

    def __init__(
        self, way: Passage, reply: Reply, *, streams: bool, events: bool, keeper: Keeper | None = None
    ) -> None:
        super().__init__()
        self._keeper = keeper
        self._way = way
        self._reply = reply
        self._streams = streams
        self._events = events

    def _answer(self, body: bytes) -> bytes:
        way = self._way
        response = _folded(way.outlet, body) if self._events else way.outlet.decode_response(body)
        if type(response) is ChatResponse:
            response = checked(response, self._reply.asked)
        self.usage = response.usage
        if self._keeper is not None:
            self._keeper.keep(response)
        if not self._streams:
            return way.inlet.encode_response(response, self._reply)
        encoder = way.inlet.stream_encoder(self._reply)
        return b"".join([encoder.feed(event) for event in unfold(response)])


def _folded(wire: Wire, body: bytes) -> ChatResponse:
    decoder, whole = wire.stream_decoder(), Fold(wire.name)
    for event in (*decoder.feed(body), *decoder.close()):
        whole.feed(event)
    return whole.response()
