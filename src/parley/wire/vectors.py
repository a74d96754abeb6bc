"""Vectors as OpenAI's embeddings endpoint writes them, which other servers do too. Shared by wires.

A vector is a list of numbers, or base64 of 32-bit floats, little-endian (surface contract section 5).
"""

import struct
from base64 import b64decode, b64encode
from typing import Final, TypeAlias

from msgspec import Raw, Struct, ValidationError, json

from parley.wire.openai_error import bad_response

Vector: TypeAlias = tuple[float, ...]


class _Item(Struct):
    embedding: list[float] | str
    index: int | None = None


_items: Final = json.Decoder(list[_Item]).decode


def vectors_of(data: Raw) -> tuple[Vector, ...]:
    """The vectors of the list ``data`` by their indices. Raises ``upstream_bad_response`` (bad_shape) where one is
    missing, is there twice or is no vector."""
    try:
        items = _items(data)
    except ValidationError:
        raise _bad("the provider's answer holds no vectors") from None
    placed: dict[int, Vector] = {}
    for place, item in enumerate(items):
        placed[place if item.index is None else item.index] = _vector(item.embedding)
    if sorted(placed) != list(range(len(items))):
        raise _bad("the provider's vectors are not numbered from 0 without gaps")
    return tuple(placed[place] for place in range(len(items)))


def _vector(value: list[float] | str) -> Vector:
    return unpacked(value) if isinstance(value, str) else tuple(value)


def unpacked(text: str) -> Vector:
    """The numbers of base64 text. Raises ``upstream_bad_response`` (bad_shape)."""
    try:
        data = b64decode(text, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (ValueError, struct.error):
        raise _bad("the provider sent a vector that is not base64 of 32-bit floats") from None


def packed(vector: Vector) -> str:
    """Base64 of the numbers. Raises ``upstream_bad_response`` (bad_shape) for one that 32 bits cannot hold."""
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise _bad("the provider sent a vector that 32-bit floats cannot hold") from None


def purpose_member(wire: str) -> str:
    """What callers of a wire call the purpose of their vectors."""
    return "taskType" if wire.startswith("gemini") else "input_type"


def _bad(message: str) -> Exception:
    return bad_response("bad_shape", message)
