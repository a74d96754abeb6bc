"""Where the blocks of a turn stand in a request for a response: what the model said in a row is one turn."""

from collections.abc import Mapping
from typing import Any

from parley.wire.openai_responses.items import DOINGS
from parley.wire.paths import listed, value_at


def places(request: Mapping[str, Any], turn: str) -> list[str]:
    """The path of every block of the turn there, in the order in which they are read."""
    items = request.get("input")
    name, bracket, number = turn.partition("[")
    if name != "input" or not bracket or not isinstance(items, list):
        return [turn] if value_at(request, turn) is not None else []
    first = int(number.rstrip("]"))
    found: list[str] = []
    for index in range(first, len(items)):
        item = items[index]
        if not isinstance(item, dict) or (index > first and not _is_said(item)):
            break
        found += _blocks(item, f"input[{index}]")
        if not _is_said(item):
            break
    return found


def _blocks(item: Mapping[str, Any], path: str) -> list[str]:
    return listed(f"{path}.content", item.get("content")) if item.get("type", "message") == "message" else [path]


def _is_said(item: Mapping[str, Any]) -> bool:
    """Whether the model made it."""
    kind = str(item.get("type", "message"))
    if kind == "message":
        return item.get("role") == "assistant"
    return kind in ("reasoning", "function_call") or kind in DOINGS
