"""Responses streams, read from a provider: events in, events of the canonical form out.

Of the types of this wire those are read that make up output items and the answer's end; an item of another kind is
told whole when it is done. Servers differ: indexes or opening events may be missing, a text may come only when it is
done, an item only in the last event. What the deltas said is not said again.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.framing import Frame, SseReader
from parley.ir import End, Event, Finish, Start
from parley.wire.openai_error import BAD_JSON, bad_event, bad_response, stream_failure
from parley.wire.openai_responses.answer import failure_of, identity
from parley.wire.openai_responses.glance import error_of
from parley.wire.openai_responses.growing import Growing, grown_of
from parley.wire.openai_responses.mirror import LATE
from parley.wire.openai_responses.output import kind_of
from parley.wire.openai_responses.usage import read_usage, stop_of

Json = dict[str, Any]
_decode = json.Decoder().decode


class ResponseDecoder:
    """A provider's stream. Ends with its terminal event only."""

    __slots__ = ("_blocks", "_done", "_fault", "_items", "_reader", "_seen", "_started")

    def __init__(self) -> None:
        self._reader = SseReader()
        self._items: list[Growing] = []
        self._blocks = 0
        self._fault: ParleyError | None = None
        self._seen = self._started = self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``; what follows the terminal event is ignored."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self._done:
            return events
        self._seen = self._seen or bool(data)
        try:
            for frame in self._reader.feed(data):
                self._frame(frame, events)
        except ParleyError as error:
            if not events:
                raise
            self._fault = error
        return events

    def close(self) -> list[Event]:
        """The upstream has ended. Raises unless its terminal event had come."""
        if self._fault is not None:
            raise self._fault
        if self._done:
            return []
        if not self._seen:
            raise bad_response("empty_body", "the provider sent an empty answer")
        if not self._started:
            raise bad_event()
        message = "the provider's stream ended early"
        raise ParleyError(Failure("upstream_incomplete", message, detail="missing_terminator"))

    def _frame(self, frame: Frame, events: list[Event]) -> None:
        if self._done or frame.data.startswith(b"[DONE]"):
            return
        try:
            value = _decode(frame.data)
        except BAD_JSON:
            raise bad_event() from None
        if type(value) is not dict:
            raise bad_event()
        kind = value["type"] = value.get("type") or frame.event
        if kind == "error" or value.get("error"):
            raise ParleyError(stream_failure(error_of(value)))
        read = _READERS.get(kind) if type(kind) is str else None
        if read is not None:
            read(self, value, events)

    # The answer

    def begin(self, value: Json, events: list[Event]) -> None:
        """The response as it begins; told more than once, it begins once."""
        if not self._started:
            response = _response(value)
            extra = {name: member for name, member in response.items() if name not in LATE}
            self._started = True
            events.append(Start(**identity(response), extra=extra))

    def end(self, value: Json, events: list[Event]) -> None:
        """The terminal event: what was not told yet, and why the answer ended."""
        response = _response(value)
        self.begin(value, events)
        output = response.get("output")
        told = output if type(output) is list else []
        for place, item in enumerate(told):
            self._reconcile(place, item, events)
        whole = response.get("status") != "incomplete" and value.get("type") != "response.incomplete"
        for growing in self._items:
            if whole and growing.is_cut():
                message = "the provider's stream ended in the middle of a tool call"
                raise ParleyError(Failure("upstream_incomplete", message, detail="incomplete_tool_call"))
            growing.stop(events)
        said = told or [growing.item for growing in self._items]
        stop, native = stop_of({**response, "output": said}, cut=not whole)
        self._done = True
        events.append(Finish(0, stop, None, native))
        events.append(End(read_usage(response.get("usage"), response.get("service_tier")), response))

    def _reconcile(self, place: int, item: Any, events: list[Event]) -> None:
        growing = self._find({"output_index": place}, item) or self._open(item, place, events)
        growing.finish(item, events)

    def fail(self, value: Json, events: list[Event]) -> None:
        """The provider gave up."""
        raise ParleyError(failure_of(_response(value)))

    # Items and parts

    def added(self, value: Json, events: list[Event]) -> None:
        """An item begins; told again, it has begun already."""
        item = value.get("item")
        if item is not None and self._named(kind_of(item), item.get("id")) is None:
            self._open(item, value.get("output_index"), events)

    def done(self, value: Json, events: list[Event]) -> None:
        """An item is whole."""
        item = value.get("item")
        kind_of(item)
        assert type(item) is dict
        growing = self._find(value, item) or self._open(item, value.get("output_index"), events)
        growing.finish(item, events)

    def part(self, value: Json, events: list[Event]) -> None:
        """A content part begins."""
        growing, part = self._meant(value), value.get("part")
        if growing is not None and type(part) is dict:
            growing.part(_index(value, "content_index"), part, events)

    def part_done(self, value: Json, events: list[Event]) -> None:
        """A content part is whole."""
        growing, part = self._meant(value), value.get("part")
        if growing is not None and type(part) is dict:
            growing.part_done(_index(value, "content_index"), part, events)

    def grow(self, value: Json, events: list[Event]) -> None:
        """More of an item."""
        text = value.get("delta")
        if type(text) is not str:
            raise bad_event()
        growing = self._meant(value) or self._unannounced(value, events)
        if growing.kind != _grown_kind(value):
            raise bad_event()
        growing.grow(value, text, events)

    def _unannounced(self, value: Json, events: list[Event]) -> Growing:
        """The item of a text whose server did not say that it begins; a call must be announced: it has a name."""
        item: Json = {"type": _grown_kind(value)}
        if item["type"] == "function_call":
            raise bad_event()
        if "item_id" in value:
            item["id"] = value["item_id"]
        return self._open(item, value.get("output_index"), events)

    def settle(self, value: Json, events: list[Event]) -> None:
        """A text is whole: what its deltas did not say is said now."""
        growing = self._meant(value)
        if growing is not None:
            growing.settle(value, events)

    def _open(self, item: Json, place: Any, events: list[Event]) -> Growing:
        if not self._started:
            self._started = True
            events.append(Start("", ""))
        growing = grown_of(item, self._number)
        growing.place = place if type(place) is int else len(self._items)
        self._items.append(growing)
        growing.open(events)
        return growing

    def _number(self) -> int:
        """The number of the next block."""
        self._blocks += 1
        return self._blocks - 1

    def _named(self, kind: str, item_id: Any) -> Growing | None:
        """The item of that kind and id, None also where it has none."""
        if item_id is None:
            return None
        return next((one for one in self._items if one.kind == kind and one.item.get("id") == item_id), None)

    def _find(self, value: Json, item: Any) -> Growing | None:
        """The item that is told again: by its id, else by its place."""
        kind = kind_of(item)
        named = self._named(kind, item.get("id"))
        if named is not None:
            return named
        place = value.get("output_index")
        return next((one for one in self._items if one.place == place and one.kind == kind), None)

    def _meant(self, value: Json) -> Growing | None:
        """The item that an event is about: by its id, else by its place; the latest where it tells neither."""
        item_id, place = value.get("item_id"), value.get("output_index")
        if item_id is not None:
            for growing in self._items:
                if growing.item.get("id") == item_id:
                    return growing
        if place is not None:
            return next((one for one in reversed(self._items) if one.place == place), None)
        return self._items[-1] if self._items and item_id is None else None


def _response(value: Json) -> Json:
    found = value.get("response")
    if type(found) is not dict:
        raise bad_event()
    return found


def _grown_kind(value: Json) -> str:
    """The kind of item that a delta belongs to."""
    kind = str(value.get("type"))
    if kind.startswith("response.function_call"):
        return "function_call"
    return "reasoning" if kind.startswith("response.reasoning") else "message"


def _index(value: Json, name: str) -> int:
    found = value.get(name)
    return found if type(found) is int else 0


_Reader = Callable[[ResponseDecoder, Json, list[Event]], None]
_READERS: Mapping[Any, _Reader] = {
    "response.created": ResponseDecoder.begin,
    "response.queued": ResponseDecoder.begin,
    "response.in_progress": ResponseDecoder.begin,
    "response.completed": ResponseDecoder.end,
    "response.incomplete": ResponseDecoder.end,
    "response.failed": ResponseDecoder.fail,
    "response.cancelled": ResponseDecoder.fail,
    "response.output_item.added": ResponseDecoder.added,
    "response.output_item.done": ResponseDecoder.done,
    "response.content_part.added": ResponseDecoder.part,
    "response.content_part.done": ResponseDecoder.part_done,
    "response.output_text.delta": ResponseDecoder.grow,
    "response.output_text.done": ResponseDecoder.settle,
    "response.refusal.delta": ResponseDecoder.grow,
    "response.refusal.done": ResponseDecoder.settle,
    "response.function_call_arguments.delta": ResponseDecoder.grow,
    "response.function_call_arguments.done": ResponseDecoder.settle,
    "response.reasoning_text.delta": ResponseDecoder.grow,
    "response.reasoning_summary_text.delta": ResponseDecoder.grow,
}
