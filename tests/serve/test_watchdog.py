"""A loop that is blocked is told of once, with the place where it is (fault contract G10)."""

import asyncio
import json
import os
import time
from collections.abc import Iterator

import pytest
import uvloop

from parley.serve import lag, watchdog
from parley.serve.lag import Lag
from parley.serve.watchdog import Watchdog


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        os.close(end)


def told(reader: int) -> list[dict[str, object]]:
    """Of what is blocked here. The machine may stand still as well, wherever the loop is just then."""
    try:
        lines = [json.loads(line) for line in os.read(reader, 65536).splitlines()]
    except BlockingIOError:
        return []
    return [line for line in lines if any("the_culprit" in place for place in line["stack"])]


def the_culprit(seconds: float) -> float:
    begun = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - begun


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    else:
        the_culprit(1.0)


async def blocked(ends: tuple[int, int], *blocks: object) -> list[list[dict[str, object]]]:
    turning = Lag(asyncio.get_running_loop())
    turning.begin()
    dog = Watchdog(turning.late, ends[1])
    dog.begin()
    found = []
    for block in blocks:
        await asyncio.sleep(0.15)
        assert told(ends[0]) == []
        block()  # type: ignore[operator]
        found.append(told(ends[0]))
    await asyncio.sleep(0.15)
    assert told(ends[0]) == []
    dog.close()
    turning.close()
    return found


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Runner]:
    monkeypatch.setattr(lag, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(watchdog, "EVERY_SECONDS", 0.03)
    monkeypatch.setattr(watchdog, "STALL_SECONDS", 0.5)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as made:
        yield made


def test_every_stall_is_told_once_with_its_place(pipe: tuple[int, int], runner: asyncio.Runner) -> None:
    took: list[float] = []
    first, short, second = runner.run(
        blocked(pipe, lambda: the_culprit(1.1), lambda: took.append(the_culprit(0.1)), lambda: deep(100))
    )
    assert short == [] or took[0] > 0.4
    for lines in (first, second):
        (line,) = lines
        assert line["event"] == "loop.stall"
        assert float(str(line["seconds"])) >= 0.5
        stack = line["stack"]
        assert isinstance(stack, list)
        assert stack[-1].endswith("the_culprit")
        assert "test_watchdog.py:" in stack[-1]
        assert len(json.dumps(line)) < 4096


def test_two_seconds_are_always_noticed() -> None:
    """The loop may have turned just before it was blocked, and the thread just before it was late enough."""
    assert lag.EVERY_SECONDS + watchdog.STALL_SECONDS + watchdog.EVERY_SECONDS < 2.0
