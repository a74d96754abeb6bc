"""Streams of /api/chat and /api/generate, written for a caller: one JSON object a line.

Nothing but such lines may stand in them: the official clients parse every one. A tool call goes out whole.
"""

from typing import Any

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
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Reply
from parley.wire.ollama.answer import (
    call_object,
    ending,
    is_sealed,
    thinking_object,
    time_text,
    tokens_of,
)
from parley.wire.ollama.errors import encode, error_line


class ChatLines:
    """Events to lines. Only the first choice is written: no caller of this dialect asks for more."""

    __slots__ = ("_blocks", "_calls", "_finish", "_head", "_parts", "_read", "_reply", "_signatures", "_usage")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._head = _head(reply.model, reply.created)
        self._blocks: dict[int, Block] = {}
        self._parts: dict[int, list[str]] = {}
        self._signatures: dict[int, list[str]] = {}
        self._calls = 0
        self._read = 0
        self._finish = Finish(0, "end")
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        """The line of one event, b"" for most that are no piece of text."""
        if type(event) is Delta:
            return self._delta(event) if event.choice == 0 else b""
        if type(event) is BlockStart:
            return self._begin(event) if event.choice == 0 else b""
        if type(event) is BlockStop:
            return self._whole(event.index) if event.choice == 0 else b""
        if type(event) is Start:
            self._head = _head(event.model or self._reply.model, event.created or self._reply.created)
            self._usage = event.usage
        elif type(event) is Finish and event.choice == 0:
            self._finish = event
        return self._end(event) if type(event) is End else b""

    def fail(self, failure: Failure) -> bytes:
        """The error line; nothing may follow it."""
        return error_line(failure)

    def _begin(self, event: BlockStart) -> bytes:
        block, index = event.block, event.index
        self._first()
        if type(block) is ToolCall:
            self._blocks[index], self._parts[index] = block, [block.arguments]
        elif type(block) is Thinking:
            self._blocks[index], self._parts[index] = block, [block.text]
            return self._line("thinking", block.text) if block.text else b""
        elif type(block) is Text or type(block) is Refusal:
            return self._line("content", block.text) if block.text else b""
        elif type(block) is Media and block.kind == "image" and block.data:
            return self._message({"images": [block.data]})
        return b""

    def _delta(self, event: Delta) -> bytes:
        self._first()
        match event.kind:
            case "text" | "refusal":
                return self._line("content", event.text, tokens_of(event.logprobs))
            case "thinking":
                self._parts[event.index].append(event.text)
                return self._line("thinking", event.text, tokens_of(event.logprobs))
            case "arguments":
                self._parts[event.index].append(event.text)
            case "signature":
                self._signatures.setdefault(event.index, []).append(event.text)
        return b""

    def _first(self) -> None:
        """The first word has come: until now the prompt was read."""
        if not self._read:
            self._read = self._reply.elapsed()

    def _whole(self, index: int) -> bytes:
        """A block that goes out in one piece: a call, or the seal of a thought."""
        block = self._blocks.pop(index, None)
        if block is None:
            return b""
        text = "".join(self._parts.pop(index))
        if type(block) is ToolCall:
            call = call_object(ToolCall(block.id, block.name, text), self._calls)
            self._calls += 1
            return self._message({"tool_calls": [call]})
        assert isinstance(block, Thinking)
        parts = self._signatures.pop(index, None)
        signature = block.signature if parts is None else "".join(parts)
        sealed = Thinking(text, signature, block.redacted)
        return self._message({"thinking_blocks": [thinking_object(sealed)]}) if is_sealed(sealed) else b""

    def _line(self, member: str, text: str, tokens: list[Any] | None = None) -> bytes:
        """A piece of text; made by hand, for these are most of a stream."""
        if not text and not tokens:
            return b""
        said = encode(text) if member == "content" else b'"","thinking":' + encode(text)
        more = b"" if tokens is None else b',"logprobs":' + encode(tokens)
        return b'%b"message":{"role":"assistant","content":%b}%b,"done":false}\n' % (self._head, said, more)

    def _message(self, members: dict[str, Any]) -> bytes:
        message = encode({"role": "assistant", "content": "", **members})
        return b'%b"message":%b,"done":false}\n' % (self._head, message)

    def _empty(self) -> bytes:
        return b'"message":{"role":"assistant","content":""},'

    def _end(self, event: End) -> bytes:
        # A choice that finished without stopping its blocks: they are whole all the same.
        out = b"".join([self._whole(index) for index in list(self._blocks)])
        members = ending(self._finish, event.usage or self._usage, self._reply, event.extra, self._read)
        return out + self._head + self._empty() + encode(members)[1:] + b"\n"


class GenerateLines(ChatLines):
    """The same for generate, whose words stand in ``response``."""

    __slots__ = ()

    def _line(self, member: str, text: str, tokens: list[Any] | None = None) -> bytes:
        if not text and not tokens:
            return b""
        said = encode(text) if member == "content" else b'"","thinking":' + encode(text)
        more = b"" if tokens is None else b',"logprobs":' + encode(tokens)
        return b'%b"response":%b%b,"done":false}\n' % (self._head, said, more)

    def _message(self, members: dict[str, Any]) -> bytes:
        """A picture; generate has no tools and no place for seals."""
        if "images" not in members:
            return b""
        return b'%b"response":"","image":%b,"done":false}\n' % (self._head, encode(members["images"][0]))

    def _empty(self) -> bytes:
        return b'"response":"",'


def _head(model: str, created: int) -> bytes:
    return encode({"model": model, "created_at": time_text(created)})[:-1] + b","
