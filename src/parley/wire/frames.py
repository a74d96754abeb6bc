"""Reading a provider's server-sent events: faults after events, the terminator, an early end. Shared by wires."""

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.framing import Frame, SseReader
from parley.ir import Event
from parley.wire.openai_error import BAD_JSON, bad_event, bad_response

_decode = json.Decoder().decode


class FrameDecoder:
    """What every StreamDecoder of events does; a wire says in ``frame`` what one means and in ``ending`` whether the
    answer is whole when the connection ends. ``done``: the success terminator was seen, all else is ignored."""

    def __init__(self) -> None:
        self._reader = SseReader()
        self._fault: ParleyError | None = None
        self._seen = False
        self.done = False

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``; a fault behind some of them is raised by the next call."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self.done:
            return events
        self._seen = self._seen or bool(data)
        try:
            for frame in self._reader.feed(data):
                if not self.done:
                    self.frame(frame, events)
        except ParleyError as error:
            if not events:
                raise
            self._fault = error
        return events

    def close(self) -> list[Event]:
        """The upstream has ended."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if not self.done:
            if not self._seen:
                raise bad_response("empty_body", "the provider sent an empty answer")
            self.ending(events)
        return events

    def frame(self, frame: Frame, events: list[Event]) -> None:
        """Add what one event says."""
        raise NotImplementedError

    def ending(self, events: list[Event]) -> None:
        """Add what is owed at the end of the connection, or raise ``upstream_incomplete``."""
        raise NotImplementedError


def members(data: bytes) -> dict[str, object]:
    """The object that an event holds. Raises ``upstream_bad_response`` (bad_event)."""
    try:
        value = _decode(data)
    except BAD_JSON:
        raise bad_event() from None
    if not isinstance(value, dict):
        raise bad_event()
    return value


def early() -> ParleyError:
    """The stream ended before its answer did."""
    return ParleyError(Failure("upstream_incomplete", "the provider's stream ended early", detail="missing_terminator"))


def cut_call() -> ParleyError:
    """The stream ended in the arguments of a call."""
    message = "the provider's stream ended in the middle of a tool call"
    return ParleyError(Failure("upstream_incomplete", message, detail="incomplete_tool_call"))
