"""Durations as Go writes them: 10m, 1h30m, 1.5s, 300ms; or a whole number of seconds."""

import re
from typing import Final

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def go_seconds(text: str) -> float | None:
    """Seconds, None where it is no duration. Source: conversation contract section 3.1."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    sign = -1.0 if text.startswith("-") else 1.0
    rest, total = text.lstrip("+-"), 0.0
    if len(text) - len(rest) > 1 or not rest:
        return None
    position = 0
    while position < len(rest):
        found = _PART.match(rest, position)
        if found is None:
            return None
        total += float(found[1]) * _UNITS[found[2]]
        position = found.end()
    return sign * total
