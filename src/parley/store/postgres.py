"""One open connection to PostgreSQL: SQLAlchemy and psycopg, used by one thread. Imported on first use.

Transactions begin with one word of ours that also sets their time limits, and no statement is prepared: so a pooler
between us and the server may give each transaction another connection.
"""

import os
import re
import socket
from contextlib import suppress
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

from parley.store.place import Place
from parley.store.port import Away, Trouble
from parley.store.statements import PATIENT, WRITES, Statements, mapped

CONNECT_SECONDS: Final = 3
STATEMENT_SECONDS: Final = 5.0
MIGRATION_SECONDS: Final = 300.0
# The one who holds this number changes the schema.
ADVISORY: Final = 0x7061726C6579
_HURRIED: Final = 0.1
_MAX_WORDS: Final = 300
_KINDS: Final[dict[str, Trouble]] = {
    "53100": "full",
    "55P03": "locked",
    "57014": "locked",
    "40001": "locked",
    "40P01": "locked",
    "XX001": "corrupt",
    "XX002": "corrupt",
}
# The server only follows another one: it can be read.
_STANDBY: Final = "25006"
# What everybody may read says what is wrong, and not where the server is.
_WHERE: Final = re.compile(
    r"connection to server .*? failed: |[\w.:-]+ failed: (?=connection to)| Is the server running.*"
)
# A network that swallows everything is noticed in half a minute; a pooler may know none of it.
_NETWORK: Final = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "parley",
}
_FAULTS: Final = (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)
# PostgreSQL takes every character but this one in text. Nothing that is stored is found by such a text, so all that
# matters is that another takes its place which is no character either.
_NUL: Final = ("\0", "\ufffe")


class PostgresLink(Statements):
    """``busy`` is how long another program's lock is waited for, in seconds."""

    def __init__(self, place: Place, busy: float) -> None:
        self._place = place
        self._raw: psycopg.Connection[Any] | None = None
        # Values of statements are what callers wrote: they appear in no error text.
        engine = create_engine("postgresql+psycopg://", creator=self._made, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "begin", self._begin)
        self._busy = busy
        super().__init__(engine.connect(), lambda error: meaning(error, place), _clean)

    def gone(self) -> bool:
        """Whoever is gone says so at the next statement."""
        return False

    def abort(self) -> None:
        """Cut the connection under a thread that waits for a server which does not answer."""
        raw = self._raw
        if raw is not None:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(raw.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it, without a last word where nobody listens any more."""
        with suppress(Exception):
            if self._raw is not None:
                self._raw.close()
            self._connection.invalidate()
        super().close()

    def _begin(self, connection: Connection) -> None:
        """One message to the server: the transaction and its limits."""
        info = connection.info
        lock = self._busy if info.get(PATIENT, True) else min(self._busy, _HURRIED)
        words = (
            f"BEGIN {'READ WRITE' if info.get(WRITES) else 'READ ONLY'};"
            f" SET LOCAL statement_timeout = {int(STATEMENT_SECONDS * 1000)};"
            f" SET LOCAL lock_timeout = {max(1, int(lock * 1000))};"
            f" SET LOCAL idle_in_transaction_session_timeout = {int(STATEMENT_SECONDS * 3000)}"
        )
        raw: Any = connection.connection.driver_connection
        try:
            raw.execute(words)
        except psycopg.Error as error:
            raise _said(error, self._place) from None

    def _alone(self) -> None:
        self._connection.execute(text(f"SET LOCAL statement_timeout = {int(MIGRATION_SECONDS * 1000)}"))
        self._connection.execute(text(f"SET LOCAL lock_timeout = {int(MIGRATION_SECONDS * 1000)}"))
        self._connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY})"))

    def _made(self) -> Any:
        given = psycopg.conninfo.conninfo_to_dict(self._place.server)
        options: dict[str, Any] = {name: value for name, value in _NETWORK.items() if name not in given}
        self._raw = psycopg.connect(self._place.server, autocommit=True, prepare_threshold=None, **options)
        return self._raw


def opened(place: Place, busy: float) -> PostgresLink:
    """A connection to the server, its schema up to date. Several may do this at once. Raises Away."""
    with mapped(lambda error: _said(error, place)):
        link = PostgresLink(place, busy)
    try:
        link.migrate()
    except BaseException:
        link.close()
        raise
    return link


def meaning(error: Any, place: Place) -> Away | None:
    """What an error of PostgreSQL's says about the server: the first of its words, without values."""
    # A table that is not there is no fault of the statement: somebody took it away.
    if isinstance(error, _FAULTS) and getattr(error, "sqlstate", None) != "42P01":
        return None
    return _said(error, place)


def _said(error: Any, place: Place) -> Away:
    diagnosis = getattr(error, "diag", None)
    words = (diagnosis.message_primary if diagnosis else None) or str(error) or type(error).__name__
    state = getattr(error, "sqlstate", None) or ""
    said = _WHERE.sub("", place.covered(" ".join(words.split())))[:_MAX_WORDS]
    return Away(said, _KINDS.get(state, "away"), reads=state == _STANDBY)


def _clean(value: Any) -> Any:
    return value.replace(*_NUL) if isinstance(value, str) else value
