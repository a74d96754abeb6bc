"""Speech and transcriptions without a model: real WAV files, read by the standard library, and their words again."""

import base64
import io
import re
import struct
import wave
from typing import Any

import pytest
from echoes import bytes_at, events_at, object_at, refused
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionStreamEvent,
    TranscriptionVerbose,
    TranslationVerbose,
)
from pydantic import TypeAdapter

SPEECH, HEARD, TRANSLATED = "/audio/speech", "/audio/transcriptions", "/audio/translations"
TEXT = "Hello, my  world"


def asking(text: Any = TEXT, **members: Any) -> dict[str, Any]:
    return {"model": "echo", "input": text, "voice": "alloy", **members}


async def spoken(text: str = TEXT, **members: Any) -> bytes:
    kind, content = await bytes_at(SPEECH, asking(text, **members))
    assert kind == b"audio/wav"
    return content


def opened(content: bytes) -> tuple[int, bytes]:
    """Frames and samples of a file that the standard library takes."""
    with wave.open(io.BytesIO(content)) as found:
        assert (found.getnchannels(), found.getsampwidth(), found.getframerate()) == (1, 2, 24000)
        return found.getnframes(), found.readframes(found.getnframes())


async def test_a_wav_file() -> None:
    content = await spoken()
    frames, samples = opened(content)
    assert frames == len(TEXT) * 480
    assert len(samples) == 2 * frames
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    numbers = struct.unpack(f"<{frames}h", samples)
    assert 4000 < max(numbers) <= 8000
    assert set(numbers[6 * 480 : 7 * 480]) == {0}


async def test_a_longer_text_is_longer_and_a_faster_one_shorter() -> None:
    one, two = opened(await spoken("ab"))[0], opened(await spoken("abab"))[0]
    assert two == 2 * one
    assert opened(await spoken("ab", speed=2))[0] == one // 2
    assert opened(await spoken("ab", speed=0.25))[0] == one * 4


async def test_an_empty_text_and_a_long_one() -> None:
    assert opened(await spoken(""))[0] == 480
    assert opened(await spoken("x" * 4096))[0] == 480 * 4096


async def test_pcm_is_the_samples_alone() -> None:
    kind, content = await bytes_at(SPEECH, asking(response_format="pcm"))
    assert (kind, content) == (b"audio/pcm", opened(await spoken())[1])
    assert await spoken(response_format="wav") == await spoken()


@pytest.mark.parametrize("form", [None, "wav", "pcm"])
async def test_events_hold_the_same_bytes(form: str | None) -> None:
    _, whole = await bytes_at(SPEECH, asking("x" * 200, response_format=form))
    found = [data for _, data in await events_at(SPEECH, asking("x" * 200, response_format=form, stream_format="sse"))]
    assert [data["type"] for data in found] == ["speech.audio.delta"] * (len(found) - 1) + ["speech.audio.done"]
    assert len(found) > 4
    assert b"".join(base64.b64decode(data["audio"], validate=True) for data in found[:-1]) == whole
    assert found[-1]["usage"] == {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}


async def test_a_voice_by_its_id() -> None:
    assert await spoken(voice={"id": "voice_1"}) == await spoken()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"voice": 5}, "voice"),
        ({"voice": {"name": "x"}}, "voice.id"),
        ({"instructions": "x" * 4097}, "instructions"),
        ({"response_format": "ogg"}, "response_format"),
        ({"speed": 0.2}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"speed": "1"}, "speed"),
        ({"stream_format": "raw"}, "stream_format"),
    ],
)
async def test_what_speech_cannot_be(members: dict[str, Any], param: str) -> None:
    assert (await refused(SPEECH, asking(**members))).param == param


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac"])
async def test_formats_that_need_a_codec_are_refused_by_name(form: str) -> None:
    failure = await refused(SPEECH, asking(response_format=form))
    assert failure.param == "response_format"
    assert re.search(rf"wav and pcm.*{form}", failure.message)


@pytest.mark.parametrize("text", [TEXT, "a", "ab", "\u00fc\u2028\U0001f44b z", "line\nline", "nul \0 inside"])
async def test_a_transcription_tells_what_was_spoken(text: str) -> None:
    made = await object_at(HEARD, ({"model": "echo"}, {"file": await spoken(text)}))
    assert made["text"] == text
    count = len(text.split())
    usage = {"type": "tokens", "input_tokens": count, "output_tokens": count, "total_tokens": 2 * count}
    assert made == {"text": text, "usage": usage}
    assert Transcription.model_validate(made).text == text
    assert await object_at(TRANSLATED, ({"model": "echo"}, {"file": await spoken(text)})) == {"text": text}


@pytest.mark.parametrize("path", [HEARD, TRANSLATED])
@pytest.mark.parametrize("data", [b"x", b"RIFF", b"RIFF\xff\xff\xff\xffWAVE", b"RIFF0000WAVEfmt \xff\0\0\0short"])
async def test_a_file_of_another_kind_is_told_by_its_name_and_size(path: str, data: bytes) -> None:
    made = await object_at(path, ({"model": "echo"}, {"file": data}))
    assert made["text"] == f"file.bin, {len(data)} bytes"


async def test_a_wav_file_that_was_not_spoken_here() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as made:
        made.setparams((2, 2, 8000, 0, "NONE", ""))
        made.writeframes(bytes(4 * 4000))
    fields = {"model": "echo", "response_format": "verbose_json"}
    told = await object_at(HEARD, (fields, {"file": buffer.getvalue()}))
    assert told["duration"] == 0.5
    assert told["text"] == f"file.bin, {len(buffer.getvalue())} bytes"


async def test_the_long_form() -> None:
    seconds = len(TEXT) * 0.02
    fields: dict[str, Any] = {
        "model": "echo",
        "response_format": "verbose_json",
        "timestamp_granularities[]": ["word", "segment"],
        "temperature": "0.5",
        "language": "de",
    }
    made = TranscriptionVerbose.model_validate(await object_at(HEARD, (fields, {"file": await spoken()})))
    assert (made.text, made.language, made.duration) == (TEXT, "de", seconds)
    assert made.segments is not None
    assert made.words is not None
    (segment,) = made.segments
    assert (segment.text, segment.start, segment.end, segment.temperature) == (TEXT, 0.0, seconds, 0.5)
    assert [word.word for word in made.words] == TEXT.split()
    assert made.words[0].start == 0
    assert made.words[-1].end == pytest.approx(seconds, abs=1e-3)
    assert made.usage is not None
    assert made.usage.seconds == seconds


@pytest.mark.parametrize(("grain", "members"), [("word", {"words"}), ("segment", {"segments"}), (None, {"segments"})])
async def test_only_the_times_that_were_asked_for(grain: str | None, members: set[str]) -> None:
    fields = {"model": "echo", "response_format": "verbose_json"}
    if grain is not None:
        fields["timestamp_granularities[]"] = grain
    made = await object_at(HEARD, (fields, {"file": await spoken()}))
    assert set(made) & {"words", "segments"} == members


async def test_a_translation_in_the_long_form() -> None:
    fields = {"model": "echo", "response_format": "verbose_json"}
    made = TranslationVerbose.model_validate(await object_at(TRANSLATED, (fields, {"file": await spoken()})))
    assert (made.text, made.language) == (TEXT, "english")


async def test_speakers() -> None:
    fields = {"model": "echo", "response_format": "diarized_json"}
    made = TranscriptionDiarized.model_validate(await object_at(HEARD, (fields, {"file": await spoken()})))
    assert [(segment.text, segment.speaker) for segment in made.segments] == [(TEXT, "A")]
    found = await events_at(HEARD, ({**fields, "stream": "true"}, {"file": await spoken()}))
    assert [data["type"] for _, data in found][-2:] == ["transcript.text.segment", "transcript.text.done"]
    TypeAdapter(TranscriptionStreamEvent).validate_python(found[-2][1])


@pytest.mark.parametrize("path", [HEARD, TRANSLATED])
@pytest.mark.parametrize(
    ("form", "kind", "said"),
    [
        ("text", b"text/plain; charset=utf-8", "a b\n"),
        ("srt", b"text/plain; charset=utf-8", "1\n00:00:00,000 --> 00:01:12,060\na b\n\n"),
        ("vtt", b"text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.000 --> 00:01:12.060\na b\n\n"),
    ],
)
async def test_plain_forms(path: str, form: str, kind: bytes, said: str) -> None:
    text = "a b" if form == "text" else "a" + " " * 3601 + "b"
    file = await spoken(text)
    told = await bytes_at(path, ({"model": "echo", "response_format": form}, {"file": file}))
    assert told == (kind, said.encode())


async def test_a_stream_tells_word_by_word() -> None:
    found = await events_at(HEARD, ({"model": "echo", "stream": "true"}, {"file": await spoken()}))
    events = [TypeAdapter(TranscriptionStreamEvent).validate_python(data) for _, data in found]
    assert [event.type for event in events] == ["transcript.text.delta"] * 3 + ["transcript.text.done"]
    assert [data.get("delta") for _, data in found] == ["Hello,", " my", "  world", None]
    assert found[-1][1] == {
        "type": "transcript.text.done",
        "text": TEXT,
        "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 3, "total_tokens": 6},
    }


@pytest.mark.parametrize("stream", ["true", "false"])
async def test_certainty_where_it_is_asked_for(stream: str) -> None:
    fields = {"model": "echo", "include[]": "logprobs", "stream": stream}
    members = (fields, {"file": await spoken()})
    told = (await events_at(HEARD, members))[-1][1] if stream == "true" else await object_at(HEARD, members)
    assert [one["token"] for one in told["logprobs"]] == ["Hello,", " my", "  world"]
    assert bytes(told["logprobs"][1]["bytes"]) == b" my"


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({}, [], "file"),
        ({"file": "text"}, [], "file"),
        ({}, [("file", b"")], "file"),
        ({}, [("file", b"a"), ("file", b"b")], "file"),
        ({"response_format": "xml"}, [("file", b"a")], "response_format"),
        ({"temperature": "2"}, [("file", b"a")], "temperature"),
        ({"temperature": "nan"}, [("file", b"a")], "temperature"),
        ({"stream": "maybe"}, [("file", b"a")], "stream"),
        ({"include[]": "words"}, [("file", b"a")], "include"),
        ({"timestamp_granularities[]": "hour"}, [("file", b"a")], "timestamp_granularities"),
        ({"timestamp_granularities[]": "word"}, [("file", b"a")], "timestamp_granularities"),
        ({"language": ["a", "b"]}, [("file", b"a")], "language"),
    ],
)
async def test_what_a_transcription_cannot_be(
    fields: dict[str, Any], files: list[tuple[str, bytes]], param: str
) -> None:
    assert (await refused(HEARD, ({"model": "echo", **fields}, files))).param == param


async def test_speakers_of_a_translation_are_not_told_apart() -> None:
    failure = await refused(TRANSLATED, ({"response_format": "diarized_json"}, {"file": b"a"}))
    assert failure.param == "response_format"
