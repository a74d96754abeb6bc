"""What of an answer goes past the parser: chunks that come alone, heads that came before. Nobody sees a difference."""

import gzip

import pytest
from peers import Ear, Yard, settle

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\ntrailer: 1\r\n\r\n"
CUT = [None, 1, 2, 7, 30]
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "odd",
    [
        (b"3;x=y\r\nodd\r\n",),
        (b"03\r\nodd\r\n",),
        (b"3\r\no", b"dd\r\n"),
        (b"3", b"\r\nodd\r\n"),
        (b"3\r", b"\nodd\r\n"),
        (b"3\r\nodd", b"\r\n"),
        (b"3\r\nodd\r", b"\n"),
        (b"1\r\no\r\n2\r\ndd\r\n",),
        (b"1\r\no\r\n2", b"\r\ndd\r\n"),
        (b"1\r\no\r\n2\r\n", b"dd\r\n"),
    ],
)
async def test_chunks_that_come_alone_between_others_that_do_not(odd: tuple[bytes, ...]) -> None:
    yard = Yard()
    for _ in range(2):
        ear, _, wire = await yard.ask()
        for piece in (
            STREAM,
            b"2\r\none\r\n".replace(b"one", b"on"),
            b"1\r\ne\r\n",
            *odd,
            b"2\r\nup\r\n",
            b"0\r\n\r\n",
        ):
            wire.hear(piece)
        assert ear.whole == (200, b"oneoddup")
        await settle()
    assert len(yard.wires) == 1


@pytest.mark.parametrize("broken", [b"x\r\nodd\r\n", b"2\r\nodd\r\n", b"-3\r\nodd\r\n", b"4\r\nodd\r\n5\r\n"])
async def test_a_broken_chunk_after_chunks_that_came_alone(broken: bytes) -> None:
    yard = Yard()
    ear, _, wire = await yard.ask()
    for piece in (STREAM, b"1\r\na\r\n", b"1\r\nb\r\n", broken):
        wire.hear(piece)
    assert ear.failure == ("upstream_incomplete", "bad_http")
    assert wire.closed


async def test_chunks_that_come_alone_keep_a_call_alive() -> None:
    yard = Yard()
    ear, _, wire = await yard.ask()
    wire.hear(STREAM)
    wire.hear(b"1\r\na\r\n")
    for _ in range(4):
        yard.loop.advance(6.0)
        wire.hear(b"1\r\nb\r\n")
    assert not ear.ended
    yard.loop.advance(11.0)
    assert ear.failure == ("upstream_timeout", "idle_timeout")


async def test_encoded_chunks_are_decoded_however_they_come() -> None:
    packed = gzip.compress(b"hello" * 100)
    ear, _, wire = await Yard().ask()
    wire.hear(STREAM.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n"))
    for at in range(0, len(packed), 9):
        wire.hear(b"%x\r\n%b\r\n" % (len(packed[at : at + 9]), packed[at : at + 9]))
    wire.hear(b"0\r\n\r\n")
    assert ear.whole == (200, b"hello" * 100)


def broken_sink(at: str) -> Ear:
    ear = Ear()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    setattr(ear, at, fail)
    return ear


@pytest.mark.parametrize("at", ["head", "body"])
@pytest.mark.parametrize("data", [OK, STREAM + b"1\r\na\r\n|1\r\nb\r\n"])
async def test_a_sink_that_raises_is_our_own_fault_on_every_way(at: str, data: bytes) -> None:
    yard = Yard()
    for _ in range(2):
        ear, _, wire = await yard.ask()
        wire.hear(OK)
        assert ear.whole == (200, b"hello")
        await settle()
    ear, _, wire = await yard.ask(broken_sink(at))
    for piece in data.split(b"|"):
        wire.hear(piece)
    assert ear.failure == ("internal", "")
    assert wire.closed


async def test_the_head_of_an_earlier_answer_with_another_length() -> None:
    yard = Yard()
    for content in (b"hello", b"x", b"y" * 3000, b"hello"):
        ear, _, wire = await yard.ask()
        wire.hear(OK.replace(b"5\r\n\r\nhello", b"%d\r\n\r\n%b" % (len(content), content)))
        assert ear.whole == (200, content)
        assert (b"content-type", b"application/json") in ear.headers
        await settle()
    assert len(yard.wires) == 1


@pytest.mark.parametrize("size", CUT)
async def test_another_head_after_one_that_came_twice(size: int | None) -> None:
    yard = Yard()
    for data, status in ((OK, 200), (OK, 200), (OK.replace(b"200 OK", b"503 No"), 503), (OK, 200), (CHUNKED, 200)):
        ear, _, wire = await yard.ask()
        wire.hear(data, size)
        assert ear.whole == (status, b"hello")
        await settle()
    assert len(yard.wires) == 1


async def test_bytes_after_an_answer_whose_head_is_known_end_the_connection() -> None:
    yard = Yard()
    for extra in (b"", b"", b"HTTP/1.1 200 OK\r\n"):
        ear, _, wire = await yard.ask()
        wire.hear(OK + extra)
        assert ear.whole == (200, b"hello")
        await settle()
    assert wire.closed


async def test_a_call_that_is_stopped_by_its_head_hears_no_more() -> None:
    yard = Yard()
    for _ in range(2):
        _, _, wire = await yard.ask()
        wire.hear(OK)
        await settle()
    ear = Ear()
    ear, flight, wire = await yard.ask(ear)
    ear.head = lambda status, headers: flight.cancel()  # type: ignore[method-assign]
    wire.hear(OK)
    assert (ear.content, ear.ended) == (b"", [])
    assert wire.closed
