"""What was registered at this node, and its name and secret. Functions over an open link.

Every change counts the version up, by which processes that share the store see that they have to read again.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from parley.nodes.registry import Entry
from parley.store.port import Link

Key = tuple[str, str, str]
_NEW: Final = (
    "INSERT INTO node_models (node, project, model, cid, kind, api, url, holder, ttl, since, heard) "
    "VALUES (:node, :project, :model, :cid, :kind, :api, :url, :holder, :ttl, :since, :heard) "
    "ON CONFLICT (node, project, model, cid) DO UPDATE SET kind = :kind, api = :api, url = :url, holder = :holder, "
    "ttl = :ttl, since = :since, heard = :heard"
)
_GONE: Final = "DELETE FROM node_models WHERE node = :node AND project = :project AND model = :model AND cid = :cid"


class Self(Struct, frozen=True):
    """A node: its id and 32 bytes that nobody else has. ``version`` counts changes of what is registered."""

    id: str
    secret: bytes
    version: int


class Table(Struct, frozen=True):
    """Everything that is kept."""

    version: int
    entries: tuple[Entry, ...]


def known(link: Link, place: str, id: str, secret: bytes) -> Self:
    """The node at that place (a machine, or an id that was configured); from the first time on as it was said then."""
    new = (
        "INSERT INTO node_self (place, id, secret, version) VALUES (:place, :id, :secret, 0) "
        "ON CONFLICT (place) DO NOTHING"
    )
    link.run(new, place=place, id=id, secret=secret)
    found = there(link, place)
    assert found is not None
    return found


def there(link: Link, place: str) -> Self | None:
    """The same, None where it has never been."""
    found = link.one("SELECT id, secret, version FROM node_self WHERE place = :place", place=place)
    return None if found is None else Self(str(found.id), bytes(found.secret), int(found.version))


def changed(link: Link, place: str, version: int) -> Table | None:
    """Everything that is registered there, None where that is the version already known."""
    found = there(link, place)
    if found is None or found.version == version:
        return None
    rows = link.rows("SELECT * FROM node_models WHERE node = :node", node=found.id)
    return Table(found.version, tuple(map(_entry, rows)))


def every(link: Link) -> dict[str, tuple[Entry, ...]]:
    """What is registered at each node that keeps it here."""
    nodes = [str(row.id) for row in link.rows("SELECT id FROM node_self")]
    rows = link.rows("SELECT * FROM node_models")
    return {node: tuple(_entry(row) for row in rows if row.node == node) for node in nodes}


def put(link: Link, place: str, entries: Sequence[Entry], gone: Iterable[Key] = ()) -> int:
    """Keep these and forget those; the version then. The row of the node is locked first, so that two who write at one
    time do so one after the other."""
    link.run("UPDATE node_self SET version = version + 1 WHERE place = :place", place=place)
    found = there(link, place)
    assert found is not None
    for key in gone:
        link.run(_GONE, node=found.id, **_named(key))
    for one in entries:
        link.run(
            _NEW,
            node=found.id,
            **_named(one.key),
            kind=one.kind,
            api=one.api,
            url=one.url,
            holder=one.by,
            ttl=one.ttl,
            since=one.since,
            heard=one.heard,
        )
    return found.version


def _named(key: Key) -> dict[str, str]:
    return dict(zip(("project", "model", "cid"), key, strict=True))


def _entry(row: Any) -> Entry:
    return Entry(
        project=row.project,
        model=row.model,
        cid=row.cid,
        kind=row.kind,
        api=row.api,
        url=row.url,
        ttl=row.ttl,
        since=row.since,
        heard=row.heard,
        by=row.holder,
    )
