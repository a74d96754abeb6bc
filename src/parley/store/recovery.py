"""What can be read of a damaged SQLite file, put into a new one that takes its place; the damaged one is kept aside.

Tables are read in the order of their rows. Where a row cannot be read the next one that can is searched for by ever
longer steps and then between them, so that a damaged page costs its own rows only.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from parley.store.damage import Unreadable
from parley.store.port import Away

_LAST: Final = 2**62
# Written by the new file itself.
_OWN: Final = ("parley_schema", "key_version")
_BATCH: Final = 500


class Recovered(Struct, frozen=True):
    """``rows`` saved by table, ``broken`` tables of which some could not be read, ``aside`` the damaged file."""

    rows: dict[str, int]
    broken: tuple[str, ...]
    aside: Path


def recover(path: Path) -> Recovered:
    """Replace the file by what can be read of it. Nobody else may have it open. Raises Unreadable, and then nothing
    has changed."""
    fresh = path.with_name(f"{path.name}.recovering")
    _removed(fresh)
    try:
        rows, broken = _copied(path, fresh)
    except (sqlite3.Error, Away) as error:
        _removed(fresh)
        raise Unreadable(str(error)) from None
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for end in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{end}", f"{aside}{end}")
    os.replace(fresh, path)
    return Recovered(rows, broken, aside)


def _copied(path: Path, fresh: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    from parley.store.link import opened

    opened(fresh, 1.0, folder=False).close()
    with (
        closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as old,
        closing(sqlite3.connect(fresh, isolation_level=None)) as new,
    ):
        # A schema of which a part is damaged still names the rest.
        old.execute("PRAGMA writable_schema = ON")
        known = _tables(old)
        if "parley_schema" not in known:
            raise Unreadable("it does not name its tables any more")
        new.execute("PRAGMA foreign_keys = OFF")
        new.execute("BEGIN")
        rows, broken = {}, []
        for name in (name for name in _tables(new) if name in known and name not in _OWN):
            source = _Source(old, new, name)
            rows[name] = source.copy()
            if source.broken:
                broken.append(name)
        for name, count in _orphans(new).items():
            rows[name] -= count
            broken += [name] if name not in broken else []
        new.execute("COMMIT")
    _synced(fresh)
    return rows, tuple(broken)


def _tables(raw: sqlite3.Connection) -> list[str]:
    """In the order they were made, so that what others refer to comes first."""
    found = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [str(row[0]) for row in found]


class _Source:
    """One table: ``new`` says which columns it has now and which of them are its key."""

    def __init__(self, old: sqlite3.Connection, new: sqlite3.Connection, name: str) -> None:
        self._old, self._new, self._name = old, new, name
        shape = new.execute(f'PRAGMA table_info("{name}")').fetchall()
        there = {str(row[1]) for row in old.execute(f'PRAGMA table_info("{name}")')}
        self._columns = ", ".join(f'"{row[1]}"' for row in shape if row[1] in there)
        self._count = sum(row[1] in there for row in shape)
        self._key = ", ".join(f'"{row[1]}"' for row in sorted(shape, key=lambda row: row[5]) if row[5])
        self.broken = False

    def copy(self) -> int:
        """How many rows were saved."""
        marks = ", ".join("?" * self._count)
        insert = f'INSERT OR IGNORE INTO "{self._name}" ({self._columns}) VALUES ({marks})'
        saved = 0
        for row in self._rows():
            try:
                saved += self._new.execute(insert, row).rowcount
            except sqlite3.IntegrityError:
                self.broken = True
        return saved

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        try:
            self._old.execute(f'SELECT rowid FROM "{self._name}" LIMIT 0')
        except sqlite3.DatabaseError:
            # It has no numbers of rows: read from both ends, as far as it goes.
            for order in ("", " DESC"):
                if not order or self.broken:
                    yield from self._read(f"ORDER BY {', '.join(each + order for each in self._key.split(', '))}", ())
            return
        at: int | None = 0
        while at is not None:
            for number, *row in self._read("WHERE rowid >= ? ORDER BY rowid", (at,), "rowid, "):
                at = number + 1
                yield tuple(row)
            if not self._failed:
                return
            at = self._beyond(at)

    def _read(self, where: str, values: tuple[Any, ...], also: str = "") -> Iterator[tuple[Any, ...]]:
        self._failed = False
        try:
            yield from self._old.execute(f'SELECT {also}{self._columns} FROM "{self._name}" {where}', values)
        except sqlite3.DatabaseError:
            self._failed = self.broken = True

    def _beyond(self, bad: int) -> int | None:
        """The first row after a damaged one that can be read again; None where there is no more."""
        step = 1
        while not self._readable(bad + step):
            bad, step = bad + step, step * 2
            if bad > _LAST:
                return None
        good = bad + step
        while good - bad > 1:
            middle = (good + bad) // 2
            if self._readable(middle):
                good = middle
            else:
                bad = middle
        return good

    def _readable(self, number: int) -> bool:
        statement = f'SELECT rowid, {self._columns} FROM "{self._name}" WHERE rowid >= ? ORDER BY rowid LIMIT 1'
        try:
            self._old.execute(statement, (number,)).fetchone()
        except sqlite3.DatabaseError:
            return False
        return True


def _orphans(new: sqlite3.Connection) -> dict[str, int]:
    """Remove what belongs to something that was lost; how many rows of each table."""
    gone: dict[str, int] = {}
    while found := {row[:2] for row in new.execute("PRAGMA foreign_key_check") if row[1] is not None}:
        for name, number in found:
            new.execute(f'DELETE FROM "{name}" WHERE rowid = ?', (number,))
            gone[name] = gone.get(name, 0) + 1
    return gone


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _removed(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
