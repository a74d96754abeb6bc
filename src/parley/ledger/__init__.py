"""What was used and what it cost: a row per request, kept behind a journal, and reports of it. See docs/ledger.md.

Ledger       hears of every request that has ended; belongs to the loop
    Journal  files that rows are written to at once and from which they go into the store
told         rows and sums as people and programs read them
"""

from parley.ledger.ledger import Ledger

__all__ = ["Ledger"]
