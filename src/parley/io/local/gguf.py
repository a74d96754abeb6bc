"""The head of a GGUF file: what a model says of itself, up to its vocabulary.

Standard library only: the child process reads it too. Source: GGUF specification, section "File Structure".
"""

import struct
from collections.abc import Mapping
from typing import BinaryIO, Final, TypeAlias

Value: TypeAlias = int | float | bool | str
_PLAIN: Final[Mapping[int, str]] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING: Final = 8
_ARRAY: Final = 9
# Models are trained for far more context than memory is wanted to be spent on unasked.
DEFAULT_CONTEXT: Final = 8192
UNKNOWN_CONTEXT: Final = 4096
_MAX_KEYS: Final = 4096
_MAX_TEXT: Final = 1 << 20
_MAX_ITEMS: Final = 65536


class HeaderError(Exception):
    """The head of the file is not GGUF's."""


def header(path: str) -> dict[str, Value]:
    """Plain metadata by key. The vocabulary, which follows by convention and is large, ends the reading; of a list of
    numbers the largest is kept. Raises OSError and HeaderError."""
    with open(path, "rb") as file:
        magic, _, _, keys = struct.unpack("<4sIQQ", _exactly(file, 24))
        if magic != b"GGUF" or keys > _MAX_KEYS:
            raise HeaderError("no GGUF header")
        found: dict[str, Value] = {}
        for _ in range(keys):
            key = _text(file)
            if key.startswith("tokenizer."):
                break
            value = _value(file, _number(file, "<I"))
            if value is not None:
                found[key] = value
        return found


def about(found: Mapping[str, Value], key: str) -> int | None:
    """A whole number that the model's architecture states under ``key``; None where it does not."""
    value = found.get(f"{found.get('general.architecture')}.{key}")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def context(found: Mapping[str, Value], asked: int | None) -> int:
    """Tokens of context that one request may use: what was asked for, else what was trained, up to a limit."""
    if asked is not None:
        return asked
    trained = about(found, "context_length")
    return min(trained, DEFAULT_CONTEXT) if trained else UNKNOWN_CONTEXT


def _value(file: BinaryIO, kind: int) -> Value | None:
    if kind == _STRING:
        return _text(file)
    if kind == _ARRAY:
        return _largest(file, _number(file, "<I"), _number(file, "<Q"))
    if kind not in _PLAIN:
        raise HeaderError("an unknown type of value")
    value: Value = struct.unpack(_PLAIN[kind], _exactly(file, struct.calcsize(_PLAIN[kind])))[0]
    return value


def _largest(file: BinaryIO, kind: int, count: int) -> Value | None:
    if count > _MAX_ITEMS:
        raise HeaderError("a list that is too long")
    values = [_value(file, kind) for _ in range(count)]
    return max((value for value in values if isinstance(value, int | float)), default=None)


def _text(file: BinaryIO) -> str:
    length = _number(file, "<Q")
    if length > _MAX_TEXT:
        raise HeaderError("a text that is too long")
    return _exactly(file, length).decode("utf-8", "replace")


def _number(file: BinaryIO, form: str) -> int:
    return int(struct.unpack(form, _exactly(file, struct.calcsize(form)))[0])


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise HeaderError("the file is cut off")
    return data
