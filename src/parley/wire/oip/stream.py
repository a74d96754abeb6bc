"""Events of /generate_stream: pieces of text, or tensors of them, without names and without a terminator.

The end is the finish reason of the last event. A server that tells no details at all, as one that streams tensors, ends
by ending the connection; one that tells them and then nothing more has broken off.
"""

from typing import Final

from parley.framing import Frame
from parley.ir import BlockStart, BlockStop, Delta, End, Event, Finish, Start, Stop, Text
from parley.wire.flat_error import refuse_told
from parley.wire.frames import FrameDecoder, early, members
from parley.wire.oip.generate import NAME, stop_of, text_of
from parley.wire.oip.options import GenerateOptions
from parley.wire.oip.tensors import name_of, texts_of
from parley.wire.openai_error import bad_event

_DONE: Final = b"[DONE]"


class TextDecoder(FrameDecoder):
    """Reads one stream of a server that ``options`` describe."""

    def __init__(self, options: GenerateOptions) -> None:
        super().__init__()
        self._options = options
        self._begun = self._detailed = False
        self._told = ""

    def frame(self, frame: Frame, events: list[Event]) -> None:
        """One piece of text, the last one perhaps with the reason of the end."""
        if frame.data.strip() == _DONE:
            self.ending(events)
            return
        data = members(frame.data)
        refuse_told(NAME, data)
        text = self._text(data)
        if not self._begun:
            self._begun = True
            events += (Start("", name_of(data)), BlockStart(0, 0, Text("")))
        if text:
            events.append(Delta(0, 0, "text", text))
        self._detailed = self._detailed or isinstance(data.get("details"), dict)
        stop, native = stop_of(data)
        if native is not None:
            self._end(stop, native, events)

    def ending(self, events: list[Event]) -> None:
        """The connection ends: well, where nothing has told that more must come."""
        if not self._begun or self._detailed:
            raise early()
        self._end("end", None, events)

    def _text(self, data: dict[str, object]) -> str:
        if self._options.body == "infer":
            return self._more("".join(texts_of(data, self._options.output)))
        details = data.get("details")
        token = details.get("token") if isinstance(details, dict) else None
        text = text_of(data)
        if text is None and not isinstance(details, dict):
            raise bad_event()
        if text is None or (isinstance(token, dict) and token.get("special") is True):
            return ""
        return self._more(text)

    def _more(self, text: str) -> str:
        """What is new in it."""
        if not self._options.cumulative:
            return text
        if not text.startswith(self._told):
            raise bad_event()
        new, self._told = text[len(self._told) :], text
        return new

    def _end(self, stop: Stop, native: str | None, events: list[Event]) -> None:
        events += (BlockStop(0, 0), Finish(0, stop, native=native), End())
        self.done = True
