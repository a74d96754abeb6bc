"""Anthropic Messages: streams, written for a caller.

Blocks are strictly nested with dense indices: what belongs to another block waits until the open one
has stopped. Source: provider contract 2.4.
"""

from collections.abc import Mapping
from typing import Any

from parley.failure import Failure
from parley.framing import sse
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
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Reply
from parley.wire.anthropic.blocks import (
    NAME,
    answer_block,
    encode,
    is_object,
    message_id,
    shell_of,
    stop_reason,
    usage_to,
)
from parley.wire.anthropic.errors import bad, error_event
from parley.wire.signature import apart

TERMINATOR = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_PARTS: Mapping[DeltaKind, bytes] = {
    "text": b'"text_delta","text":',
    "refusal": b'"text_delta","text":',
    "thinking": b'"thinking_delta","thinking":',
    "signature": b'"signature_delta","signature":',
    "arguments": b'"input_json_delta","partial_json":',
}
_THOUGHT = {"type": "thinking", "thinking": "", "signature": ""}
_TEXT = (
    b"event: content_block_start\n"
    b'data: {"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}\n\n'
)
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":'


class MessageEncoder:
    """Writes events for a caller. Only choice 0 is written: this dialect cannot ask for more."""

    __slots__ = (
        "_arguments", "_block", "_count", "_ending", "_finish", "_muted", "_open", "_prefix", "_queue",
        "_refused", "_reply", "_same", "_signature", "_usage",
    )  # fmt: skip

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._same = reply.wire == NAME
        self._open: int | None = None
        self._block: Block | None = None
        self._prefix = b""
        self._arguments: list[str] = []
        self._signature = ""
        self._queue: dict[int, list[BlockStart | Delta | BlockStop]] = {}
        self._muted: set[int] = set()
        self._count = 0
        self._refused = False
        self._ending: Extra = {}
        self._finish = Finish(0, "end")
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        """Bytes for one event, perhaps none, perhaps those of blocks that had to wait."""
        if type(event) is Delta:
            return self._delta(event) if event.choice == 0 else b""
        if type(event) is BlockStart:
            return self._block_start(event) if event.choice == 0 else b""
        if type(event) is BlockStop:
            return self._block_stop(event) if event.choice == 0 else b""
        if type(event) is Finish:
            return self._finished(event) if event.choice == 0 else b""
        if type(event) is Start:
            return self._start(event)
        return self._end(event) if type(event) is End else b""

    def fail(self, failure: Failure) -> bytes:
        """The error event; the caller must close the stream after it."""
        return error_event(failure)

    def _start(self, event: Start) -> bytes:
        self._usage = event.usage
        message = {
            "id": message_id(event.id, self._reply.id, same=self._same),
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": event.model or self._reply.model,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_to(event.usage, same=self._same),
            **(event.extra if self._same else {}),
        }
        return _sse("message_start", message=message)

    def _block_start(self, event: BlockStart) -> bytes:
        if type(event.block) is not Text and answer_block(event.block, same=self._same) is None:
            self._muted.add(event.index)
            if type(event.block) is Refusal:
                self._ending = {"stop_details": event.block.extra["stop_details"]}
            return b""
        if self._open is None:
            return self._begin(event)
        self._queue[event.index] = [event]
        return self._advance()

    def _begin(self, event: BlockStart) -> bytes:
        if type(event.block) is Text and not (event.block.text or event.block.extra):
            # How nearly every answer begins.
            self._open, self._block, self._prefix = event.index, event.block, _DELTA % self._count
            self._count += 1
            return _TEXT % (self._count - 1)
        before = self._signed(event.block)
        shell, first = shell_of(event.block)
        self._open, self._block = event.index, shell
        self._prefix = _DELTA % self._count
        self._refused |= type(shell) is Refusal
        block = answer_block(shell, same=self._same)
        out = _sse("content_block_start", index=self._count, content_block=block)
        self._count += 1
        if type(event.block) is ToolCall:
            first = [("arguments", event.block.arguments)]
        return before + out + b"".join(self._grow(kind, text) for kind, text in first)

    def _signed(self, block: Block) -> bytes:
        """The empty thought that carries another wire's signature of the call that follows."""
        thought = None if self._same else apart(block)
        if thought is None:
            return b""
        shell = _sse("content_block_start", index=self._count, content_block=_THOUGHT)
        grown = _DELTA % self._count + _PARTS["signature"] + encode(thought.signature) + b"}}\n\n"
        self._count += 1
        return shell + grown + _STOP % (self._count - 1)

    def _delta(self, event: Delta) -> bytes:
        if event.index == self._open:
            out = self._grow(event.kind, event.text)
            return out + self._advance() if self._queue else out
        waiting = self._queue.get(event.index)
        if waiting is not None:
            waiting.append(event)
        elif event.index not in self._muted and event.text.strip():
            bad("bad_event", "the provider went on after a block was whole")
        return b""

    def _grow(self, kind: DeltaKind, text: str) -> bytes:
        if kind == "signature":
            self._signature += text
            return b""
        if kind == "arguments":
            self._arguments.append(text)
        return self._prefix + _PARTS[kind] + encode(text) + b"}}\n\n" if text else b""

    def _block_stop(self, event: BlockStop) -> bytes:
        if event.index == self._open:
            return self._close(event.extra) + self._advance()
        if event.index in self._queue:
            self._queue[event.index].append(event)
        return b""

    def _close(self, extra: Extra) -> bytes:
        """Stops the open block; a signature comes last in its block, as this wire's callers expect."""
        out = b""
        if type(self._block) is Text and not extra:
            pass
        elif type(self._block) is Thinking and self._block.redacted is None:
            out = self._prefix + _PARTS["signature"] + encode(self._signature) + b"}}\n\n"
        elif type(self._block) is ToolCall and not "".join(self._arguments).strip():
            out = self._grow("arguments", "{}")
        for citation in extra.get("citations", ()) if self._same else ():
            out += self._prefix + b'"citations_delta","citation":' + encode(citation) + b"}}\n\n"
        self._open, self._block, self._signature = None, None, ""
        self._arguments.clear()
        return out + _STOP % (self._count - 1)

    def _advance(self) -> bytes:
        """Lets waiting blocks follow, as far as the open one is whole; a call is once its arguments are."""
        out = b""
        while self._queue:
            if self._open is not None:
                if not (type(self._block) is ToolCall and is_object("".join(self._arguments))):
                    break
                out += self._close({})
            out += b"".join(self._replay(event) for event in self._queue.pop(next(iter(self._queue))))
        return out

    def _replay(self, event: BlockStart | Delta | BlockStop) -> bytes:
        if isinstance(event, BlockStart):
            return self._begin(event)
        return self._grow(event.kind, event.text) if isinstance(event, Delta) else self._close(event.extra)

    def _finished(self, event: Finish) -> bytes:
        self._finish = event
        out = b""
        while self._open is not None or self._queue:
            out += (self._close({}) if self._open is not None else b"") + self._advance()
        return out

    def _end(self, event: End) -> bytes:
        finish = self._finish
        refused, same = self._refused, self._same
        delta = {
            "stop_reason": stop_reason(finish.stop, finish.native, same=same, refused=refused),
            "stop_sequence": finish.stop_sequence,
            **(finish.extra if same else {}),
            **self._ending,
        }
        usage = usage_to(event.usage or self._usage, same=same)
        return _sse("message_delta", delta=delta, usage=usage) + TERMINATOR


def _sse(type: str, **members: Any) -> bytes:
    return sse(encode({"type": type, **members}), type)
