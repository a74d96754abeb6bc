"""Transcriptions and translations: the words that our own speech carries in its file, of any other file its name and
size. Times spread the words evenly over the sound. Source of the shapes: surface contract section 8.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct, json

from parley.failure import invalid
from parley.framing import sse
from parley.io.echo.asked import EVENTS, JSON, Ask, Fields, Said, form_of
from parley.io.echo.sound import heard

TEXT: Final = b"text/plain; charset=utf-8"
VTT: Final = b"text/vtt; charset=utf-8"
_FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")
_WORD: Final = re.compile(r"\s*\S+|\s+\Z")


class _Transcript(Struct, frozen=True):
    text: str
    seconds: float
    language: str
    temperature: float

    @property
    def pieces(self) -> list[str]:
        """The text word by word, with the space before each."""
        return _WORD.findall(self.text)


def transcription(ask: Ask) -> Said:
    """The words of a file in one of the forms, or as a stream."""
    fields = form_of(ask)
    form = fields.word("response_format", (*_FORMATS, "diarized_json")) or "json"
    grain = fields.words("timestamp_granularities", ("word", "segment"))
    told = fields.words("include", ("logprobs",))
    found = _transcript(fields, fields.text("language") or "english")
    if grain and form != "verbose_json":
        raise invalid("timestamp_granularities needs response_format verbose_json", "timestamp_granularities")
    if fields.flag("stream"):
        return Said(EVENTS, _events(found, form, told=bool(told)))
    if form == "json":
        return _object({"text": found.text, **_certainty(found, bool(told)), "usage": _tokens(found)})
    if form == "diarized_json":
        made = {"task": "transcribe", "duration": found.seconds, "text": found.text, "segments": [_said_by(found)]}
        return _object({**made, "usage": _tokens(found)})
    return _timed(found, form, grain)


def translation(ask: Ask) -> Said:
    """The same words; there is no other language here."""
    fields = form_of(ask)
    form = fields.word("response_format", _FORMATS) or "json"
    found = _transcript(fields, "english")
    return _object({"text": found.text}) if form == "json" else _timed(found, form, [])


def _transcript(fields: Fields, language: str) -> _Transcript:
    file = fields.file("file")
    fields.text("prompt")
    temperature = fields.real("temperature", 0, 1) or 0.0
    sound = heard(file.data)
    seconds, words = (0.0, None) if sound is None else (sound.seconds, sound.words)
    text = f"{file.filename or 'file'}, {len(file.data)} bytes" if words is None else words
    return _Transcript(text, seconds, language, temperature)


def _timed(found: _Transcript, form: str, grain: list[str]) -> Said:
    """The forms that tell times, and plain text."""
    if form == "text":
        return Said(TEXT, iter((found.text.encode() + b"\n",)))
    if form == "srt":
        return Said(TEXT, iter((_cue(found, ",", "1\n").encode(),)))
    if form == "vtt":
        return Said(VTT, iter((_cue(found, ".", "WEBVTT\n\n").encode(),)))
    made: dict[str, Any] = {"language": found.language, "duration": found.seconds, "text": found.text}
    if not grain or "segment" in grain:
        made["segments"] = [_segment(found)]
    if "word" in grain:
        made["words"] = _words(found)
    return _object({**made, "usage": {"type": "duration", "seconds": found.seconds}})


def _object(made: dict[str, Any]) -> Said:
    return Said(JSON, iter((json.encode(made),)))


def _segment(found: _Transcript) -> dict[str, Any]:
    return {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": found.seconds,
        "text": found.text,
        "tokens": [],
        "temperature": found.temperature,
        "avg_logprob": 0.0,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }


def _said_by(found: _Transcript) -> dict[str, Any]:
    made = {"type": "transcript.text.segment", "id": "seg_0", "start": 0.0, "end": found.seconds}
    return {**made, "text": found.text, "speaker": "A"}


def _words(found: _Transcript) -> list[dict[str, Any]]:
    words = found.text.split()
    step = found.seconds / max(1, len(words))
    return [
        {"word": word, "start": round(at * step, 3), "end": round((at + 1) * step, 3)} for at, word in enumerate(words)
    ]


def _tokens(found: _Transcript) -> dict[str, Any]:
    count = len(found.text.split())
    return {"type": "tokens", "input_tokens": count, "output_tokens": count, "total_tokens": 2 * count}


def _certainty(found: _Transcript, told: bool) -> dict[str, Any]:
    return {"logprobs": [_sure(piece) for piece in found.pieces]} if told else {}


def _sure(piece: str) -> dict[str, Any]:
    return {"token": piece, "logprob": 0.0, "bytes": list(piece.encode())}


def _cue(found: _Transcript, point: str, before: str) -> str:
    """One subtitle over all of the sound. It ends at a blank line, so the text must hold none."""
    text = " ".join(found.text.split())
    return f"{before}{_clock(0.0, point)} --> {_clock(found.seconds, point)}\n{text}\n\n"


def _clock(seconds: float, point: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _events(found: _Transcript, form: str, *, told: bool) -> Iterator[bytes]:
    """A delta for each word, the segment where speakers are told apart, then the whole."""
    for piece in found.pieces:
        more = {"logprobs": [_sure(piece)]} if told else {}
        yield sse(json.encode({"type": "transcript.text.delta", "delta": piece, **more}))
    if form == "diarized_json":
        yield sse(json.encode(_said_by(found)))
    done = {"type": "transcript.text.done", "text": found.text, **_certainty(found, told), "usage": _tokens(found)}
    yield sse(json.encode(done))
