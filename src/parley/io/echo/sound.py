"""WAV files, written and read: 16-bit mono at 24 kHz, one tone a letter, the words as a comment (LIST/INFO/ICMT).

Source of rate and sample: what the speech operation calls pcm, surface contract section 8.
"""

import math
import struct
from array import array
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

RATE: Final = 24_000
PER_LETTER: Final = 480
_LETTERS_PER_PIECE: Final = 64
_TONES: Final = 24
_LOWEST: Final = 220.0
_LOUD: Final = 8000
# A file of nothing but empty chunks would keep us busy for its whole length.
_MOST_CHUNKS: Final = 100
_FORMAT: Final = struct.Struct("<HHIIHH")


class Heard(Struct, frozen=True):
    """What a WAV file holds: its length in seconds, and the words of its comment where it has one."""

    seconds: float
    words: str | None


def samples_of(text: str, speed: float) -> tuple[int, int]:
    """How many letters are sounded (at least one), and how many samples each is long."""
    return max(1, len(text)), max(1, round(PER_LETTER / speed))


def head(text: str, samples: int) -> bytes:
    """All of a WAV file that comes before its ``samples``, which are 16 bits each."""
    comment = text.encode() + b"\0"
    info = b"INFO" + _chunk(b"ICMT", comment)
    wave = _chunk(b"fmt ", _FORMAT.pack(1, 1, RATE, 2 * RATE, 2, 16)) + _chunk(b"LIST", info)
    size = 4 + len(wave) + 8 + 2 * samples
    return b"RIFF" + struct.pack("<I", size) + b"WAVE" + wave + b"data" + struct.pack("<I", 2 * samples)


def tones(text: str, speed: float) -> Iterator[bytes]:
    """The samples, little-endian, some letters at a time."""
    letters, length = text or " ", samples_of(text, speed)[1]
    made: dict[int, bytes] = {}
    for start in range(0, len(letters), _LETTERS_PER_PIECE):
        pitches = [-1 if letter.isspace() else ord(letter) % _TONES for letter in letters[start:][:_LETTERS_PER_PIECE]]
        for pitch in pitches:
            if pitch not in made:
                made[pitch] = _tone(pitch, length)
        yield b"".join(made[pitch] for pitch in pitches)


def heard(data: memoryview) -> Heard | None:
    """What a file says, None where it is no WAV file that can be read."""
    if len(data) < 12 or bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        return None
    words, seconds, rate = None, 0.0, 0
    for name, content in _chunks(data[12:]):
        if name == b"fmt " and len(content) >= 16:
            rate = _FORMAT.unpack(content[:16])[3]
        elif name == b"LIST" and bytes(content[:4]) == b"INFO":
            words = _comment(content[4:]) or words
        elif name == b"data":
            seconds = len(content) / rate if rate else 0.0
    return Heard(seconds, words)


def _tone(pitch: int, length: int) -> bytes:
    """One letter; it begins and ends in silence, so that nothing clicks."""
    if pitch < 0:
        return bytes(2 * length)
    turn = 2 * math.pi * _LOWEST * 2 ** (pitch / 12) / RATE
    made = array("h", (int(_LOUD * math.sin(turn * at) * math.sin(math.pi * at / length)) for at in range(length)))
    return struct.pack(f"<{length}h", *made)


def _comment(info: memoryview) -> str | None:
    for name, content in _chunks(info):
        if name == b"ICMT":
            return bytes(content).removesuffix(b"\0").decode("utf-8", "replace")
    return None


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Names and contents of the first ones; one that is cut short ends where the data does."""
    for _ in range(_MOST_CHUNKS):
        if len(data) < 8:
            return
        size = int.from_bytes(data[4:8], "little")
        yield bytes(data[:4]), data[8 : 8 + size]
        data = data[8 + size + size % 2 :]


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
