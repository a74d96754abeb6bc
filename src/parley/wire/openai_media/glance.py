"""A look into one event of an images, speech or transcription stream.

These streams name their events by ``type``: image_generation.partial_image and .completed, image_edit.* likewise,
speech.audio.delta and .done, transcript.text.delta, .segment and .done. A last event does not end the stream by
itself: several images have one each, and some servers add ``[DONE]``. The end is the connection's, or ``[DONE]``.
Some servers stream transcriptions as chunks with ``choices``. Sources: surface contract sections 7, 8 and 10.
"""

from typing import Any, Final

from msgspec import Raw, Struct, ValidationError, json

from parley.ir import Usage
from parley.wire import Mark
from parley.wire.openai_error import BAD_JSON, bad_event, stream_failure, told_error
from parley.wire.openai_media.answer import Counts, counted

_NOTHING: Final = Mark()
_CONTENT: Final = Mark(content=True)
_END: Final = Mark(end=True)
_EMPTY: Final = frozenset({b"", b"null", b'""', b"[]", b"{}"})
_LAST: Final = (".completed", ".done")
_ABSENT = Raw()


class _Choice(Struct, gc=False):
    finish_reason: Any = None


class _Event(Struct):
    type: str = ""
    delta: Raw = _ABSENT
    audio: Raw = _ABSENT
    b64_json: Raw = _ABSENT
    url: Raw = _ABSENT
    text: Raw = _ABSENT
    choices: list[_Choice] | None = None
    usage: Counts | None = None
    error: Any = None


_event: Final = json.Decoder(_Event).decode
_object: Final = json.Decoder(dict[str, Any]).decode


def glance(event: str, data: bytes) -> Mark:
    """What one event tells; raises bad_event where it is no JSON object."""
    if data.startswith(b"[DONE]"):
        return _END
    try:
        if not data.isascii():
            data.decode()  # members that are skipped are not checked by the decoder
        found = _event(data)
    except ValidationError:
        return _odd(event, data)
    except BAD_JSON:
        raise bad_event() from None
    if found.error or "error" in (found.type, event):
        return _odd(event, data)
    return _mark(found.type or event, found)


def _odd(event: str, data: bytes) -> Mark:
    """An error, or members of unexpected types: it passes unless it is no object or tells an error."""
    try:
        found = _object(data)
    except BAD_JSON:
        raise bad_event() from None
    kind = found["type"] if isinstance(found.get("type"), str) else event
    error = told_error(found, "error" if "error" in (kind, event) else "")
    if error:
        return Mark(failure=stream_failure(error))
    return Mark(finished=True) if kind.endswith(_LAST) else _NOTHING


def _mark(kind: str, found: _Event) -> Mark:
    choices = found.choices or ()
    finished = kind.endswith(_LAST) or any(choice.finish_reason for choice in choices)
    parts = (found.delta, found.audio, found.b64_json, found.url, found.text)
    content = bool(choices) or any(part is not _ABSENT and bytes(part) not in _EMPTY for part in parts)
    usage: Usage | None = None if found.usage is None else counted(found.usage)
    if finished or usage is not None:
        return Mark(content=content, finished=finished, usage=usage)
    return _CONTENT if content else _NOTHING
