"""The text of a key: ``parley_``, the letter of its kind, 256 random bits and a checksum, both in base 62.

The checksum tells a key that was cut or mistyped, and lets scanners for leaked secrets be sure of what they found; it
protects nothing. Of a key only the digest is kept: behind 256 random bits a plain SHA-256 cannot be searched.
"""

import re
from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final
from zlib import crc32

from parley.keys.holder import KINDS, Kind

PREFIX: Final = "parley_"
BITS: Final = 256
# 62 ** 43 is just above 2 ** 256, 62 ** 6 above 2 ** 32.
_RANDOM, _CHECK = 43, 6
_LETTERS: Final = digits + ascii_uppercase + ascii_lowercase
_LENGTH: Final = len(PREFIX) + 1 + _RANDOM + _CHECK
_SHAPE: Final = re.compile(rf"{PREFIX}[{''.join(kind[0] for kind in KINDS)}][0-9A-Za-z]{{{_RANDOM + _CHECK}}}")


def key_text(kind: Kind, random: bytes) -> str:
    """A key of that kind from 32 random bytes."""
    if len(random) * 8 != BITS:
        raise ValueError(f"a key needs {BITS} random bits")
    said = PREFIX + kind[0] + _written(int.from_bytes(random), _RANDOM)
    return said + _checksum(said)


def is_key(text: str) -> bool:
    """Whether this is a key as ``key_text`` writes them; it need not be anybody's."""
    return _SHAPE.fullmatch(text) is not None and _checksum(text[:-_CHECK]) == text[-_CHECK:]


def holds_key(text: str) -> bool:
    """Whether a key stands anywhere in this text."""
    return PREFIX in text and any(is_key(text[at : at + _LENGTH]) for at in _places(text))


def _places(text: str) -> list[int]:
    return [found.start() for found in re.finditer(PREFIX, text)]


def digest_of(shown: bytes) -> bytes:
    """What is kept of a key, and looked up for one that is shown."""
    return sha256(shown).digest()


def _checksum(said: str) -> str:
    return _written(crc32(said.encode()), _CHECK)


def _written(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(reversed(letters))
