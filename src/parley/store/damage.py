"""Whether a SQLite file is damaged, looked at before it is used. Plain sqlite3: nothing else is imported."""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Final

# How long the start may wait for a look at all pages; 1 GB or more is read in that time.
LOOK_SECONDS: Final = 1.5
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_MAX_WORDS: Final = 200


class Unreadable(Exception):  # noqa: N818 - it is what the file is
    """Nothing can be read of it."""


def damage_of(path: Path, seconds: float | None) -> str | None:
    """What is wrong with the file, in SQLite's words; None where nothing is, or where it cannot be looked at now.

    Looks for ``seconds`` at most, None for as long as it takes: what was not seen by then counts as sound. An index
    that does not fit its table is not looked for (SQLite's quick_check).
    """
    try:
        # A file that was not closed cleanly is put in order here, as by anybody who opens it.
        with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)) as raw:
            return _looked(raw, seconds)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return str(error) if code in _DAMAGED else None


def _looked(raw: sqlite3.Connection, seconds: float | None) -> str | None:
    end = Timer(seconds, raw.interrupt) if seconds is not None else None
    if end is not None:
        end.start()
    try:
        found = raw.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        if end is not None:
            end.cancel()
            end.join()
    words = "ok" if found is None else str(found[0])
    return None if words == "ok" else " ".join(words.replace("***", "").split())[:_MAX_WORDS]
