"""The events of a streamed answer in the caller's dialect, with other texts in them. Pure.

A text comes in pieces, one to an event, and each text goes through Pieces of its own, which may hold some of it back.
So an event leaves once the next piece of its text has come, or its end: what was held back then finds a place in it,
and no event is made up. Events that carry no text keep their place between the others.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from parley.hooks.places import Found, Frame, Indexes, Place, places, plain
from parley.hooks.view import Pieces, Text, spliced
from parley.hooks.whole import Kept

_ENDS: Final = frozenset({"content_block_stop", "message_delta", "message_stop", "content-end", "message-end"})
_REASONS: Final = ("finish_reason", "finishReason", "done_reason")
_NOTHING: Final = (b"null", b'""')
_DONE: Final = b"[DONE]"
# A text is told from others by the members it stands in, and by its indexes.
Slot = tuple[str, Indexes]


class Change(Protocol):
    """What the bytes of an answer go through."""

    def feed(self, data: bytes) -> bytes:
        """Whole events, or a part of one object; what may go out now."""

    def close(self) -> bytes:
        """There is no more; the rest."""


class Edit:
    """A text in an event. ``open``: what it will be is not known yet."""

    __slots__ = ("end", "open", "start", "text")

    def __init__(self, start: int, end: int, text: str, *, open: bool) -> None:
        self.start, self.end, self.text, self.open = start, end, text, open


class Event:
    """One event: its bytes, the places of its texts, and which texts end with it."""

    __slots__ = ("edits", "found", "offset", "raw")

    def __init__(self, raw: bytes, offset: int, found: Found | None) -> None:
        self.raw = raw
        self.offset = offset
        self.found = found
        self.edits: list[Edit] = []

    def written(self) -> bytes:
        """With its texts as they are now."""
        return spliced(self.raw, [(edit.start, edit.end, edit.text) for edit in self.edits])

    def text(self, place: Place) -> str:
        """What a place says."""
        return place.text(self.raw[self.offset :])

    def edit(self, place: Place, text: str, *, open: bool) -> Edit:
        """Another text for a place."""
        made = Edit(self.offset + place.start, self.offset + place.end, text, open=open)
        self.edits.append(made)
        return made


class StreamChange:
    """Each text of a stream through Pieces of its own, made by ``make``. ``lines``: an event is a line."""

    def __init__(self, make: Callable[[], Pieces], *, lines: bool) -> None:
        self._make = make
        self._lines = lines
        self._open: dict[Slot, tuple[Pieces, Edit]] = {}
        self._queue: deque[Event] = deque()

    def feed(self, data: bytes) -> bytes:
        """See Change."""
        for event in events(data, lines=self._lines):
            self._take(event)
            self._queue.append(event)
        return self._ready()

    def close(self) -> bytes:
        """See Change."""
        for slot in tuple(self._open):
            self._end(slot)
        return self._ready()

    def _take(self, event: Event) -> None:
        found = event.found
        if found is None:
            if _DONE in event.raw:
                for slot in tuple(self._open):
                    self._end(slot)
            return
        whole = is_whole(found)
        for place in found.places:
            text = event.text(place)
            if whole:
                pieces = self._make()
                event.edit(place, pieces.feed(text) + pieces.close(), open=False)
            else:
                self._more(slot_of(place), event, place, text)
        for indexes in ends(found):
            for slot in [slot for slot in self._open if _belongs(slot, indexes)]:
                self._end(slot)

    def _more(self, slot: Slot, event: Event, place: Place, text: str) -> None:
        known = self._open.get(slot)
        pieces = self._make() if known is None else known[0]
        if known is not None:
            known[1].open = False
        self._open[slot] = (pieces, event.edit(place, pieces.feed(text), open=True))

    def _end(self, slot: Slot) -> None:
        pieces, edit = self._open.pop(slot)
        edit.text += pieces.close()
        edit.open = False

    def _ready(self) -> bytes:
        out: list[bytes] = []
        while self._queue and not any(edit.open for edit in self._queue[0].edits):
            out.append(self._queue.popleft().written())
        return b"".join(out)


class HeldStream(Kept):
    """The same for a stream: its texts are seen each as one. ``lines``: an event is a line; None: it is one JSON
    array."""

    def __init__(self, look: Callable[[list[Text]], None], *, lines: bool | None) -> None:
        super().__init__(look)
        self._lines = lines

    def close(self) -> bytes:
        """See Change."""
        data = self.raw()
        if self._lines is None:
            found = [Event(data, 0, places(data))]
        else:
            found = list(events(data, lines=self._lines))
        texts = self._texts(found)
        self._look([text for text, _ in texts])
        for text, edits in texts:
            for index, edit in enumerate(edits if text.changed else ()):
                edit.text = text.text if index == 0 or not edit.open else ""
        return b"".join([event.written() for event in found])

    def _texts(self, found: list[Event]) -> list[tuple[Text, list[Edit]]]:
        """Each text with the places that it stands in; one that is said again as a whole has that place as well."""
        pieces: dict[Slot, tuple[Place, list[str], list[Edit]]] = {}
        again: list[tuple[Place, str, Edit]] = []
        for event in found:
            if event.found is None:
                continue
            whole = is_whole(event.found)
            for place in event.found.places:
                said = event.text(place)
                edit = event.edit(place, said, open=not whole)
                if whole:
                    again.append((place, said, edit))
                    continue
                _, words, edits = pieces.setdefault(slot_of(place), (place, [], []))
                words.append(said)
                edits.append(edit)
        made = [(Text("".join(words), place, place.role), edits) for place, words, edits in pieces.values()]
        known = {text.text: edits for text, edits in made}
        for place, said, edit in again:
            if said in known:
                known[said].append(edit)
            else:
                known[said] = [edit]
                made.append((Text(said, place, place.role), known[said]))
        return made


def events(data: bytes, *, lines: bool) -> Iterator[Event]:
    """The events in these bytes, which are whole ones."""
    if lines:
        for line in data.splitlines(keepends=True):
            yield Event(line, 0, places(line) if line.strip() else None)
        return
    for block in data.split(b"\n\n"):
        if block:
            yield _event(block + b"\n\n")


def _event(block: bytes) -> Event:
    """One block of lines. Data in several lines becomes one: between the parts of JSON text a space is as good."""
    if block.count(b"data:") > 1:
        parts = block.rstrip(b"\n").split(b"\n")
        rest = [line for line in parts if not line.startswith(b"data:")]
        data = b" ".join(line[5:].strip() for line in parts if line.startswith(b"data:"))
        block = b"\n".join((*rest, b"data: " + data)) + b"\n\n"
    start = 0 if block.startswith(b"data:") else block.find(b"\ndata:") + 1
    if not (start or block.startswith(b"data:")):
        return Event(block, 0, None)
    data = block[start + 5 :]
    offset = start + 5 + len(data) - len(data.lstrip())
    return Event(block, offset, places(block[offset:]) if block[offset : offset + 1] == b"{" else None)


def slot_of(place: Place) -> Slot:
    """The text that a place holds a piece of."""
    names = ".".join([frame.name for frame in place.frame.lines() if frame.name])
    return f"{place.name}.{names}", place.indexes


def is_whole(found: Found) -> bool:
    """Whether an event says again what its pieces said, or begins something."""
    kind = _type(found.frames[0]) if found.frames else ""
    return kind == "content_block_start" or (kind.startswith("response.") and not kind.endswith(".delta"))


def ends(found: Found) -> Iterator[Indexes]:
    """Which texts are over with this event, by the indexes that they have in common with it."""
    if not found.frames:
        return
    first = found.frames[0]
    kind = _type(first)
    if kind in _ENDS or first.scalars.get("done") == b"true" or (is_whole(found) and not _begins(kind)):
        yield _indexes(first)
    for frame in found.frames:
        if any(frame.scalars.get(name, b"null") not in _NOTHING for name in _REASONS):
            yield _indexes(frame)
        elif frame.name == "tool_calls" and frame.listed:
            yield tuple(pair for one in frame.lines() for pair in _indexes(one))


def _begins(kind: str) -> bool:
    return kind.endswith((".added", ".created", ".in_progress", "_start", ".queued"))


def _type(frame: Frame) -> str:
    return plain(frame.scalars.get("type", b""))


def _indexes(frame: Frame) -> Indexes:
    known = (("index", frame.scalars.get("index")), ("output_index", frame.scalars.get("output_index")))
    more = (
        ("content_index", frame.scalars.get("content_index")),
        ("summary_index", frame.scalars.get("summary_index")),
    )
    return tuple((name, value) for name, value in (*known, *more) if value is not None)


def _belongs(slot: Slot, indexes: Indexes) -> bool:
    """Whether a text has all of these that it has at all."""
    own = dict(slot[1])
    return all(own.get(name, value) == value for name, value in indexes)
