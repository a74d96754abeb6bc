"""Conversations and their items: what is asked of an open Link. Everything is found by its owner only."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from parley.failure import Failure, ParleyError, invalid
from parley.store.items import Cut, Item, identified, made_id, not_found, own_id, page, unknown_after
from parley.store.port import Link

MAX_HISTORY_BYTES: Final = 16 * 1024 * 1024
MAX_HISTORY_ITEMS: Final = 10_000


class Conversation(msgspec.Struct, frozen=True):
    """One conversation. ``metadata`` is the JSON text of an object."""

    id: str
    created: int
    metadata: bytes

    def json(self) -> bytes:
        """As callers see it."""
        return msgspec.json.encode(
            {
                "id": self.id,
                "object": "conversation",
                "created_at": self.created,
                "metadata": msgspec.Raw(self.metadata),
            }
        )


def create(link: Link, owner: str, made: Conversation, items: Sequence[bytes]) -> Conversation:
    """A new conversation with its first items."""
    link.run(
        "INSERT INTO conversations (owner, id, created, metadata, touched)"
        " VALUES (:owner, :id, :created, :metadata, :created)",
        owner=owner,
        id=made.id,
        created=made.created,
        metadata=made.metadata,
    )
    add(link, owner, made.id, items, made.created)
    return made


def fetch(link: Link, owner: str, id: str) -> Conversation:
    """One conversation. Raises a 404."""
    row = link.one("SELECT created, metadata FROM conversations WHERE owner = :owner AND id = :id", owner=owner, id=id)
    if row is None:
        raise not_found("Conversation", id)
    return Conversation(id, row[0], bytes(row[1]))


def describe(link: Link, owner: str, id: str, metadata: bytes, now: float) -> Conversation:
    """Replace its metadata."""
    link.run(
        "UPDATE conversations SET metadata = :metadata, touched = :now WHERE owner = :owner AND id = :id",
        owner=owner,
        id=id,
        metadata=metadata,
        now=now,
    )
    return fetch(link, owner, id)


def remove(link: Link, owner: str, id: str) -> None:
    """Delete it and its items."""
    if not link.run("DELETE FROM conversations WHERE owner = :owner AND id = :id", owner=owner, id=id):
        raise not_found("Conversation", id)


def add(link: Link, owner: str, id: str, bodies: Sequence[bytes], now: float) -> list[Item]:
    """Add items at the end, as callers do: an id may be there only once."""
    if not _own(link, owner, id, now):
        raise not_found("Conversation", id)
    taken = {given for body in bodies if (given := own_id(body)) and _place(link, owner, id, given) is not None}
    for place, body in enumerate(bodies):
        given = own_id(body)
        if given in taken:
            raise invalid(f"Duplicate item found with id '{given[:200]}'.", f"items[{place}].id")
        if given:
            taken.add(given)
    return _append(link, owner, id, bodies, now)


def carry_on(link: Link, owner: str, id: str, bodies: Sequence[bytes], now: float) -> None:
    """Add what was said in a response; nothing where the conversation was deleted meanwhile."""
    if _own(link, owner, id, now):
        _append(link, owner, id, bodies, now)


def _append(link: Link, owner: str, id: str, bodies: Sequence[bytes], now: float) -> list[Item]:
    seed = f"{id}:{last_position(link, owner, id)}:{now}"
    items = identified(bodies, seed)
    fresh: list[Item] = []
    seen: set[str] = set()
    for place, (given, body) in enumerate(items):
        taken = given in seen or _place(link, owner, id, given) is not None
        name = made_id(body, f"{seed}:{place}:again") if taken else given
        seen.add(name)
        fresh.append((name, body))
    link.many(
        "INSERT INTO conversation_items (owner, conversation, id, body) VALUES (:owner, :conversation, :id, :body)",
        [{"owner": owner, "conversation": id, "id": name, "body": body} for name, body in fresh],
    )
    return fresh


def _own(link: Link, owner: str, id: str, now: float) -> bool:
    """It was used. Until the end of the transaction nobody else adds to it, so that its items stay in order; False
    where it is not there."""
    statement = "UPDATE conversations SET touched = :now WHERE owner = :owner AND id = :id"
    return link.run(statement, owner=owner, id=id, now=now) > 0


def last_position(link: Link, owner: str, id: str) -> int:
    """The position of its newest item, 0 where it has none."""
    row = link.one(
        "SELECT coalesce(max(position), 0) FROM conversation_items WHERE owner = :owner AND conversation = :id",
        owner=owner,
        id=id,
    )
    return int(row[0])


def said(link: Link, owner: str, id: str, until: int | None = None) -> list[Item]:
    """All its items, oldest first, perhaps only those up to a position. Raises a 400 where they are too many."""
    last = 2**62 if until is None else until
    count, size = link.one(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM conversation_items"
        " WHERE owner = :owner AND conversation = :id AND position <= :last",
        owner=owner,
        id=id,
        last=last,
    )
    if count > MAX_HISTORY_ITEMS or size > MAX_HISTORY_BYTES:
        raise too_long("conversation")
    rows = link.rows(
        "SELECT id, body FROM conversation_items"
        " WHERE owner = :owner AND conversation = :id AND position <= :last ORDER BY position",
        owner=owner,
        id=id,
        last=last,
    )
    return [(row[0], bytes(row[1])) for row in rows]


_UP: Final = (
    "SELECT id, body FROM conversation_items WHERE owner = :owner AND conversation = :id AND position > :after"
    " ORDER BY position LIMIT :limit"
)
_DOWN: Final = (
    "SELECT id, body FROM conversation_items WHERE owner = :owner AND conversation = :id AND position < :after"
    " ORDER BY position DESC LIMIT :limit"
)


def listed(link: Link, owner: str, id: str, cut: Cut) -> dict[str, Any]:
    """A page of its items."""
    fetch(link, owner, id)
    after: int | None = 2**62 if cut.descending else 0
    if cut.after is not None:
        after = _place(link, owner, id, cut.after)
        if after is None:
            raise unknown_after(cut.after)
    statement = _DOWN if cut.descending else _UP
    rows = link.rows(statement, owner=owner, id=id, after=after, limit=cut.limit + 1)
    return page([(row[0], bytes(row[1])) for row in rows[: cut.limit]], more=len(rows) > cut.limit)


def item(link: Link, owner: str, id: str, item_id: str) -> Item:
    """One item. Raises a 404."""
    fetch(link, owner, id)
    row = link.one(
        "SELECT body FROM conversation_items WHERE owner = :owner AND conversation = :id AND id = :item",
        owner=owner,
        id=id,
        item=item_id,
    )
    if row is None:
        raise not_found("Item", item_id)
    return item_id, bytes(row[0])


def drop_item(link: Link, owner: str, id: str, item_id: str) -> Conversation:
    """Delete one item; the conversation it was in."""
    found = fetch(link, owner, id)
    statement = "DELETE FROM conversation_items WHERE owner = :owner AND conversation = :id AND id = :item"
    if not link.run(statement, owner=owner, id=id, item=item_id):
        raise not_found("Item", item_id)
    return found


def _place(link: Link, owner: str, id: str, item_id: str) -> int | None:
    row = link.one(
        "SELECT position FROM conversation_items WHERE owner = :owner AND conversation = :id AND id = :item",
        owner=owner,
        id=id,
        item=item_id,
    )
    return None if row is None else int(row[0])


def too_long(param: str) -> ParleyError:
    """What was said is more than goes into one request."""
    message = f"What was said before is more than {MAX_HISTORY_BYTES} bytes or too many turns; start anew."
    return ParleyError(Failure("invalid_request", message, param=param, upstream_code="context_length_exceeded"))
