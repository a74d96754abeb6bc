"""What the fault upstream says when it behaves: answers and event streams of the two wires.

Every text event carries one recognisable word. ``Speech`` builds pieces; scenarios decide what becomes of them.
"""

import json
from typing import Any

_SPELLING = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo "
    "sierra tango uniform victor whiskey xray yankee zulu"
)
WORDS = tuple(_SPELLING.split())
WIDE = ("naïve ", "漢字 ", "smile 😀 ", "žluťoučký ", "שלום ", "line\u2028sep ", "\u0085next ", 'quote" ', "end")
USAGE = (11, 7)


def word(number: int) -> str:
    """The text of event ``number``, counted from 0."""
    return WORDS[number % len(WORDS)] + " "


def words(count: int) -> str:
    """The text of the first ``count`` events."""
    return "".join(word(number) for number in range(count))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class OpenAI:
    """Chat completions."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.include_usage = bool((request.get("stream_options") or {}).get("include_usage"))

    def event(self, value: Any, name: str = "") -> bytes:
        """One event as bytes; this wire has no names."""
        return b"data: " + _json(value) + b"\n\n"

    def _chunk(self, delta: Any, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return self.event(self._frame() | {"choices": [choice]})

    def _frame(self) -> dict[str, Any]:
        return {"id": "chatcmpl-f", "object": "chat.completion.chunk", "created": 1700000000, "model": "fault-1"}

    def opening(self) -> list[bytes]:
        return [self._chunk({"role": "assistant", "content": ""})]

    def text(self, value: str) -> bytes:
        return self._chunk({"content": value})

    def finish(self, reason: str = "stop") -> list[bytes]:
        return [self._chunk({}, {"stop": "stop", "tool": "tool_calls"}[reason])]

    def usage(self, tokens: tuple[int, int] = USAGE) -> list[bytes]:
        prompt, completion = tokens
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return [self.event(self._frame() | {"choices": [], "usage": usage})]

    def end(self) -> list[bytes]:
        return [b"data: [DONE]\n\n"]

    def closing(self, reason: str = "stop") -> list[bytes]:
        return self.finish(reason) + (self.usage() if self.include_usage else []) + self.end()

    def tool(self, index: int, name: str, fragments: list[str]) -> list[bytes]:
        function = {"name": name, "arguments": ""}
        first = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        parts = [self._chunk({"tool_calls": [first]})]
        for fragment in fragments:
            parts.append(self._chunk({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}))
        return parts

    def failure(self) -> bytes:
        return self.event(self.error("overloaded_error", "scripted failure"))

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "param": None, "code": "scripted"}}

    def answer(self, text: str) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": sum(USAGE)}
        return _json(self._frame() | {"object": "chat.completion", "choices": [choice], "usage": usage})


class Anthropic:
    """Messages."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.blocks = 0

    def event(self, value: Any, name: str = "") -> bytes:
        """One event as bytes, named by its type."""
        return b"event: " + (name or value["type"]).encode() + b"\ndata: " + _json(value) + b"\n\n"

    def _message(self, content: list[Any], stop: str | None, output: int) -> dict[str, Any]:
        usage = {"input_tokens": USAGE[0], "output_tokens": output}
        head = {"id": "msg_f", "type": "message", "role": "assistant", "model": "fault-1"}
        return head | {"content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}

    def _block(self, block: dict[str, Any]) -> bytes:
        self.blocks += 1
        return self.event({"type": "content_block_start", "index": self.blocks - 1, "content_block": block})

    def opening(self) -> list[bytes]:
        start = self.event({"type": "message_start", "message": self._message([], None, 1)})
        return [start, self._block({"type": "text", "text": ""}), self.event({"type": "ping"})]

    def text(self, value: str) -> bytes:
        delta = {"type": "text_delta", "text": value}
        return self.event({"type": "content_block_delta", "index": 0, "delta": delta})

    def finish(self, reason: str = "stop") -> list[bytes]:
        stop = {"stop": "end_turn", "tool": "tool_use"}[reason]
        delta = {"stop_reason": stop, "stop_sequence": None}
        closed = self.event({"type": "content_block_stop", "index": self.blocks - 1})
        usage = {"output_tokens": USAGE[1]}
        return [closed, self.event({"type": "message_delta", "delta": delta, "usage": usage})]

    def usage(self, tokens: tuple[int, int] = USAGE) -> list[bytes]:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return [self.event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": tokens[1]}})]

    def end(self) -> list[bytes]:
        return [self.event({"type": "message_stop"})]

    def closing(self, reason: str = "stop") -> list[bytes]:
        return self.finish(reason) + self.end()

    def tool(self, index: int, name: str, fragments: list[str]) -> list[bytes]:
        parts = [self.event({"type": "content_block_stop", "index": self.blocks - 1})]
        parts.append(self._block({"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}))
        for fragment in fragments:
            delta = {"type": "input_json_delta", "partial_json": fragment}
            parts.append(self.event({"type": "content_block_delta", "index": self.blocks - 1, "delta": delta}))
        return parts

    def failure(self) -> bytes:
        return self.event(self.error("overloaded_error", "scripted failure"), "error")

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}}

    def answer(self, text: str) -> bytes:
        return _json(self._message([{"type": "text", "text": text}], "end_turn", USAGE[1]))


Speech = OpenAI | Anthropic


def speech_for(target: str, request: dict[str, Any]) -> Speech:
    """The wire that the path asks for."""
    return Anthropic(request) if target.split("?", maxsplit=1)[0].endswith("/messages") else OpenAI(request)
