"""OpenAI chat completions streams, written for a caller: events to chunks.

A thinking block that is signed or redacted is told whole, in ``thinking_blocks``, when it stops.
"""

from msgspec import json

from parley.failure import Failure
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    Delta,
    End,
    Event,
    Finish,
    Media,
    Opaque,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from parley.wire import Reply
from parley.wire.openai_chat.answer import call_object, image_object, reason_of, told_natively
from parley.wire.openai_chat.body import is_custom_call, is_sealed, thinking_object
from parley.wire.openai_chat.error import WIRE_NAME
from parley.wire.openai_error import error_event
from parley.wire.openai_usage import usage_object

DONE = b"data: [DONE]\n\n"
_OPEN = b',"finish_reason":null'
_encode = json.Encoder().encode


class ChatStreamEncoder:
    """A stream for the caller. What all chunks share is written once; an event only adds its own part."""

    __slots__ = ("_calls", "_counts", "_head", "_prefixes", "_reply", "_same", "_silent", "_tail", "_thoughts")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._same = reply.wire == WIRE_NAME
        self._tail = b'}],"usage":null}\n\n' if reply.include_usage else b"}]}\n\n"
        self._head = self._opening(Start("", ""))
        self._prefixes: dict[int, bytes] = {}
        self._calls: dict[tuple[int, int], int] = {}
        self._counts: dict[int, int] = {}
        self._silent: set[tuple[int, int]] = set()
        self._thoughts: dict[tuple[int, int], tuple[Thinking, list[str], list[str]]] = {}

    def feed(self, event: Event) -> bytes:
        """The chunks that say it; the first of each choice tells the role."""
        if type(event) is Delta:
            return self._delta(event)
        if type(event) is BlockStart:
            return self._begin(event.choice, event.index, event.block)
        if type(event) is BlockStop:
            return self._stop(event)
        if type(event) is Finish:
            return self._finish(event)
        if type(event) is Start:
            self._head = self._opening(event)
            return self._role(0)
        return self._end(event) if type(event) is End else b""

    def fail(self, failure: Failure) -> bytes:
        """The error event; no terminator may follow it."""
        return error_event(failure)

    def _opening(self, start: Start) -> bytes:
        """What all chunks begin with, up to their choices."""
        head = {
            "id": start.id or self._reply.id,
            "object": "chat.completion.chunk",
            "created": start.created or self._reply.created,
            "model": start.model or self._reply.model,
        }
        return b"data: " + _encode({**head, **start.extra} if self._same else head)[:-1] + b',"choices":['

    def _role(self, choice: int) -> bytes:
        prefix = self._prefixes[choice] = self._head + b'{"index":%d,"delta":{' % choice
        return prefix + b'"role":"assistant","content":""}' + _OPEN + self._tail

    def _chunk(self, choice: int, members: bytes, rest: bytes = _OPEN) -> bytes:
        """One chunk; ``members`` are those of its delta."""
        prefix = self._prefixes.get(choice)
        if prefix is None:
            return self._role(choice) + self._chunk(choice, members, rest)
        return prefix + members + b"}" + rest + self._tail

    def _delta(self, delta: Delta) -> bytes:
        text, kind = _encode(delta.text), delta.kind
        if kind == "text":
            members = b'"content":' + text
        elif kind == "arguments":
            key = delta.choice, delta.index
            self._silent.discard(key)
            members = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (self._calls[key], text)
        elif kind == "refusal":
            members = b'"refusal":' + text
        elif kind == "thinking":
            self._thoughts[delta.choice, delta.index][1].append(delta.text)
            members = b'"reasoning_content":' + text
        else:
            self._thoughts[delta.choice, delta.index][2].append(delta.text)
            return b""
        if delta.logprobs is None:
            return self._chunk(delta.choice, members)
        return self._chunk(delta.choice, members, b',"logprobs":' + _encode(delta.logprobs) + _OPEN)

    def _begin(self, choice: int, index: int, block: Block) -> bytes:
        if type(block) is Text and not block.text:
            return b""
        match block:
            case Thinking():
                self._thoughts[choice, index] = (block, [], [])
                return self._chunk(choice, b'"reasoning_content":' + _encode(block.text)) if block.text else b""
            case Text(text) if text:
                return self._chunk(choice, b'"content":' + _encode(text))
            case Refusal(text) if text:
                return self._chunk(choice, b'"refusal":' + _encode(text))
            case ToolCall():
                return self._call(choice, index, block)
            case Media(kind="image"):
                return self._chunk(choice, b'"images":[%b]' % _encode(image_object(block)))
            case Opaque() if is_custom_call(block):
                return self._call(choice, index, block)
        return b""

    def _call(self, choice: int, index: int, call: ToolCall | Opaque) -> bytes:
        place = self._calls[choice, index] = self._counts.get(choice, 0)
        self._counts[choice] = place + 1
        made = {"index": place, **call_object(call, self._same)}
        if isinstance(call, Opaque):
            return self._chunk(choice, b'"tool_calls":[%b]' % _encode(made))
        made["function"] = {**made["function"], "arguments": ""}
        out = self._chunk(choice, b'"tool_calls":[%b]' % _encode(made))
        if call.arguments:
            return out + self._delta(Delta(choice, index, "arguments", call.arguments))
        self._silent.add((choice, index))
        return out

    def _stop(self, stop: BlockStop) -> bytes:
        """Most blocks end unheard; arguments that were never given are an empty object, but on their own wire."""
        key = stop.choice, stop.index
        if key in self._silent and not self._same:
            return self._delta(Delta(stop.choice, stop.index, "arguments", "{}"))
        if key not in self._thoughts:
            return b""
        block, texts, signatures = self._thoughts.pop(key)
        signature = "".join(signatures) if signatures else block.signature
        whole = Thinking(block.text + "".join(texts), signature, block.redacted, {**block.extra, **stop.extra})
        if not is_sealed(whole):
            return b""
        return self._chunk(stop.choice, b'"thinking_blocks":[%b]' % _encode(thinking_object(whole)))

    def _finish(self, finish: Finish) -> bytes:
        reason = _encode(reason_of(finish.stop, finish.native, self._same))
        extra = dict(finish.extra) if self._same else told_natively(finish.native, self._same)
        members = _encode(extra.pop("message", {}))[1:-1]
        rest = b',"finish_reason":' + reason + (b"," + _encode(extra)[1:-1] if extra else b"")
        return self._chunk(finish.choice, members, rest)

    def _end(self, end: End) -> bytes:
        """The usage chunk where it was asked for and is known, then the terminator."""
        if end.usage is None or not self._reply.include_usage:
            return DONE
        more = {"usage": usage_object(end.usage, self._same), **(end.extra if self._same else {})}
        return self._head + b"]," + _encode(more)[1:] + b"\n\n" + DONE
