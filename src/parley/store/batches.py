"""Batches: what is known of each. Functions over an open link; how they are worked on: parley.store.batch_work."""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from parley.batches.told import TIMES, Spent, usage
from parley.failure import Failure, ParleyError
from parley.store.files import missing, paged
from parley.store.items import Cut
from parley.store.port import Link

INPUT: Final = "batch"
UNDER_WAY: Final = ("validating", "in_progress", "finalizing", "cancelling")
_NAMES: Final = (
    "id, owner, place, created, endpoint, input_file, period, status, metadata, holder, errors, expires_at, keep,"
    " output_file, error_file, model, total, completed, failed, input, output, cached, reasoning, in_progress_at,"
    " finalizing_at, completed_at, failed_at, expired_at, cancelling_at, cancelled_at, lease, until"
)
ALL: Final = f"SELECT {_NAMES} FROM batches"  # noqa: S608 - our own names


class Batch(Struct, frozen=True, kw_only=True):
    """A batch. Times in seconds since 1970; ``holder`` is who asked for it, as JSON, empty for nobody; ``keep`` is for
    how many seconds its files are kept, None for ever. ``lease`` is the gateway that checks or finishes it."""

    id: str
    owner: str
    place: int
    created: int
    endpoint: str
    input_file: str
    period: str
    status: str = "validating"
    metadata: bytes = b"null"
    holder: bytes = b""
    errors: bytes = b""
    expires_at: int = 0
    keep: int | None = None
    output_file: str | None = None
    error_file: str | None = None
    model: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    lease: str = ""
    until: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in UNDER_WAY

    def told(self) -> dict[str, Any]:
        """As its owner sees it."""
        spent = Spent(self.input, self.output, self.cached, self.reasoning)
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": Raw(self.errors) if self.errors else None,
            "input_file_id": self.input_file,
            "completion_window": self.period,
            "status": self.status,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "created_at": self.created,
            **{name: getattr(self, name) for name in TIMES},
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "usage": usage(spent),
            "metadata": Raw(self.metadata),
        }


def create(link: Link, batch: Batch) -> Batch:
    """A new one. Raises a 400 where its input is no file of its owner's."""
    row = link.one(
        "SELECT purpose FROM files WHERE id = :id AND owner = :owner", id=batch.input_file, owner=batch.owner
    )
    if row is None:
        raise _refused(f"No such file: {batch.input_file[:200]!r}.", "input_file_id")
    if row.purpose != INPUT:
        message = f"The file {batch.input_file!r} is for {row.purpose!r}; a batch needs one for {INPUT!r}."
        raise _refused(message, "input_file_id")
    values = {name: getattr(batch, name) for name in batch.__struct_fields__}
    places = ", ".join(f":{name}" for name in values)
    names = ", ".join(f'"{name}"' for name in values)
    link.run(f"INSERT INTO batches ({names}) VALUES ({places})", **values)  # noqa: S608 - our own names
    return batch


def fetch(link: Link, owner: str, id: str) -> Batch:
    """One. Raises a 404."""
    row = link.one(f"{ALL} WHERE id = :id AND owner = :owner", id=id, owner=owner)
    if row is None:
        raise missing("batch", id)
    return batch_of(row)


def listed(link: Link, owner: str, cut: Cut) -> tuple[list[Batch], bool]:
    """A page of them, and whether there are more."""
    rows, more = paged(link, ALL, "batches", ("", {"owner": owner}), cut)
    return [batch_of(row) for row in rows], more


def newest(link: Link, most: int) -> list[Batch]:
    """The last ones of all owners, for the operator."""
    return [batch_of(row) for row in link.rows(f"{ALL} ORDER BY place DESC LIMIT :most", most=most)]


def any_owner(link: Link, id: str) -> Batch:
    """One, for the operator. Raises a 404."""
    row = link.one(f"{ALL} WHERE id = :id", id=id)
    if row is None:
        raise missing("batch", id)
    return batch_of(row)


def cancel(link: Link, owner: str, id: str, now: float) -> Batch:
    """Begin no more of its lines. Raises a 404, and a 409 where it is over or being finished."""
    changed = link.run(
        "UPDATE batches SET status = 'cancelling', cancelling_at = :now"
        " WHERE id = :id AND owner = :owner AND status IN ('validating', 'in_progress')",
        id=id,
        owner=owner,
        now=int(now),
    )
    found = fetch(link, owner, id)
    if not changed and found.status not in ("cancelling", "cancelled"):
        message = f"The batch {id!r} is {found.status}: it cannot be cancelled any more."
        raise ParleyError(Failure("invalid_request", message, status=409))
    return found


def batch_of(row: Any) -> Batch:
    """As a value."""
    values = dict(row._mapping)
    for name in ("metadata", "holder", "errors"):
        values[name] = bytes(values[name])
    return msgspec.convert(values, Batch)


def _refused(message: str, param: str) -> ParleyError:
    return ParleyError(Failure("invalid_request", message, param=param))
