"""Streams of another wire than the caller's."""

from parley.failure import Failure, ParleyError
from parley.ir import BlockStart, Delta, End, Event, Media, Opaque, Start, ToolCall, Usage
from parley.relay.carrier import Relay, merged
from parley.relay.keeper import Keeper
from parley.relay.request import Passage
from parley.relay.steady import Refrain
from parley.wire import Reply


class RebuiltStream(Relay):
    """Events are decoded to the canonical form and encoded for the caller."""

    __slots__ = ("_decoder", "_encoder", "_refrain")

    def __init__(self, way: Passage, reply: Reply, keeper: Keeper | None = None) -> None:
        super().__init__()
        outlet, inlet = way.outlet, way.inlet
        encoder = inlet.stream_encoder(reply)
        self._decoder = outlet.stream_decoder()
        self._encoder = encoder if keeper is None else keeper.watching(encoder)
        self._refrain = Refrain(outlet, inlet)

    def feed(self, data: bytes) -> bytes:
        """The caller's bytes for what ``data`` completes."""
        if self.ended:
            self.trailing = True
            return b""
        refrain = self._refrain
        words = refrain.words(data)
        if words and refrain.head:
            self.pieces += 1
            return refrain.head + words + refrain.tail
        if words:
            return self._encoded([refrain.delta(words)])
        events, out = self._decoded(data)
        if len(events) == 1 and self.failure is None and isinstance(events[0], Delta):
            refrain.learn(data, events[0], out)
        return out

    def _decoded(self, data: bytes) -> tuple[list[Event], bytes]:
        """Everything that ``data`` completes, and what it becomes."""
        out = b""
        try:
            self._catch_up()
            events = self._decoder.feed(data)
            out = self._encoded(events)
            # What precedes a fault in the same data comes first; the fault itself comes with the next call.
            more = self._decoder.feed(b"") if self.failure is None else []
        except ParleyError as error:
            self.failure = error.failure
            return [], out
        return (events + more, out + self._encoded(more)) if more else (events, out)

    def close(self) -> bytes:
        """What the decoder still owes, or the failure of an early end."""
        if self.ended:
            return b""
        try:
            self._catch_up()
            events = self._decoder.close()
        except ParleyError as error:
            self.failure = error.failure
            return b""
        return self._encoded(events)

    def _catch_up(self) -> None:
        """The decoder has not seen what was known again. Of such events it remembers the last at most."""
        last = self._refrain.forget()
        if last:
            self._decoder.feed(last)

    def fail(self, failure: Failure) -> bytes:
        """Only the encoder of the stream knows its numbers."""
        return self._encoder.fail(failure)

    def _encoded(self, events: list[Event]) -> bytes:
        try:
            if len(events) == 1:
                return self._encode(events[0])
            return b"".join([self._encode(event) for event in events])
        except ParleyError as error:
            self.failure = error.failure
            return b""

    def _encode(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            self.content = self.content or event.text != ""
            self.pieces += 1
            return self._encoder.feed(event)
        match event:
            case BlockStart():
                self.content = self.content or isinstance(event.block, ToolCall | Media | Opaque)
            case Start(usage=Usage() as usage) | End(usage=Usage() as usage):
                self.usage = merged(self.usage, usage)
        if isinstance(event, End):
            self.ended = True
        return self._encoder.feed(event)
