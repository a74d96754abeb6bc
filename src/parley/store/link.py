"""One open connection: SQLAlchemy and SQLite, used by one thread. Imported on first use.

Errors of the database are mapped here, once: what makes the store unusable is Away. Its message is SQLite's own
words, never a statement's values.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, TextClause, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from parley.store.place import MEMORY, prepared
from parley.store.steps import STEPS, applied, migrate
from parley.store.worker import Away

_WRITES = "parley_writes"
_PAUSE_SECONDS = 0.005


class SqliteLink:
    """See parley.store.worker.Link. ``busy`` is how long another program's lock is waited for, in seconds."""

    def __init__(self, path: Path | None, busy: float) -> None:
        self._path = path
        name = MEMORY if path is None else str(path)
        # Values of statements are what callers wrote: they appear in no error text.
        engine = create_engine(URL.create("sqlite", database=name), poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", lambda raw, _: _prepare(raw, busy))
        event.listen(engine, "begin", _begin)
        self._statements: dict[str, TextClause] = {}
        self._connection: Connection = engine.connect()
        self._inode = None if path is None else path.stat().st_ino

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """The rows of a query."""
        with _mapped():
            return self._connection.execute(self._text(statement), values).all()

    def one(self, statement: str, **values: Any) -> Any:
        """The first row, None where there is none."""
        with _mapped():
            return self._connection.execute(self._text(statement), values).first()

    def run(self, statement: str, **values: Any) -> int:
        """Change rows; how many."""
        with _mapped():
            return self._connection.execute(self._text(statement), values).rowcount

    def many(self, statement: str, values: Sequence[Mapping[str, Any]]) -> None:
        """The same change for each of some values."""
        if values:
            with _mapped():
                self._connection.execute(self._text(statement), values)

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[None]:
        """All or nothing. One that writes takes the file's lock at its beginning."""
        self._connection.info[_WRITES] = writes
        with _mapped(), self._connection.begin():
            yield

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that may fail by itself."""
        with _mapped():
            part = self._connection.begin_nested()
        try:
            yield
        except Away:
            # The whole transaction is lost, and SQLite may have rolled it back already.
            raise
        except BaseException:
            with _mapped():
                part.rollback()
            raise
        with _mapped():
            part.commit()

    def gone(self) -> bool:
        """Whether the file was removed or replaced: what is written now would be lost."""
        if self._path is None:
            return False
        try:
            return self._path.stat().st_ino != self._inode
        except OSError:
            return True

    def close(self) -> None:
        """Let go of the file."""
        with suppress(SQLAlchemyError, sqlite3.Error):
            self._connection.close()

    def migrate(self) -> None:
        """Bring the schema up to date. A file that is so already is only read."""
        with self.transaction(writes=False):
            done = applied(self._connection)
        if done != len(STEPS):
            with self.transaction(writes=True):
                migrate(self._connection)

    def _text(self, statement: str) -> TextClause:
        made = self._statements.get(statement)
        if made is None:
            made = self._statements[statement] = text(statement)
        return made


def opened(path: Path | None, busy: float, *, folder: bool) -> SqliteLink:
    """A connection to the file, created where it does not exist, its schema up to date. Raises Away."""
    with _mapped():
        if path is not None:
            prepared(path, folder=folder)
        link = SqliteLink(path, busy)
    try:
        link.migrate()
    except BaseException:
        link.close()
        raise
    return link


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get(_WRITES) else "BEGIN")


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise Away(str(error.orig)) from None
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise Away(type(error).__name__) from None
    except OSError as error:
        raise Away(error.strerror or type(error).__name__) from None
