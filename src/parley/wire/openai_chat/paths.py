"""Where the blocks of a turn stand in a chat request."""

from collections.abc import Mapping
from typing import Any

from parley.wire.paths import listed, value_at


def places(request: Mapping[str, Any], turn: str) -> list[str]:
    """The path of every block of the turn there, in the order in which they are read."""
    value = value_at(request, turn)
    if not isinstance(value, dict):
        return []
    said = listed(f"{turn}.content", value.get("content"))
    if value.get("role") != "assistant":
        return said
    sealed = value.get("thinking_blocks")
    words = [name for name in ("reasoning_content", "reasoning") if value.get(name)]
    thoughts = listed(f"{turn}.thinking_blocks", sealed) if sealed else [f"{turn}.{name}" for name in words[:1]]
    refusal = listed(f"{turn}.refusal", value.get("refusal"))
    return [*thoughts, *said, *refusal, *listed(f"{turn}.tool_calls", value.get("tool_calls"))]
