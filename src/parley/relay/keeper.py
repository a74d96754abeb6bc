"""Takes what an answer sealed beside its calls, and puts it back into the turns of later requests. See ``seals``."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from parley.failure import Failure
from parley.fold import Fold
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    ChatRequest,
    ChatResponse,
    Choice,
    Delta,
    End,
    Event,
    Finish,
    Message,
    Thinking,
    ToolCall,
)
from parley.relay.said import Said, digest
from parley.relay.seals import MAX_ANSWER, Called, Kept, Origin, Seals, holds_seal, is_sealed
from parley.wire import StreamEncoder
from parley.wire.signature import call_signature, extra_content

# Ids that this gateway counts out where a wire has none: every conversation has the same ones.
_COUNTED: Final = re.compile(r"call_\d{1,6}")
_GROWN: Final = ("thinking", "signature", "arguments")


class Keeper:
    """What is kept of one request and its answer. ``unsigned``: the provider wants back also thoughts that it did not
    sign."""

    __slots__ = ("_messages", "_origin", "_owner", "_seals", "moved", "unsigned")

    def __init__(self, seals: Seals, owner: str, origin: Origin, *, unsigned: bool = False) -> None:
        self._seals = seals
        self._owner = owner
        self._origin = origin
        self._messages: tuple[Message, ...] = ()
        # For each completed turn the number that each of its blocks had before, -1 for one that was put back.
        self.moved: dict[int, tuple[int, ...]] = {}
        self.unsigned = unsigned

    def restored(self, request: ChatRequest) -> ChatRequest:
        """The request with what its turns lack of the provider's own; the same object where they lack nothing."""
        messages = self._messages = request.messages
        self.moved = {}
        if not len(self._seals):
            return request
        found = self._turns(messages)
        return request if found is messages else replace(request, messages=found)

    def keep(self, response: ChatResponse) -> None:
        """Take what an answer sealed beside its calls. ``restored`` has seen its request."""
        for choice in response.choices:
            kept = self._of(choice)
            if kept is not None:
                self._seals.put(tuple(self._all_keys(choice)), kept)

    def watching(self, encoder: StreamEncoder) -> StreamEncoder:
        """An encoder that does the same for a stream."""
        return Watch(self, encoder)

    def watch(self) -> "Watch":
        """The same for a stream that is written elsewhere."""
        return Watch(self, _Mute())

    def _of(self, choice: Choice) -> Kept | None:
        calls: list[Called] = []
        thoughts: list[tuple[int, Thinking]] = []
        for block in choice.content:
            if type(block) is ToolCall:
                calls.append(Called(block.id, call_signature(block.extra)))
            elif type(block) is Thinking and (self.unsigned or is_sealed(block)):
                thoughts.append((len(calls), block))
        kept = Kept(self._origin, tuple(thoughts), tuple(calls))
        return kept if calls and (holds_seal(kept) or thoughts) else None

    def _all_keys(self, choice: Choice) -> Iterator[bytes]:
        calls = [block for block in choice.content if type(block) is ToolCall]
        yield from self._ids(calls)
        said = Said(self._owner)
        said.hear(self._messages)
        yield said.key(calls)

    def _ids(self, calls: Iterable[ToolCall]) -> Iterator[bytes]:
        for call in calls:
            if _COUNTED.fullmatch(call.id) is None:
                yield digest(("id", self._owner, call.id, call.name))

    def _turns(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Every run of the assistant's turns, as far as it can be completed."""
        said = Said(self._owner)
        made: list[Message] | None = None
        at = 0
        while at < len(messages):
            end = _run(messages, at)
            whole = self._completed(said, messages, at, end) if end > at else None
            if whole is not None:
                made = list(messages) if made is None else made
                made[at:end] = whole
            at = max(end, at + 1)
        return messages if made is None else tuple(made)

    def _completed(self, said: "Said", messages: tuple[Message, ...], at: int, end: int) -> list[Message] | None:
        run = messages[at:end]
        blocks = [block for message in run for block in message.content]
        calls = [block for block in blocks if type(block) is ToolCall]
        if not calls or any(map(_bears, blocks)):
            return None
        kept = self._find(calls, said, messages[:at])
        if kept is None or kept.origin != self._origin:
            return None
        if not holds_seal(kept) and any(type(block) is Thinking for block in blocks):
            return None
        whole = _Completion(kept)
        made = whole.run(run)
        self.moved.update(enumerate(whole.moved, at))
        return made

    def _find(self, calls: list[ToolCall], said: "Said", before: tuple[Message, ...]) -> Kept | None:
        for key in self._ids(calls):
            kept = self._seals.get(key)
            if kept is not None:
                return kept
        said.hear(before)
        return self._seals.get(said.key(calls))


class _Completion:
    """Puts what was kept back into the turns it is missing from."""

    __slots__ = ("_count", "_kept", "_left", "_places", "moved")

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._left = list(kept.thoughts)
        self._places = {call.id: place for place, call in enumerate(kept.calls)}
        self._count = 0
        self.moved: list[tuple[int, ...]] = []

    def run(self, messages: tuple[Message, ...]) -> list[Message]:
        """The turns, whole."""
        made = []
        for message in messages:
            found = list(self._blocks(message.content))
            content = tuple([block for _, block in found])
            made.append(replace(message, content=content) if content else message)
            self.moved.append(tuple([number for number, _ in found]))
        return made

    def _blocks(self, content: tuple[Block, ...]) -> Iterator[tuple[int, Block]]:
        yield from self._before(0)
        for number, block in enumerate(content):
            if type(block) is ToolCall:
                place = self._places.get(block.id, self._count)
                yield from self._before(place)
                yield number, self._signed(block, place)
                self._count = place + 1
            elif not (self._kept.thoughts and type(block) is Thinking):
                # The provider's own thoughts stand for what the caller kept of their words.
                yield number, block
        if self._count >= len(self._kept.calls):
            yield from self._before(self._count)

    def _before(self, place: int) -> Iterator[tuple[int, Block]]:
        """The thoughts that come before the call of that number and were not put back yet."""
        while self._left and self._left[0][0] <= place:
            yield -1, self._left.pop(0)[1]

    def _signed(self, call: ToolCall, place: int) -> ToolCall:
        signature = self._kept.calls[place].signature if place < len(self._kept.calls) else None
        if signature is None:
            return call
        return replace(call, extra={**call.extra, "extra_content": extra_content(signature)})


def _run(messages: tuple[Message, ...], at: int) -> int:
    """Where the assistant's turns that begin there end."""
    while at < len(messages) and messages[at].role == "assistant":
        at += 1
    return at


def _bears(block: Block) -> bool:
    """Whether a caller has brought a seal back."""
    if type(block) is Thinking:
        return is_sealed(block)
    return type(block) is ToolCall and call_signature(block.extra) is not None


class _Mute:
    """Writes nothing."""

    def feed(self, event: Event) -> bytes:
        """Nothing."""
        return b""

    def fail(self, failure: Failure) -> bytes:
        """Nothing."""
        return b""


class Watch:
    """Hands every event on, and keeps what is thought and called until the answer is whole."""

    __slots__ = ("_encoder", "_fold", "_keeper", "_known", "_size")

    def __init__(self, keeper: Keeper, encoder: StreamEncoder) -> None:
        self._keeper = keeper
        self._encoder = encoder
        self._fold = Fold("")
        self._known: set[tuple[int, int]] = set()
        self._size = 0

    def feed(self, event: Event) -> bytes:
        """The encoder's bytes. What an answer sealed is kept before its caller can ask again."""
        if type(event) is Delta:
            if event.kind in _GROWN and self._size <= MAX_ANSWER:
                self._size += len(event.text)
                self._fold.feed(event)
        else:
            self._other(event)
        return self._encoder.feed(event)

    def fail(self, failure: Failure) -> bytes:
        """The encoder's error event."""
        return self._encoder.fail(failure)

    def _other(self, event: Event) -> None:
        match event:
            case BlockStart(choice, index, block):
                if type(block) is Thinking or type(block) is ToolCall:
                    self._known.add((choice, index))
                    self._fold.feed(event)
            case BlockStop(choice, index):
                if (choice, index) in self._known:
                    self._fold.feed(event)
            case Finish():
                self._fold.feed(event)
            case End():
                self._fold.feed(event)
                if self._known and self._size <= MAX_ANSWER:
                    self._keeper.keep(self._fold.response())
