"""An answer of the engine on its way to the caller, its texts cut and trimmed, whole or streamed.

Only answers that need it come through here; of those every choice has a Shaper of its own, and what a Shaper holds
back goes out at the latest before the end of its choice.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from parley.failure import Failure
from parley.framing import Frame, SseReader
from parley.ports import Headers, Sink

_ENCODE = msgspec.json.Encoder().encode


class Shaping(Protocol):
    """What cuts one text that comes in pieces."""

    def feed(self, text: str) -> str:
        """What can be said of it by now."""

    def close(self) -> str:
        """The rest."""


class Shaped:
    """A Sink before the caller's. ``make`` gives a Shaper for each choice."""

    def __init__(self, sink: Sink, make: Callable[[], Shaping]) -> None:
        self._sink = sink
        self._make = make
        self._shapers: dict[int, Shaping] = {}
        self._reader: SseReader | None = None
        self._whole: bytearray | None = None

    def head(self, status: int, headers: Headers) -> None:
        """Errors pass as they are."""
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        if status == 200 and kind.startswith(b"text/event-stream"):
            self._reader = SseReader()
        elif status == 200:
            self._whole = bytearray()
        self._sink.head(status, [pair for pair in headers if pair[0] != b"content-length"])

    def body(self, data: bytes) -> None:
        """More of it."""
        if self._whole is not None:
            self._whole += data
        elif self._reader is not None:
            out = b"".join(self._event(frame) for frame in self._reader.feed(data))
            if out:
                self._sink.body(out)
        else:
            self._sink.body(data)

    def done(self) -> None:
        """It is whole."""
        if self._whole is not None:
            self._sink.body(self._shaped_answer(bytes(self._whole)))
        self._sink.done()

    def failed(self, failure: Failure) -> None:
        """It broke: nothing of what was held back may look like an end."""
        self._sink.failed(failure)

    def _shaped_answer(self, body: bytes) -> bytes:
        answer = _object(body)
        if answer is None:
            return body
        for choice in _choices(answer):
            holder, member = _holder(choice, "message")
            if isinstance(holder.get(member), str):
                shaper = self._make()
                holder[member] = shaper.feed(holder[member]) + shaper.close()
        return _ENCODE(answer)

    def _event(self, frame: Frame) -> bytes:
        chunk = _object(frame.data)
        if chunk is None or not _choices(chunk):
            return _framed(frame.event, frame.data)
        out = b""
        for choice in _choices(chunk):
            out += self._shaped_choice(chunk, choice)
        if all(_is_empty(choice) for choice in _choices(chunk)) and not chunk.get("usage"):
            return out
        return out + _framed(frame.event, _ENCODE(chunk))

    def _shaped_choice(self, chunk: dict[str, Any], choice: dict[str, Any]) -> bytes:
        """Shape a choice in its place; events that must go before its chunk."""
        index = choice.get("index", 0)
        holder, member = _holder(choice, "delta")
        shaper = self._shapers.get(index)
        if shaper is None:
            shaper = self._shapers[index] = self._make()
        text = holder.get(member)
        said = shaper.feed(text) if isinstance(text, str) and text else ""
        if choice.get("finish_reason") is None:
            if isinstance(text, str):
                holder[member] = said
            return b""
        rest = said + shaper.close()
        if isinstance(text, str):
            holder[member] = ""
        return _before(chunk, choice, rest) if rest else b""


def _before(chunk: dict[str, Any], choice: dict[str, Any], text: str) -> bytes:
    """An event with the last text of a choice, to go before the one that ends it."""
    told: dict[str, Any] = {"index": choice.get("index", 0), "finish_reason": None}
    if "delta" in choice:
        told["delta"] = {"content": text}
    else:
        told["text"] = text
        told["logprobs"] = None
    kept = {name: value for name, value in chunk.items() if name not in ("usage", "timings")}
    return _framed("", _ENCODE({**kept, "choices": [told]}))


def _holder(choice: dict[str, Any], member: str) -> tuple[dict[str, Any], str]:
    """Where a choice keeps its text: in its message or delta, or itself."""
    inner = choice.get(member)
    return (inner, "content") if isinstance(inner, dict) else (choice, "text")


def _is_empty(choice: dict[str, Any]) -> bool:
    """Whether nothing is left to say of a choice."""
    if choice.get("finish_reason") is not None or choice.get("logprobs"):
        return False
    delta = choice.get("delta")
    return delta == {"content": ""} if isinstance(delta, dict) else choice.get("text") == ""


def _choices(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found = answer.get("choices")
    return [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def _framed(event: str, data: bytes) -> bytes:
    name = b"event: %b\n" % event.encode() if event else b""
    return b"%bdata: %b\n\n" % (name, b"\ndata: ".join(data.split(b"\n")))
