"""The ledger on the loop: each request once in the store, whatever happens to the store, the disk or the process."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.failure import Failure
from parley.gateway.ended import Ended
from parley.ir import Usage
from parley.keys import Holder
from parley.ledger import Ledger
from parley.ledger import journal as files
from parley.ledger import ledger as module
from parley.store import usage
from parley.store.ledger import Row
from parley.store.usage import Requests
from store.parts import Shelf, within

ALICE = Holder(id="key_a", name="alice", tags={"team": "blue"})
ENDED = Ended(
    "req_1", 1_767_225_600.5, ALICE, "openai", "chat", "fast", "openai", "openai/gpt", 200, "ok", "", "done", 2, 12.5,
    3.25, Usage(10, 5, 4, 1, 2, audio_input=3, audio_output=1, images=2, seconds=1.5), 77, True, 99,
)  # fmt: skip


LOOKS = 1000


def ended(number: int = 1, **changes: Any) -> Ended:
    return msgspec.structs.replace(ENDED, request_id=f"req_{number}", **changes)


async def soon(look: Callable[[], bool]) -> None:
    """Until it is so; fails after some seconds."""
    for _ in range(LOOKS):
        if look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


class Desk:
    """A ledger over a store whose state is ours to set."""

    def __init__(self, folder: Path, path: Path | None = None) -> None:
        self.shelf = Shelf(path or folder / "parley.db")
        self.folder = folder / "journal"
        self.counts: Counter[str] = Counter()
        self.log: list[dict[str, Any]] = []
        self.away = False
        self.asked = 0
        change_then = self.shelf.store.change_then

        def change(work: Any, then: Callable[[Any], None]) -> None:
            self.asked += 1
            if self.away:
                then(Failure("overloaded", "the store is not available", detail="store"))
            else:
                change_then(work, then)

        self.shelf.store.change_then = change  # type: ignore[method-assign]
        self.ledger = Ledger(
            self.shelf.store, self.folder, retention=1e12, count=self._count,
            write=lambda line: self.log.append(msgspec.json.decode(line)),
        )  # fmt: skip
        self.ledger.start()

    def _count(self, name: str, more: int) -> None:
        self.counts[name] += more

    async def rows(self) -> list[Row]:
        found = await self.shelf.store.ask(lambda link: usage.requests(link, Requests(limit=10_000)))
        return [row for _, row in found]

    async def until(self, many: int) -> list[Row]:
        rows: list[Row] = []
        for _ in range(LOOKS):
            rows = await self.rows()
            if len(rows) >= many:
                break
            await asyncio.sleep(0.01)
        return rows

    async def close(self) -> None:
        await self.ledger.close()
        await self.shelf.store.close()

    def die(self) -> None:
        """As a process that is killed: what it held is free, and nothing else is done."""
        self.ledger._closed = True
        for file in self.ledger._files:
            file.close()
        self.ledger._files.clear()
        self.ledger._journal.active = None

    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder)) if self.folder.exists() else []

    def events(self) -> list[str]:
        return [line["event"] for line in self.log]


@pytest.fixture
async def desks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], Desk]]:
    """Opens ledgers on one store and one journal, as processes one after the other have them."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(module, "ADOPT_SECONDS", 0.05)
    made: list[Desk] = []

    def make() -> Desk:
        made.append(Desk(tmp_path))
        return made[-1]

    yield make
    for desk in made:
        await desk.close()


async def test_a_request_is_written_as_it_was(desks: Callable[[], Desk]) -> None:
    desk = desks()
    desk.ledger.ended(None, ended())
    assert await desk.until(1) == [
        Row(
            at=1_767_225_600.5, request_id="req_1", key="key_a", key_name="alice", tags={"team": "blue"},
            dialect="openai", operation="chat", model="fast", provider="openai", target="openai/gpt", status=200,
            outcome="ok", kind="", attempts=2, ms=12.5, ttfb_ms=3.25, stream=True, bytes_out=99, estimated=False,
            replayed=False, cost=77, input=10, output=5, cached=4, cache_write=1, reasoning=2, audio_input=3,
            audio_output=1, images=2, seconds=1.5,
        )
    ]  # fmt: skip


async def test_what_is_not_known_stays_unknown(desks: Callable[[], Desk]) -> None:
    desk = desks()
    desk.ledger.ended(None, ended(usage=Usage(1, 2, estimated=True), cost=None, key=None, ttfb_ms=None))
    (row,) = await desk.until(1)
    assert (row.cost, row.cached, row.reasoning, row.images, row.seconds, row.ttfb_ms) == (None,) * 6
    assert (row.key, row.tags, row.estimated) == ("", {}, True)


async def test_numbers_that_no_provider_can_mean_are_cut(desks: Callable[[], Desk]) -> None:
    desk = desks()
    desk.ledger.ended(None, ended(usage=Usage(10**30, -5, cached=10**30), cost=10**40))
    (row,) = await desk.until(1)
    assert (row.input, row.output, row.cached, row.cost) == (2**53, 0, 2**53, 2**53)


async def test_strangers_fill_no_ledger(desks: Callable[[], Desk]) -> None:
    desk = desks()
    desk.ledger.ended(None, ended(1, key=None, status=401, outcome="error", kind="unauthorized"))
    desk.ledger.ended(None, ended(2))
    assert [row.request_id for row in await desk.until(1)] == ["req_2"]


async def test_a_store_that_is_away_loses_nothing_and_doubles_nothing(desks: Callable[[], Desk]) -> None:
    desk = desks()
    for number in range(50):
        desk.ledger.ended(None, ended(number))
        await asyncio.sleep(0)
        if number == 10:
            await desk.until(11)
            desk.away = True
    await soon(lambda: desk.asked >= 4)
    assert len(await desk.rows()) == 11
    desk.away = False
    rows = await desk.until(50)
    assert sorted(Counter(row.request_id for row in rows).values()) == [1] * 50
    assert desk.counts == {}


async def test_what_a_dead_process_left_is_written_once(desks: Callable[[], Desk]) -> None:
    dead = desks()
    for number in range(20):
        dead.ledger.ended(None, ended(number))
    await dead.until(20)
    dead.away = True
    for number in range(20, 30):
        dead.ledger.ended(None, ended(number))
        await asyncio.sleep(0)
    assert len(dead.left()) == 1
    # While its process lives nobody takes its file away from it.
    assert dead.ledger._journal.left() == []
    dead.die()
    heir = desks()
    rows = await heir.until(30)
    assert sorted(Counter(row.request_id for row in rows).values()) == [1] * 30
    await heir.close()
    assert heir.left() == []
    assert "ledger.replay" in heir.events()


async def test_a_row_that_was_never_finished_is_told(desks: Callable[[], Desk]) -> None:
    dead = desks()
    dead.away = True
    dead.ledger.ended(None, ended(1))
    await asyncio.sleep(0)
    (name,) = dead.left()
    dead.die()
    path = dead.folder / name
    path.write_bytes(path.read_bytes() + files.frame(b"\x91\x90")[:-1])
    heir = desks()
    assert len(await heir.until(1)) == 1
    await soon(lambda: "ledger.damaged" in heir.events())
    assert heir.counts == {module.DROPPED: 1}
    assert heir.left() == [name.replace(".rows", ".damaged")]


async def test_a_disk_that_cannot_be_written_is_told_and_waited_for(
    desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desks()
    monkeypatch.setattr(module, "MAX_PENDING", 5)
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(files.os, "write", full)
    for number in range(8):
        desk.ledger.ended(None, ended(number))
        await asyncio.sleep(0)
    assert desk.ledger.problems()[0]["kind"] == "ledger"
    assert desk.counts == {module.DROPPED: 3}
    monkeypatch.setattr(files.os, "write", real)
    rows = await desk.until(5)
    assert {row.request_id for row in rows} == {f"req_{number}" for number in range(5)}
    assert desk.ledger.problems() == []
    assert desk.events() == ["ledger.unwritable", "ledger.dropped", "ledger.back"]


async def test_a_slow_disk_keeps_the_loop_waiting_once(
    desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desks()
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    threads: list[str] = []
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        threads.append(__import__("threading").current_thread().name)
        return real(descriptor, data)

    monkeypatch.setattr(files.os, "write", write)
    for number in range(5):
        desk.ledger.ended(None, ended(number))
        await asyncio.sleep(0.01)
    assert len(await desk.until(5)) == 5
    assert threads[0] == "MainThread"
    assert "MainThread" not in threads[2:]


async def test_a_journal_that_is_full_counts_what_it_cannot_take(
    desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desks()
    desk.away = True
    monkeypatch.setattr(module, "MAX_WAITING", 300)
    for number in range(10):
        desk.ledger.ended(None, ended(number))
        await asyncio.sleep(0)
    lost = desk.counts[module.DROPPED]
    assert 0 < lost < 10
    assert desk.events() == ["ledger.dropped"]
    desk.away = False
    assert len(await desk.until(10 - lost)) == 10 - lost


async def test_rows_that_the_store_refuses_do_not_stop_the_rest(
    desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desks()
    real = module.stored.enter

    def enter(link: Any, span: Any, ids: Any, rows: Any) -> int:
        if any("req_0" in row for row in rows):
            raise OverflowError
        return real(link, span, ids, rows)

    monkeypatch.setattr(module.stored, "enter", enter)
    desk.ledger.ended(None, ended(0))
    await soon(lambda: bool(desk.counts))
    desk.ledger.ended(None, ended(1))
    assert [row.request_id for row in await desk.until(1)] == ["req_1"]
    assert desk.counts == {module.DROPPED: 1}


async def test_what_is_in_memory_is_not_read_again(desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desks()
    read: list[int] = []
    real = files.File.rows

    def rows(file: files.File, begin: int) -> Any:
        read.append(begin)
        return real(file, begin)

    monkeypatch.setattr(files.File, "rows", rows)
    for number in range(30):
        desk.ledger.ended(None, ended(number))
    assert len(await desk.until(30)) == 30
    assert read == []
    # More than is kept: the first of them come from the file.
    monkeypatch.setattr(files, "MAX_FRESH", 8)
    desk.away = True
    for number in range(30, 50):
        desk.ledger.ended(None, ended(number))
    desk.away = False
    found = await desk.until(50)
    assert sorted(row.request_id for row in found) == sorted(f"req_{number}" for number in range(50))
    assert read


async def test_what_a_thread_wrote_is_read_and_what_came_then_is_not_doubled(
    desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desks()
    desk.away = True
    desk.ledger.ended(None, ended(0))
    monkeypatch.setattr(desk.ledger, "_beside", True)
    for number in range(1, 5):
        desk.ledger.ended(None, ended(number))
    await soon(lambda: desk.ledger._writing is None and not desk.ledger._pending)
    monkeypatch.setattr(desk.ledger, "_beside", False)
    for number in range(5, 9):
        desk.ledger.ended(None, ended(number))
    desk.away = False
    rows = await desk.until(9)
    assert sorted(row.request_id for row in rows) == [f"req_{number}" for number in range(9)]


async def test_a_batch_that_is_whole_does_not_wait(desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desks()
    monkeypatch.setattr(module, "PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr(module, "SOON", 2000)
    for number in range(5):
        desk.ledger.ended(None, ended(number))
    await asyncio.sleep(0)
    assert desk.asked == 0
    for number in range(5, 40):
        desk.ledger.ended(None, ended(number))
    assert len(await desk.until(40)) == 40


async def test_files_that_are_written_go(desks: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desks()
    monkeypatch.setattr(files, "MAX_FILE", 400)
    for number in range(20):
        desk.ledger.ended(None, ended(number))
        await asyncio.sleep(0)
    assert len(desk.left()) > 3
    await desk.until(20)
    await desk.ledger.close()
    assert desk.left() == []


async def test_the_end_writes_everything_down(desks: Callable[[], Desk]) -> None:
    desk = desks()
    for number in range(300):
        desk.ledger.ended(None, ended(number))
    await desk.ledger.close()
    assert len(await desk.rows()) == 300
    assert desk.left() == []


async def test_the_end_does_not_wait_for_a_store_that_is_away(desks: Callable[[], Desk]) -> None:
    desk = desks()
    desk.away = True
    desk.ledger.ended(None, ended(1))
    await within(desk.ledger.close())
    assert len(desk.left()) == 1
    assert len(await desks().until(1)) == 1


async def test_the_files_are_the_owners_alone(desks: Callable[[], Desk]) -> None:
    desk = desks()
    desk.away = True
    desk.ledger.ended(None, ended(1))
    await asyncio.sleep(0)
    (name,) = desk.left()
    assert (desk.folder / name).stat().st_mode & 0o777 == 0o600
    assert desk.folder.stat().st_mode & 0o777 == 0o700
