"""Events of /generate_stream: pieces of text, or tensors of them, without names and without a terminator.

The end is the finish reason of the last event. A server that tells no details at all, as one that streams tensors, ends
by ending the connection; one that tells them and then nothing more has broken off.
"""

from typing import Any, Final

from msgspec import Struct, json

from parley.framing import Frame
from parley.ir import BlockStart, BlockStop, Delta, End, Event, Finish, Start, Stop, Text
from parley.wire.flat_error import refuse_told
from parley.wire.frames import FrameDecoder, early, members
from parley.wire.oip.generate import NAME, stop_of, text_of
from parley.wire.oip.options import GenerateOptions
from parley.wire.oip.tensors import name_of, texts_of
from parley.wire.openai_error import BAD_JSON, bad_event

_DONE: Final = b"[DONE]"


class _Token(Struct, gc=False):
    special: bool | None = None


class _Details(Struct):
    token: _Token | None = None
    finish_reason: Any = None


class _Plain(Struct):
    text_output: str
    details: _Details | None = None
    error: Any = None


_plain: Final = json.Decoder(_Plain).decode


class TextDecoder(FrameDecoder):
    """Reads one stream of a server that ``options`` describe."""

    def __init__(self, options: GenerateOptions) -> None:
        super().__init__()
        self._options = options
        self._begun = self._detailed = False
        self._told = ""
        self._plain = options.body != "infer" and not options.cumulative

    def frame(self, frame: Frame, events: list[Event]) -> None:
        """One piece of text, the last one perhaps with the reason of the end."""
        if frame.data.strip() == _DONE:
            self.ending(events)
            return
        plain = _plain_of(frame.data) if self._plain and self._begun else None
        if plain is not None:
            self._say(plain, events)
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

    def _say(self, plain: _Plain, events: list[Event]) -> None:
        """A piece of text and no more; a special token is none."""
        details = plain.details
        self._detailed = self._detailed or details is not None
        if plain.text_output and not (details and details.token and details.token.special):
            events.append(Delta(0, 0, "text", plain.text_output))

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


def _plain_of(data: bytes) -> _Plain | None:
    """An event that tells a text and nothing of an end, as most do."""
    try:
        if not data.isascii():
            data.decode()  # members that are skipped are not checked by the decoder
        found = _plain(data)
    except BAD_JSON:
        return None
    ends = found.details is not None and found.details.finish_reason is not None
    return None if ends or found.error else found
