"""The bridge between whole answers and streams: fold(events) -> response, unfold(response) -> events.

So that a caller may stream where the provider does not, and the reverse, without any wire
implementing the missing half. Blocks are addressed by (choice, index); they may interleave.
"""

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
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


class Fold:
    """Collects events into one response. ``feed`` each event, then ask for ``response``."""

    __slots__ = ("_blocks", "_ended", "_finishes", "_logprobs", "_parts", "_start", "_usage", "_wire")

    def __init__(self, wire: str) -> None:
        self._wire = wire
        self._start = Start("", "")
        self._blocks: dict[tuple[int, int], Block] = {}
        self._parts: dict[tuple[int, int, DeltaKind], list[str]] = {}
        self._finishes: dict[int, Finish] = {}
        self._logprobs: dict[int, dict[str, list[object]]] = {}
        self._usage: Usage | None = None
        self._ended = False

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
            case Finish():
                self._finishes[event.choice] = event
            case End(usage):
                self._usage = usage or self._usage
                self._ended = True

    def response(self) -> ChatResponse:
        """The whole answer; raises ``upstream_incomplete`` where the stream had not ended."""
        if not self._ended:
            raise ParleyError(Failure("upstream_incomplete", "the provider's stream ended early"))
        start = self._start
        return ChatResponse(
            wire=self._wire,
            id=start.id,
            model=start.model,
            created=start.created,
            usage=self._usage,
            choices=tuple(self._choice(index) for index in sorted(self._finishes)),
            extra=start.extra,
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
                signature = self._joined(key, "signature") or block.signature
                return replace(block, text=block.text + self._joined(key, "thinking"), signature=signature)
            case ToolCall():
                return replace(block, arguments=block.arguments + self._joined(key, "arguments"))
        return block

    def _joined(self, key: tuple[int, int], kind: DeltaKind) -> str:
        return "".join(self._parts.get((*key, kind), ()))

    def _add_logprobs(self, delta: Delta) -> None:
        if not isinstance(delta.logprobs, dict):
            return
        kept = self._logprobs.setdefault(delta.choice, {})
        for name, tokens in delta.logprobs.items():
            if isinstance(tokens, list):
                kept.setdefault(name, []).extend(tokens)


def unfold(response: ChatResponse) -> list[Event]:
    """The events of a whole answer, one delta per block."""
    events: list[Event] = [
        Start(response.id, response.model, response.created, response.usage, response.extra),
    ]
    for choice in response.choices:
        for index, block in enumerate(choice.content):
            events += _unfold_block(choice, index, block)
        events.append(Finish(choice.index, choice.stop, choice.stop_sequence, choice.native, choice.extra))
    events.append(End(response.usage))
    return events


def _unfold_block(choice: Choice, index: int, block: Block) -> list[Event]:
    """One block as start, deltas and stop; a block without growing parts travels whole in its start."""
    shell, deltas = _split(choice.index, index, block)
    if choice.logprobs is not None and index == 0 and deltas:
        deltas[0] = replace(deltas[0], logprobs=choice.logprobs)
    return [BlockStart(choice.index, index, shell), *deltas, BlockStop(choice.index, index)]


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
