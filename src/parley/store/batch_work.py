"""How batches are worked on: leases of whole batches and of chunks, results, the end. Functions over an open link.

A line's first result counts and no other, whoever brings it: neither a gateway that was thought dead nor a clock that
is wrong doubles a line. ``me`` is a gateway's name, ``until`` when its lease ends, in seconds since 1970.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from parley.batches.check import Chunk
from parley.batches.line import Fault
from parley.batches.told import Spent, faults
from parley.store import files
from parley.store.batches import ALL, Batch, batch_of
from parley.store.port import Link

_LIVE: Final = "status IN ('in_progress', 'cancelling')"
_FREE: Final = "(lease = '' OR until < :now)"
# Taken to be written to before anything is read that depends on it: in PostgreSQL transactions overlap.
_LOCK: Final = f"UPDATE batches SET until = until WHERE id = :id AND {_LIVE}"  # noqa: S608
_SOME: Final = 1000


class Lease(Struct, frozen=True):
    """A chunk that is worked on here. ``done`` are the numbers of its lines that have a result."""

    number: int
    chunk: Chunk
    done: frozenset[int]


class Result(Struct, frozen=True):
    """Of one line. ``body`` is a line of the output or, where not ``ok``, of the error file."""

    line: int
    ok: bool
    body: bytes
    spent: Spent = Spent()


def under_way(link: Link) -> list[Batch]:
    """All that are not over, the oldest first."""
    where = "WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling') ORDER BY place LIMIT 1000"
    return [batch_of(row) for row in link.rows(f"{ALL} {where}")]


def now_of(link: Link, id: str) -> Batch | None:
    """How it is now."""
    row = link.one(f"{ALL} WHERE id = :id", id=id)
    return None if row is None else batch_of(row)


def hold(link: Link, id: str, me: str, now: float, until: float) -> bool:
    """Whether the whole batch is ours to check or to finish."""
    statement = f"UPDATE batches SET lease = :me, until = :until WHERE id = :id AND (lease = :me OR {_FREE})"  # noqa: S608
    return link.run(statement, id=id, me=me, now=now, until=until) > 0


def renew(link: Link, me: str, until: float) -> None:
    """We live."""
    link.run("UPDATE batches SET until = :until WHERE lease = :me", me=me, until=until)
    link.run("UPDATE batch_chunks SET until = :until WHERE lease = :me", me=me, until=until)


def holders(link: Link) -> set[str]:
    """Everybody who holds something."""
    found = [*link.rows("SELECT DISTINCT lease FROM batches WHERE lease <> ''")]
    chunks = link.rows("SELECT DISTINCT lease FROM batch_chunks WHERE NOT done AND lease <> ''")
    return {row.lease for row in (*found, *chunks)}


def let_go(link: Link, who: str) -> None:
    """Of everything that somebody holds: that one has ended."""
    link.run("UPDATE batches SET lease = '', until = 0 WHERE lease = :who", who=who)
    link.run("UPDATE batch_chunks SET lease = '', until = 0 WHERE lease = :who", who=who)


# The check of the input


def recheck(link: Link, id: str) -> None:
    """Forget the chunks of a check that was not ended."""
    link.run("DELETE FROM batch_chunks WHERE batch = :id", id=id)


def chunks(link: Link, id: str, first: int, found: Sequence[Chunk]) -> None:
    """More chunks; the first has that number."""
    rows = [
        {"batch": id, "number": number, "place": one.place, "size": one.size, "line": one.line, "lines": one.lines}
        for number, one in enumerate(found, first)
    ]
    link.many(
        "INSERT INTO batch_chunks (batch, number, place, size, line, lines, done, lease, until)"
        " VALUES (:batch, :number, :place, :size, :line, :lines, FALSE, '', 0)",
        rows,
    )


def begin(link: Link, id: str, me: str, total: int, model: str | None, now: float) -> bool:
    """The input is right. False where the batch was cancelled meanwhile, or is another gateway's now."""
    statement = (
        "UPDATE batches SET status = 'in_progress', total = :total, model = :model, in_progress_at = :now, lease = '',"
        " until = 0 WHERE id = :id AND lease = :me AND status = 'validating'"
    )
    return link.run(statement, id=id, me=me, total=total, model=model, now=int(now)) > 0


def fail(link: Link, id: str, me: str, found: Sequence[Fault], now: float) -> None:
    """The input is wrong."""
    changed = link.run(
        "UPDATE batches SET status = 'failed', errors = :errors, failed_at = :now, lease = '', until = 0"
        " WHERE id = :id AND lease = :me AND status = 'validating'",
        id=id,
        me=me,
        errors=msgspec.json.encode(faults(list(found))),
        now=int(now),
    )
    if changed:
        recheck(link, id)


# Lines


def take(link: Link, id: str, me: str, now: float, until: float) -> Lease | None:
    """The next chunk that nobody works on."""
    if not link.run(_LOCK, id=id):
        return None
    row = link.one(
        f"SELECT number, place, size, line, lines FROM batch_chunks WHERE batch = :id AND NOT done AND {_FREE}"  # noqa: S608
        " AND EXISTS (SELECT 1 FROM batches WHERE id = :id AND status = 'in_progress') ORDER BY number LIMIT 1",
        id=id,
        now=now,
    )
    if row is None:
        return None
    link.run(
        "UPDATE batch_chunks SET lease = :me, until = :until WHERE batch = :id AND number = :number",
        id=id,
        me=me,
        until=until,
        number=row.number,
    )
    chunk = Chunk(row.place, row.size, row.line, row.lines)
    return Lease(row.number, chunk, frozenset(one.line for one in _of_chunk(link, id, row.number, chunk.line)))


def _of_chunk(link: Link, id: str, number: int, line: int) -> Sequence[Any]:
    """Results of the lines from that one up to the next chunk."""
    after = link.one("SELECT line FROM batch_chunks WHERE batch = :id AND number = :number", id=id, number=number + 1)
    end = after.line if after is not None else 2**62
    statement = (
        "SELECT line, ok, body FROM batch_results WHERE batch = :id AND line >= :line AND line < :end ORDER BY line"
    )
    return link.rows(statement, id=id, line=line, end=end)


def record(link: Link, id: str, found: Iterable[Result]) -> bool:
    """Results of lines. False where the batch is over and nothing of it counts any more."""
    if not link.run(_LOCK, id=id):
        return False
    completed = failed = 0
    spent = Spent()
    for one in found:
        added = link.run(
            "INSERT INTO batch_results (batch, line, ok, body) VALUES (:id, :line, :ok, :body)"
            " ON CONFLICT (batch, line) DO NOTHING",
            id=id,
            line=one.line,
            ok=one.ok,
            body=one.body,
        )
        if added:
            completed, failed = completed + one.ok, failed + (not one.ok)
            spent = spent.plus(one.spent)
    link.run(
        "UPDATE batches SET completed = completed + :completed, failed = failed + :failed, input = input + :input,"
        " output = output + :output, cached = cached + :cached, reasoning = reasoning + :reasoning WHERE id = :id",
        id=id,
        completed=completed,
        failed=failed,
        input=spent.input,
        output=spent.output,
        cached=spent.cached,
        reasoning=spent.reasoning,
    )
    return True


def done(link: Link, id: str, number: int) -> None:
    """Every line of that chunk has a result."""
    statement = "UPDATE batch_chunks SET done = TRUE, lease = '', until = 0 WHERE batch = :id AND number = :number"
    link.run(statement, id=id, number=number)


def put_back(link: Link, id: str, number: int, me: str) -> None:
    """It is not done and not worked on here any more."""
    link.run(
        "UPDATE batch_chunks SET lease = '', until = 0 WHERE batch = :id AND number = :number AND lease = :me",
        id=id,
        number=number,
        me=me,
    )


# The end


def finish(link: Link, id: str, me: str, now: float, until: float) -> Batch | None:
    """Take it to be finished: all lines are done, or no more of them are to be begun and none is under way. None where
    it is not time to."""
    if not hold(link, id, me, now, until):
        return None
    batch = now_of(link, id)
    if batch is None or batch.over or batch.status == "validating":
        let_go_of(link, id, me)
        return None
    expired = batch.status == "in_progress" and batch.expires_at <= now
    busy = "NOT done" if batch.status == "in_progress" and not expired else f"NOT done AND NOT {_FREE}"
    found = link.one(f"SELECT 1 AS one FROM batch_chunks WHERE batch = :id AND {busy} LIMIT 1", id=id, now=now)  # noqa: S608
    if batch.status != "finalizing" and found is not None:
        let_go_of(link, id, me)
        return None
    if batch.status == "in_progress":
        link.run(
            "UPDATE batches SET status = 'finalizing', finalizing_at = :now, expired_at = :expired WHERE id = :id",
            id=id,
            now=int(now),
            expired=int(now) if expired else None,
        )
    return now_of(link, id)


def let_go_of(link: Link, id: str, me: str) -> None:
    """Of the whole batch."""
    link.run("UPDATE batches SET lease = '', until = 0 WHERE id = :id AND lease = :me", id=id, me=me)


def outcome(link: Link, id: str, number: int) -> tuple[Chunk, bool, list[Result]] | None:
    """One chunk, whether it is done, and its results; None where there is no such chunk."""
    row = link.one(
        "SELECT place, size, line, lines, done FROM batch_chunks WHERE batch = :id AND number = :number",
        id=id,
        number=number,
    )
    if row is None:
        return None
    results = [Result(one.line, bool(one.ok), bytes(one.body)) for one in _of_chunk(link, id, number, row.line)]
    return Chunk(row.place, row.size, row.line, row.lines), bool(row.done), results


def end(link: Link, batch: Batch, me: str, made: tuple[files.Kept | None, files.Kept | None], now: float) -> bool:
    """It is over: its files are there. False where it is another gateway's now."""
    status = ending(batch)
    times = {"cancelled": "cancelled_at", "completed": "completed_at", "expired": "expired_at"}
    changed = link.run(
        f"UPDATE batches SET status = :status, {times[status]} = :now, output_file = :output, error_file = :error,"  # noqa: S608
        " lease = '', until = 0 WHERE id = :id AND lease = :me AND status IN ('finalizing', 'cancelling')",
        id=batch.id,
        me=me,
        status=status,
        now=int(now),
        output=made[0].id if made[0] else None,
        error=made[1].id if made[1] else None,
    )
    if changed:
        for kept in made:
            if kept is not None:
                files.add(link, kept)
        recheck(link, batch.id)
    return bool(changed)


def ending(batch: Batch) -> str:
    """What a batch that is being finished will be."""
    return "cancelled" if batch.cancelling_at else "expired" if batch.expired_at else "completed"


def forget(link: Link, before: float) -> bool:
    """Remove something of a batch that was over before then, in the end itself; whether there was none."""
    row = link.one(
        "SELECT id FROM batches WHERE status IN ('completed', 'failed', 'expired', 'cancelled')"
        " AND coalesce(completed_at, cancelled_at, expired_at, failed_at, created) <= :before LIMIT 1",
        before=int(before),
    )
    if row is None:
        return True
    gone = link.run(
        "DELETE FROM batch_chunks WHERE batch = :id AND number IN"
        " (SELECT number FROM batch_chunks WHERE batch = :id ORDER BY number LIMIT :some)",
        id=row.id,
        some=_SOME,
    )
    if gone < _SOME:
        link.run("DELETE FROM batches WHERE id = :id", id=row.id)
    return False


def tidy(link: Link) -> bool:
    """Remove some results of batches that are over; whether that was all."""
    row = link.one(
        "SELECT batch FROM batch_results WHERE batch NOT IN (SELECT id FROM batches WHERE status IN"
        " ('validating', 'in_progress', 'finalizing', 'cancelling')) LIMIT 1"
    )
    if row is None:
        return True
    link.run(
        "DELETE FROM batch_results WHERE batch = :id AND line IN"
        " (SELECT line FROM batch_results WHERE batch = :id ORDER BY line LIMIT :some)",
        id=row.batch,
        some=_SOME,
    )
    return False
