"""Gemini's streams, read from a provider.

Every event is an increment: its parts follow those before. A text or thought block ends where another begins; calls
come whole, unless a caller asked for them in pieces. There is no terminator: a stream is whole when every candidate
has told why it stopped. Source: provider contract 3.4.
"""

from typing import Any, Final

from msgspec import Raw, Struct, json
from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.framing import SseReader
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
    Start,
    Text,
    Thinking,
    ToolCall,
)
from parley.wire.gemini.answer import (
    ANSWER,
    answer_of,
    blocked,
    candidates_of,
    left_over,
    number_of,
    parts_of,
    spellings,
)
from parley.wire.gemini.counts import logprobs_from, stop_of, usage_from
from parley.wire.gemini.errors import bad
from parley.wire.gemini.names import BAD_JSON, MAX_ITEM, Json, decode, encode, rest, word
from parley.wire.gemini.parts import Ids
from parley.wire.gemini.pieces import Pieces
from parley.wire.signature import SIGNED

# A provider whose events always hold more than text is given up.
_TRIES: Final = 16
_ABSENT: Final = Raw()


class _Part(Struct, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _Content(Struct, forbid_unknown_fields=True):
    parts: list[_Part]
    role: Any = None


class _Candidate(Struct, forbid_unknown_fields=True):
    content: _Content
    index: int = 0


class _Plain(Struct, forbid_unknown_fields=True, rename="camel"):
    """An event of text and nothing else, which is what most are."""

    candidates: list[_Candidate]
    usage_metadata: Raw = _ABSENT
    model_version: Any = None
    response_id: Any = None


_plain: Final = json.Decoder(_Plain).decode


class _Voice:
    """One candidate: which block is open, and what is known of its end."""

    __slots__ = ("called", "extra", "finished", "index", "kind", "number", "pieces", "spoke")

    def __init__(self, number: int) -> None:
        self.number = number
        self.index = -1
        self.kind: type[Text] | type[Thinking] | None = None
        self.extra: Extra = {}
        self.called = self.spoke = self.finished = False
        self.pieces: Pieces | None = None

    def hear(self, block: Block, logprobs: Json | None, events: list[Event]) -> None:
        """The next part."""
        if type(block) is Text:
            self.words(block, Text, block.extra, logprobs, events)
        elif type(block) is Thinking and block.redacted is None:
            self.words(block, Thinking, {}, None, events)
            if block.signature is not None:
                events.append(Delta(self.number, self.index, "signature", block.signature))
                self.close({}, events)
        else:
            self.whole(block, events)

    def words(
        self,
        block: Text | Thinking,
        kind: type[Text] | type[Thinking],
        extra: Extra,
        logprobs: Json | None,
        events: list[Event],
    ) -> None:
        """More text, or more of a thought; a signature ends its block."""
        text = block.text
        if not text and not extra and not (type(block) is Thinking and block.signature):
            return
        if self.kind is not kind:
            self.open(Text("") if kind is Text else Thinking(""), events)
            self.kind = kind
        if text:
            self.spoke = True
            events.append(Delta(self.number, self.index, "text" if kind is Text else "thinking", text, logprobs))
        if extra:
            self.close(extra, events)

    def whole(self, block: Block, events: list[Event]) -> None:
        """A part that is a block of its own."""
        self.spoke = True
        if type(block) is ToolCall:
            self.called = True
            self.open(replace(block, arguments=""), events)
            events.append(Delta(self.number, self.index, "arguments", block.arguments))
        else:
            self.open(block, events)
        self.kind = None
        events.append(BlockStop(self.number, self.index))

    def open(self, block: Block, events: list[Event]) -> None:
        """Begin the next block."""
        self.close({}, events)
        self.index += 1
        events.append(BlockStart(self.number, self.index, block))

    def close(self, extra: Extra, events: list[Event]) -> None:
        """End the text or thought that is under way, if one is."""
        if self.kind is not None:
            self.kind = None
            events.append(BlockStop(self.number, self.index, extra))

    def finish(self, reason: str, events: list[Event]) -> None:
        """Why it stopped."""
        if self.pieces is not None:
            raise _incomplete("incomplete_tool_call")
        message = word(self.extra, "finishMessage")
        stop = stop_of(reason, called=self.called, spoke=self.spoke, message=message)
        self.close({}, events)
        self.finished = True
        events.append(Finish(self.number, stop, native=reason, extra=self.extra))


class ContentDecoder:
    """Reads a provider's stream. Events before a fault are returned; the next call raises it."""

    __slots__ = ("_blocked", "_ended", "_extra", "_fault", "_ids", "_reader", "_started", "_tries", "_usage", "_voices")

    def __init__(self) -> None:
        self._reader = SseReader(MAX_ITEM)
        self._voices: dict[int, _Voice] = {}
        self._ids = Ids(unique=True)
        self._extra: Extra = {}
        # Undecoded where the event told nothing but text.
        self._usage: Json | Raw | None = None
        self._tries = _TRIES
        self._fault: ParleyError | None = None
        self._started = self._blocked = self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``."""
        events: list[Event] = []
        try:
            if self._fault is not None:
                raise self._fault
            for frame in self._reader.feed(data):
                if not frame.data.startswith(b"[DONE]"):
                    self._event(frame.data, events)
        except ParleyError as fault:
            self._fault = fault
            if not events:
                raise
        return events

    def close(self) -> list[Event]:
        """The End, which this wire never says; raises where the answer is not whole."""
        self._reader.close()
        if self._fault is not None:
            raise self._fault
        if self._ended:
            return []
        if not self._started:
            bad("empty_body", "the provider's stream held no event")
        events: list[Event] = []
        if self._blocked and not self._voices:
            events.append(Finish(0, "refusal"))
        elif not self._voices or not all(voice.finished for voice in self._voices.values()):
            cut = any(voice.pieces is not None for voice in self._voices.values())
            raise _incomplete("incomplete_tool_call" if cut else "missing_terminator")
        self._ended = True
        usage = self._usage
        if isinstance(usage, Raw):
            usage = _counts(usage)
        return [*events, End(None if usage is None else usage_from(usage), self._extra)]

    def _event(self, data: bytes, events: list[Event]) -> None:
        if self._started and self._tries and self._said(data, events):
            return
        answer = answer_of(data, "bad_event")
        if not self._started:
            self._started = True
            events.append(Start(word(answer, "responseId") or "", word(answer, "modelVersion") or ""))
        usage = answer.get("usageMetadata")
        if type(usage) is dict:
            # Cumulative: the last one counts.
            self._usage = usage
        if not answer.keys() <= ANSWER:
            self._blocked = self._blocked or blocked(answer)
            self._extra.update(rest(answer, ANSWER))
        written = spellings(data)
        for place, candidate in enumerate(candidates_of(answer, "bad_event")):
            self._candidate(candidate, place, written[place] if place < len(written) else [], events)

    def _said(self, data: bytes, events: list[Event]) -> bool:
        """More text of the block under way; whether the event was that and nothing else."""
        self._tries -= 1
        try:
            if not data.isascii():
                data.decode()  # members that are not decoded are not checked either
            found = _plain(data)
        except BAD_JSON:
            return False
        if len(found.candidates) != 1 or len(found.candidates[0].content.parts) != 1:
            return False
        candidate = found.candidates[0]
        part, voice = candidate.content.parts[0], self._voices.get(candidate.index)
        if not part.text or voice is None or voice.kind is not (Thinking if part.thought else Text):
            return False
        usage = found.usage_metadata
        if bytes(usage).startswith(b"{"):
            self._usage = usage
        kind: DeltaKind = "thinking" if part.thought else "text"
        events.append(Delta(candidate.index, voice.index, kind, part.text))
        self._tries = _TRIES
        return True

    def _candidate(self, candidate: Json, place: int, spelled: list[bytes | None], events: list[Event]) -> None:
        number = number_of(candidate, place)
        voice = self._voices.get(number)
        if voice is None:
            voice = self._voices[number] = _Voice(number)
        text = _only_text(candidate)
        if text and voice.kind is Text:
            events.append(Delta(number, voice.index, "text", text))
            return
        logprobs = logprobs_from(candidate.get("logprobsResult"))
        voice.extra.update(left_over(candidate))
        if voice.finished:
            return
        whole = self._gathered(candidate, voice, events)
        for block in parts_of(whole, self._ids, "bad_event", spelled if whole is candidate else []):
            voice.hear(block, logprobs, events)
            logprobs = None
        reason = word(candidate, "finishReason")
        if reason:
            voice.finish(reason, events)

    def _id(self, call: Pieces) -> str:
        if not call.name:
            bad("bad_event", "the provider sent a call without a name")
        try:
            return self._ids.call(call.id, call.name)
        except ParleyError:
            bad("bad_event", "the provider gave two calls the same id")

    def _gathered(self, candidate: Json, voice: _Voice, events: list[Event]) -> Json:
        """The candidate without calls that come in pieces; the last piece makes a call of them."""
        content = candidate.get("content")
        parts = content.get("parts") if type(content) is dict else None
        if type(parts) is not list or not any(Pieces.begins(part, voice.pieces) for part in parts):
            return candidate
        others = []
        for part in parts:
            if not Pieces.begins(part, voice.pieces):
                others.append(part)
                continue
            if voice.pieces is None:
                voice.pieces = Pieces(part)
            if voice.pieces.take(part["functionCall"]):
                done, voice.pieces = voice.pieces, None
                signed = {SIGNED: done.signature} if done.signature else {}
                voice.whole(ToolCall(self._id(done), done.name, encode(done.args).decode(), signed), events)
        return {**candidate, "content": {"parts": others}}


def _counts(usage: Raw) -> Json | None:
    """The usage that an event of text told."""
    try:
        found = decode(usage)
    except BAD_JSON:
        bad("bad_event", "the provider sent an event that is not JSON")
    return found if type(found) is dict else None


def _only_text(candidate: Json) -> str | None:
    """The text of a candidate that holds one and nothing else, which is what most events are."""
    if len(candidate) > 2 or (len(candidate) == 2 and "index" not in candidate):
        return None
    content = candidate.get("content")
    parts = content.get("parts") if type(content) is dict else None
    if type(parts) is not list or len(parts) != 1:
        return None
    part = parts[0]
    text = part.get("text") if type(part) is dict and len(part) == 1 else None
    return text if type(text) is str else None


def _incomplete(detail: str) -> ParleyError:
    return ParleyError(Failure("upstream_incomplete", "the provider's stream ended early", detail=detail))
