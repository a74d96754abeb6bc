"""Nodes to plain values: YAML 1.2 core scalars, references filled in, duplicates and strange tags reported."""

import math
import re
from typing import Any

from parley.config.document import Document, is_merge, merged, pairs
from parley.config.problem import suggest
from parley.config.variables import Scope, UnfilledError, fill, is_reference, mentions

INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
WORDS = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}
STARTS = frozenset("-+.0123456789~nNtTfF")
KNOWN_TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("str", "int", "float", "bool", "null", "seq", "map")}
FREE = frozenset({"defaults", "overrides", "settings", "local_settings", "local_paths", "request_defaults"})
DEEPEST = 60
LARGEST = 200_000


def scalar(text: str) -> Any:
    """What a plain scalar means: null, boolean, whole number, number or text."""
    if not text or text[0] in STARTS:
        if text in WORDS:
            return WORDS[text]
        if len(text) > 400:
            return text
        if INTEGER.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


class Builder:
    """Builds the values of one document; mistakes go to the document's ``problems``.

    ``files`` are the files read for ``file:`` references. Without a scope references are text like any other.
    """

    def __init__(self, document: Document, scope: Scope | None) -> None:
        self.document, self.scope = document, scope
        self.files: list[str] = []
        self._made: dict[tuple[int, bool], tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._full = False

    def build(self) -> Any:
        """The whole document's value; None for an empty one."""
        return None if self.document.root is None else self._value(self.document.root, False, 0)[0]

    def _value(self, node: Any, free: bool, depth: int) -> tuple[Any, int]:
        """A node's value and how many nodes it stands for. An aliased node is built once."""
        known = self._made.get((id(node), free))
        if known is not None:
            return known
        if depth > DEEPEST or id(node) in self._open:
            self._report(node, "nested too deep" if depth > DEEPEST else "an alias may not contain itself")
            return None, 1
        self._open.add(id(node))
        made = self._sized(node, free, depth)
        self._open.discard(id(node))
        self._made[id(node), free] = made
        return made

    def _sized(self, node: Any, free: bool, depth: int) -> tuple[Any, int]:
        """A new value and its size, which aliases could blow up without limit."""
        if node.tag not in ("plain", "str", "map", "seq") and node.tag not in KNOWN_TAGS:
            self._report(node, f"the tag {node.tag} is not understood", "write the plain value")
            return None, 1
        if node.id == "scalar":
            return self._scalar(node, free), 1
        value, size = self._sequence(node, free, depth) if node.id == "sequence" else self._mapping(node, free, depth)
        if size > LARGEST and not self._full:
            self._full = True
            self._report(node, "aliases make this configuration too large")
        return (None, 1) if size > LARGEST else (value, size)

    def _sequence(self, node: Any, free: bool, depth: int) -> tuple[list[Any], int]:
        """A list."""
        made = [self._value(item, free, depth + 1) for item in node.value]
        return [value for value, _ in made], 1 + sum(size for _, size in made)

    def _mapping(self, node: Any, free: bool, depth: int) -> tuple[dict[str, Any], int]:
        """A mapping; its own keys win over merged ones, nearer merges over later ones."""
        result: dict[str, Any] = {}
        total = 1
        lines: dict[str, int] = {}
        for key, value in pairs(node):
            if is_merge(key) or not self._is_new(key, lines):
                continue
            result[key.value], size = self._value(value, free or key.value in FREE, depth + 1)
            total += size
        for other in merged(node):
            if other.id != "mapping":
                self._report(other, "<< takes a mapping, or a list of mappings")
                continue
            inherited, size = self._value(other, free, depth + 1)
            result = {**(inherited or {}), **result}
            total += size
        return result, total

    def _is_new(self, key: Any, lines: dict[str, int]) -> bool:
        """Whether a key is text and was not used before in its mapping; the mistake is reported if not."""
        if key.id != "scalar":
            self._report(key, "a key must be text")
            return False
        line = key.start_mark.line + 1
        if key.value not in lines:
            lines[key.value] = line
            return True
        self._report(key, f'"{key.value}" is given twice, on lines {lines[key.value]} and {line}', "keep one of them")
        return False

    def _scalar(self, node: Any, free: bool) -> Any:
        """A scalar with references filled in; what a variable holds is text except in free-form members."""
        text = node.value
        if self.scope is None or not mentions(text):
            return self._meant(node)
        try:
            filled = fill(text, self.scope, self.files)
        except UnfilledError as error:
            line, column = node.start_mark.line + 1, node.start_mark.column + 1
            shift = (
                error.offset + (node.style in ("'", '"')) if "\n" not in text and node.style not in ("|", ">") else 0
            )
            self.document.problems.append(self.document.problem_at((line, column + shift), error.message, error.hint))
            return Missing()
        plain = node.tag == "plain" and free and is_reference(text)
        return scalar(filled) if plain else filled

    def _meant(self, node: Any) -> Any:
        """The value of a scalar by its tag."""
        if node.tag == "plain":
            value = scalar(node.value)
            if isinstance(value, float) and not math.isfinite(value):
                self._report(node, "an infinite number or NaN cannot be sent", "write a finite number")
                return None
            return value
        kind = KNOWN_TAGS.get(node.tag, "str")
        return node.value if kind == "str" else scalar(node.value)

    def _report(self, node: Any, message: str, hint: str = "") -> None:
        """A mistake at a node."""
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.document.problems.append(self.document.problem_at(place, message, hint))


class Missing:
    """Stands where a reference could not be filled: reported already, taken out before the rest is looked at."""


def unfilled(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of what could not be filled."""
    if isinstance(value, Missing):
        return [path]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in unfilled(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in unfilled(item, (*path, index))]
    return []


def unknown_key(word: str, known: list[str]) -> str:
    """The way out of an unknown key."""
    return suggest(word, known, f"known here: {', '.join(sorted(known))}")
