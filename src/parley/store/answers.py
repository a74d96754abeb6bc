"""Answers that are kept for the response cache: a shelf in the store. See docs/cache.md.

Those that end first go first where there are too many; the time is in seconds since 1970, as several machines may
share them.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from parley.failure import Failure
from parley.store.port import Link

_FOUND: Final = "SELECT body FROM cached_answers WHERE id = :id AND expires > :now"
_PUT: Final = (
    "INSERT INTO cached_answers (id, expires, size, body) VALUES (:id, :expires, :size, :body) "
    "ON CONFLICT (id) DO UPDATE SET expires = excluded.expires, size = excluded.size, body = excluded.body"
)
_EXPIRE: Final = (
    "DELETE FROM cached_answers WHERE id IN "
    "(SELECT id FROM cached_answers WHERE expires <= :now ORDER BY expires LIMIT :some)"
)
_NEXT: Final = "SELECT expires, size FROM cached_answers ORDER BY expires LIMIT 500"
# So many answers, or such a part of all that may be kept, come in before there is a look at what is too much.
_SWEEP_EVERY: Final = 64
_SWEEP_PART: Final = 16
_SOME: Final = 500


class Queue(Protocol):
    """What is used of a Store."""

    def ask_then(self, work: Callable[[Link], Any], then: Callable[[Any], None]) -> None:
        """Read; ``then`` hears the result or a Failure."""

    def change_then(self, work: Callable[[Link], Any], then: Callable[[Any], None]) -> None:
        """Write; ``then`` hears the result or a Failure."""


class StoreShelf:
    """See parley.cache.Shelf. At most ``size`` bytes, give or take what comes between two looks."""

    def __init__(self, store: Queue, size: int, wall: Callable[[], float]) -> None:
        self._store, self._wall = store, wall
        self.size = size
        self._since = _SWEEP_EVERY
        self._bytes = 0

    def get(self, key: bytes, then: Callable[[Any], None]) -> None:
        """See Shelf."""
        now = self._wall()
        self._store.ask_then(lambda link: found(link, key, now), then)

    def put(self, key: bytes, value: bytes, ttl: float, then: Callable[[Failure | None], None]) -> None:
        """See Shelf."""
        now, size = self._wall(), self.size
        self._since += 1
        self._bytes += len(value)
        sweeps = self._since > _SWEEP_EVERY or self._bytes > size // _SWEEP_PART
        if sweeps:
            self._since = self._bytes = 0

        def work(link: Link) -> None:
            put(link, key, value, now + ttl)
            if sweeps:
                sweep(link, now, size)

        self._store.change_then(work, then)

    def problem(self) -> str | None:
        """The store speaks for itself."""
        return None


def found(link: Link, key: bytes, now: float) -> bytes | None:
    """What is kept under that key."""
    row = link.one(_FOUND, id=key, now=now)
    return None if row is None else bytes(row.body)


def put(link: Link, key: bytes, value: bytes, expires: float) -> None:
    """Keep it, in place of what is there."""
    link.run(_PUT, id=key, expires=expires, size=len(value), body=value)


def expire(link: Link, now: float) -> bool:
    """Remove some of what has expired; whether that was all."""
    return link.run(_EXPIRE, now=now, some=_SOME) < _SOME


def sweep(link: Link, now: float, most: int) -> None:
    """Remove what has expired, then what would expire next, until no more than ``most`` bytes are left."""
    link.run("DELETE FROM cached_answers WHERE expires <= :now", now=now)
    used = int(link.one("SELECT coalesce(sum(size), 0) AS used FROM cached_answers").used)
    while used > most:
        until = now
        for row in link.rows(_NEXT):
            used -= row.size
            until = row.expires
            if used <= most:
                break
        link.run("DELETE FROM cached_answers WHERE expires <= :until", until=until)
