"""What the store's parts agree on: work for an open connection, and the connection. Imports no database.

Statements are SQL that SQLite and PostgreSQL both know, with named values (``:name``). What has to be kept in mind:

- ``ON CONFLICT ... DO UPDATE``, ``RETURNING``, ``LIMIT`` and row values are the same in both; ``INSERT OR ...``,
  ``rowid``, ``datetime()`` and JSON functions are not.
- Only SQLite takes a number for a truth value or text for bytes: give what the column's type says.
- Text goes in any order of its letters; ``ORDER BY`` it only where the order does not matter.
- In SQLite one writer goes after the other. In PostgreSQL they overlap: lock the row that belongs to all of them with
  an UPDATE before it is read.
- What is asked goes before writes that nobody waits for (Task.lasting), but for those that are about the same: say
  what it is about (Task.about).
- A write that nobody waits for may be done twice where a connection breaks at the very end of a
  transaction: it must find out by itself that it was done.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypeAlias

Trouble: TypeAlias = Literal["away", "locked", "full", "corrupt"]
Outcome: TypeAlias = Any


class Away(Exception):  # noqa: N818 - it is what the store is
    """The store cannot be used now. The message is for operators and holds nothing that callers wrote, nor a password.
    ``kind`` is the label of parley_store_errors_total; ``reads``: only writing does not work; ``ours``: trying again
    will not help."""

    def __init__(self, message: str, kind: Trouble = "away", *, reads: bool = False, ours: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.reads = reads or kind in ("locked", "full")
        self.ours = ours


class Link(Protocol):
    """An open connection, used by one thread. Any method may raise Away."""

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """The rows of a query."""

    def one(self, statement: str, **values: Any) -> Any:
        """The first row, None where there is none."""

    def run(self, statement: str, **values: Any) -> int:
        """Change rows; how many."""

    def many(self, statement: str, values: Sequence[dict[str, Any]]) -> None:
        """The same change for each of some values."""

    def each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """The same change for each of very many rows: ``?`` stands for each value, in order. At a tenth of the cost of
        ``many``: values are what the database itself takes."""

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Very many new rows, given by their columns: at least one of each, values as with ``each``."""

    def transaction(self, *, writes: bool, patient: bool = True) -> AbstractContextManager[None]:
        """All or nothing. ``patient``: another program's lock is waited for as long as was said at the opening."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A part of a transaction that may fail by itself."""

    def gone(self) -> bool:
        """Whether the file was removed or replaced."""

    def abort(self) -> None:
        """Cut the connection. Called by another thread than the one that is waiting in it; returns at once."""

    def close(self) -> None:
        """Let go of it."""


class Task:
    """Work in the queue. ``then`` hears its result or a Failure; a write that nobody waits for is held while the store
    is away. ``size`` is what it holds, in bytes.

    Of writes that nobody waits for it sees those for sure that are ``about`` the same; others may be done later.
    ``owner`` is one more name by which such a write is found.
    """

    __slots__ = ("about", "number", "owner", "size", "then", "work", "writes")

    def __init__(
        self,
        work: Callable[[Link], Any],
        then: Callable[[Outcome], None] | None,
        *,
        writes: bool = False,
        size: int = 0,
        about: tuple[str, ...] = (),
        owner: str = "",
    ) -> None:
        self.work = work
        self.then = then
        self.writes = writes
        self.size = size
        self.about = about
        self.owner = owner
        self.number = 0

    @property
    def names(self) -> tuple[str, ...]:
        """By which it is found."""
        return (*self.about, self.owner) if self.owner else self.about

    @property
    def lasting(self) -> bool:
        """Whether it may wait for a store that is away; without a size it is not worth it."""
        return self.writes and self.then is None and self.size > 0

    def tell(self, outcome: Outcome) -> None:
        """To whoever waits."""
        if self.then is not None:
            self.then(outcome)
