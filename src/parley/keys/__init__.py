"""What callers show to be let in: the text of a key, its digest, and what its holder may do. Pure. See docs/keys.md.

text    how a key is written, how it is told from anything else, its digest
holder  who a key stands for: kind, models, dialects, sources, expiry
"""

from parley.keys.holder import KINDS, OPERATOR, Holder, KeyLimits, Kind
from parley.keys.text import digest_of, holds_key, is_key, key_text

__all__ = ["KINDS", "OPERATOR", "Holder", "KeyLimits", "Kind", "digest_of", "holds_key", "is_key", "key_text"]
