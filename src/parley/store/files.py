"""Files of callers: what is known of each, and, where the store has to hold them itself, what is in them.

Functions over an open link. Lists go by the time of creation, the newest first unless asked otherwise.
"""

from typing import Any, Final

from msgspec import Struct

from parley.failure import Failure, ParleyError, invalid
from parley.store.items import Cut
from parley.store.port import Link

# Of a file in the store, removed at a time: 16 MiB.
_PARTS: Final = 16
_ALL: Final = "SELECT id, owner, place, created, bytes, filename, purpose, expires FROM files"
# A batch that has still to read it.
_NEEDED: Final = (
    "SELECT id FROM batches WHERE input_file = :id"
    " AND status IN ('validating', 'in_progress', 'finalizing', 'cancelling') LIMIT 1"
)


class Kept(Struct, frozen=True, kw_only=True):
    """A file. Times in seconds since 1970; ``place`` is its own in microseconds; ``expires`` None = never."""

    id: str
    owner: str
    place: int
    created: int
    bytes: int
    filename: str
    purpose: str
    expires: int | None = None

    def told(self) -> dict[str, Any]:
        """As its owner sees it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created,
            "expires_at": self.expires,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


def add(link: Link, kept: Kept) -> None:
    """A file whose content is in its place. One that is there already stays as it is."""
    link.run(
        "INSERT INTO files (id, owner, place, created, bytes, filename, purpose, expires)"
        " VALUES (:id, :owner, :place, :created, :bytes, :filename, :purpose, :expires) ON CONFLICT (id) DO NOTHING",
        id=kept.id,
        owner=kept.owner,
        place=kept.place,
        created=kept.created,
        bytes=kept.bytes,
        filename=kept.filename,
        purpose=kept.purpose,
        expires=kept.expires,
    )


def fetch(link: Link, owner: str, id: str, now: float) -> Kept:
    """One. Raises a 404 where its owner has none of that id, or it has expired."""
    row = link.one(
        f"{_ALL} WHERE id = :id AND owner = :owner AND (expires IS NULL OR expires > :now)",
        id=id,
        owner=owner,
        now=now,
    )
    if row is None:
        raise missing("file", id)
    return _kept(row)


def listed(link: Link, owner: str, purpose: str | None, cut: Cut, now: float) -> tuple[list[Kept], bool]:
    """A page of them, and whether there are more. Raises a 400 for an ``after`` that is none."""
    where, values = " AND (expires IS NULL OR expires > :now)", {"owner": owner, "now": now}
    if purpose is not None:
        where, values = f"{where} AND purpose = :purpose", {**values, "purpose": purpose}
    rows, more = paged(link, _ALL, "files", (where, values), cut)
    return [_kept(row) for row in rows], more


def paged(
    link: Link, select: str, table: str, condition: tuple[str, dict[str, Any]], cut: Cut
) -> tuple[list[Any], bool]:
    """Rows of an owner (:owner) that meet a condition, by place."""
    where, values = condition
    sign, order = ("<", "DESC") if cut.descending else (">", "ASC")
    if cut.after is not None:
        statement = f"SELECT place FROM {table} WHERE id = :id AND owner = :owner"  # noqa: S608 - our own names
        found = link.one(statement, id=cut.after, owner=values["owner"])
        if found is None:
            raise invalid(f"Invalid value for 'after': there is no {cut.after[:80]!r}.", "after")
        where += f" AND (place {sign} :place OR (place = :place AND id {sign} :after))"
        values = {**values, "place": found.place, "after": cut.after}
    statement = f"{select} WHERE owner = :owner{where} ORDER BY place {order}, id {order} LIMIT :most"
    rows = list(link.rows(statement, **values, most=cut.limit + 1))
    return rows[: cut.limit], len(rows) > cut.limit


def remove(link: Link, owner: str, id: str, now: float) -> None:
    """Forget it. Raises a 404, and a 409 while a batch needs it."""
    fetch(link, owner, id, now)
    if link.one(_NEEDED, id=id) is not None:
        message = f"The file {id!r} is the input of a batch that is not over: cancel that first."
        raise ParleyError(Failure("invalid_request", message, status=409))
    forget(link, id)


def forget(link: Link, id: str) -> None:
    """Forget it, and what is in it."""
    link.run("DELETE FROM files WHERE id = :id", id=id)
    link.run("DELETE FROM file_parts WHERE file = :id", id=id)


def part_with(link: Link, id: str) -> bool:
    """Remove some of what is in a file; whether that was all."""
    gone = link.run(
        "DELETE FROM file_parts WHERE file = :id AND number IN"
        " (SELECT number FROM file_parts WHERE file = :id ORDER BY number LIMIT :some)",
        id=id,
        some=_PARTS,
    )
    return gone < _PARTS


def expired(link: Link, now: float, most: int) -> list[str]:
    """Some whose time is over and that nobody reads any more."""
    rows = link.rows("SELECT id FROM files WHERE expires <= :now ORDER BY expires LIMIT :most", now=now, most=most)
    return [row.id for row in rows if link.one(_NEEDED, id=row.id) is None]


def put_part(link: Link, file: str, number: int, body: bytes) -> None:
    """What is in a file, or a part of it; in place of what is there."""
    link.run(
        "INSERT INTO file_parts (file, number, body) VALUES (:file, :number, :body)"
        " ON CONFLICT (file, number) DO UPDATE SET body = excluded.body",
        file=file,
        number=number,
        body=body,
    )


def parts(link: Link, file: str, first: int, last: int) -> list[bytes]:
    """Some of the parts, in order."""
    rows = link.rows(
        "SELECT body FROM file_parts WHERE file = :file AND number BETWEEN :first AND :last ORDER BY number",
        file=file,
        first=first,
        last=last,
    )
    return [bytes(row.body) for row in rows]


def missing(what: str, id: str) -> ParleyError:
    """There is no such thing, or not for this caller."""
    return ParleyError(Failure("invalid_request", f"No such {what}: {id[:200]!r}.", status=404, param="id"))


def _kept(row: Any) -> Kept:
    return Kept(
        id=row.id,
        owner=row.owner,
        place=row.place,
        created=row.created,
        bytes=row.bytes,
        filename=row.filename,
        purpose=row.purpose,
        expires=row.expires,
    )
