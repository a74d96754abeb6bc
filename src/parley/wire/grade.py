"""The grade of service by which an answer is charged, where that is not the usual one. Shared by wires."""

from typing import Any, Final

_USUAL: Final = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})


def grade_of(tier: Any, speed: Any = None) -> str | None:
    """The provider's own word for it, None for the usual one and where none is told; a speed is told before a tier."""
    for word in (speed, tier):
        if type(word) is str and word not in _USUAL:
            return word
    return None
