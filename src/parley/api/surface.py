"""What is known of a path that nobody here serves: refused by name, another method, or nothing at all.

The table is generated: every operation that OpenAI's SDK calls, and what this server adds. Read on first use.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from msgspec import Struct, json

from parley import __version__

# The one parameter that stands for the rest of the path: models' names have slashes.
_REST: Final = "{model}"


class Row(Struct, frozen=True, array_like=True):
    """One operation; ``path`` is below OpenAI's /v1, ``query`` what tells it from its twin on the same path."""

    method: str
    path: str
    id: str
    served: bool
    query: str = ""


class Verdict(Struct, frozen=True):
    """``status`` to answer with: 501 (``operation`` is known, not served), 405 (with ``allowed``), 404, or 200 for
    an operation that is served."""

    status: int
    operation: str | None = None
    allowed: tuple[str, ...] = ()


class _Node:
    __slots__ = ("any", "rest", "rows", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.rest = False
        self.rows: list[Row] = []


@cache
def table() -> tuple[Row, ...]:
    """Every operation below /v1."""
    return json.decode((files("parley.api") / "operations.json").read_bytes(), type=tuple[Row, ...])


@cache
def document() -> bytes:
    """The OpenAPI 3.1 document of this version, as JSON."""
    found = json.decode((files("parley.api") / "openapi.json").read_bytes())
    found["info"]["version"] = __version__
    return json.encode(found)


def unserved(method: str, path: str, query: str = "") -> Verdict:
    """What to answer to a request that no handler takes. ``path`` begins with a slash, without any prefix (/v1).

    A literal segment goes before a parameter: /responses/compact is not a response's id.
    """
    nodes = list(_at(_tree(), path.split("/"), 1)) if path.startswith("/") else []
    method = "GET" if method == "HEAD" else method
    marks = query.split("&")
    for node in nodes:
        found = [row for row in node.rows if row.method == method and (not row.query or row.query in marks)]
        if found:
            row = max(found, key=_is_twin)
            return Verdict(200 if row.served else 501, row.id)
    allowed = {row.method for node in nodes for row in node.rows}
    if not allowed:
        return Verdict(404)
    return Verdict(405, allowed=tuple(sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))))


def _is_twin(row: Row) -> bool:
    return bool(row.query)


@cache
def _tree() -> _Node:
    root = _Node()
    for row in table():
        node = root
        for segment in row.path.split("/")[1:]:
            node = _step(node, segment)
        node.rest = row.path.endswith("/" + _REST)
        node.rows.append(row)
    return root


def _step(node: _Node, segment: str) -> _Node:
    if not segment.startswith("{"):
        return node.words.setdefault(segment, _Node())
    if node.any is None:
        node.any = _Node()
    return node.any


def _at(node: _Node, segments: list[str], place: int) -> Iterator[_Node]:
    """Nodes with operations at a path, the most literal first."""
    if place == len(segments):
        yield node
        return
    segment = segments[place]
    if segment in node.words:
        yield from _at(node.words[segment], segments, place + 1)
    if node.any is not None and segment:
        if node.any.rest and place + 1 < len(segments):
            yield node.any
        else:
            yield from _at(node.any, segments, place + 1)
