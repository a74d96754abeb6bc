"""The tables of files and batches."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)


def make(connection: Connection) -> None:
    """Make them; a step of the schema."""
    tables = MetaData()
    _files(tables)
    _batches(tables)
    tables.create_all(connection)


def _files(tables: MetaData) -> None:
    Table(
        "files",
        tables,
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        # The order of lists: microseconds since 1970.
        Column("place", BigInteger, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in ("created", "bytes")),
        *(Column(name, Text, nullable=False) for name in ("filename", "purpose")),
        Column("expires", BigInteger, index=True),
        Index("files_order", "owner", "place", "id"),
    )
    Table(
        "file_parts",
        tables,
        Column("file", Text, primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("body", LargeBinary, nullable=False),
    )


def _batches(tables: MetaData) -> None:
    counts = ("total", "completed", "failed", "input", "output", "cached", "reasoning")
    times = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at")
    Table(
        "batches",
        tables,
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("place", BigInteger, nullable=False),
        Column("created", BigInteger, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("endpoint", "input_file", "period", "status")),
        *(Column(name, LargeBinary, nullable=False) for name in ("metadata", "holder", "errors")),
        Column("expires_at", BigInteger, nullable=False),
        Column("keep", BigInteger),
        *(Column(name, Text) for name in ("output_file", "error_file", "model")),
        *(Column(name, BigInteger, nullable=False) for name in counts),
        *(Column(name, BigInteger) for name in (*times, "cancelled_at")),
        Column("lease", Text, nullable=False),
        Column("until", Float, nullable=False),
        Index("batches_order", "owner", "place", "id"),
        Index("batches_status", "status", "place"),
    )
    Table(
        "batch_chunks",
        tables,
        Column("batch", Text, primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        *(Column(name, BigInteger, nullable=False) for name in ("place", "size", "line")),
        Column("lines", Integer, nullable=False),
        Column("done", Boolean, nullable=False),
        Column("lease", Text, nullable=False),
        Column("until", Float, nullable=False),
        Index("batch_chunks_open", "batch", "done", "number"),
    )
    Table(
        "batch_results",
        tables,
        Column("batch", Text, primary_key=True),
        Column("line", BigInteger, primary_key=True, autoincrement=False),
        Column("ok", Boolean, nullable=False),
        Column("body", LargeBinary, nullable=False),
    )
