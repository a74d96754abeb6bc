"""What a provider sealed beside its calls, kept for callers who cannot bring it back themselves.

Several providers refuse a tool's result unless the thoughts and signatures of the turn that called it come back byte
for byte. Callers of other dialects get them in members of ours, which many clients drop. So they are kept here too:
bounded in bytes and in age, found by their owner and the id of the call, or, where a dialect or a provider has no ids
of its own, by the conversation before the call and the call itself. They go back only to the provider that made them.
Pure: time is given. Sources: provider contract 2.3, 3.6 (2), 4.1.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

from parley.ir import Thinking

# Who made something: the wire, the kind of provider, its addresses.
Origin: TypeAlias = tuple[str, str, tuple[str, ...]]

MAX_BYTES: Final = 32 * 1024 * 1024
# Of one answer: more than the longest thoughts of any provider.
MAX_ANSWER: Final = 1024 * 1024
# Since it was last used: a conversation that goes on keeps all that it needs.
SECONDS: Final = 3600.0
# What an answer costs beside its texts: the objects and keys.
_OVERHEAD: Final = 1024


def is_sealed(thought: Thinking) -> bool:
    """Whether it holds what only its provider can make."""
    return bool(thought.signature) or thought.redacted is not None


class Called(Struct, frozen=True):
    """One call of an answer: its id, and its signature where it has one of its own."""

    id: str
    signature: str | None = None


class Kept(Struct, frozen=True):
    """What one answer had that must come back. ``thoughts`` are told with the number of calls before each."""

    origin: Origin
    thoughts: tuple[tuple[int, Thinking], ...]
    calls: tuple[Called, ...]


def holds_seal(kept: Kept) -> bool:
    """Whether any of it is more than words."""
    return any(is_sealed(thought) for _, thought in kept.thoughts) or any(call.signature for call in kept.calls)


class _Entry:
    """An answer under its keys, and until when (seconds of the given clock)."""

    __slots__ = ("kept", "keys", "size", "until")

    def __init__(self, kept: Kept, keys: tuple[bytes, ...], size: int, until: float) -> None:
        self.kept = kept
        self.keys = keys
        self.size = size
        self.until = until


class Seals:
    """The store. The least recently used answer goes first when there are too many bytes."""

    __slots__ = ("_entries", "_keys", "_limit", "_now", "_seconds", "size")

    def __init__(self, now: Callable[[], float], *, limit: int = MAX_BYTES, seconds: float = SECONDS) -> None:
        self._now = now
        self._limit = limit
        self._seconds = seconds
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._keys: dict[bytes, _Entry] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, keys: tuple[bytes, ...], kept: Kept) -> None:
        """Keep an answer; one that is too large is not kept."""
        size = _OVERHEAD + sum(map(_size, kept.thoughts)) + sum(len(call.signature or "") for call in kept.calls)
        if not keys or size > MAX_ANSWER or size > self._limit:
            return
        now = self._now()
        self._expire(now)
        entry = _Entry(kept, keys, size, now + self._seconds)
        self._entries[id(entry)] = entry
        self.size += size
        for key in keys:
            self._keys[key] = entry
        while self.size > self._limit:
            self._forget(next(iter(self._entries.values())))

    def get(self, key: bytes) -> Kept | None:
        """What is kept under that key; it stays as long again."""
        now = self._now()
        self._expire(now)
        entry = self._keys.get(key)
        if entry is None:
            return None
        entry.until = now + self._seconds
        self._entries.move_to_end(id(entry))
        return entry.kept

    def _expire(self, now: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.until > now:
                return
            self._forget(oldest)

    def _forget(self, entry: _Entry) -> None:
        del self._entries[id(entry)]
        self.size -= entry.size
        for key in entry.keys:
            if self._keys.get(key) is entry:
                del self._keys[key]


def _size(placed: tuple[int, Thinking]) -> int:
    thought = placed[1]
    return len(thought.text) + len(thought.signature or "") + len(thought.redacted or "")
