"""Embeddings: a unit vector made of the text's hash. The same text always has the same one, another text another.

Fewer ``dimensions`` are the beginning of more, made a unit vector again. Numbers are 32-bit floats, so that both
encodings say the same. Source of the shape: surface contract section 5.
"""

import hashlib
import math
import struct
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

from msgspec import json

from parley.failure import invalid
from parley.io.echo.asked import JSON, Ask, Said, object_of

DIMENSIONS: Final = 32
MOST_DIMENSIONS: Final = 4096
MOST_ITEMS: Final = 2048
# An answer of more numbers than these would be larger than answers may be.
MOST_NUMBERS: Final = 1 << 20


def embeddings(ask: Ask) -> Said:
    """One vector for each input, a piece each."""
    fields = object_of(ask)
    model, items = fields.need("model"), _items(fields.given("input"))
    size = fields.whole("dimensions", 1, MOST_DIMENSIONS) or DIMENSIONS
    packed = fields.word("encoding_format", ("float", "base64")) == "base64"
    if size * len(items) > MOST_NUMBERS:
        raise invalid(f"echo makes at most {MOST_NUMBERS} numbers at once", "dimensions")
    return Said(JSON, _written(model, items, size, packed))


def _written(model: str, items: list[Any], size: int, packed: bool) -> Iterator[bytes]:
    before = b'{"object":"list","data":['
    for index, item in enumerate(items):
        vector = unit_vector(_text(item), size)
        made: Any = b64encode(struct.pack(f"<{size}f", *vector)) if packed else vector
        encoded = b'"%b"' % made if packed else json.encode(made)
        yield before + b'{"object":"embedding","index":%d,"embedding":%b}' % (index, encoded)
        before = b","
    count = sum(len(item.split()) if isinstance(item, str) else len(item) for item in items)
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (count, count)
    yield b'],"model":%b,"usage":%b}' % (json.encode(model), usage)


def unit_vector(text: str, size: int) -> tuple[float, ...]:
    """A vector of length 1 whose numbers are exact 32-bit floats."""
    drawn = struct.unpack(f"<{size}h", hashlib.shake_256(text.encode()).digest(2 * size))
    raw = [number or 1 for number in drawn]
    length = math.sqrt(sum(number * number for number in raw))
    shape = f"<{size}f"
    return struct.unpack(shape, struct.pack(shape, *(number / length for number in raw)))


def _text(item: Any) -> str:
    return item if isinstance(item, str) else " ".join(map(str, item))


def _items(given: Any) -> list[Any]:
    """The inputs as texts and lists of tokens."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise invalid("input is required and must be a string or an array that is not empty", "input")
    if all(type(item) is int for item in given):
        return [given]
    if len(given) > MOST_ITEMS:
        raise invalid(f"input must hold at most {MOST_ITEMS} items", "input")
    strings = isinstance(given[0], str)
    for index, item in enumerate(given):
        fits = isinstance(item, str) if strings else _tokens(item)
        if not fits:
            raise invalid("input must hold strings, or tokens, or arrays of tokens", f"input[{index}]")
    return given


def _tokens(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and all(type(token) is int for token in item)
