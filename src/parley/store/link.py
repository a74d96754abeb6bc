"""One open connection: SQLAlchemy and SQLite, used by one thread. Imported on first use."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.pool import NullPool

from parley.store.place import MEMORY, MISSING, Place, prepared
from parley.store.port import Away, Link, Trouble
from parley.store.statements import PATIENT, WRITES, Statements, mapped

_PAUSE_SECONDS: Final = 0.005
# How long a lock is waited for that was waited for in full a moment ago.
_HURRIED: Final = 0.1
_BUSY: Final = "parley_busy"
_KINDS: Final[dict[int, Trouble]] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
}
_FAULTS: Final = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError)


class SqliteLink(Statements):
    """``busy`` is how long another program's lock is waited for, in seconds."""

    def __init__(self, path: Path | None, busy: float) -> None:
        self._path = path
        name = MEMORY if path is None else str(path)
        # Values of statements are what callers wrote: they appear in no error text.
        engine = create_engine(URL.create("sqlite", database=name), poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", lambda raw, _: _prepare(raw, busy))
        event.listen(engine, "begin", _begin)
        super().__init__(engine.connect(), meaning)
        self._connection.info[_BUSY] = busy
        self._inode = None if path is None else path.stat().st_ino

    def gone(self) -> bool:
        """Whether the file was removed or replaced: what is written now would be lost."""
        if self._path is None:
            return False
        try:
            return self._path.stat().st_ino != self._inode
        except OSError:
            return True

    def abort(self) -> None:
        """A file answers by itself."""


def opened(path: Path | None, busy: float, *, folder: bool) -> SqliteLink:
    """A connection to the file, created where it does not exist, its schema up to date. Raises Away."""
    with mapped(meaning):
        if path is not None:
            prepared(path, folder=folder)
        link = SqliteLink(path, busy)
    try:
        link.migrate()
    except BaseException:
        link.close()
        raise
    return link


def linked(place: Place, busy: float) -> Link:
    """A connection to wherever the store is, its schema up to date. Raises Away."""
    if not place.server:
        return opened(place.path, busy, folder=place.folder)
    try:
        from parley.store.postgres import opened as served
    except ImportError:
        raise Away(MISSING) from None
    return served(place, busy)


def meaning(error: Any) -> Away | None:
    """What an error of SQLite's says about the file, in its own words."""
    if isinstance(error, _FAULTS):
        return None
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    return Away(str(error), _KINDS.get(code, "away"), reads=code == sqlite3.SQLITE_READONLY)


def _prepare(raw: Any, busy: float) -> None:
    # sqlite3 would begin transactions by itself, and too late; "begin" below does it instead.
    raw.isolation_level = None
    for pragma in (
        f"busy_timeout = {int(busy * 1000)}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        _patiently(raw, f"PRAGMA {pragma}", time.monotonic() + busy)


def _patiently(raw: Any, statement: str, until: float) -> None:
    """SQLite itself does not wait where two programs change the journal of a new file at once."""
    while True:
        try:
            raw.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(_PAUSE_SECONDS)


def _begin(connection: Connection) -> None:
    info = connection.info
    if not info.get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    hurried = not info.get(PATIENT, True)
    busy = info[_BUSY]
    if hurried:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(min(busy, _HURRIED) * 1000)}")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        if hurried:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(busy * 1000)}")
