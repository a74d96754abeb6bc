"""The bridge between whole answers and streams: fold(events) -> response, unfold(response) -> events.

So that a caller may stream where the provider does not, and the reverse, without any wire
implementing the missing half. Blocks are addressed by (choice, index); they may interleave.
"""

from typing import Any

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    ChatResponse,
    Choice,
    Delta,
    DeltaKind,
    End,
    Event,
    Finish,
    Opaque,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


class Fold:
    """Collects events into one response. ``feed`` each event, then ask for ``response``."""

    __slots__ = ("_blocks", "_end", "_finishes", "_logprobs", "_parts", "_start", "_usage", "_wire")

    def __init__(self, wire: str) -> None:
        self._wire = wire
        self._start = Start("", "")
        self._blocks: dict[tuple[int, int], Block] = {}
        self._parts: dict[tuple[int, int, DeltaKind], list[str]] = {}
        self._finishes: dict[int, Finish] = {}
        self._logprobs: dict[int, dict[str, Any]] = {}
        self._usage: Usage | None = None
        self._end: End | None = None

    def feed(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Start():
                self._start = event
                self._usage = event.usage or self._usage
            case BlockStart(choice, index, block):
                self._blocks[choice, index] = block
            case Delta():
                self._parts.setdefault((event.choice, event.index, event.kind), []).append(event.text)
                self._add_logprobs(event)
            case BlockStop():
                self._close(event)
            case Finish():
                self._finishes[event.choice] = event
            case End(usage):
                self._usage = usage or self._usage
                self._end = event

    def response(self) -> ChatResponse:
        """The whole answer; raises ``upstream_incomplete`` where the stream had not ended."""
        end = self._end
        if end is None or any(choice not in self._finishes for choice, _ in self._blocks):
            raise ParleyError(Failure("upstream_incomplete", "the provider's stream ended early"))
        start = self._start
        return ChatResponse(
            wire=self._wire,
            id=start.id,
            model=start.model,
            created=start.created,
            usage=self._usage,
            choices=tuple(self._choice(index) for index in sorted(self._finishes)),
            extra={**start.extra, **end.extra},
        )

    def _choice(self, number: int) -> Choice:
        keys = sorted(key for key in self._blocks if key[0] == number)
        finish = self._finishes[number]
        return Choice(
            index=number,
            content=tuple(self._block(key) for key in keys),
            stop=finish.stop,
            stop_sequence=finish.stop_sequence,
            native=finish.native,
            logprobs=self._logprobs.get(number),
            extra=finish.extra,
        )

    def _block(self, key: tuple[int, int]) -> Block:
        block = self._blocks[key]
        match block:
            case Text() | Refusal():
                kind: DeltaKind = "text" if isinstance(block, Text) else "refusal"
                return replace(block, text=block.text + self._joined(key, kind))
            case Thinking():
                # An empty signature is not the same as none: a part of no text tells that there is one.
                signature = self._joined(key, "signature") if (*key, "signature") in self._parts else block.signature
                return replace(block, text=block.text + self._joined(key, "thinking"), signature=signature)
            case ToolCall():
                return replace(block, arguments=block.arguments + self._joined(key, "arguments"))
        return block

    def _joined(self, key: tuple[int, int], kind: DeltaKind) -> str:
        return "".join(self._parts.get((*key, kind), ()))

    def _close(self, stop: BlockStop) -> None:
        block = self._blocks.get((stop.choice, stop.index))
        if stop.extra and block is not None and not isinstance(block, Opaque):
            self._blocks[stop.choice, stop.index] = replace(block, extra={**block.extra, **stop.extra})

    def _add_logprobs(self, delta: Delta) -> None:
        if not isinstance(delta.logprobs, dict):
            return
        kept = self._logprobs.setdefault(delta.choice, {})
        for name, tokens in delta.logprobs.items():
            before = kept.get(name)
            kept[name] = [*(before or ()), *tokens] if isinstance(tokens, list) else before


def unfold(response: ChatResponse) -> list[Event]:
    """The events of a whole answer, one delta per block."""
    events: list[Event] = [
        Start(response.id, response.model, response.created, response.usage, response.extra),
    ]
    for choice in response.choices:
        spoken = [event for index, block in enumerate(choice.content) for event in _unfold_block(choice, index, block)]
        events += spoken if choice.logprobs is None else _with_logprobs(spoken, choice.logprobs)
        events.append(Finish(choice.index, choice.stop, choice.stop_sequence, choice.native, choice.extra))
    events.append(End(response.usage))
    return events


def _unfold_block(choice: Choice, index: int, block: Block) -> list[Event]:
    """One block as start, deltas and stop; a block without growing parts travels whole in its start."""
    shell, deltas = _split(choice.index, index, block)
    return [BlockStart(choice.index, index, shell), *deltas, BlockStop(choice.index, index)]


def _with_logprobs(events: list[Event], logprobs: Any) -> list[Event]:
    """All of them on the first piece of text, else on the first piece of anything."""
    places = [place for place, event in enumerate(events) if isinstance(event, Delta)]
    said = [place for place in places if getattr(events[place], "kind", "") in ("text", "refusal")]
    for place in (said or places)[:1]:
        event = events[place]
        assert isinstance(event, Delta)
        events[place] = replace(event, logprobs=logprobs)
    return events


def _split(choice: int, index: int, block: Block) -> tuple[Block, list[Delta]]:
    parts: list[tuple[DeltaKind, str | None]] = []
    shell: Block = block
    match block:
        case Text(text):
            shell, parts = replace(block, text=""), [("text", text)]
        case Refusal(text):
            shell, parts = replace(block, text=""), [("refusal", text)]
        case Thinking(text, signature, None):
            shell, parts = (
                replace(block, text="", signature=signature and None),
                [("thinking", text), ("signature", signature)],
            )
        case ToolCall():
            shell, parts = replace(block, arguments=""), [("arguments", block.arguments)]
    return shell, [Delta(choice, index, kind, text) for kind, text in parts if text]
