"""Contexts of conversations that callers continue by an id: what is asked of an open Link.

Whoever continues one holds it until its turns are written; ``holder`` is made up for that, and nobody else writes
meanwhile. Where a gateway dies the hold ends by itself, at ``until`` (seconds since 1970). Found by owner and place.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from parley.store.conversations import MAX_HISTORY_BYTES, MAX_HISTORY_ITEMS, too_long
from parley.store.port import Link

SWEPT: Final = 1000
Refused: TypeAlias = Literal["busy", "missing"]


class Named(Struct, frozen=True):
    """Which one: whose it is, the name that it was begun with, its id."""

    owner: str
    place: str
    id: str

    def values(self) -> dict[str, Any]:
        """For a statement."""
        return {"owner": self.owner, "place": self.place, "id": self.id}


class Hold(Struct, frozen=True):
    """By whom, since when and until when; what nobody has used since ``expired`` is there no more."""

    holder: str
    now: float
    until: float
    expired: float


def begin(link: Link, named: Named, hold: Hold) -> list[bytes]:
    """A new one, held at once."""
    link.run(
        "INSERT INTO contexts (owner, place, id, touched, holder, until)"
        " VALUES (:owner, :place, :id, :now, :holder, :until)",
        **named.values(),
        now=hold.now,
        holder=hold.holder,
        until=hold.until,
    )
    return []


def take(link: Link, named: Named, hold: Hold) -> list[bytes] | Refused:
    """Hold it; its turns, oldest first. Raises a 400 where they are too many."""
    found = link.one(
        "SELECT holder, until FROM contexts"
        " WHERE owner = :owner AND place = :place AND id = :id AND touched >= :expired",
        **named.values(),
        expired=hold.expired,
    )
    if found is None:
        return "missing"
    # Whoever holds it may be about to let go: to wait for its row could mean to wait for each other.
    if found[0] not in ("", hold.holder) and found[1] >= hold.now:
        return "busy"
    taken = link.run(
        "UPDATE contexts SET holder = :holder, until = :until"
        " WHERE owner = :owner AND place = :place AND id = :id AND touched >= :expired"
        " AND (holder = '' OR until < :now OR holder = :holder)",
        **named.values(),
        holder=hold.holder,
        until=hold.until,
        now=hold.now,
        expired=hold.expired,
    )
    return _turns(link, named) if taken else "busy"


def _turns(link: Link, named: Named) -> list[bytes]:
    count, size = link.one(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM context_turns"
        " WHERE owner = :owner AND place = :place AND context = :id",
        **named.values(),
    )
    if count > MAX_HISTORY_ITEMS or size > MAX_HISTORY_BYTES:
        raise too_long("conversationContext")
    rows = link.rows(
        "SELECT body FROM context_turns WHERE owner = :owner AND place = :place AND context = :id ORDER BY number",
        **named.values(),
    )
    return [bytes(row[0]) for row in rows]


def renew(link: Link, named: Named, hold: Hold) -> bool:
    """Hold it for longer; False where somebody else does by now."""
    statement = (
        "UPDATE contexts SET until = :until WHERE owner = :owner AND place = :place AND id = :id AND holder = :holder"
    )
    return link.run(statement, **named.values(), until=hold.until, holder=hold.holder) > 0


def finish(link: Link, named: Named, hold: Hold, turns: Sequence[bytes]) -> bool:
    """Write what was said and let go; False, and nothing is written, where somebody else holds it by now."""
    statement = (
        "UPDATE contexts SET holder = '', until = 0, touched = :now"
        " WHERE owner = :owner AND place = :place AND id = :id AND holder = :holder"
    )
    if not link.run(statement, **named.values(), now=hold.now, holder=hold.holder):
        return False
    last = link.one(
        "SELECT coalesce(max(number), 0) FROM context_turns WHERE owner = :owner AND place = :place AND context = :id",
        **named.values(),
    )
    link.many(
        "INSERT INTO context_turns (owner, place, context, number, body) VALUES (:owner, :place, :id, :number, :body)",
        [{**named.values(), "number": int(last[0]) + 1 + at, "body": body} for at, body in enumerate(turns)],
    )
    return True


def let_go(link: Link, named: Named, hold: Hold) -> None:
    """Nothing is written. One in which nothing was ever said is there no more."""
    link.run(
        "UPDATE contexts SET holder = '', until = 0"
        " WHERE owner = :owner AND place = :place AND id = :id AND holder = :holder",
        **named.values(),
        holder=hold.holder,
    )
    link.run(
        "DELETE FROM contexts WHERE owner = :owner AND place = :place AND id = :id AND holder = '' AND NOT EXISTS"
        " (SELECT 1 FROM context_turns"
        " WHERE context_turns.owner = contexts.owner AND context_turns.place = contexts.place"
        " AND context_turns.context = contexts.id)",
        **named.values(),
    )


def sweep(link: Link, before: float) -> bool:
    """Remove those that nobody has used since; False where some are left for the next time."""
    gone = link.run(
        "DELETE FROM contexts WHERE (owner, place, id) IN"
        " (SELECT owner, place, id FROM contexts WHERE touched < :before LIMIT :most)",
        before=before,
        most=SWEPT,
    )
    return gone < SWEPT
