"""Statements on one open connection of SQLAlchemy's, whatever the database; see parley.store.port.Link.

Errors of the database are mapped here, once: what makes the store unusable is Away, a statement's own fault is an
exception like any other. Words of the database that could hold a statement's values are left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from parley.store.port import Away
from parley.store.steps import STEPS, applied, migrate

WRITES: Final = "parley_writes"
PATIENT: Final = "parley_patient"
# What the database's own error means; None for a statement's fault.
Meaning: TypeAlias = Callable[[Any], Away | None]


class Statements:
    """``values`` is what has to be done to text before this database takes it; None for nothing."""

    def __init__(self, connection: Connection, meaning: Meaning, clean: Callable[[Any], Any] | None = None) -> None:
        self._connection = connection
        self._meaning = meaning
        self._clean = clean
        self._statements: dict[str, TextClause] = {}

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """The rows of a query."""
        with self.mapped():
            return self._connection.execute(self._text(statement), self._cleaned(values)).all()

    def one(self, statement: str, **values: Any) -> Any:
        """The first row, None where there is none."""
        with self.mapped():
            return self._connection.execute(self._text(statement), self._cleaned(values)).first()

    def run(self, statement: str, **values: Any) -> int:
        """Change rows; how many."""
        with self.mapped():
            return self._connection.execute(self._text(statement), self._cleaned(values)).rowcount

    def many(self, statement: str, values: Sequence[Mapping[str, Any]]) -> None:
        """The same change for each of some values."""
        if values:
            with self.mapped():
                self._connection.execute(self._text(statement), [self._cleaned(each) for each in values])

    def each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """The same change for each of very many rows; see parley.store.port.Link."""
        if rows:
            plain = self._connection.dialect.paramstyle == "qmark"
            with self.mapped():
                if plain:
                    self._connection.exec_driver_sql(statement, _suited(rows))
                else:
                    self._connection.exec_driver_sql(statement.replace("?", "%s"), list(rows))

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Very many new rows; see parley.store.port.Link."""
        names = tuple(columns)
        if self._connection.dialect.paramstyle != "qmark":
            self.each(_inserted(table, names), list(zip(*columns.values(), strict=True)))
            return
        suited = [_suitable(column) for column in columns.values()]
        rows, most = len(suited[0]), max(1, _MOST_VALUES // len(names))
        done = 0
        with self.mapped():
            # A statement of many rows costs less than many of one, and lets go of the interpreter once.
            for many in (most, max(1, most // 8), 1):
                parts = range(done, rows - many + 1, many)
                if parts:
                    values = [_flat(suited, place, many) for place in parts]
                    self._connection.exec_driver_sql(_failing(table, names, many), values)
                    done += many * len(parts)

    @contextmanager
    def transaction(self, *, writes: bool, patient: bool = True) -> Iterator[None]:
        """All or nothing; see parley.store.port.Link."""
        self._connection.info[WRITES] = writes
        self._connection.info[PATIENT] = patient
        with self.mapped(), self._connection.begin():
            yield

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that may fail by itself."""
        with self.mapped():
            part = self._connection.begin_nested()
        try:
            yield
        except Away:
            # The whole transaction is lost, and the database may have rolled it back already.
            raise
        except BaseException:
            with self.mapped():
                part.rollback()
            raise
        with self.mapped():
            part.commit()

    def close(self) -> None:
        """Let go of it."""
        with suppress(Exception):
            self._connection.close()

    def migrate(self) -> None:
        """Bring the schema up to date. One that is so already is only read."""
        with self.transaction(writes=False):
            done = applied(self._connection)
        if done != len(STEPS):
            with self.transaction(writes=True):
                self._alone()
                migrate(self._connection)

    def mapped(self) -> AbstractContextManager[None]:
        """Errors of the database in here are Away."""
        return mapped(self._meaning)

    def _alone(self) -> None:
        """Nobody else changes the schema until the end of this transaction."""

    def _cleaned(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        clean = self._clean
        return values if clean is None else {name: clean(value) for name, value in values.items()}

    def _text(self, statement: str) -> TextClause:
        made = self._statements.get(statement)
        if made is None:
            made = self._statements[statement] = text(statement)
        return made


@contextmanager
def mapped(meaning: Meaning) -> Iterator[None]:
    """Errors of a database in here are Away, where they are more than a statement's own fault."""
    try:
        yield
    except DBAPIError as error:
        away = meaning(error.orig)
        if away is None:
            raise
        raise away from None
    except SQLAlchemyError as error:
        raise Away(type(error).__name__) from None
    except OSError as error:
        raise Away(error.strerror or type(error).__name__, "full" if error.errno in _FULL else "away") from None


_FULL: Final = frozenset((28, 122))  # ENOSPC, EDQUOT


# Marks in one statement: what every SQLite takes.
_MOST_VALUES: Final = 999


def _inserted(table: str, columns: tuple[str, ...], rows: int = 1) -> str:
    """The statement for so many rows at once."""
    marks = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([marks] * rows)}"  # noqa: S608 - names of our own


@lru_cache(maxsize=64)
def _failing(table: str, columns: tuple[str, ...], rows: int) -> str:
    """The same for SQLite. A statement of many rows would keep a copy of every page that it changes, in case that one
    of them fails; but then the whole transaction does. Always the same text, which its module knows again."""
    return _inserted(table, columns, rows).replace("INSERT", "INSERT OR FAIL", 1)


def _flat(columns: Sequence[Sequence[Any]], begin: int, rows: int) -> tuple[Any, ...]:
    """The values of some rows, one after the other."""
    width = len(columns)
    values: list[Any] = [None] * (width * rows)
    for place, column in enumerate(columns):
        values[place::width] = column[begin : begin + rows]
    return tuple(values)


def _suitable(column: Sequence[Any]) -> Sequence[Any]:
    """The same for SQLite. Its module binds numbers and text at once; for all else, truths and bytes too, it looks for
    an adapter first, value by value, which costs more than the row."""
    kind = type(column[0])
    suited = int if kind is bool else bytearray if kind is bytes else None
    return column if suited is None or None in column else list(map(suited, column))


def _suited(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list(zip(*map(_suitable, zip(*rows, strict=True)), strict=True))
