"""Log lines: in batches, in order, and never at the cost of a request."""

import asyncio
import json
import os
from collections.abc import Iterator

import pytest
from peers import ManualLoop

from parley.io import log as log_module
from parley.io.log import FLUSH_SECONDS, LineLog


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:
            assert end == reader  # a test may have closed it


def drained(reader: int) -> bytes:
    found = b""
    try:
        while data := os.read(reader, 1 << 20):
            found += data
    except BlockingIOError:
        pass
    return found


def made(descriptor: int) -> tuple[LineLog, ManualLoop]:
    loop = ManualLoop()
    return LineLog(loop, descriptor), loop  # type: ignore[arg-type]


def test_lines_leave_together_and_in_order(pipe: tuple[int, int]) -> None:
    log, loop = made(pipe[1])
    log.write(b"one")
    log.write(b"two")
    assert drained(pipe[0]) == b""
    loop.advance(FLUSH_SECONDS)
    assert drained(pipe[0]) == b"one\ntwo\n"
    log.write(b"three")
    loop.advance(FLUSH_SECONDS)
    assert drained(pipe[0]) == b"three\n"
    assert loop.timers == []


def test_a_flush_at_the_end_writes_what_is_left(pipe: tuple[int, int]) -> None:
    log, loop = made(pipe[1])
    log.flush()
    log.write(b"last")
    log.flush()
    assert drained(pipe[0]) == b"last\n"
    loop.advance(1)
    assert drained(pipe[0]) == b""


def test_a_reader_that_stalls_holds_nobody_up(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MAX_PENDING", 1_000_000)
    log, loop = made(pipe[1])
    lines = [b"%06d" % number + b"x" * 994 for number in range(2000)]
    for line in lines:
        log.write(line)
        loop.advance(FLUSH_SECONDS)
    assert log.dropped > 0
    kept = b""
    while loop.timers:
        kept += drained(pipe[0])
        loop.advance(FLUSH_SECONDS)
    kept += drained(pipe[0])
    *written, last = kept.removesuffix(b"\n").split(b"\n")
    assert json.loads(last) == {"event": "log_dropped", "lines": log.dropped}
    assert len(written) + log.dropped == len(lines)
    assert written == lines[: len(written)]
    log.write(b"after")
    loop.advance(FLUSH_SECONDS)
    assert drained(pipe[0]) == b"after\n"


def test_a_reader_that_has_gone_is_no_reason_to_stop(pipe: tuple[int, int]) -> None:
    log, loop = made(pipe[1])
    os.close(pipe[0])
    for _ in range(3):
        log.write(b"to nobody")
        loop.advance(FLUSH_SECONDS)
    assert loop.timers == []


@pytest.mark.parametrize("blocking", [True, False])
def test_the_descriptor_stays_as_others_left_it(pipe: tuple[int, int], blocking: bool) -> None:
    os.set_blocking(pipe[1], blocking)
    log, _ = made(pipe[1])
    log.write(b"x" * 1_000_000)
    log.flush()
    assert os.get_blocking(pipe[1]) == blocking


async def test_the_real_loop_flushes_by_itself(pipe: tuple[int, int]) -> None:
    read = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe[0], read.set)
    LineLog(loop, pipe[1]).write(b"line")
    async with asyncio.timeout(30):
        await read.wait()
    loop.remove_reader(pipe[0])
    assert drained(pipe[0]) == b"line\n"
