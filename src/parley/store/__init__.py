"""What outlives a request: responses and conversations, in a SQLite file. See docs/store.md.

Store        what others use: the Memory port, reads and changes for pages, problems, closing
    Worker   one thread that owns the connection; a bounded queue, writes in batches
        Link one open connection (SQLAlchemy), imported on first use
    Backgrounds  responses that are made while nobody waits
"""

from parley.store.background import Background, Backgrounds
from parley.store.port import Away, Link
from parley.store.store import RETENTION, Store, Work

__all__ = ["RETENTION", "Away", "Background", "Backgrounds", "Link", "Store", "Work"]
