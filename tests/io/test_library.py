"""The library transport: the same meaning as our own client, behind the same interface."""

import asyncio
import gzip
import socket
from typing import Any

import pytest
from peers import settle
from servers import HELLO, Provider, Waiting, listening

from parley.io.library import LibraryUpstream
from parley.ports import Call, Destination

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def call(port: int, body: tuple[bytes | memoryview, ...] = (b"{}",), **limits: Any) -> Call:
    total = limits.pop("total", 30.0)
    to = Destination(method=b"POST", origin=f"http://127.0.0.1:{port}", path=b"/v1/m%2Fn?x=%41", **limits)
    return Call(to, b"x-a: b: c\r\nauthorization: Bearer k\r\n", body, total)


async def asked(port: int, **more: Any) -> Waiting:
    upstream, ear = LibraryUpstream(asyncio.get_running_loop()), Waiting()
    upstream.send(call(port, **more), ear)
    assert (ear.status, ear.ended) == (0, [])
    async with asyncio.timeout(30):
        await ear.over.wait()
    await closed(upstream)
    return ear


async def closed(upstream: LibraryUpstream) -> None:
    """Closing goes on in the background; wait for it, so that no test sees another's."""
    before = asyncio.all_tasks()
    upstream.close()
    await asyncio.gather(*(asyncio.all_tasks() - before))
    await settle()


def saying(*pieces: bytes, then: bool = False) -> Any:
    """A server that reads a head, says the pieces, and then closes or waits."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then:
            await reader.read()
            await asyncio.Event().wait()

    return talk


async def test_an_answer_and_what_was_sent_for_it() -> None:
    provider = Provider()
    async with listening(provider) as port:
        ear = await asked(port, body=(b'{"a":', memoryview(b"1}")))
    assert ear.whole == (200, b"hello")
    (sent,) = provider.asked
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/m%2Fn?x=%41 HTTP/1.1"
    names = {line.partition(b": ")[0].lower(): line.partition(b": ")[2] for line in lines[1:]}
    assert (names[b"x-a"], names[b"authorization"], names[b"host"]) == (b"b: c", b"Bearer k", b"127.0.0.1:%d" % port)
    assert b"user-agent" not in names
    assert body == b'{"a":1}'


async def test_events_come_as_they_are_sent() -> None:
    async with listening(saying(EVENTS, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")) as port:
        ear = await asked(port)
    assert ear.whole == (200, b"abcde")
    assert (b"content-type", b"text/event-stream") in ear.headers


async def test_content_codings_are_undone() -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with listening(saying(head + packed)) as port:
        ear = await asked(port)
    assert ear.whole == (200, b"hello")
    assert b"content-encoding" not in dict(ear.headers)


@pytest.mark.parametrize("status", [302, 404, 503])
async def test_any_status_is_an_answer(status: int) -> None:
    head = b"HTTP/1.1 %d X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nno" % status
    async with listening(saying(head)) as port:
        ear = await asked(port)
    assert ear.whole == (status, b"no")


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ear = await asked(taken.getsockname()[1])
    assert ear.failure == ("upstream_unreachable", "connect_refused")


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ((), "upstream_closed"),
        ((b"SSH-2.0-x\r\n\r\n",), "upstream_bad_response"),
        ((HELLO[:-2],), "upstream_incomplete"),
        ((EVENTS, b"3\r\nabc\r\n"), "upstream_incomplete"),
    ],
)
async def test_answers_that_break(pieces: tuple[bytes, ...], kind: str) -> None:
    async with listening(saying(*pieces)) as port:
        ear = await asked(port)
    assert ear.failure[0] == kind


@pytest.mark.parametrize(
    ("pieces", "limits", "detail"),
    [
        ((), {"first_byte": 0.03, "connect": 0.03}, "first_byte_timeout"),
        ((EVENTS, b"3\r\nabc\r\n"), {"idle": 0.05}, "idle_timeout"),
        ((EVENTS, b"3\r\nabc\r\n"), {"total": 0.1}, "stream_limit"),
    ],
)
async def test_limits(pieces: tuple[bytes, ...], limits: dict[str, float], detail: str) -> None:
    async with listening(saying(*pieces, then=True)) as port:
        ear = await asked(port, **limits)
    assert ear.failure == ("upstream_timeout", detail)


async def test_a_cancelled_call_says_nothing_and_closes() -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EVENTS + b"3\r\nabc\r\n")
        await reader.read()
        gone.set()

    async with listening(talk) as port:
        upstream, ear = LibraryUpstream(asyncio.get_running_loop()), Waiting()
        flight = upstream.send(call(port), ear)
        async with asyncio.timeout(30):
            await ear.spoken.wait()
            flight.cancel()
            await gone.wait()
        await closed(upstream)
    assert (ear.content, ear.ended) == (b"abc", [])


async def test_a_paused_answer_waits() -> None:
    async with listening(saying(HELLO)) as port:
        upstream, ear = LibraryUpstream(asyncio.get_running_loop()), Waiting()
        flight = upstream.send(call(port), ear)
        flight.pause()
        async with asyncio.timeout(30):
            await ear.begun.wait()
            await settle()
            assert ear.content == b""
            flight.resume()
            await ear.over.wait()
        await closed(upstream)
    assert ear.whole == (200, b"hello")
