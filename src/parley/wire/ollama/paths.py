"""Where the blocks of a turn stand in a request of Ollama's."""

from collections.abc import Mapping
from typing import Any

from parley.wire.ollama.generate import OWN
from parley.wire.paths import listed, value_at


def places(request: Mapping[str, Any], turn: str) -> list[str]:
    """The path of every block of a turn of a chat, in the order in which they are read."""
    value = value_at(request, turn)
    if not isinstance(value, dict):
        return []
    sealed, calls = value.get("thinking_blocks"), value.get("tool_calls")
    words = [f"{turn}.thinking"] if value.get("thinking") else []
    thoughts = listed(f"{turn}.thinking_blocks", sealed) if sealed else words
    said = _said(value, f"{turn}.", "content", alone=not (thoughts or calls))
    return [*thoughts, *said, *listed(f"{turn}.tool_calls", calls)]


def generate_places(request: Mapping[str, Any], turn: str) -> list[str]:
    """The same of the one prompt, or of its instruction."""
    if turn != "prompt":
        return [turn]
    return [*_said(request, "", "prompt", alone=True), *(name for name in OWN if request.get(name))]


def _said(value: Mapping[str, Any], before: str, name: str, *, alone: bool) -> list[str]:
    images = listed(f"{before}images", value.get("images"))
    return [*images, before + name] if value.get(name) or (alone and not images) else images
