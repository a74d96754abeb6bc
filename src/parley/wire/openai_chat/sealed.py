"""What other providers thought and sealed, in members of a turn that the makers of this wire do not know.

Their own service refuses a member that it does not know; compatible servers take what they can read.
Source: provider contract 2.3, 3.6 (2).
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from parley.wire import Cleared
from parley.wire.cleared import unburdened
from parley.wire.signature import CALLS, RETURNS

_THOUGHTS: Final = frozenset({"reasoning_content", "reasoning", "thinking_blocks"})
_SEALS: Final = frozenset({"extra_content"})
_NONE: Final[frozenset[str]] = frozenset()
_WORDS: Final = (b'"reasoning_content"', b'"reasoning"', b'"thinking_blocks"', b'"extra_content"')


def cleared(body: bytes, members: dict[str, Raw], options: Mapping[str, Any]) -> Cleared | None:
    """``messages`` without what a provider that takes no thoughts would refuse; see ``Wire.cleared``."""
    if options.get("reasoning_field", "") is not None or not any(word in body for word in _WORDS):
        return None
    seals = _NONE if options.get(RETURNS) == CALLS else _SEALS
    return unburdened(members, "messages", _THOUGHTS, "tool_calls", seals)
