"""Every method of OpenAI's own SDK, found by looking at its client, and arguments for it made from its types."""

import collections.abc
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import openai
from openai._resource import AsyncAPIResource, SyncAPIResource
from openai._types import NotGiven, Omit
from typing_extensions import is_typeddict

# Every request's own parameters, not the operation's.
_OPTIONS = {"extra_headers", "extra_query", "extra_body", "timeout"}
# Types that have no answer of their own: what a file, a path or an HTTP header is.
_ODD: dict[Any, Any] = {bytes: b"x", float: 1.0, bool: True, int: 1, str: "x", object: "x", Any: "x"}


def methods(client: openai.OpenAI | openai.AsyncOpenAI) -> dict[str, Callable[..., Any]]:
    """All public methods below a client by their dotted names."""
    return dict(_below(client, ()))


def _below(thing: Any, place: tuple[str, ...]) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in dir(type(thing)):
        found = inspect.getattr_static(type(thing), name)
        if name.startswith(("_", "with_")):
            continue
        if isinstance(found, cached_property | property):
            inner = getattr(thing, name)
            if isinstance(inner, SyncAPIResource | AsyncAPIResource):
                yield from _below(inner, (*place, name))
        elif place and callable(found):
            yield ".".join((*place, name)), getattr(thing, name)


def arguments(method: Callable[..., Any], folder: Path) -> dict[str, Any]:
    """What the method cannot be called without; of several forms of it the first. ``folder`` holds a file to send."""
    function = inspect.unwrap(method.__func__)  # type: ignore[attr-defined]
    form = (typing.get_overloads(function) or [function])[0]
    hints = typing.get_type_hints(form)
    return {
        name: _value(hints[name], folder)
        for name, parameter in inspect.signature(form).parameters.items()
        if name not in _OPTIONS | {"self"} and parameter.default is parameter.empty
    }


def _value(kind: Any, folder: Path) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in _ODD:
        return _ODD[kind]
    if origin is typing.Literal:
        return inner[0]
    if origin in (typing.Union, types.UnionType):
        return _value(next(one for one in inner if one not in (NotGiven, Omit, type(None))), folder)
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return _value(inner[0], folder)
    if kind is os.PathLike or origin is os.PathLike:
        return folder / "file.bin"
    if is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        return {name: _value(hints[name], folder) for name in kind.__required_keys__}
    if isinstance(kind, typing.TypeVar):
        return kind.__bound__()
    assert origin is not None, f"what is a {kind}?"
    return _many(origin, inner, folder)


def _many(origin: Any, inner: tuple[Any, ...], folder: Path) -> Any:
    if origin in (dict, collections.abc.Mapping):
        return {"x": _value(inner[1], folder)}
    if origin is tuple:
        return tuple(_value(one, folder) for one in inner)
    return [_value(inner[0], folder)]
