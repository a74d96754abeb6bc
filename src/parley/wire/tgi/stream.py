"""Events of /generate_stream: one token each, without names and without a terminator.

The last event tells the whole text once more, which is not added; special tokens are no part of the text. An event may
be an error object. Source: provider contract 5.3.
"""

from typing import Any, Final

from msgspec import Struct, json

from parley.framing import Frame
from parley.ir import BlockStart, BlockStop, Delta, End, Event, Finish, Start, Text
from parley.wire.flat_error import refuse_told
from parley.wire.frames import FrameDecoder, early, members
from parley.wire.openai_error import BAD_JSON, bad_event
from parley.wire.tgi.answer import is_said, logprob_of, stop_of, usage_of


class _Token(Struct):
    text: str
    special: Any = None


class _Plain(Struct):
    token: _Token
    top_tokens: Any = None
    generated_text: Any = None
    details: Any = None
    error: Any = None


_plain: Final = json.Decoder(_Plain).decode


class TokenDecoder(FrameDecoder):
    """Reads one stream."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._spoke = False

    def frame(self, frame: Frame, events: list[Event]) -> None:
        """One token, the last one with the end of the answer."""
        token = _token_of(frame.data) if self._begun else None
        if token is not None:
            if token.text and token.special is not True:
                self._spoke = True
                events.append(Delta(0, 0, "text", token.text))
            return
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


def _token_of(data: bytes) -> _Token | None:
    """The token of an event that tells of nothing else, as most do."""
    try:
        if not data.isascii():
            data.decode()  # members that are skipped are not checked by the decoder
        found = _plain(data)
    except BAD_JSON:
        return None
    if found.top_tokens or found.error or found.generated_text is not None or found.details is not None:
        return None
    return found.token
