"""Streams of another wire than the caller's."""

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.ir import Block, BlockStart, Delta, End, Event, Media, Opaque, Start, ToolCall
from parley.relay.carrier import Relay, merged
from parley.relay.keeper import Keeper
from parley.relay.request import Passage
from parley.relay.sound import Calls
from parley.relay.steady import Refrain
from parley.wire import Reply


class RebuiltStream(Relay):
    """Events are decoded to the canonical form and encoded for the caller."""

    __slots__ = ("_asked", "_calls", "_decoder", "_encoder", "_latest", "_refrain")

    def __init__(self, way: Passage, reply: Reply, keeper: Keeper | None = None) -> None:
        super().__init__()
        outlet, inlet = way.outlet, way.inlet
        encoder = inlet.stream_encoder(reply)
        self._decoder = outlet.stream_decoder()
        self._encoder = encoder if keeper is None else keeper.watching(encoder)
        self._refrain = Refrain(outlet, inlet)
        self._calls: Calls | None = None
        self._asked = reply.asked
        # The last of the events that came with the data before.
        self._latest: Event | None = None

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
        before = self._latest
        events, out = self._decoded(data)
        latest = self._latest = events[-1] if events and self.failure is None else None
        if len(events) == 1 and type(latest) is Delta and type(before) is Delta and _go_on(before, latest):
            refrain.learn(data, latest, out)
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
        # Exact types: asking what else an event may be costs more than most of what follows.
        if type(event) is Delta:
            self.content = self.content or event.text != ""
            self.pieces += 1
            return self._encoder.feed(event)
        if type(event) is BlockStart:
            if type(event.block) is ToolCall:
                event = self._called(event, event.block)
            self.content = self.content or _is_whole(event.block)
        elif type(event) is Start or type(event) is End:
            if event.usage is not None:
                self.usage = merged(self.usage, event.usage)
            self.ended = self.ended or type(event) is End
        return self._encoder.feed(event)

    def _called(self, event: BlockStart, call: ToolCall) -> BlockStart:
        """A call, as it is to be known."""
        if self._calls is None:
            self._calls = Calls(self._asked)
        known = self._calls.add(event.choice, call)
        return event if known is call else replace(event, block=known)


def _is_whole(block: Block) -> bool:
    """Whether it is content as soon as it begins."""
    return type(block) is ToolCall or type(block) is Media or type(block) is Opaque


def _go_on(before: Delta, now: Delta) -> bool:
    """Whether both are of one block."""
    return now.index == before.index and now.kind == before.kind and now.choice == before.choice
