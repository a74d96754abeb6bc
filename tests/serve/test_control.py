"""The line between two processes, the sockets of several, and what each gets of a limit."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fixtures.children import free_port
from parley.io.log import WHOLE, LineLog
from parley.serve.control import Line, line
from parley.serve.lag import EVERY_SECONDS, Lag
from parley.serve.slot import LONG_SECONDS, Slot
from parley.serve.sockets import Listeners, bind
from parley.serve.worker import share
from parley.settings import Limits, Provider, Settings


class End:
    """One end, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.gone = asyncio.Event()
        self.line: Line

    async def answer(self, word: str, value: Any) -> Any:
        self.heard.append((word, value))
        if word == "fail":
            raise ValueError("no")
        if word == "wait":
            await asyncio.Event().wait()
        return (word, value)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    one, two = End(), End()
    first, second = socket.socketpair()
    one.line = await line(first, one.answer, one.gone.set)
    two.line = await line(second, two.answer, two.gone.set)
    yield one, two
    one.line.close()
    await two.gone.wait()


async def test_both_ends_ask_and_answer(ends: tuple[End, End]) -> None:
    one, two = ends
    large = {"settings": Settings(), ("a", "b"): b"x" * 1_000_000}
    answers = await asyncio.gather(one.line.ask("a", large), two.line.ask("b"), one.line.ask("c", 3))
    assert answers == [("a", large), ("b", None), ("c", 3)]
    assert [word for word, _ in two.heard] == ["a", "c"]


async def test_what_is_told_comes_in_order_and_wants_no_answer(ends: tuple[End, End]) -> None:
    one, two = ends
    for number in range(100):
        one.line.tell("n", number)
    await one.line.ask("last")
    assert two.heard == [*(("n", number) for number in range(100)), ("last", None)]
    assert one.heard == []


async def test_a_fault_of_the_other_end_is_told(ends: tuple[End, End], caplog: pytest.LogCaptureFixture) -> None:
    one, _ = ends
    with pytest.raises(RuntimeError, match="no"):
        await one.line.ask("fail")
    assert "ValueError" in caplog.text
    assert await one.line.ask("more") == ("more", None)


async def test_who_waits_hears_that_the_other_end_has_gone(ends: tuple[End, End]) -> None:
    one, two = ends
    waiting = asyncio.ensure_future(one.line.ask("wait"))
    await one.line.ask("now")
    two.line.close()
    with pytest.raises(ConnectionError):
        await waiting
    await one.gone.wait()
    with pytest.raises(ConnectionError):
        await one.line.ask("more")
    one.line.tell("nobody")
    assert one.line.busy


def test_each_process_has_sockets_of_its_own() -> None:
    address = f"127.0.0.1:{free_port()}"
    listeners = Listeners((address,), spreads=True)
    one, two = listeners.take(), listeners.take()
    with one[0], two[0]:
        assert one[0].getsockname() == two[0].getsockname()
        one[0].listen()
        with pytest.raises(OSError, match="in use"):
            bind(address)
        with pytest.raises(OSError, match="in use"):
            Listeners((address,))


async def test_elsewhere_they_share_one() -> None:
    port = free_port()
    listeners = Listeners((f"127.0.0.1:{port}",), spreads=False)
    (one,), (two,) = listeners.take(), listeners.take()
    loop = asyncio.get_running_loop()
    with one, two, socket.create_connection(("127.0.0.1", port)):
        taken, _ = await loop.sock_accept(two)
        taken.close()
        two.close()
        with socket.create_connection(("127.0.0.1", port)):
            taken, _ = await loop.sock_accept(one)
            taken.close()
    listeners.close()
    bind(f"127.0.0.1:{port}").close()


def test_limits_of_a_process_are_shared_out() -> None:
    providers = {
        "a": Provider(name="a", type="t", wire="openai", endpoints=(), paths={}, max_concurrency=5),
        "b": Provider(name="b", type="t", wire="openai", endpoints=(), paths={}),
    }
    found = share(Settings(providers=providers, limits=Limits(connections=10, streams=1)), 4)
    assert (found.limits.connections, found.limits.streams) == (3, 1)
    assert found.providers["a"].max_concurrency == 2
    assert found.providers["b"] is providers["b"]


def test_one_that_falls_again_and_again_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = Slot(0, 2, list)
    monkeypatch.setattr(Slot, "lived", 0.1)
    assert [slot.pause() for _ in range(9)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    monkeypatch.setattr(Slot, "lived", LONG_SECONDS + 1)
    assert slot.pause() == 0.0


async def test_the_loops_lag_is_seen() -> None:
    loop = asyncio.get_running_loop()
    lag = Lag(loop)
    lag.begin()
    await asyncio.sleep(0)
    assert lag.worst() < 0.1
    until = loop.time() + EVERY_SECONDS + 0.2
    while loop.time() < until:
        pass
    assert lag.worst() >= 0.15
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lag.worst() >= 0.15
    lag.close()


def lines_of(reader: int) -> list[bytes]:
    found = b""
    os.set_blocking(reader, False)
    try:
        while data := os.read(reader, 1 << 20):
            found += data
    except BlockingIOError:
        pass
    return found.splitlines()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_lines_of_several_processes_do_not_mix(kind: str) -> None:
    loop = asyncio.get_running_loop()
    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (one.detach() for one in socket.socketpair())
    logs = [LineLog(loop, writer, shared=True) for _ in range(2)]
    said = [[b"%d" % number + b"x" * (1 + index * 37 % 700) for index in range(400)] for number in range(2)]
    for log, lines in zip(logs, said, strict=True):
        for text in lines:
            log.write(text)
    kept: list[bytes] = []
    for _ in range(40):
        for log in logs:
            log.flush()
        kept += lines_of(reader)
    assert os.get_blocking(writer)
    assert [sorted(line for line in kept if line[:1] == b"%d" % number) for number in range(2)] == [
        sorted(lines) for lines in said
    ]
    logs[0].write(b"y" * (2 * WHOLE))
    logs[0].flush()
    assert lines_of(reader) == [b"y" * (2 * WHOLE)]
    for log in logs:
        log.close()
    os.close(reader)
    os.close(writer)
