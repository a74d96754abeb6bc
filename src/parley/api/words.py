"""What msgspec says about a value that does not fit, as a sentence for the caller that names the field."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.inspect import DictType, EnumType, ListType, LiteralType, Metadata, StructType, Type, UnionType, type_info

from parley.failure import ParleyError, invalid

_PLACE = re.compile(r" - at `(key in )?\$([^`]*)`\Z")
_STEP = re.compile(r"\[(?:\d+|\.\.\.)\]|[^.\[\]]+")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_BOUND = re.compile(r"Expected `(\w+)` (<=|>=|<|>) (\S+)")
_LENGTH = re.compile(r"Expected `(\w+)` of length (<=|>=) (\d+)")
_KIND = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?")
_VALUE = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_KINDS = {
    "array": "an array",
    "bool": "true or false",
    "bytes": "a file",
    "float": "a number",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
}
_NOT = _KINDS | {"bool": "a boolean"}
_SIDES = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_UNITS = {"array": "items", "str": "characters", "object": "members", "bytes": "bytes"}
_LONGEST_VALUE = 100


def complaint(told: str, model: type[Struct]) -> ParleyError:
    """The failure for msgspec's message ``told`` about a request of that model."""
    place = _PLACE.search(told)
    what = told[: place.start()] if place else told
    steps = _STEP.findall(place[2]) if place else []
    param = _joined(steps)
    if missing := _MISSING.fullmatch(what):
        param = _joined([*steps, missing[1]])
        return invalid(f"{param} is required", param)
    if unknown := _UNKNOWN.fullmatch(what):
        param = _joined([*steps, unknown[1]])
        return invalid(f"{param} is not known: {_joined(steps)} takes no members but its own", param)
    subject = param or "the request body"
    if steps and steps[-1] == "[...]":
        subject = f"each value of {subject}"
    return invalid(f"{subject} {_said(what, steps, model)}", param or None)


def _said(what: str, steps: list[str], model: type[Struct]) -> str:
    if length := _LENGTH.fullmatch(what):
        unit = _UNITS.get(length[1], "items")
        return f"must have {_SIDES[length[2]]} {length[3]} {unit.removesuffix('s') if length[3] == '1' else unit}"
    if bound := _BOUND.fullmatch(what):
        return f"must be {_SIDES[bound[2]]} {bound[3].removesuffix('.0')}"
    if value := _VALUE.fullmatch(what):
        shown = value[1] if len(value[1]) <= _LONGEST_VALUE else value[1][:_LONGEST_VALUE] + "..."
        allowed = ", ".join(_allowed(type_info(model), steps))
        return f"must be one of {allowed}, not {shown}" if allowed else f"must not be {shown}"
    if kind := _KIND.fullmatch(what):
        wanted = " or ".join(_KINDS.get(word, word) for word in kind[1].split(" | "))
        return f"must be {wanted}" + (f", not {_NOT.get(kind[2], kind[2])}" if kind[2] else "")
    return f"is not acceptable: {what}"


def _joined(steps: list[str]) -> str:
    """``messages[0].content``; the nameless value of an object is told by the object's own path."""
    path = ""
    for step in steps:
        if step != "[...]":
            path += step if step.startswith("[") or not path else f".{step}"
    return path


def _allowed(found: Type, steps: list[str]) -> list[str]:
    """The words that are possible at a place, in the order of the document."""
    kinds = [found]
    for number, step in enumerate(steps):
        inner = [below for kind in kinds for below in _below(kind, step)]
        if not inner and number == len(steps) - 1:
            return list(dict.fromkeys(str(kind.tag) for kind in _flat(kinds) if _tagged(kind, step)))  # type: ignore[attr-defined]
        kinds = inner
    return [str(value) for kind in _flat(kinds) for value in _values(kind)]


def _tagged(kind: Type, name: str) -> bool:
    return isinstance(kind, StructType) and kind.tag_field == name


def _values(kind: Type) -> list[Any]:
    if isinstance(kind, LiteralType):
        return [value for value in kind.values if value is not None]
    return [member.value for member in kind.cls] if isinstance(kind, EnumType) else []


def _below(kind: Type, step: str) -> Iterator[Type]:
    for one in _flat([kind]):
        if isinstance(one, StructType):
            yield from (field.type for field in one.fields if field.encode_name == step)
        elif isinstance(one, ListType) and step.startswith("["):
            yield one.item_type
        elif isinstance(one, DictType) and step == "[...]":
            yield one.value_type


def _flat(kinds: list[Type]) -> Iterator[Type]:
    for kind in kinds:
        if isinstance(kind, UnionType):
            yield from _flat(list(kind.types))
        elif isinstance(kind, Metadata):
            yield from _flat([kind.type])
        else:
            yield kind
