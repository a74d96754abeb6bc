"""A YAML file as nodes that know their place, so that every mistake can be pointed at.

Plain scalars follow the YAML 1.2 core schema: ``no``, ``on``, ``off`` and ``n`` are text. Duplicate keys are
mistakes. Anchors, aliases and ``<<`` merges work within limits; tags that make objects do not.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from parley.config.problem import SECRET_NAME, Problem, mask, scrub

if TYPE_CHECKING:
    from yaml.nodes import Node

Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]

BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
LONGEST_LINE = 400
MERGE = "<<"
STRANGE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# ${NAME:-x} is not plain text inside { } or [ ]: its marks stand in for themselves while YAML is read.
REFERENCE = re.compile(r"\$\{[^{}\r\n]*\}")
MARKS = "{}[],:#"
STAND_INS = "".join(chr(0xE000 + index) for index in range(len(MARKS)))
AWAY, BACK = str.maketrans(MARKS, STAND_INS), str.maketrans(STAND_INS, MARKS)


class Document:
    """One file: its text, its nodes (None when empty or broken) and the mistakes of its syntax.

    ``more`` are the further documents of the same file, each behind a line ``---``.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines = BREAKS.split(text)
        self.problems: list[Problem] = []
        nodes = self._compose(text)
        self.root: Node | None = nodes[0] if nodes else None
        self.more = [self._further(node) for node in nodes[1:]]

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        root: Any = self.root
        return root is None or (root.id == "scalar" and not _has_place(root))

    @property
    def begins(self) -> Place:
        """Where the line ``---`` of a further document stands."""
        last = _start(self.root)[0] if self.root is not None else 1
        marked = (line for line in range(last, 0, -1) if self.lines[line - 1].startswith("---"))
        return next(marked, last), 1

    def holds(self, name: str) -> bool:
        """Whether it is a mapping with this key at the top."""
        return _child(self.root, name) is not None

    def at(self, path: Path, key: bool = False) -> Place:
        """Line and column (from 1) of the value at ``path``, or of its key; of what is nearest where it is absent."""
        place = self.root and _start(self.root)
        node = self.root
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            name, node = found
            place = _start(name if key or not _has_place(node) else node)
        return place or (1, 1)

    def problem(self, path: Path, message: str, hint: str = "", key: bool = False) -> Problem:
        """A mistake at ``path``."""
        return self.problem_at(self.at(path, key), message, hint)

    def problem_at(self, place: Place, message: str, hint: str = "") -> Problem:
        """A mistake at a place of the text."""
        line, column = place if place[0] <= len(self.lines) else self._end
        raw = self.lines[line - 1]
        source = mask(raw[:LONGEST_LINE], self._secrets.get(line, ())).rstrip() if column <= LONGEST_LINE else ""
        return Problem(self.name, line, column, scrub(message), scrub(hint), source)

    def trail(self, path: Path) -> list[int]:
        """Identities of the nodes from the root to ``path``, as far as they exist."""
        trail, node = [id(self.root)], self.root
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node = found[1]
            trail.append(id(node))
        return trail

    def keys(self, name: str) -> frozenset[str] | None:
        """Keys of the mapping under a top-level key; none where it is absent, None where it is no mapping."""
        found = _child(self.root, name)
        if found is None or (found[1].id == "scalar" and not found[1].value):
            return frozenset()
        if found[1].id != "mapping":
            return None
        nodes = (found[1], *merged(found[1]))
        return frozenset(
            key.value for node in nodes if node.id == "mapping" for key, _ in node.value if key.id == "scalar"
        )

    def prune(self, paths: Iterable[Path]) -> None:
        """Take nodes out, so that the rest can be looked at; places of the rest stay what they are."""
        doomed = [found for path in paths if path and (found := self._entry(path)) is not None]
        for container, entry in doomed:
            container.value[:] = [item for item in container.value if item is not entry]

    def _entry(self, path: Path) -> tuple[Any, Any] | None:
        """The container of the node at ``path`` and the item to remove from it."""
        node: Any = self.root
        for step in path[:-1]:
            found = _child(node, step)
            if found is None:
                return None
            node = found[1]
        return _item(node, path[-1])

    @property
    def _end(self) -> Place:
        """Behind the last character."""
        return len(self.lines), len(self.lines[-1]) + 1

    def _further(self, node: "Node") -> "Document":
        """Another document of the same file."""
        other = Document("", self.name)
        other.lines, other.root = self.lines, node
        return other

    def _compose(self, text: str) -> "list[Node]":
        """The nodes of every document; a mistake of syntax goes to ``problems``, and the documents before it stay."""
        from yaml import MarkedYAMLError, YAMLError

        nodes: list[Node] = []
        try:
            for node in _with_references(text.removeprefix("\ufeff")):
                nodes.append(node)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self.problems.append(self.problem_at(place, *_syntax(error)))
        except (YAMLError, UnicodeEncodeError):
            before = BREAKS.split(text[: _strange(text)])
            message = "a character that YAML does not allow"
            self.problems.append(self.problem_at((len(before), len(before[-1]) + 1), message, "remove it"))
        return nodes

    @cached_property
    def _secrets(self) -> dict[int, list[tuple[int, int]]]:
        """Columns (from 0) of values that must not be shown, by line."""
        spans: dict[int, list[tuple[int, int]]] = {}
        for node in _secret_scalars(getattr(self, "root", None), False, set()):
            first, last = node.start_mark, node.end_mark
            for line in range(first.line, last.line + 1):
                start = first.column if line == first.line else 0
                stop = last.column if line == last.line else LONGEST_LINE
                spans.setdefault(line + 1, []).append((start, stop))
        return spans


def separately(text: str, name: str) -> list[Document]:
    """The documents of a file, each read by itself; mistakes in one are no matter for the others."""
    made: list[Document] = []
    lines = BREAKS.split(text)
    starts = [0, *(index for index, line in enumerate(lines) if line.startswith("---") and index), len(lines)]
    for start, stop in pairwise(starts):
        # Empty lines in front keep places what they are.
        made.append(Document("\n" * start + "\n".join(lines[start:stop]), name))
    return made


def pairs(node: Any) -> Iterator[tuple["Node", "Node"]]:
    """Key and value nodes of a mapping as written, merges not followed."""
    yield from node.value


def merged(node: Any) -> Iterator[Any]:
    """The mapping nodes that ``<<`` brings into this mapping, nearest first."""
    for key, value in node.value:
        if is_merge(key):
            yield from value.value if value.id == "sequence" else (value,)


def is_merge(key: Any) -> bool:
    """Whether a key is the plain ``<<``."""
    return bool(key.id == "scalar" and key.tag == "plain" and key.value == MERGE)


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """Key node and value node one step down; for a list the item stands for both."""
    found = _item(node, step)
    if found is None:
        return None
    entry = found[1]
    return entry if isinstance(entry, tuple) else (entry, entry)


def _item(node: Any, step: str | int, depth: int = 0) -> tuple[Any, Any] | None:
    """The container that holds the step, and its entry there (a pair, or an item of a list)."""
    if node is None or node.id == "scalar" or depth > 20:
        return None
    if node.id == "sequence":
        return (node, node.value[step]) if isinstance(step, int) and step < len(node.value) else None
    for pair in node.value:
        if pair[0].id == "scalar" and pair[0].value == step and not is_merge(pair[0]):
            return node, pair
    inherited = (_item(other, step, depth + 1) for other in merged(node) if other.id == "mapping")
    return next((found for found in inherited if found is not None), None)


def _has_place(node: Any) -> bool:
    """An empty value has no text of its own: its key is shown."""
    return bool(node.id != "scalar" or node.value or node.tag != "plain")


def _start(node: Any) -> Place:
    """Where a node begins."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def _secret_scalars(node: Any, inside: bool, seen: set[tuple[int, bool]]) -> Iterator[Any]:
    """Scalars that stand below a key whose name says secret."""
    if node is None or (id(node), inside) in seen:
        return
    seen.add((id(node), inside))
    if node.id == "scalar":
        if inside:
            yield node
    elif node.id == "sequence":
        for item in node.value:
            yield from _secret_scalars(item, inside, seen)
    else:
        named = _names_a_secret(node)
        for key, value in node.value:
            secret = inside or key.value == "headers" or bool(SECRET_NAME.search(str(key.value)))
            yield from _secret_scalars(value, secret or (named and key.value == "value"), seen)


def _names_a_secret(node: Any) -> bool:
    """Whether a mapping is a name and a value, and the name says secret."""
    names = (value.value for key, value in node.value if key.value == "name" and value.id == "scalar")
    return any(SECRET_NAME.search(name) for name in names)


def _strange(text: str) -> int:
    """Where the first character stands that YAML does not allow."""
    found = STRANGE.search(text)
    return found.start() if found else 0


def _syntax(error: Any) -> tuple[str, str]:
    """The parser's complaint in our form: message and hint."""
    said = str(error.problem or "not valid YAML")
    hint = "check the indentation and that text with : # [ ] { } or * in it is quoted"
    if "tab" in said or "\\t" in said:
        hint = "indent with spaces, not tabs"
    context = f" {error.context}" if error.context else ""
    return f"not valid YAML: {said}{context}", hint


def _with_references(text: str) -> "Iterator[Node]":
    """The node trees of a text with ``${...}`` references, wherever they stand."""
    if "${" not in text or any(mark in text for mark in STAND_INS):
        yield from _composer(text)
        return
    for root in _composer(REFERENCE.sub(lambda found: found[0].translate(AWAY), text)):
        _put_back(root, set())
        yield root


def _put_back(node: Any, seen: set[int]) -> None:
    """The marks in their places again; aliases are met more than once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if node.id == "scalar":
        if "$" in node.value:
            node.value = node.value.translate(BACK)
        return
    for entry in node.value:
        for item in entry if isinstance(entry, tuple) else (entry,):
            _put_back(item, seen)


def _composer(text: str) -> "Iterator[Node]":
    """The node trees, by the C parser where there is one. Only tags "plain" and "str" are given by us."""
    import yaml

    reader = _parser(yaml.__with_libyaml__)(text)
    while reader.check_node():
        yield reader.get_node()


@cache
def _parser(fast: bool) -> Any:
    """The class that reads a text into nodes, ``fast`` the one written in C."""
    import yaml

    class Plain:
        """Says only whether a scalar was plain; what that means is decided by the builder."""

        def resolve(self, kind: Any, value: Any, implicit: Sequence[bool]) -> str:
            if kind is not yaml.ScalarNode:
                return "map" if kind is yaml.MappingNode else "seq"
            return "plain" if implicit[0] else "str"

        def descend_resolver(self, node: Any, index: Any) -> None:
            """Nothing is resolved by path."""

        def ascend_resolver(self) -> None:
            """Nothing is resolved by path."""

    if fast:

        class Fast(Plain, yaml.cyaml.CParser):  # type: ignore[name-defined,misc]
            """The C parser."""

        return Fast
    return _slow(Plain)


def _slow(plain: Any) -> Any:
    """The same by the parser written in Python."""
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class Slow(plain, Reader, Scanner, Parser, Composer):  # type: ignore[misc]
        """The Python parser."""

        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)

    return Slow
