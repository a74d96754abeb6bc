"""The operations of the installed SDK, read from its source: which method calls which path with which types."""

import ast
import importlib
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import openai
from msgspec import Struct

ROOT = Path(openai.__file__).parent
MOUNT = "/v1"
_VERBS = {"_get": "GET", "_post": "POST", "_delete": "DELETE", "_put": "PUT", "_patch": "PATCH", "_get_api_list": "GET"}
_SKIPPED = ("Async", "With")


class Call(Struct, frozen=True, kw_only=True):
    """One operation. ``name`` is its place in the SDK ("chat.completions.create"), ``path`` is below the server's root.

    ``marker`` is the query that tells a twin from its sibling on the same path ("beta=true"). Types are the SDK's
    own; ``body_fields`` and ``query_fields`` are the members of ``body`` and ``query`` sent there, None for all.
    """

    name: str
    method: str
    path: str
    marker: str = ""
    form: bool = False
    body: Any = None
    body_fields: tuple[str, ...] | None = None
    query: Any = None
    query_fields: tuple[str, ...] | None = None
    answer: Any = None
    page: Any = None
    event: Any = None


def calls() -> list[Call]:
    """All operations, by path and method; where several SDK methods make the same call, the plainest name has it."""
    found: dict[tuple[str, str, str], Call] = {}
    for path in sorted((ROOT / "resources").rglob("*.py")):
        for call in _of_file(path):
            key = (call.path, call.method, call.marker)
            if key not in found or len(call.name) < len(found[key].name):
                found[key] = call
    return [found[key] for key in sorted(found)]


def _of_file(path: Path) -> Iterator[Call]:
    module = importlib.import_module(".".join(("openai", *path.relative_to(ROOT).with_suffix("").parts)))
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and not any(word in node.name for word in _SKIPPED):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield from _of_method(method, _place(path), vars(module))


def _place(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT / "resources").with_suffix("").parts
    return parts[:-1] if len(parts) > 1 and parts[-1] == parts[-2] else parts


def _of_method(method: ast.FunctionDef, place: tuple[str, ...], scope: dict[str, Any]) -> Iterator[Call]:
    for node in ast.walk(method):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VERBS):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "self"):
            continue
        given = {word.arg: word.value for word in node.keywords if word.arg}
        path, _, marker = _template(node.args[0]).partition("?")
        body, body_fields = _sent(given.get("body"), scope)
        query, query_fields = _sent(_option(given.get("options"), "query"), scope)
        yield Call(
            name=".".join((*place, method.name)),
            method=ast.literal_eval(given["method"]).upper() if "method" in given else _VERBS[node.func.attr],
            path=MOUNT + path,
            marker=marker,
            form="files" in given,
            body=body,
            body_fields=body_fields,
            query=query,
            query_fields=query_fields,
            answer=_type(given.get("cast_to"), scope),
            page=_type(given.get("page"), scope),
            event=_type(given.get("stream_cls"), scope),
        )


def _template(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.args[0]
    if isinstance(node, ast.IfExp):
        # A deployment's own path, asked for by a header; the common path is the other one.
        node = node.orelse
    return str(ast.literal_eval(node))


def _option(options: ast.expr | None, name: str) -> ast.expr | None:
    if not isinstance(options, ast.Call):
        return None
    return next((word.value for word in options.keywords if word.arg == name), None)


def _sent(node: ast.expr | None, scope: dict[str, Any]) -> tuple[Any, tuple[str, ...] | None]:
    """The parameters' type in ``maybe_transform(values, type)``, and which of them are named there."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "maybe_transform"):
        return None, None
    values, kind = node.args
    named = tuple(ast.literal_eval(key) for key in values.keys if key) if isinstance(values, ast.Dict) else None
    return _type(kind, scope), named


def _type(node: ast.expr | None, scope: dict[str, Any]) -> Any:
    if node is None:
        return None
    if isinstance(node, ast.IfExp):
        return reduce(lambda one, other: one | other, (_type(node.body, scope), _type(node.orelse, scope)))
    if isinstance(node, ast.Call):
        # cast(Any, Alias): what the type checker cannot see through.
        return _type(node.args[-1], scope)
    try:
        return eval(compile(ast.Expression(node), "<sdk>", "eval"), scope)  # noqa: S307  (the SDK's own names)
    except NameError:
        return None  # A helper's local name; the plain method makes the same call with a type.
