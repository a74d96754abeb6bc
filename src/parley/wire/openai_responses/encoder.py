"""Responses answers, written for a caller: events of the canonical form to a stream, or to the whole object.

Words in a row are one message; everything else is an item of its own, in the order in which blocks begin. Blocks may
interleave, and then their events do. Whether an item is complete is known when something follows it or the answer
ends; until then its last event waits. Only the first choice is written: this dialect cannot ask for more.
"""

from typing import Any

from msgspec import Raw, json

from parley.failure import Failure, ParleyError
from parley.fold import unfold
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    ChatResponse,
    Delta,
    End,
    Event,
    Extra,
    Finish,
    Opaque,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Reply
from parley.wire.openai_responses.drafts import (
    CallDraft,
    Draft,
    KeptItem,
    KeptThought,
    MessageDraft,
    PartDraft,
    Pen,
    ThoughtDraft,
    head_of,
    sealed_id,
)
from parley.wire.openai_responses.mirror import Mirror, opened, opened_here
from parley.wire.openai_responses.sealed import NAME, OURS
from parley.wire.openai_responses.usage import incomplete_reason, usage_text
from parley.wire.signature import apart

Json = dict[str, Any]
_CREATED, _IN_PROGRESS = head_of("response.created"), head_of("response.in_progress")
_COMPLETED, _INCOMPLETE = head_of("response.completed"), head_of("response.incomplete")
_FAILED = head_of("response.failed")


def encode_response(response: ChatResponse, reply: Reply) -> bytes:
    """The whole answer for the caller. Raises ``upstream_error`` for an answer that ended in error."""
    encoder = ResponseEncoder(reply, silent=True)
    for event in unfold(response):
        encoder.feed(event)
    return encoder.written()


class ResponseEncoder:
    """A stream for the caller. The response around it is ``_mirror``, for an answer of this wire ``_response``."""

    __slots__ = (
        "_blocks", "_extra", "_finish", "_held", "_items", "_kept", "_message", "_mirror", "_pen", "_refused", "_reply",
        "_response", "_same", "_usage",
    )  # fmt: skip

    def __init__(self, reply: Reply, silent: bool = False) -> None:
        self._reply = reply
        self._same = reply.wire == NAME
        self._pen = Pen(silent)
        self._mirror: Mirror | None = None
        self._response: Json = {}
        self._extra: Extra = {}
        # Reasoning items of a whole answer of this wire, one for each such block.
        self._kept: list[Json] = []
        self._items: list[Draft] = []
        self._blocks: dict[int, PartDraft | Draft] = {}
        self._message: MessageDraft | None = None
        self._held: list[Draft] = []
        self._finish = Finish(0, "end")
        self._refused = False
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        """Bytes for one event, perhaps none."""
        if type(event) is Delta:
            return self._delta(event) if event.choice == 0 else b""
        if type(event) is BlockStart:
            return self._begin(event.index, event.block) if event.choice == 0 else b""
        if type(event) is BlockStop:
            return self._stop(event.index, event.extra) if event.choice == 0 else b""
        if type(event) is Finish:
            return self._finished(event) if event.choice == 0 else b""
        if type(event) is Start:
            return self._start(event)
        return self._end(event) if type(event) is End else b""

    def fail(self, failure: Failure) -> bytes:
        """The one event that says that the answer failed; nothing may follow it."""
        if self._mirror is None and not self._response:
            members = {"code": failure.kind, "message": failure.message, "param": failure.param}
            return self._pen.write("error", members)
        error = {
            "code": _error_code(failure),
            "message": failure.message,
            "param": failure.param,
            "type": failure.kind,
        }
        self._put("status", b'"failed"')
        self._put("error", json.encode(error))
        self._put("output", self._output())
        return self._pen.put(_FAILED, b',"response":', self.written())

    def written(self) -> bytes:
        """The response as it stands, as JSON."""
        return json.encode(self._response) if self._mirror is None else self._mirror.written()

    def _put(self, name: str, value: bytes) -> None:
        if self._mirror is None:
            self._response[name] = Raw(value)
        else:
            self._mirror.put(name, value)

    # Beginning and end

    def _start(self, event: Start) -> bytes:
        self._usage = event.usage
        self._extra = event.extra if self._same else {}
        self._kept = [item for item in self._extra.get("output", ()) if item["type"] == "reasoning"]
        if self._same:
            self._response = opened_here(self._reply, event)
        else:
            self._mirror = opened(self._reply, event)
        if self._pen.silent:
            return b""
        response = b',"response":' + self.written()
        return self._pen.put(_CREATED, response) + self._pen.put(_IN_PROGRESS, response)

    def _finished(self, event: Finish) -> bytes:
        """Everything is whole now; where the answer was cut, its last item was."""
        if event.stop == "error":
            message = "the provider ended the answer with an error"
            raise ParleyError(Failure("upstream_error", message, detail="stream_error"))
        self._finish = event
        out = b"".join([self._stop(index, {}) for index in list(self._blocks)])
        self._leave()
        cut = self._reason() is not None
        last = len(self._items) - 1
        held, self._held = sorted(self._held, key=_place), []
        return out + b"".join([item.done("incomplete" if cut and item.place == last else "completed") for item in held])

    def _reason(self) -> str | None:
        """Why the answer is incomplete; this wire's own word on its own wire."""
        finish = self._finish
        if self._same and finish.native is not None:
            return finish.native
        return incomplete_reason(finish.stop, refused=self._refused)

    def _end(self, event: End) -> bytes:
        reason = self._reason()
        self._put("status", b'"completed"' if reason is None else b'"incomplete"')
        self._put("incomplete_details", b"null" if reason is None else b'{"reason":%b}' % json.encode(reason))
        self._put("output", self._output())
        self._put("usage", usage_text(event.usage or self._usage))
        if self._same:
            self._response.update({**self._extra, **event.extra})
        if self._pen.silent:
            return b""
        return self._pen.put(_COMPLETED if reason is None else _INCOMPLETE, b',"response":', self.written())

    def _output(self) -> bytes:
        return b"[%b]" % b",".join([item.final or item.text("incomplete") for item in self._items])

    # Blocks

    def _begin(self, index: int, block: Block) -> bytes:
        match block:
            case Text() | Refusal():
                return self._words(index, block)
            case Thinking(text):
                return self._item(index, self._thought(block), "thinking", text)
            case ToolCall():
                before = self._signed(block)
                item_id = self._item_id(block, "fc")
                call = CallDraft(self._pen, len(self._items), item_id, block, self._same)
                return before + self._item(index, call, "arguments", block.arguments)
            case Opaque(wire) if wire == NAME:
                return self._item(index, KeptItem(self._pen, len(self._items), block), "", "")
        # What only another wire knows (a search it made) has no place in this one.
        return b""

    def _signed(self, block: Block) -> bytes:
        """The reasoning item that carries another wire's signature of the call that follows."""
        thought = None if self._same else apart(block)
        if thought is None:
            return b""
        place = -1 - len(self._items)
        return self._begin(place, thought) + self._stop(place, {})

    def _words(self, index: int, block: Text | Refusal) -> bytes:
        """A part of the open message, or of a new one."""
        frame = self._frame(block)
        self._refused |= type(block) is Refusal
        out, message = b"", self._message
        if message is None or ("id" in frame and frame["id"] != message.id):
            self._leave()
            out = self._settle()
            message = self._message = MessageDraft(self._pen, len(self._items), self._item_id(block, "msg"), frame)
            self._items.append(message)
            out += message.added()
        part = PartDraft(message, block, block.extra.get("part", {}) if self._same else {})
        self._blocks[index] = part
        out += part.added()
        return out + part.grow("text", block.text, None) if block.text else out

    def _item(self, index: int, item: Draft, kind: str, text: str) -> bytes:
        self._leave()
        out = self._settle()
        self._items.append(item)
        self._blocks[index] = item
        out += item.added()
        return out + item.grow(kind, text, None) if text else out

    def _thought(self, block: Thinking) -> Draft:
        place = len(self._items)
        kept = self._kept.pop(0) if self._kept else None
        if kept is not None:
            return KeptThought(self._pen, place, str(kept.get("id", "")), kept)
        return ThoughtDraft(self._pen, place, sealed_id(block) or self._item_id(block, OURS), block)

    def _frame(self, block: Text | Refusal | Thinking | ToolCall) -> Json:
        """The item that the block came in, on its own wire."""
        found: Json = block.extra.get("item", {}) if self._same else {}
        return found

    def _item_id(self, block: Text | Refusal | Thinking | ToolCall, kind: str) -> str:
        """The item's own id, else one made of the response's: unique in it and known from the start."""
        given = self._frame(block).get("id")
        if type(given) is str and given:
            return given
        answer: str = self._response.get("id", "") if self._mirror is None else self._mirror.id
        return f"{kind}_{answer.removeprefix('resp_')}_{len(self._items)}"

    def _delta(self, event: Delta) -> bytes:
        grown = self._blocks.get(event.index)
        if grown is None or not (event.text or event.kind == "signature"):
            return b""
        return grown.grow(event.kind, event.text, event.logprobs)

    def _stop(self, index: int, extra: Extra) -> bytes:
        grown = self._blocks.pop(index, None)
        if grown is None:
            return b""
        out = grown.stop(extra if self._same else {})
        if isinstance(grown, Draft):
            self._held.append(grown)
        elif grown.message.left and not grown.message.is_open():
            self._held.append(grown.message)
        return out

    def _leave(self) -> None:
        """No more parts for the open message; it is whole once those it has are."""
        message, self._message = self._message, None
        if message is not None:
            message.left = True
            if not message.is_open():
                self._held.append(message)

    def _settle(self) -> bytes:
        """Something follows: what was held is complete."""
        held, self._held = sorted(self._held, key=_place), []
        return b"".join([item.done("completed") for item in held])


def _place(item: Draft) -> int:
    return item.place


def _error_code(failure: Failure) -> str:
    """The nearest of the codes that this wire has for a failed response."""
    status = failure.http_status
    if status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if 400 <= status < 500 else "server_error"
