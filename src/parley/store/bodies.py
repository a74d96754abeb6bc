"""What named keys said and were told, for a while. See docs/ledger.md."""

from collections.abc import Sequence
from typing import Any, Final

from parley.store.port import Link

# Rows that one transaction removes.
CHUNK: Final = 200
_COLUMNS: Final = "request_id, key, at, ends, request, answer, cut"


def name(request_id: str) -> str:
    """What a row of a request is about; see parley.store.port.Task."""
    return f"bodies of {request_id}"


def keep(link: Link, id: bytes, row: dict[str, Any]) -> None:
    """Write one down, and remove some whose time is over. Done twice, it is there once."""
    link.run(
        f"INSERT INTO bodies (id, {_COLUMNS}) VALUES (:id, :request_id, :key, :at, :ends, :request, :answer, :cut)"  # noqa: S608
        " ON CONFLICT (id) DO NOTHING",
        id=id,
        **row,
    )
    sweep(link, row["at"])


def sweep(link: Link, now: float) -> None:
    """Remove some whose time is over."""
    link.run(
        "DELETE FROM bodies WHERE id IN (SELECT id FROM bodies WHERE ends < :now ORDER BY ends LIMIT :chunk)",
        now=now,
        chunk=CHUNK,
    )


def fetch(link: Link, request_id: str, now: float) -> Sequence[Any]:
    """Those of requests with that id, the newest first."""
    return link.rows(
        f"SELECT {_COLUMNS} FROM bodies WHERE request_id = :request_id AND ends >= :now ORDER BY at DESC LIMIT 100",  # noqa: S608
        request_id=request_id,
        now=now,
    )
