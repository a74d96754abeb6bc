"""Gemini's streams, written for a caller: as events, and as one array written piece by piece.

Text goes out as it comes, a call when it is whole, and with the last piece of each candidate why it stopped; the very
last also tells the usage. No comment may stand between events: the official client takes it for an answer.
Source: provider contract 3.4, 13.
"""

from typing import Any, Final

from msgspec.structs import replace

from parley.failure import Failure
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    Delta,
    DeltaKind,
    End,
    Event,
    Finish,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Reply
from parley.wire.gemini.answer import answer_parts, filled
from parley.wire.gemini.counts import logprobs_to, reason_of, usage_to
from parley.wire.gemini.errors import error_event, error_item
from parley.wire.gemini.names import NAME, Json, encode

_SAID: Final[dict[DeltaKind, bytes]] = {"text": b"", "refusal": b"", "thinking": b',"thought":true'}


class ContentEncoder:
    """Writes events for a caller."""

    __slots__ = ("_blocks", "_called", "_finishes", "_reply", "_same", "_tail", "_usage")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._same = reply.wire == NAME
        # The blocks under way that are told when they stop, each with its growing text.
        self._blocks: dict[tuple[int, int], tuple[Block, list[str]]] = {}
        self._finishes: list[Finish] = []
        # The candidates that have called something.
        self._called: set[int] = set()
        self._usage: Usage | None = None
        self._tail = b""

    def feed(self, event: Event) -> bytes:
        """Bytes for one event, perhaps none."""
        if type(event) is Delta:
            return self._delta(event)
        if type(event) is BlockStart:
            return self._begin(event)
        if type(event) is BlockStop:
            return self._stop(event)
        if type(event) is Start:
            return self._start(event)
        if type(event) is Finish:
            self._finishes.append(event)
        return self._end(event) if type(event) is End else b""

    def fail(self, failure: Failure) -> bytes:
        """The error event; the caller must close the stream after it."""
        return error_event(failure)

    def _framed(self, item: bytes) -> bytes:
        return b"data: " + item + b"\n\n"

    def _last(self) -> bytes:
        return b""

    def _start(self, event: Start) -> bytes:
        self._usage = event.usage
        head: Json = {
            "modelVersion": event.model or self._reply.model,
            "responseId": event.id or self._reply.id,
            **(event.extra if self._same else {}),
        }
        self._tail = b"," + encode(head)[1:]
        return b""

    def _delta(self, event: Delta) -> bytes:
        said = _SAID.get(event.kind)
        if said is None:
            self._blocks[event.choice, event.index][1].append(event.text)
            return b""
        if event.logprobs is not None:
            logprobs = logprobs_to(event.logprobs)
            more = {"logprobsResult": logprobs} if logprobs is not None else {}
            return self._parts(event.choice, [{"text": event.text}], more)
        item = b'{"candidates":[{"content":{"role":"model","parts":[{"text":%b%b}]},"index":%d}]%b'
        return self._framed(item % (encode(event.text), said, event.choice, self._ending()))

    def _ending(self) -> bytes:
        """What every item ends with."""
        if not self._tail:
            self._start(Start("", ""))
        return self._tail

    def _parts(self, choice: int, parts: list[Json], more: Json) -> bytes:
        candidate = {"content": {"role": "model", "parts": parts}, **more, "index": choice}
        return self._framed(b'{"candidates":[%b]%b' % (encode(candidate), self._ending()))

    def _begin(self, event: BlockStart) -> bytes:
        block = event.block
        if type(block) is Text or type(block) is Refusal or (type(block) is Thinking and block.redacted is None):
            # Their text is told as it grows; what remains is told at their end.
            if not block.text:
                self._blocks[event.choice, event.index] = block, []
                return b""
            self._blocks[event.choice, event.index] = replace(block, text=""), []
            kind: DeltaKind = "thinking" if type(block) is Thinking else "text"
            return self._delta(Delta(event.choice, event.index, kind, block.text))
        self._blocks[event.choice, event.index] = block, []
        return b""

    def _stop(self, event: BlockStop) -> bytes:
        found = self._blocks.pop((event.choice, event.index), None)
        if found is None:
            return b""
        block, grown = found
        if type(block) is Text and not self._same:
            return b""
        text = "".join(grown)
        match block:
            case ToolCall():
                block = replace(block, arguments=block.arguments + text, extra={**block.extra, **event.extra})
            case Thinking() if block.redacted is None:
                block = replace(block, signature=text or block.signature)
            case Text():
                block = replace(block, extra={**block.extra, **event.extra})
                if not (self._same and block.extra):
                    return b""
        parts = answer_parts(block, same=self._same)
        if not self._same and event.choice not in self._called and filled(parts):
            self._called.add(event.choice)
        return self._parts(event.choice, parts, {}) if parts else b""

    def _end(self, event: End) -> bytes:
        left = [self._stop(BlockStop(choice, index)) for choice, index in list(self._blocks)]
        return b"".join(left) + self._finished(event) + self._last()

    def _finished(self, event: End) -> bytes:
        """The last items, one for each candidate."""
        usage = event.usage or self._usage
        ending: Json = {} if usage is None else {"usageMetadata": usage_to(usage, same=self._same)}
        if self._same:
            ending.update(event.extra)
        out = []
        finishes = sorted(self._finishes, key=lambda finish: finish.choice) or [Finish(0, "end")]
        for place, finish in enumerate(finishes):
            item: dict[str, Any] = {"candidates": [self._finish(finish)]}
            if place == len(finishes) - 1:
                item.update(ending)
            out.append(self._framed(encode(item)[:-1] + self._ending()))
        return b"".join(out)

    def _finish(self, finish: Finish) -> Json:
        # The official client takes a candidate without parts for an answer that is not valid.
        return {
            "content": {"role": "model", "parts": [{"text": ""}]},
            "finishReason": reason_of(finish.stop, finish.native, same=self._same),
            "index": finish.choice,
            **(finish.extra if self._same else {}),
        }


class ArrayEncoder(ContentEncoder):
    """The same as one JSON array."""

    __slots__ = ("_begun",)

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self._begun = False

    def fail(self, failure: Failure) -> bytes:
        """The last item of the array: an array that has begun is what a broken stream has sent before."""
        return b",\n%b]" % error_item(failure)

    def _framed(self, item: bytes) -> bytes:
        begun, self._begun = self._begun, True
        return (b",\n" if begun else b"[") + item

    def _last(self) -> bytes:
        return b"]"
