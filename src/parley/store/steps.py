"""The schema as a chain of steps. A step that was released is never changed; a change is a new step at the end.

What was applied is written down in ``parley_schema``. A file made by a newer version is refused.
Tables are written as SQLAlchemy's, so that another database makes them in its own words.
"""

from collections.abc import Callable, Sequence
from secrets import randbits
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    inspect,
    text,
)

from parley.store.worker import Away


class Step(NamedTuple):
    """One change of the schema; ``number`` is its place in the chain, from 1."""

    number: int
    name: str
    apply: Callable[[Connection], None]


def _responses_and_conversations(connection: Connection) -> None:
    tables = MetaData()
    Table(
        "conversations",
        tables,
        Column("owner", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("created", BigInteger, nullable=False),
        Column("metadata", LargeBinary, nullable=False),
        Column("touched", Float, nullable=False, index=True),
    )
    Table(
        "conversation_items",
        tables,
        # SQLite counts up by itself only where the type is INTEGER.
        Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("owner", Text, nullable=False),
        Column("conversation", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        ForeignKeyConstraint(
            ["owner", "conversation"], ["conversations.owner", "conversations.id"], ondelete="CASCADE"
        ),
        Index("conversation_items_order", "owner", "conversation", "position"),
        Index("conversation_items_id", "owner", "id"),
        sqlite_autoincrement=True,
    )
    _responses(tables)
    tables.create_all(connection)


def _responses(tables: MetaData) -> None:
    Table(
        "responses",
        tables,
        Column("owner", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("thread", Text, nullable=False),
        Column("previous", Text),
        Column("conversation", Text),
        Column("heard", BigInteger, nullable=False),
        Column("model", Text, nullable=False),
        Column("provider", Text, nullable=False),
        Column("native", Boolean, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("stored", Float, nullable=False),
        Column("background", Boolean, nullable=False),
        Column("status", Text, nullable=False),
        Column("alive", Float),
        Column("input", LargeBinary, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Index("responses_id", "id"),
        Index("responses_thread", "owner", "thread", "stored"),
    )
    Table(
        "response_items",
        tables,
        Column("owner", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("response", Text, nullable=False),
        Column("output", Boolean, nullable=False),
        Column("place", Integer, nullable=False),
        ForeignKeyConstraint(["owner", "response"], ["responses.owner", "responses.id"], ondelete="CASCADE"),
        Index("response_items_response", "owner", "response"),
    )


def _keys(connection: Connection) -> None:
    tables = MetaData()
    Table(
        "keys",
        tables,
        Column("id", Text, primary_key=True),
        Column("name", Text, nullable=False, index=True),
        Column("kind", Text, nullable=False),
        *(Column(name, LargeBinary, nullable=False) for name in ("models", "dialects", "sources", "tags", "limits")),
        Column("expires", Float),
        Column("created", Float, nullable=False),
        Column("revoked", Float),
        Column("used", Float),
    )
    Table(
        "key_digests",
        tables,
        Column("digest", LargeBinary, primary_key=True),
        Column("id", Text, nullable=False, index=True),
        Column("ends", Float),
        ForeignKeyConstraint(["id"], ["keys.id"], ondelete="CASCADE"),
    )
    Table("key_version", tables, Column("number", BigInteger, nullable=False))
    tables.create_all(connection)
    # Another file shall not look like a version that is known.
    first = {"number": randbits(40)}
    connection.execute(text("INSERT INTO key_version (number) VALUES (:number)"), first)


STEPS: tuple[Step, ...] = (
    Step(1, "responses and conversations", _responses_and_conversations),
    Step(2, "keys", _keys),
)


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> None:
    """Apply what is missing; called inside a transaction that writes. Raises Away for a newer schema."""
    done = applied(connection)
    if done > len(steps):
        raise Away("it was made by a newer version of Parley")
    if not done:
        connection.execute(text("CREATE TABLE IF NOT EXISTS parley_schema (number INTEGER PRIMARY KEY, name TEXT)"))
    for step in steps[done:]:
        step.apply(connection)
        row = {"number": step.number, "name": step.name}
        connection.execute(text("INSERT INTO parley_schema (number, name) VALUES (:number, :name)"), row)


def applied(connection: Connection) -> int:
    """The number of the last step that was applied, 0 for an empty file."""
    if not inspect(connection).has_table("parley_schema"):
        return 0
    return int(connection.execute(text("SELECT coalesce(max(number), 0) FROM parley_schema")).scalar_one())
