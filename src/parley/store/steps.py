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

from parley.store.port import Away


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


def _under_way(connection: Connection) -> None:
    """Found without a look at all that is finished."""
    condition = "WHERE status IN ('queued', 'in_progress')"
    connection.execute(text(f"CREATE INDEX responses_under_way ON responses (alive) {condition}"))


def _kept_answers(connection: Connection) -> None:
    tables = MetaData()
    Table(
        "cached_answers",
        tables,
        Column("id", LargeBinary, primary_key=True),
        Column("expires", Float, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("body", LargeBinary, nullable=False),
        # Also the sum of sizes is read from here alone.
        Index("cached_answers_expires", "expires", "size"),
    )
    tables.create_all(connection)


def _ledger(connection: Connection) -> None:
    tables = MetaData()
    counts = ("input", "output", "bytes_out")
    parts = ("cached", "cache_write", "reasoning", "audio_input", "audio_output", "images")
    Table(
        "ledger",
        tables,
        Column("id", LargeBinary, primary_key=True),
        Column("at", Float, nullable=False),
        Column("course", BigInteger, nullable=False),
        Column("asked", Text),
        Column("request_id", Text, nullable=False, index=True),
        Column("status", Integer, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("outcome", "kind")),
        Column("attempts", Integer, nullable=False),
        Column("ms", Float, nullable=False),
        Column("ttfb_ms", Float),
        *(Column(name, Boolean, nullable=False) for name in ("stream", "estimated", "replayed")),
        *(Column(name, BigInteger, nullable=False) for name in counts),
        *(Column(name, BigInteger) for name in (*parts, "cost")),
        Column("seconds", Float),
        Index("ledger_course", "course", "id"),
        # Rows stand in the order of time and nowhere else.
        sqlite_with_rowid=False,
    )
    _ledger_sums(tables)
    tables.create_all(connection)
    connection.execute(text("CREATE INDEX ledger_failed ON ledger (id) WHERE outcome <> 'ok'"))


def _ledger_sums(tables: MetaData) -> None:
    shared = ("key", "key_name", "dialect", "operation", "model", "provider", "target")
    sums = ("requests", "errors", "aborts", "input", "output", "cached", "cache_write", "reasoning", "audio_input")
    more = ("audio_output", "images", "sound_ms", "cost", "unpriced", "estimated", "ms")
    Table(
        "ledger_courses",
        tables,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
        *(Column(name, Text, nullable=False) for name in shared),
        Column("tags", LargeBinary, nullable=False),
    )
    Table(
        "ledger_sums",
        tables,
        *(Column(name, BigInteger, primary_key=True, autoincrement=False) for name in ("span", "course", "start")),
        *(Column(name, BigInteger, nullable=False) for name in (*sums, *more)),
        sqlite_with_rowid=False,
    )
    Table(
        "ledger_journals",
        tables,
        Column("id", Text, primary_key=True),
        Column("applied", BigInteger, nullable=False),
    )


def _limit_accounts(connection: Connection) -> None:
    tables = MetaData()
    Table(
        "limit_accounts",
        tables,
        Column("account", Text, primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("state", LargeBinary, nullable=False),
    )
    tables.create_all(connection)


def _contexts(connection: Connection) -> None:
    tables = MetaData()
    names = ("owner", "place", "id")
    Table(
        "contexts",
        tables,
        *(Column(name, Text, primary_key=True) for name in names),
        Column("touched", Float, nullable=False, index=True),
        Column("holder", Text, nullable=False),
        Column("until", Float, nullable=False),
    )
    Table(
        "context_turns",
        tables,
        *(Column(name, Text, primary_key=True) for name in ("owner", "place", "context")),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("body", LargeBinary, nullable=False),
        ForeignKeyConstraint(["owner", "place", "context"], [f"contexts.{name}" for name in names], ondelete="CASCADE"),
    )
    tables.create_all(connection)


def _predict_configs(connection: Connection) -> None:
    tables = MetaData()
    Table(
        "predict_configs",
        tables,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        *(Column(name, Text, nullable=False) for name in ("owner", "account", "service", "config")),
        Column("name", Text),
        Column("usual", Boolean, nullable=False),
        Index("predict_configs_service", "owner", "account", "service"),
    )
    Table("predict_config_count", tables, Column("number", BigInteger, nullable=False))
    tables.create_all(connection)
    connection.execute(text("INSERT INTO predict_config_count (number) VALUES (0)"))


def _nodes(connection: Connection) -> None:
    """What was registered at this node, and who it is."""
    tables = MetaData()
    Table(
        "node_models",
        tables,
        *(Column(name, Text, primary_key=True) for name in ("node", "project", "model", "cid")),
        Column("kind", Integer, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("api", "url", "holder")),
        Column("ttl", Float),
        Column("since", Float, nullable=False),
        Column("heard", Float, nullable=False),
    )
    Table(
        "node_self",
        tables,
        Column("place", Text, primary_key=True),
        Column("id", Text, nullable=False),
        Column("secret", LargeBinary, nullable=False),
        Column("version", BigInteger, nullable=False),
    )
    tables.create_all(connection)


def _bodies(connection: Connection) -> None:
    tables = MetaData()
    Table(
        "bodies",
        tables,
        Column("id", LargeBinary, primary_key=True),
        Column("request_id", Text, nullable=False, index=True),
        Column("key", Text, nullable=False),
        Column("at", Float, nullable=False),
        Column("ends", Float, nullable=False, index=True),
        Column("request", LargeBinary, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("cut", Boolean, nullable=False),
    )
    tables.create_all(connection)


def _batches(connection: Connection) -> None:
    from parley.store.batch_tables import make

    make(connection)


STEPS: tuple[Step, ...] = (
    Step(1, "responses and conversations", _responses_and_conversations),
    Step(2, "keys", _keys),
    Step(3, "responses under way", _under_way),
    Step(4, "ledger", _ledger),
    Step(5, "kept answers", _kept_answers),
    Step(6, "limits", _limit_accounts),
    Step(7, "contexts", _contexts),
    Step(8, "predict configs", _predict_configs),
    Step(9, "nodes", _nodes),
    Step(10, "bodies", _bodies),
    Step(11, "files and batches", _batches),
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
