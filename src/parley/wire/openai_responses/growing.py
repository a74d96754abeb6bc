"""Output items of a provider's stream under way: what has been said of each, and what is still to say."""

from collections.abc import Callable
from typing import Any

from parley.ir import BlockStart, BlockStop, Delta, DeltaKind, Event, Opaque, Thinking
from parley.jsontext import is_whole
from parley.wire.openai_responses.output import call_block, head_of, kind_of, thinking_block, words_block
from parley.wire.openai_responses.sealed import NAME, words_of

Json = dict[str, Any]


def grown_of(item: Json, number: Callable[[], int]) -> "Growing":
    """What follows an item that begins; ``number`` gives each block its place in the answer."""
    kind = kind_of(item)
    if kind == "message":
        return Words(item, kind, number)
    if kind == "function_call":
        return Arguments(item, kind, number)
    return Thought(item, kind, number) if kind == "reasoning" else Growing(item, kind, number)


class Growing:
    """An item that only this wire knows: told whole when it is done."""

    __slots__ = ("_number", "closed", "index", "item", "kind", "place")

    def __init__(self, item: Json, kind: str, number: Callable[[], int]) -> None:
        self.item = item
        self.kind = kind
        self.closed = False
        self.index = self.place = -1
        self._number = number

    def open(self, events: list[Event]) -> None:
        """The item begins: it has its place from now on."""
        self.index = self._number()

    def part(self, at: int, part: Json, events: list[Event]) -> None:
        """A content part begins."""

    def part_done(self, at: int, part: Json, events: list[Event]) -> None:
        """A content part is whole."""

    def grow(self, value: Json, text: str, events: list[Event]) -> None:
        """One delta."""

    def settle(self, value: Json, events: list[Event]) -> None:
        """A text is whole."""

    def finish(self, item: Json, events: list[Event]) -> None:
        """The item is whole; told again, it is over already."""
        if not self.closed:
            self.item = item
            self.whole(events)
            self.closed = True

    def whole(self, events: list[Event]) -> None:
        """Say what was not said of the item, which is whole."""
        events += [BlockStart(0, self.index, Opaque(NAME, self.item)), BlockStop(0, self.index)]

    def stop(self, events: list[Event]) -> None:
        """The answer is over, whether the item was done or not."""
        self.closed = True

    def is_cut(self) -> bool:
        """Whether it ended in the middle of something that must be whole."""
        return False


class Said:
    """A block that grows: what was said of it so far."""

    __slots__ = ("index", "kind", "stopped", "texts")

    def __init__(self, index: int, kind: DeltaKind) -> None:
        self.index = index
        self.kind: DeltaKind = kind
        self.texts: list[str] = []
        self.stopped = False

    def say(self, text: str, events: list[Event], logprobs: Any = None) -> None:
        """More of it."""
        if text and not self.stopped:
            self.texts.append(text)
            tokens = {"content": logprobs} if type(logprobs) is list and logprobs else None
            events.append(Delta(0, self.index, self.kind, text, tokens))

    def settle(self, whole: Any, events: list[Event], logprobs: Any = None) -> None:
        """What the whole text has beyond what was said."""
        said = "".join(self.texts)
        if type(whole) is str and whole.startswith(said):
            self.say(whole[len(said) :], events, None if said else logprobs)

    def stop(self, events: list[Event], extra: Json) -> None:
        """The block is whole."""
        if not self.stopped:
            self.stopped = True
            events.append(BlockStop(0, self.index, extra))


class Words(Growing):
    """A message: every content part is a block."""

    __slots__ = ("parts",)

    def __init__(self, item: Json, kind: str, number: Callable[[], int]) -> None:
        super().__init__(item, kind, number)
        self.parts: dict[int, Said] = {}

    def open(self, events: list[Event]) -> None:
        """Blocks begin with their parts; some servers have them here already."""
        content = self.item.get("content")
        for at, part in enumerate(content if type(content) is list else ()):
            if type(part) is dict:
                self.part(at, part, events)

    def part(self, at: int, part: Json, events: list[Event]) -> None:
        """A content part begins, with the text that it has."""
        block = words_block(part, head_of(self.item)) if at not in self.parts else None
        if block is None:
            return
        refused = part.get("type") == "refusal"
        said = self.parts[at] = Said(self._number(), "refusal" if refused else "text")
        shell = words_block({**part, "refusal" if refused else "text": ""}, head_of(self.item))
        assert shell is not None
        events.append(BlockStart(0, said.index, shell))
        said.say(block.text, events, part.get("logprobs"))

    def grow(self, value: Json, text: str, events: list[Event]) -> None:
        """One delta; the part's own beginning may be missing."""
        self._said(value, events).say(text, events, value.get("logprobs"))

    def settle(self, value: Json, events: list[Event]) -> None:
        """The text of a part is whole."""
        member = "refusal" if "refusal" in value else "text"
        self._said(value, events).settle(value.get(member), events, value.get("logprobs"))

    def _said(self, value: Json, events: list[Event]) -> Said:
        at = value.get("content_index")
        place = at if type(at) is int else 0
        if place not in self.parts:
            refused = str(value.get("type")).startswith("response.refusal")
            empty = {"type": "refusal", "refusal": ""} if refused else {"type": "output_text", "text": ""}
            self.part(place, empty, events)
        return self.parts[place]

    def part_done(self, at: int, part: Json, events: list[Event]) -> None:
        """A content part is whole."""
        self.part(at, part, events)
        said = self.parts.get(at)
        if said is None:
            return
        member = "refusal" if part.get("type") == "refusal" else "text"
        said.settle(part.get(member), events, part.get("logprobs"))
        said.stop(events, {"part": {name: value for name, value in part.items() if name != member}})

    def whole(self, events: list[Event]) -> None:
        """The message is whole: so are its parts."""
        content = self.item.get("content")
        for at, part in enumerate(content if type(content) is list else ()):
            if type(part) is dict:
                self.part_done(at, part, events)
        self.stop(events)

    def stop(self, events: list[Event]) -> None:
        """No more parts."""
        self.closed = True
        for said in self.parts.values():
            said.stop(events, {})


class Arguments(Growing):
    """A function call."""

    __slots__ = ("said",)

    def __init__(self, item: Json, kind: str, number: Callable[[], int]) -> None:
        super().__init__(item, kind, number)
        self.said = Said(-1, "arguments")

    def open(self, events: list[Event]) -> None:
        """The call begins, with the arguments that it has."""
        super().open(events)
        self.said.index = self.index
        shell = {name: value for name, value in self.item.items() if name != "arguments"}
        events.append(BlockStart(0, self.index, call_block(shell)))
        self.said.settle(self.item.get("arguments"), events)

    def grow(self, value: Json, text: str, events: list[Event]) -> None:
        """More arguments."""
        self.said.say(text, events)

    def settle(self, value: Json, events: list[Event]) -> None:
        """The arguments are whole."""
        self.said.settle(value.get("arguments"), events)

    def whole(self, events: list[Event]) -> None:
        """The call is whole."""
        self.said.settle(self.item.get("arguments"), events)
        self.said.stop(events, {"item": {name: value for name, value in self.item.items() if name != "arguments"}})

    def stop(self, events: list[Event]) -> None:
        """The call is over."""
        self.closed = True
        self.said.stop(events, {})

    def is_cut(self) -> bool:
        """Whether its arguments are no whole JSON text."""
        arguments = "".join(self.said.texts)
        return arguments != "" and not is_whole(arguments)


class Thought(Growing):
    """Reasoning: its own words, or the summary where that is what comes. It begins where there is something to say."""

    __slots__ = ("said", "source")

    def __init__(self, item: Json, kind: str, number: Callable[[], int]) -> None:
        super().__init__(item, kind, number)
        self.said: Said | None = None
        self.source: tuple[str, Any] = ("", 0)

    def grow(self, value: Json, text: str, events: list[Event]) -> None:
        """More of it; of words and summary only what came first. Parts of a summary are paragraphs."""
        summary = "summary_index" in value
        name, part = ("summary", value["summary_index"]) if summary else ("content", 0)
        if self.source[0] not in ("", name):
            return
        said = self._said(events)
        if self.source == ("summary", part) or not said.texts:
            said.say(text, events)
        else:
            said.say(text if name == "content" else "\n\n" + text, events)
        self.source = (name, part)

    def _said(self, events: list[Event]) -> Said:
        if self.said is None:
            self.said = Said(self.index, "thinking")
            events.append(BlockStart(0, self.index, Thinking("")))
        return self.said

    def whole(self, events: list[Event]) -> None:
        """The item is whole: only now it is known what seals it."""
        block = thinking_block(self.item)
        if self.said is None and block.redacted is not None:
            events += [BlockStart(0, self.index, block), BlockStop(0, self.index)]
            return
        said = self._said(events)
        said.settle(words_of(self.item), events)
        if block.signature is not None:
            events.append(Delta(0, self.index, "signature", block.signature))
        said.stop(events, {})

    def stop(self, events: list[Event]) -> None:
        """The answer is over."""
        self.closed = True
        if self.said is not None:
            self.said.stop(events, {})
