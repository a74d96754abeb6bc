"""JSON text that is read no further than needed: strict checks, top-level members, splicing.

``members`` proves that a body is one JSON object without duplicate top-level members and gives each
member's undecoded text, so that a member can be replaced while everything else stays byte for byte.
``whole`` decodes everything and also refuses duplicates at every depth.
Source of what must be refused: fault contract C12 (RFC 8259, RFC 7493 section 2.3).
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from parley.failure import Failure, ParleyError

Members: TypeAlias = dict[str, Raw]
Parts: TypeAlias = tuple[bytes | memoryview, ...]

# Python and several JSON libraries refuse longer integers, and what only some readers take is no number.
MAX_DIGITS: Final = 4300
# Below this size writing the object again is cheaper than finding the member's place.
SPLICE_FROM: Final = 16 * 1024
_STRIDE = MAX_DIGITS // 2
_TWO_DIGITS = re.compile(rb"\d\d")
_KEY = re.compile(rb'\s*"((?:[^"\\]|\\.)*)"\s*:\s*')
_NEXT = re.compile(rb"\s*([,}])")
_END = re.compile(rb"\s*\Z")

_members: Final = msgspec.json.Decoder(Members).decode
_anything: Final = msgspec.json.Decoder().decode
encode: Final = msgspec.json.Encoder().encode


def members(body: bytes) -> Members:
    """Top-level members with their undecoded text, in order. Raises ``invalid_json``."""
    if not body.isascii() or len(body) > MAX_DIGITS:
        _check_text(body)
    try:
        found = _members(body)
    except msgspec.ValidationError:
        raise _refuse("the body must be a JSON object") from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise _refuse(_reason(error)) from None
    if not _is_compact(found, body):
        _walk(found, body)
    return found


def whole(body: bytes) -> dict[str, Any]:
    """The decoded object. Raises ``invalid_json``, also for duplicate members at any depth."""
    _check_text(body)
    try:
        value = _anything(body)
        if encode(value) != body:
            json.loads(body, object_pairs_hook=_no_duplicates)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise _refuse(_reason(error)) from None
    if not isinstance(value, dict):
        raise _refuse("the body must be a JSON object")
    return value


def replaced(body: bytes, found: Members, changes: Mapping[str, Any]) -> Parts:
    """The body with members set to JSON values (None inside ``changes`` is null); parts in order.

    In a long compact body a single existing member is cut out and replaced without copying the rest.
    """
    if len(changes) == 1 and len(body) > SPLICE_FROM:
        ((name, value),) = changes.items()
        start = _offset(found, name)
        if start is not None and _is_compact(found, body):
            view = memoryview(body)
            return view[:start], encode(value), view[start + len(memoryview(found[name])) :]
    return (encode({**found, **changes}),)


def text(raw: Raw) -> str | None:
    """The string a member holds, None where it is not a string."""
    try:
        return _string(raw)
    except msgspec.DecodeError:
        return None


_string: Final = msgspec.json.Decoder(str).decode


def is_whole(text: str) -> bool:
    """Whether JSON text was not cut. Text that is wrong in other ways is its writer's own and counts as whole."""
    try:
        _anything(text)
    except msgspec.DecodeError as error:
        return "truncated" not in str(error) or not text
    except (UnicodeError, RecursionError):
        return True
    return True


def _check_text(body: bytes) -> None:
    if not body.isascii():
        _check_utf8(body)
    if len(body) > MAX_DIGITS and _TWO_DIGITS.search(body[::_STRIDE]):
        _check_numbers(body)


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise _refuse(f"the body is not UTF-8 (byte {error.start})") from None


_LONG_NUMBER = re.compile(rb"\d{%d,}" % (MAX_DIGITS + 1))
_STRING_OR_LONG = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(\d{%d,})' % (MAX_DIGITS + 1))


def _check_numbers(body: bytes) -> None:
    """Refuse a number of more than MAX_DIGITS digits; inside a string they are only text."""
    if _LONG_NUMBER.search(body) and any(match[1] for match in _STRING_OR_LONG.finditer(body)):
        raise _refuse(f"a number has more than {MAX_DIGITS} digits")


def _is_compact(found: Members, body: bytes) -> bool:
    """Whether the members as found, written without white space, are the whole body.

    A duplicate member, an escape in a name or any white space makes the body longer.
    """
    if len(body) <= SPLICE_FROM:
        return encode(found) == body
    length = sum([len(memoryview(raw)) for raw in found.values()]) + sum(map(len, found))
    return length + 4 * len(found) + 1 == len(body)


def _offset(found: Members, name: str) -> int | None:
    """Where the member's value begins in a compact body."""
    position = 1
    for key, raw in found.items():
        position += len(key) + 3
        if key == name:
            return position
        position += len(memoryview(raw)) + 1
    return None


def _walk(found: Members, body: bytes) -> None:
    """Prove that the body consists of exactly these members, in this order."""
    position = body.index(b"{") + 1
    closed = not found
    for key, raw in found.items():
        name = _KEY.match(body, position)
        value = bytes(memoryview(raw))
        if closed or name is None or not _is_name(name[1], key):
            raise _duplicate()
        if not body.startswith(value, name.end()):
            raise _duplicate()
        follows = _NEXT.match(body, name.end() + len(value))
        if follows is None:
            raise _duplicate()
        position, closed = follows.end(), follows[1] == b"}"
    if found and not (closed and _END.match(body, position)):
        raise _duplicate()


def _is_name(written: bytes, key: str) -> bool:
    return written == key.encode() or _anything(b'"' + written + b'"') == key


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise ValueError(f"duplicate member {twice[:80]!r}")
    return made


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    return str(error).removeprefix("JSON is malformed: ")


def _duplicate() -> ParleyError:
    return _refuse("an object holds the same member twice")


def _refuse(reason: str) -> ParleyError:
    return ParleyError(Failure("invalid_json", f"invalid JSON: {reason}", detail="json"))
