"""The older dialect of templates, of which we know: ``{{.Name}}``, ``{{if .Name}}``, ``{{else if .Name}}``,
``{{else}}``, ``{{end}}``, comments, and ``{{-`` ``-}}``. A condition may be ``not .Name`` or ``eq .Name "text"``.

A name is looked up as it is, then as Python would write it (``.RoleName``: ``role_name``); what is not there is empty.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from parley.shaping.bounds import TemplateFaultError

_TAG = re.compile(r"\{\{(-?)(.*?)(-?)\}\}", re.DOTALL)
_MARK = re.compile(r"\{\{-?\s*(?:\.[A-Za-z_]|if\s+(?:not\s+|eq\s+|ne\s+)?\.|else\b|end\b|range\s+[.$]|/\*)")
_NAME = re.compile(r"\.([A-Za-z_]\w*)\Z")
_TEST = re.compile(r'(?:(not|eq|ne)\s+)?\.([A-Za-z_]\w*)(?:\s+"([^"\\]*)")?\Z')
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Text(Struct, frozen=True):
    """Text that stands as it is."""

    text: str


class Name(Struct, frozen=True):
    """A value put in."""

    name: str


class Condition(Struct, frozen=True):
    """A condition: how it is asked, of which value, against which text."""

    how: str
    name: str
    text: str


class Either(Struct, frozen=True):
    """What stands there where the condition holds, and where not."""

    test: Condition
    then: tuple["Node", ...]
    otherwise: tuple["Node", ...]


Node: TypeAlias = Text | Name | Either
Token: TypeAlias = tuple[str, str, int]


def is_dotted(text: str) -> bool:
    """Whether a template is of this dialect; one with Jinja's statements or comments is not."""
    return "{%" not in text and "{#" not in text and _MARK.search(text) is not None


def parsed(text: str) -> tuple[Node, ...]:
    """The template as nodes. Raises TemplateFaultError."""
    tokens = list(_tokens(text))
    nodes, rest = _block(tokens, 0)
    if rest < len(tokens):
        word, _, line = tokens[rest]
        raise TemplateFaultError(f"{{{{{word}}}}} without {{{{if}}}}", line)
    return nodes


def pieces(nodes: tuple[Node, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The text, piece by piece."""
    for node in nodes:
        if isinstance(node, Text):
            yield node.text
        elif isinstance(node, Name):
            yield _text(_value(values, node.name))
        else:
            yield from pieces(node.then if _holds(node.test, values) else node.otherwise, values)


def _tokens(text: str) -> Iterator[Token]:
    """("text" | "name" | "if" | "else" | "else if" | "end", content, line)."""
    place, strip = 0, False
    for tag in _TAG.finditer(text):
        plain = text[place : tag.start()]
        plain = plain.lstrip() if strip else plain
        yield "text", plain.rstrip() if tag[1] else plain, 0
        yield from _tag(tag[2].strip(), text.count("\n", 0, tag.start()) + 1)
        place, strip = tag.end(), bool(tag[3])
    plain = text[place:]
    if "{{" in plain:
        raise TemplateFaultError("{{ without }}", text.count("\n", 0, text.index("{{", place)) + 1)
    yield "text", plain.lstrip() if strip else plain, 0


def _tag(inner: str, line: int) -> Iterator[Token]:
    word, _, rest = inner.partition(" ")
    if inner.startswith("/*") and inner.endswith("*/"):
        return
    if word == "else" and rest.strip().startswith("if "):
        yield "else if", rest.strip()[3:].strip(), line
    elif word == "if" or (word in ("else", "end") and not rest):
        yield word, rest.strip(), line
    elif _NAME.match(inner):
        yield "name", inner[1:], line
    else:
        raise TemplateFaultError(f"{{{{{inner[:80]}}}}} is not known; known are .Name, if, else and end", line)


def _block(tokens: list[Token], place: int) -> tuple[tuple[Node, ...], int]:
    """Nodes up to a tag that closes or divides the block, and where that tag is."""
    nodes: list[Node] = []
    while place < len(tokens):
        kind, content, _ = tokens[place]
        if kind in ("else", "else if", "end"):
            break
        if kind == "if":
            either, place = _either(tokens, place)
            nodes.append(either)
            continue
        if content or kind == "name":
            nodes.append(Name(content) if kind == "name" else Text(content))
        place += 1
    return tuple(nodes), place


def _either(tokens: list[Token], place: int) -> tuple[Either, int]:
    """A condition, from its tag to behind its end; a chain of them ends all at once."""
    _, content, line = tokens[place]
    test = _test(content, line)
    then, place = _block(tokens, place + 1)
    otherwise: tuple[Node, ...] = ()
    if place < len(tokens) and tokens[place][0] == "else if":
        inner, place = _either(tokens, place)
        return Either(test, then, (inner,)), place
    if place < len(tokens) and tokens[place][0] == "else":
        otherwise, place = _block(tokens, place + 1)
    if place >= len(tokens) or tokens[place][0] != "end":
        raise TemplateFaultError("{{if}} without {{end}}", line)
    return Either(test, then, otherwise), place + 1


def _test(content: str, line: int) -> Condition:
    found = _TEST.match(content)
    if found is None or (found[1] in ("eq", "ne")) != (found[3] is not None):
        raise TemplateFaultError(f"{content[:80]!r} is no condition that is known", line)
    return Condition(found[1] or "", found[2], found[3] or "")


def _holds(test: Condition, values: Mapping[str, Any]) -> bool:
    value = _value(values, test.name)
    if test.how in ("eq", "ne"):
        return (_text(value) == test.text) == (test.how == "eq")
    return bool(value) != (test.how == "not")


def _value(values: Mapping[str, Any], name: str) -> Any:
    return values[name] if name in values else values.get(_WORD_START.sub("_", name).lower())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
