"""One piece of a journal on its way into the store, in the store's thread."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from parley.ledger.journal import MAGIC, Damaged, File, Fresh
from parley.store import ledger as stored
from parley.store.ledger import Row
from parley.store.port import Link


class Turn(Struct, frozen=True):
    """What one transaction has to know: journals whose files are gone, and names of models that are served."""

    finished: tuple[str, ...]
    served: frozenset[str]


def entered(file: File, fresh: Fresh, turn: Turn, link: Link) -> tuple[int, int, bool]:
    """The same as applied for rows that are still in memory."""
    stored.forget(link, turn.finished)
    span = stored.Span(file.name, fresh.places[0], fresh.end, turn.served)
    return stored.enter(link, span, file.ids(fresh), fresh.rows), 0, False


def applied(
    file: File,
    size: int,
    turn: Turn,
    skip: bool,
    taken: Callable[[Link, Sequence[Row]], None] | None,
    link: Link,
) -> tuple[int, int, bool]:
    """In the store's thread: how far it is now, how many rows were left out, and whether the rest cannot be read."""
    stored.forget(link, turn.finished)
    begin = file.applied
    if begin is None:
        begin = max(stored.applied(link, file.name), len(MAGIC))
    if begin >= size:
        return size, 0, False
    try:
        end, rows = file.rows(begin)
    except (Damaged, OSError):
        return begin, 0, True
    reached = stored.write(link, stored.Span(file.name, begin, end, turn.served), [] if skip else rows)
    if taken is not None and reached == end and not skip:
        taken(link, [row for _, row in rows])
    return reached, len(rows) if skip else 0, False


def synced(file: File) -> None:
    """Put it onto the disk itself."""
    try:
        file.sync()
    except OSError:
        # Writing to it will tell.
        return
