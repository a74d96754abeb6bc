"""The lines of one batch that this gateway does: chunks are taken, lines asked, their results written down."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from parley.batches.line import Line, line_of, lines
from parley.batches.told import answer_line, spent
from parley.batches.work import Queue, Verdict, Work
from parley.failure import Failure, ParleyError
from parley.gateway.families import BATCH_LINES
from parley.gateway.keyring import UNKNOWN, Entry
from parley.keys import Holder, KeyLimits
from parley.keys.holder import OPERATOR
from parley.ports import Request
from parley.serve.house import House
from parley.serve.lines import Hands, Lines
from parley.serve.rpc.asking import Answered
from parley.serve.unattended import asked
from parley.store import batch_work
from parley.store.batch_work import Lease, Result
from parley.store.batches import Batch
from parley.streams.flow import Flow

if TYPE_CHECKING:
    from parley.serve.batching import Batching

# Between two tries to write down what was paid for, while the store is away.
AGAIN_SECONDS: Final = 1.0
_UNKNOWN: Final = Failure("unauthorized", "the key that asked for this batch is not valid any more")
_HEADERS: Final = ((b"content-type", b"application/json"),)


class Standing:
    """Who asks: the key that a batch was made with, as it is now, behind what people wait for."""

    def __init__(self, house: House, priority: str) -> None:
        self._house = house
        self._limits = KeyLimits(priority=priority)
        self._nobody = Entry(Holder(id="", name="", kind=OPERATOR, limits=self._limits))
        self._made: dict[Entry, Entry] = {}

    def of(self, holder: bytes) -> Entry:
        """Raises ``unauthorized`` or, while keys cannot be read, ``overloaded``."""
        keyring = self._house.gateway.keyring
        if keyring.unread:
            raise ParleyError(UNKNOWN)
        if not holder:
            if keyring.closed:
                raise ParleyError(_UNKNOWN)
            return self._nobody
        given = msgspec.json.decode(holder, type=Holder)
        entry = keyring.known(given.id) if keyring.lists(given.id) else Entry(given)
        if entry is None:
            raise ParleyError(_UNKNOWN)
        return self._behind(entry)

    def _behind(self, entry: Entry) -> Entry:
        made = self._made.get(entry)
        if made is None:
            if len(self._made) > 1000:
                self._made.clear()
            limits = replace(entry.holder.limits or KeyLimits(), priority=self._limits.priority)
            made = self._made[entry] = Entry(replace(entry.holder, limits=limits))
        return made


def _tell(found: Sequence[tuple[Result, asyncio.Future[None]]], error: ParleyError | None) -> None:
    for _, written in found:
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


class Run:
    """See the module."""

    def __init__(self, home: "Batching", batch: Batch) -> None:
        self._home, self._batch = home, batch
        loop = home.house.loop
        left = batch.expires_at - home.store.wall()
        queue = Queue(home.policy, home.rand, loop.time() + left)
        flow = Flow(home.house.gateway.settings.batches.parallel)
        self._lines = Lines(queue, flow, Hands(self._ask, self._settle, self._more, home.room), loop.time)
        # Chunk -> how many of its lines have no result yet; line -> chunk.
        self._left: dict[int, int] = {}
        self._chunks: dict[int, int] = {}
        self._found: list[tuple[Result, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._timer = loop.call_later(max(0.0, left), self.stop)

    def stop(self) -> None:
        """Begin no more lines."""
        self._lines.stop()

    async def run(self) -> None:
        """Until nothing of the batch is left that this gateway could do."""
        try:
            await self._lines.run()
        finally:
            self._timer.cancel()
            if self._writing is not None:
                self._writing.cancel()
            await self._put_back()

    async def _more(self) -> Sequence[Line] | None:
        home, name = self._home, self._batch.id
        now, until = home.store.wall(), home.until()
        lease = await home.store.change(lambda link: batch_work.take(link, name, home.me, now, until))
        if lease is None:
            return None
        data = await home.filing.read(self._batch.input_file, lease.chunk.place, lease.chunk.size)
        todo = [line_of(text, number) for number, text in lines(data, lease.chunk.line) if number not in lease.done]
        await self._begun(lease, todo)
        return todo

    async def _begun(self, lease: Lease, todo: Sequence[Line]) -> None:
        if not todo:
            await self._home.store.change(lambda link: batch_work.done(link, self._batch.id, lease.number))
            return
        self._left[lease.number] = len(todo)
        for line in todo:
            self._chunks[line.number] = lease.number

    async def _ask(self, line: Line) -> Answered:
        house = self._home.house
        request_id = f"batch_req_{secrets.token_hex(16)}"
        headers = [*_HEADERS, (b"x-request-id", request_id.encode())]
        request = Request(headers, line.body, request_id, line.url.encode())
        try:
            entry = self._home.standing.of(self._batch.holder)
        except ParleyError as error:
            status, body = house.wire_of(request.target).encode_error(error.failure, request_id)
            return Answered(status, {b"x-request-id": request_id.encode()}, body)
        self._home.asking += 1
        try:
            answer, _ = await asked(house, request, entry)
        finally:
            self._home.asking -= 1
        return answer

    async def _settle(self, work: Work, answer: Answered, verdict: Verdict) -> None:
        metrics = self._home.house.gateway.metrics
        if verdict.again is not None:
            metrics.count(BATCH_LINES, "retried")
            return
        line, ok = work.line, answer.status < 300
        request_id = answer.headers.get(b"x-request-id", b"").decode("latin-1")
        body = answer_line(request_id, line.custom_id, answer.status, request_id, answer.body)
        written: asyncio.Future[None] = self._home.house.loop.create_future()
        self._found.append((Result(line.number, ok, body, spent(answer.body) if ok else spent(b"")), written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write())
        await written
        metrics.count(BATCH_LINES, "completed" if ok else "failed")
        number = self._chunks.pop(line.number)
        self._left[number] -= 1
        if not self._left[number]:
            del self._left[number]
            await self._home.store.change(lambda link: batch_work.done(link, self._batch.id, number))

    async def _write(self) -> None:
        """All results there are in one transaction, then those that came meanwhile."""
        while self._found:
            found, self._found = self._found, []
            results = [result for result, _ in found]
            try:
                counts = await self._surely(partial(batch_work.record, id=self._batch.id, found=results))
            except ParleyError as error:
                _tell(found, error)
                raise
            if not counts:
                self.stop()
            _tell(found, None)

    async def _surely(self, work: Callable[..., bool]) -> bool:
        while True:
            try:
                return await self._home.store.change(work)
            except ParleyError as error:
                if error.failure.kind != "overloaded":
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    async def _put_back(self) -> None:
        """Chunks that are not done are free for others, or for the next run."""
        home, name = self._home, self._batch.id
        for number in self._left:
            await home.store.change(lambda link, number=number: batch_work.put_back(link, name, number, home.me))  # type: ignore[misc]
