"""Events of /generate_stream: one token each, without names and without a terminator.

The last event tells the whole text once more, which is not added; special tokens are no part of the text. An event may
be an error object. Source: provider contract 5.3.
"""

from typing import Any

from parley.framing import Frame
from parley.ir import BlockStart, BlockStop, Delta, End, Event, Finish, Start, Text
from parley.wire.flat_error import refuse_told
from parley.wire.frames import FrameDecoder, early, members
from parley.wire.openai_error import bad_event
from parley.wire.tgi.answer import is_said, logprob_of, stop_of, usage_of


class TokenDecoder(FrameDecoder):
    """Reads one stream."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._spoke = False

    def frame(self, frame: Frame, events: list[Event]) -> None:
        """One token, the last one with the end of the answer."""
        data = members(frame.data)
        refuse_told("tgi", data)
        if not ("token" in data or isinstance(data.get("generated_text"), str)):
            raise bad_event()
        if not self._begun:
            self._begun = True
            events += (Start("", ""), BlockStart(0, 0, Text("")))
        self._token(data, events)
        whole, details = data.get("generated_text"), data.get("details")
        if isinstance(whole, str) or isinstance(details, dict):
            self._end(whole, details, events)

    def ending(self, events: list[Event]) -> None:
        """There was no last event."""
        raise early()

    def _token(self, data: dict[str, object], events: list[Event]) -> None:
        token = data.get("token")
        if isinstance(token, dict) and is_said(token) and token["text"]:
            top = data.get("top_tokens")
            told = {"content": [logprob_of(token, top)]} if isinstance(top, list) and top else None
            self._spoke = True
            events.append(Delta(0, 0, "text", token["text"], told))

    def _end(self, whole: Any, details: Any, events: list[Event]) -> None:
        if isinstance(whole, str) and whole and not self._spoke:
            events.append(Delta(0, 0, "text", whole))
        stop, native = stop_of(details)
        events += (BlockStop(0, 0), Finish(0, stop, native=native), End(usage_of(details)))
        self.done = True
