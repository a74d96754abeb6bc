"""Keys in the store: only their digests, and who holds them. Functions over an open link; see docs/keys.md.

A key that was revoked stays as a row: that there was one is why callers need one. Every change counts the version up,
which is all that a gateway asks for each second.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from parley.failure import Failure, ParleyError
from parley.keys import Holder, KeyLimits, Kind
from parley.store.port import Link

_ALL: Final = (
    "SELECT id, name, kind, models, dialects, sources, expires, tags, limits, created, revoked, used FROM keys "
)
_NEW: Final = (
    "INSERT INTO keys (id, name, kind, models, dialects, sources, expires, tags, limits, created) "
    "VALUES (:id, :name, :kind, :models, :dialects, :sources, :expires, :tags, :limits, :created)"
)
_DEFAULTS: Final = "defaults"
_encode: Final = msgspec.json.encode


class Key(Struct, frozen=True, kw_only=True):
    """A key as it is listed. Times in seconds since 1970; ``used`` is when it was last seen, to the minute."""

    holder: Holder
    created: float
    revoked: float | None = None
    used: float | None = None


class Table(Struct, frozen=True):
    """Everything a gateway needs: digest -> holder of each key that was not revoked. ``version`` changes with it;
    ``exist``: there is a key, or was one."""

    version: int
    exist: bool
    holders: Mapping[bytes, Holder]


def create(link: Link, key: Key, digest: bytes) -> None:
    """A new key. Refused where a key of that name is in use."""
    if _live(link, key.holder.name) is not None:
        raise _fault(f"there is a key named {key.holder.name!r} already: revoke it, or rotate it")
    holder = key.holder
    link.run(
        _NEW,
        id=holder.id,
        name=holder.name,
        kind=holder.kind,
        models=_encode(holder.models),
        dialects=_encode(holder.dialects),
        sources=_encode(holder.sources),
        expires=holder.expires,
        tags=_encode(holder.tags),
        limits=_encode(_written(holder)),
        created=key.created,
    )
    _add(link, digest, holder.id)


def listed(link: Link) -> list[Key]:
    """Every key, the oldest first, those that were revoked too."""
    return [_key(row) for row in link.rows(_ALL + "ORDER BY created, id")]


def revoke(link: Link, named: str, now: float) -> Key:
    """From now on it is nobody's. ``named`` is its name or its id."""
    key = _found(link, named)
    link.run("UPDATE keys SET revoked = :now WHERE id = :id", now=now, id=key.holder.id)
    link.run("DELETE FROM key_digests WHERE id = :id", id=key.holder.id)
    _changed(link)
    return replace(key, revoked=now)


def rotate(link: Link, named: str, digest: bytes, now: float, grace: float) -> Key:
    """Another text for the same key; earlier ones hold for ``grace`` seconds more, and not at all for 0."""
    key = _found(link, named)
    if grace > 0:
        sooner = "UPDATE key_digests SET ends = :ends WHERE id = :id AND (ends IS NULL OR ends > :ends)"
        link.run(sooner, ends=now + grace, id=key.holder.id)
        link.run("DELETE FROM key_digests WHERE id = :id AND ends <= :now", now=now, id=key.holder.id)
    else:
        link.run("DELETE FROM key_digests WHERE id = :id", id=key.holder.id)
    _add(link, digest, key.holder.id)
    return key


def holder_of(link: Link, digest: bytes) -> str:
    """The id of the key with that digest."""
    row = link.one("SELECT id FROM key_digests WHERE digest = :digest", digest=digest)
    if row is None:
        raise _fault("no key in use has this text")
    return str(row.id)


def kind_of(link: Link, named: str) -> Kind:
    """What a key in use is for."""
    return _found(link, named).holder.kind


def version(link: Link) -> int:
    """Of the keys: another number means that something changed."""
    return int(link.one("SELECT number FROM key_version").number)


def changed(link: Link, known: int) -> Table | None:
    """All of it, None where that is the version already ``known``."""
    return None if version(link) == known else table(link)


def table(link: Link) -> Table:
    """What is to be known of all keys."""
    keys = {key.holder.id: key.holder for key in listed(link)}
    rows = link.rows("SELECT digest, id, ends FROM key_digests")
    holders = {bytes(row.digest): _until(keys[row.id], row.ends) for row in rows}
    return Table(version(link), bool(keys), holders)


def touch(link: Link, seen: Sequence[str], now: float) -> None:
    """These were used. No change of version: nobody has to know."""
    link.many("UPDATE keys SET used = :now WHERE id = :id", [{"id": one, "now": now} for one in seen])


def _until(holder: Holder, ends: float | None) -> Holder:
    """A text that was rotated away expires sooner than its holder."""
    if ends is None or (holder.expires is not None and holder.expires <= ends):
        return holder
    return replace(holder, expires=ends)


def _add(link: Link, digest: bytes, id: str) -> None:
    link.run("INSERT INTO key_digests (digest, id, ends) VALUES (:digest, :id, NULL)", digest=digest, id=id)
    _changed(link)


def _changed(link: Link) -> None:
    link.run("UPDATE key_version SET number = number + 1")


def _live(link: Link, named: str) -> Any:
    """An id is meant before a name that looks like one."""
    by_id = link.one(_ALL + "WHERE revoked IS NULL AND id = :named", named=named)
    return by_id or link.one(_ALL + "WHERE revoked IS NULL AND name = :named", named=named)


def _found(link: Link, named: str) -> Key:
    row = _live(link, named)
    if row is None:
        raise _fault(f"there is no key named {named!r} in use")
    return _key(row)


def _key(row: Any) -> Key:
    holder = Holder(
        id=row.id,
        name=row.name,
        kind=row.kind,
        models=tuple(msgspec.json.decode(row.models)),
        dialects=tuple(msgspec.json.decode(row.dialects)),
        sources=tuple(msgspec.json.decode(row.sources)),
        expires=row.expires,
        tags=msgspec.json.decode(row.tags),
        limits=_limits(row),
        defaults=msgspec.json.decode(row.limits).get(_DEFAULTS, {}),
    )
    return Key(holder=holder, created=row.created, revoked=row.revoked, used=row.used)


def _written(holder: Holder) -> dict[str, Any]:
    """Limits and defaults as they are kept: what was not said is not there."""
    said = {} if holder.limits is None else asdict(holder.limits)
    said.pop("since", None)
    made = {name: value for name, value in said.items() if value not in (None, "", 0.0)}
    return {**made, _DEFAULTS: dict(holder.defaults)} if holder.defaults else made


def _limits(row: Any) -> KeyLimits | None:
    """Periods of a budget begin when the key was made."""
    said = msgspec.json.decode(row.limits)
    said.pop(_DEFAULTS, None)
    return msgspec.convert({**said, "since": row.created}, KeyLimits) if said else None


def _fault(message: str) -> ParleyError:
    return ParleyError(Failure("invalid_request", message, param="name"))
