"""Reading members of a caller's JSON object: pop what is known, check its type, name the field at fault.

A member is taken out of ``value``; explicit null counts as absent. What is left there afterwards is what the
reader does not know; a reader therefore works on a copy of its object. All raise ``invalid_request`` with the
field's path.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from parley.failure import ParleyError, at, invalid

T = TypeVar("T")

_WORDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
}


# Where a caller's wire keeps what a model thought: a member of the turn, or a turn of its own; elsewhere it is a block.
_THOUGHTS = {"openai_chat": ".reasoning_content", "ollama": ".thinking", "openai_responses": ""}


def thought_at(wire: str, turn: str, block: str) -> str:
    """The caller's own path of what a model thought: in the turn at ``turn``, as the block at ``block``."""
    member = _THOUGHTS.get(wire)
    return block if member is None else turn + member


class Scalar:
    """What a simple member may be: its types (exact, so that true is no integer) and its bounds, both included.

    No Struct: these are read for every member of every request.
    """

    __slots__ = ("high", "kinds", "low")

    def __init__(self, kinds: tuple[type, ...], low: int | None = None, high: int | None = None) -> None:
        self.kinds = kinds
        self.low = low
        self.high = high


def check(name: str, value: Any, scalar: Scalar) -> None:
    """Raise unless ``value`` fits."""
    if type(value) not in scalar.kinds:
        raise wrong(name, *scalar.kinds)
    if scalar.low is not None and not value >= scalar.low:
        raise invalid(f"{name} must be at least {scalar.low:g}", name)
    if scalar.high is not None and not value <= scalar.high:
        raise invalid(f"{name} must be at most {scalar.high:g}", name)


def required(value: dict[str, Any], name: str, kind: type[T]) -> T:
    """The member, which must be there."""
    found = value.pop(name, None)
    if isinstance(found, kind):
        return found
    raise missing(name) if found is None else wrong(name, kind)


def optional(value: dict[str, Any], name: str, kind: type[T]) -> T | None:
    """The member, or None."""
    found = value.pop(name, None)
    if found is None or type(found) is kind:
        return found
    raise wrong(name, kind)


def nested(value: dict[str, Any], name: str, read: Callable[[dict[str, Any]], T]) -> T:
    """The member, an object which must be there, as ``read`` understands it."""
    inner = required(value, name, dict)
    try:
        return read(inner)
    except ParleyError as error:
        raise at(error, name) from None


def each(values: list[Any], path: str, read: Callable[[dict[str, Any]], T]) -> tuple[T, ...]:
    """Every item, an object, as ``read`` understands it."""
    found: list[T] = []
    try:
        for value in values:
            if not isinstance(value, dict):
                raise invalid(f"{path}[{len(found)}] must be an object")
            found.append(read(value))
    except ParleyError as error:
        raise at(error, f"{path}[{len(found)}]") from None
    return tuple(found)


def missing(name: str) -> ParleyError:
    """The error for a member that must be there and is not."""
    return invalid(f"{name} is required", name)


def wrong(name: str, *kinds: type) -> ParleyError:
    """The error for a member of another type."""
    words = "a number" if float in kinds else " or ".join(_WORDS[kind] for kind in kinds)
    return invalid(f"{name} must be {words}", name)
