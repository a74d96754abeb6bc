"""Every way in which plain values do not fit the shape, each with its path. Only imported when there is one."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from msgspec import Struct

from parley.config.amounts import DURATION_PATTERN, SIZE_PATTERN, duration, size
from parley.config.build import unknown_key
from parley.config.document import Document, Path
from parley.config.problem import Problem, listed, suggest
from parley.config.shape import File, RegistrationFile, rules

WORDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
         "array": "a list", "object": "a mapping", "null": "nothing"}  # fmt: skip
KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number",
                          list: "a list", dict: "a mapping", type(None): "nothing"}  # fmt: skip

_AMOUNTS: dict[Any, Callable[[Any], Any]] = {DURATION_PATTERN: duration, SIZE_PATTERN: size}


class Misfits(Struct, frozen=True):
    """The mistakes, and the paths to take out so that the rest can be read: values and unknown keys."""

    problems: list[Problem]
    broken: list[Path]
    unknown: list[Path]


def explain(raw: Any, document: Document, shape: type = File, holes: Collection[Path] = ()) -> Misfits:
    """Everything in ``raw`` that does not fit the shape. ``holes`` are paths that were told and taken out before."""
    found = Misfits([], [], [])
    for error in _validator(rules(shape)).iter_errors(raw):
        for leaf in _leaves(error):
            for path, message, hint, key in _said(leaf, holes):
                if len(path) == 1 and leaf.validator == "additionalProperties":
                    message, hint = _elsewhere(str(path[0]), shape) or (message, hint)  # noqa: PLW2901
                if message:
                    found.problems.append(document.problem(path, message, hint, key))
                (found.unknown if leaf.validator == "additionalProperties" else found.broken).append(path)
    if not (found.problems or found.broken):
        found.problems.append(_from_convert(raw, document, shape))
    return found


def _validator(shape: dict[str, Any]) -> Any:
    """A validator that reads numbers and booleans given as text (by a variable) as the loader does."""
    checker = Draft202012Validator.TYPE_CHECKER
    for name, kind in (("integer", int), ("number", float), ("boolean", bool)):
        checker = checker.redefine(name, _reads_as(kind))
    make: Any = extend
    return make(Draft202012Validator, type_checker=checker)(shape)


def _reads_as(kind: type) -> Any:
    """A check whether a value converts to ``kind`` the way the loader converts."""

    def check(_: Any, value: Any) -> bool:
        try:
            msgspec.convert(value, kind, strict=False)
        except (msgspec.ValidationError, OverflowError):
            return False
        return True

    return check


def _leaves(error: Any) -> Iterator[Any]:
    """The mistakes behind a failed choice of shapes: those of the shape that was meant, if one was."""
    if error.validator != "anyOf":
        yield error
        return
    branches: dict[int, list[Any]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.schema_path[0]), []).append(inner)
    meant = [found for found in branches.values() if not any(_is_other_type(inner) for inner in found)]
    if len(meant) != 1:
        yield error
        return
    for inner in meant[0]:
        yield from _leaves(inner)


def _is_other_type(error: Any) -> bool:
    """Whether a shape failed because the value as a whole is of another kind."""
    return error.validator == "type" and not error.relative_path


def _said(error: Any, holes: Collection[Path]) -> Iterator[tuple[Path, str, str, bool]]:
    """Path, message ("" where it was told already), hint and whether the key is to be shown, for one mistake."""
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", ()))
        for name in error.instance:
            if name not in known:
                yield (*path, name), *_unknown(name, known), True
    elif error.validator == "required":
        for name in error.validator_value:
            if (*path, name) in holes:
                yield path, "", "", True
            elif name not in error.instance and not _misspelt(name, error):
                yield path, f'"{name}" is missing', f"add {name}: ...", True
    else:
        yield path, *_mismatch(error), False


def _misspelt(name: str, error: Any) -> bool:
    """Whether an unknown key beside it was surely meant to be ``name``."""
    known = list(error.schema.get("properties", ()))
    return any(suggest(given, known) == suggest(name, [name]) for given in error.instance if given not in known)


def _unknown(name: str, known: list[str]) -> tuple[str, str]:
    """Message and hint for a key nobody knows."""
    return f'unknown key "{name}"', unknown_key(name, known)


def _elsewhere(name: str, shape: type) -> tuple[str, str] | None:
    """Message and hint for a top-level key that belongs into a file of another kind."""
    if shape is not File and name in File.__struct_fields__:
        return f'"{name}" belongs to the main configuration file', "an included file holds only registrations"
    if shape is not RegistrationFile and name in RegistrationFile.__struct_fields__:
        return f'"{name}" belongs to a document with registration:', "write it under models:, or in a file of its own"
    return None


def _mismatch(error: Any) -> tuple[str, str]:
    """Message and hint for a value of the wrong kind or outside its choices."""
    value = error.instance
    if error.validator == "enum":
        choices = [str(choice) for choice in error.validator_value]
        given = f'"{value}" is not' if isinstance(value, str) else "not"
        return f"{given} one of {listed(choices)}", suggest(str(value), choices, f"write {listed(choices)}")
    if error.validator == "pattern":
        read = _AMOUNTS.get(error.validator_value)
        try:
            if read is not None:
                read(value)
        except ValueError as problem:
            return str(problem), ""
        wanted = str(error.schema.get("description", "another form"))
        return f"expected {wanted[0].lower()}{wanted[1:].rstrip('.')}", ""
    kinds = _kinds(error)
    return (
        f"expected {listed([WORDS[kind] for kind in kinds])}, got {KINDS.get(type(value), 'something else')}",
        _remedy(value, kinds),
    )


def _remedy(value: Any, kinds: list[str]) -> str:
    """The way out of a value of the wrong kind, where one is likely."""
    if value is None:
        return "give it a value or remove the key"
    if "string" in kinds and isinstance(value, int | float):
        return "put it in quotes"
    if kinds == ["boolean"] and isinstance(value, str):
        return "write true or false; yes, no, on and off are text in YAML 1.2"
    return ""


def _kinds(error: Any) -> list[str]:
    """Names of the types that would fit."""
    options = error.validator_value if error.validator == "anyOf" else [error.schema]
    kinds = [str(option.get("type", "object")) for option in options]
    return sorted(dict.fromkeys(kinds), key=lambda kind: kind == "null")


def _from_convert(raw: Any, document: Document, shape: type) -> Problem:
    """What the converter said, should the schema not see it."""
    try:
        msgspec.convert(raw, shape, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        return document.problem(_steps(path.removesuffix("`")), message.replace("`", ""))
    return document.problem((), "does not fit")


def _steps(path: str) -> Path:
    """The converter's ``$.models[0].weight`` as a path."""
    parts = path.removeprefix("$").replace("[", ".[").split(".")
    return tuple(int(part[1:-1]) if part[1:-1].isdigit() else part for part in parts if part and part != "[...]")
