"""Speech: a tone for each letter, as long as the text is. Its WAV files carry the words they speak.

Only what needs no codec: wav and pcm, wav where the caller does not say. Source: surface contract section 8.
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Final

from msgspec import json

from parley.failure import invalid
from parley.framing import sse
from parley.io.echo import sound
from parley.io.echo.asked import EVENTS, Ask, Fields, Said, object_of

LONGEST: Final = 4096
WAV: Final = b"audio/wav"
PCM: Final = b"audio/pcm"
_FORMATS: Final = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_SPOKEN: Final = (None, "wav", "pcm")


def speech(ask: Ask) -> Said:
    """The sound of the text, as bytes or as events."""
    fields = object_of(ask)
    text, speed = fields.need("input", LONGEST), fields.real("speed", 0.25, 4)
    fields.text("instructions", LONGEST)
    _check_voice(fields)
    form = fields.word("response_format", _FORMATS)
    if form not in _SPOKEN:
        raise invalid(f"echo speaks wav and pcm only, not {form}", "response_format")
    pieces = _spoken(text, speed or 1.0, plain=form == "pcm")
    if fields.word("stream_format", ("audio", "sse")) == "sse":
        return Said(EVENTS, _events(text, pieces))
    return Said(PCM if form == "pcm" else WAV, pieces)


def _check_voice(fields: Fields) -> None:
    """A name, or an object with an id; which one makes no difference here."""
    voice = fields.given("voice")
    if isinstance(voice, dict):
        if not isinstance(voice.get("id"), str):
            raise invalid("voice.id is required and must be a string", "voice.id")
    elif voice is not None and not isinstance(voice, str):
        raise invalid("voice must be a string or an object", "voice")


def _spoken(text: str, speed: float, *, plain: bool) -> Iterator[bytes]:
    if not plain:
        letters, length = sound.samples_of(text, speed)
        yield sound.head(text, letters * length)
    yield from sound.tones(text, speed)


def _events(text: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield sse(json.encode({"type": "speech.audio.delta", "audio": b64encode(piece).decode()}))
    count = len(text.split())
    usage = {"input_tokens": count, "output_tokens": count, "total_tokens": 2 * count}
    yield sse(json.encode({"type": "speech.audio.done", "usage": usage}))
