"""The end of a batch: its results become two files, in the order of its lines."""

import secrets
from typing import Final

from parley.batches.line import line_of, lines
from parley.batches.told import CANCELLED, EXPIRED, error_line
from parley.serve.filing import Filing, Spool
from parley.settings import Batches
from parley.store import Store, batch_work
from parley.store.batch_work import Result
from parley.store.batches import Batch
from parley.store.files import Kept

PURPOSE: Final = "batch_output"


class _Ends:
    def __init__(self, filing: Filing) -> None:
        self.output, self.errors = filing.spool(), filing.spool()

    def add(self, ok: bool, body: bytes) -> None:
        (self.output if ok else self.errors).write(body + b"\n")

    def close(self) -> None:
        self.output.close()
        self.errors.close()


async def ended(
    store: Store, filing: Filing, batch: Batch, usual: float = Batches().keep
) -> tuple[Kept | None, Kept | None]:
    """Write the output and the error file; None for one that would be empty. Done twice, it makes the same files. They
    are kept for ``usual`` seconds where the batch says nothing."""
    ends = _Ends(filing)
    try:
        await _collect(store, filing, batch, ends)
        keep = int(usual) if batch.keep is None else batch.keep
        output = await _kept(store, filing, (batch, keep), ends.output, "output")
        return output, await _kept(store, filing, (batch, keep), ends.errors, "error")
    finally:
        ends.close()


async def _collect(store: Store, filing: Filing, batch: Batch, ends: _Ends) -> None:
    number = 0
    # A check that was not ended knows only some of the lines.
    while batch.in_progress_at is not None:
        at = number
        found = await store.ask(lambda link, at=at: batch_work.outcome(link, batch.id, at))  # type: ignore[misc]
        if found is None:
            break
        chunk, done, results = found
        if done:
            for result in results:
                ends.add(result.ok, result.body)
        else:
            data = await filing.read(batch.input_file, chunk.place, chunk.size)
            _some(data, chunk.line, results, ends, CANCELLED if batch.cancelling_at else EXPIRED)
        number += 1


def _some(data: bytes, first: int, results: list[Result], ends: _Ends, why: tuple[str, str]) -> None:
    """Of lines that have no result it is told why."""
    known = {result.line: result for result in results}
    for number, text in lines(data, first):
        result = known.get(number)
        if result is not None:
            ends.add(result.ok, result.body)
        else:
            line = line_of(text, number)
            ends.add(False, error_line(f"batch_req_{secrets.token_hex(16)}", line.custom_id, *why))


async def _kept(store: Store, filing: Filing, of: tuple[Batch, int], spool: Spool, kind: str) -> Kept | None:
    batch, keep = of
    if not spool.size:
        return None
    created = int(store.wall())
    # The same name each time: should we end before the batch does, the next one writes it anew.
    name = f"file-{batch.id.removeprefix('batch_')}-{kind}"
    await filing.put(name, spool)
    return Kept(
        id=name,
        owner=batch.owner,
        place=int(store.wall() * 1e6),
        created=created,
        bytes=spool.size,
        filename=f"{batch.id}_{kind}.jsonl",
        purpose=PURPOSE,
        expires=created + keep,
    )
