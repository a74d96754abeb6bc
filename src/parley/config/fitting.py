"""A document's values in the shape they must have; what does not fit is reported, and the rest is kept."""

from typing import Any, TypeVar

import msgspec

from parley.config.build import Builder, unfilled
from parley.config.document import Document, Path
from parley.config.report import Report

T = TypeVar("T")


def fitted(builder: Builder, shape: type[T]) -> tuple[T | None, Report]:
    """The document's values (None: empty, or nothing of them fits), and where its further mistakes go."""
    document = builder.document
    raw = builder.build()
    holes = unfilled(raw)
    if document.root is None or (raw is None and not holes):
        return None, Report(document)
    if not holes:
        value = _fitting(raw, shape)
        if value is not None:
            return value, Report(document, document.keys("providers"))
    return _salvaged(builder, raw, holes, shape)


def _salvaged(builder: Builder, raw: Any, holes: list[Path], shape: type[T]) -> tuple[T | None, Report]:
    """What is left of the file when everything wrong is taken out, so that the rest is checked as well."""
    document = builder.document
    named = document.keys("providers")
    wounded = _nodes(document, holes)
    document.prune(holes)
    raw = _again(builder) if holes else raw
    trimmed: set[int] = set()
    value = _fitting(raw, shape)
    if value is None:
        from parley.config.explain import explain

        found = explain(raw, document, shape, holes)
        document.problems.extend(found.problems)
        wounded, trimmed = wounded | _nodes(document, found.broken), _nodes(document, found.unknown)
        document.prune([*found.broken, *found.unknown])
        value = _fitting(_again(builder), shape)
    return value, Report(document, named, wounded, trimmed)


def _fitting(raw: Any, shape: type[T]) -> T | None:
    """The values in their shape, None where they do not fit."""
    try:
        return msgspec.convert(raw, shape, strict=False)
    except msgspec.ValidationError:
        return None


def _again(builder: Builder) -> Any:
    """The values of what is left of the nodes; mistakes were told the first time."""
    document = builder.document
    told = len(document.problems)
    raw = Builder(document, builder.scope).build()
    del document.problems[told:]
    return {} if raw is None else raw


def _nodes(document: Document, paths: list[Path]) -> set[int]:
    """The nodes on the way to these paths, by identity."""
    return {node for path in paths for node in document.trail(path)[1:]}
