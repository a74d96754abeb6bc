"""A request to the echo model as its operations read it: members of a JSON object or fields of a form, all checked.

A value that does not fit raises ``invalid_request`` naming the field. Null counts as absent; a form's texts are read
as the number or the word they stand for, and ``name[]`` is ``name``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from parley import jsontext, multipart
from parley.failure import invalid
from parley.multipart import Part
from parley.ports import Call

JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream"
_NUMERAL: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?")
_FLAGS: Final[Mapping[str, bool]] = {"true": True, "True": True, "1": True, "false": False, "False": False, "0": False}


class Ask(Struct, frozen=True):
    """What arrived: the body, its content type, and a number that no other request of this process has."""

    body: bytes
    content_type: bytes
    number: int


class Said(Struct, frozen=True):
    """How it is answered: the content type, and the pieces of the body as they come."""

    content_type: bytes
    pieces: Iterator[bytes]


def ask_of(call: Call, number: int) -> Ask:
    """The request of a call; its content type stands among the call's header lines."""
    for line in call.head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-type":
            return Ask(b"".join(call.body), value.strip(), number)
    return Ask(b"".join(call.body), b"", number)


class Fields:
    """The members of a request by name; see the module."""

    __slots__ = ("_files", "_form", "_values")

    def __init__(self, values: Mapping[str, Any], files: Mapping[str, list[Part]] | None = None) -> None:
        self._values = values
        self._files = files or {}
        self._form = files is not None

    def given(self, name: str) -> Any:
        """The value as it came, None where there is none."""
        return self._values.get(name)

    def files(self, name: str) -> list[Part]:
        """The files of that name. Raises unless there is at least one, and where one is empty."""
        found = self._files.get(name, [])
        if not found:
            raise invalid(f"{name} is required and must be a file", name)
        if not all(len(part.data) for part in found):
            raise invalid(f"{name} is an empty file", name)
        return found

    def file(self, name: str) -> Part:
        """The one file of that name."""
        first, *more = self.files(name)
        if more:
            raise invalid(f"{name} is given twice", name)
        return first

    def text(self, name: str, longest: int | None = None) -> str | None:
        """A string, at most ``longest`` characters."""
        value = self._one(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise invalid(f"{name} must be a string", name)
        if longest is not None and len(value) > longest:
            raise invalid(f"{name} must be at most {longest} characters", name)
        return value

    def need(self, name: str, longest: int | None = None) -> str:
        """A string that must be there."""
        value = self.text(name, longest)
        if value is None:
            raise invalid(f"{name} is required", name)
        return value

    def word(self, name: str, choices: tuple[str, ...]) -> str | None:
        """One of the words."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise invalid(f"{name} must be one of {', '.join(choices)}", name)
        return value

    def whole(self, name: str, low: int, high: int | None = None) -> int | None:
        """An integer within bounds, both included."""
        value = self._number(name, int)
        return None if value is None else int(_within(name, value, low, high))

    def real(self, name: str, low: float, high: float) -> float | None:
        """A number within bounds, both included."""
        value = self._number(name, float)
        return None if value is None else _within(name, value, low, high)

    def flag(self, name: str) -> bool:
        """True or false; absent is false."""
        value = self._one(name)
        if self._form and isinstance(value, str):
            value = _FLAGS.get(value, value)
        if value is not None and not isinstance(value, bool):
            raise invalid(f"{name} must be true or false", name)
        return bool(value)

    def words(self, name: str, choices: tuple[str, ...]) -> list[str]:
        """A list of such words; absent is an empty one."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            values = [values]
        for value in values:
            if value not in choices:
                raise invalid(f"{name} must hold {' or '.join(choices)}", name)
        return list(values)

    def _one(self, name: str) -> Any:
        value = self._values.get(name)
        if self._form and isinstance(value, list):
            raise invalid(f"{name} is given twice", name)
        if name in self._files:
            raise invalid(f"{name} must not be a file", name)
        return value

    def _number(self, name: str, kind: type[int] | type[float]) -> int | float | None:
        value = self._one(name)
        if self._form and isinstance(value, str):
            value = _read(value, kind)
        if value is None:
            return None
        fits = type(value) is int or (kind is float and type(value) is float)
        if not fits:
            raise invalid(f"{name} must be {'an integer' if kind is int else 'a number'}", name)
        number: int | float = value
        return number


def _read(value: str, kind: type[int] | type[float]) -> Any:
    """The number that a form's text stands for, the text itself where it stands for none."""
    if not _NUMERAL.fullmatch(value):
        return value
    try:
        return kind(value)
    except ValueError:
        return value


def _within(name: str, value: float, low: float, high: float | None) -> float:
    if not value >= low:
        raise invalid(f"{name} must be at least {low:g}", name)
    if high is not None and not value <= high:
        raise invalid(f"{name} must be at most {high:g}", name)
    return value


def object_of(ask: Ask) -> Fields:
    """The members of a JSON body."""
    return Fields(jsontext.whole(ask.body))


def form_of(ask: Ask) -> Fields:
    """The fields and files of a multipart body."""
    values: dict[str, Any] = {}
    files: dict[str, list[Part]] = {}
    for part in multipart.parse(ask.body, ask.content_type):
        listed = part.name.endswith("[]")
        name = part.name.removesuffix("[]")
        if part.filename is not None:
            files.setdefault(name, []).append(part)
        elif name in values or listed:
            before = values.get(name, [])
            values[name] = [*(before if isinstance(before, list) else [before]), part.text()]
        else:
            values[name] = part.text()
    return Fields(values, files)
