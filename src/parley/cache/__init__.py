"""Answers that are kept and given again to exactly the same request. See docs/cache.md.

key        what must be the same: a digest over the caller, the model's configuration and every byte that counts
answer     what is kept of an answer, and which answers are whole enough to be
shelf      a place for them, by key; the one in memory
patience   a place elsewhere that must not hold up requests: a deadline, and a pause after failures
responses  what the gateway asks: find, answer again, keep
"""

from parley.cache.patience import Patient
from parley.cache.responses import Plan, ResponseCache
from parley.cache.shelf import MemoryShelf, Shelf

__all__ = ["MemoryShelf", "Patient", "Plan", "ResponseCache", "Shelf"]
