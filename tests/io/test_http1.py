"""One connection to a provider: what it makes of bytes, however they are cut, and how it ends."""

import gzip
import zlib
from typing import Any

import pytest
from peers import ORIGIN, Ear, Yard, settle

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\ntrailer: 1\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"
CUT = [None, 1, 2, 7, 30]


def encoded(coding: bytes, content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n%b" % (coding, len(content), content)


async def heard(data: bytes, size: int | None = None, **more: Any) -> tuple[Ear, Yard]:
    yard = Yard()
    ear, _, wire = await yard.ask(**more)
    wire.hear(data, size)
    await settle()
    return ear, yard


@pytest.mark.parametrize("size", CUT)
@pytest.mark.parametrize(
    "data",
    [
        OK,
        CHUNKED,
        OK.replace(b"\r\nContent-Length", b"\r\ncontent-encoding: identity\r\nContent-Length"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 2 + CHUNKED,
        encoded(b"gzip", gzip.compress(b"hello", mtime=0)),
        encoded(b"X-GZIP", gzip.compress(b"hello", mtime=0)),
        encoded(b"deflate", zlib.compress(b"hello")),
    ],
)
async def test_an_answer_and_the_next_on_the_same_connection(data: bytes, size: int | None) -> None:
    yard = Yard()
    for _ in range(3):
        ear, _, wire = await yard.ask()
        wire.hear(data, size)
        assert ear.whole == (200, b"hello")
        await settle()
    assert len(yard.wires) == 1
    assert yard.wires[0].written == (b"POST /v1\r\nx-a: b\r\n{}") * 3
    assert not yard.wires[0].closed


async def test_a_head_is_told_in_lower_case_with_values_as_they_came() -> None:
    ear, _ = await heard(
        OK.replace(b"Content-Type", b"X-Odd:  A\xe9: b\r\nSet-Cookie: 1\r\nset-cookie: 2\r\nContent-Type")
    )
    assert [pair for pair in ear.headers if pair[0] != b"content-length"] == [
        (b"x-odd", b"A\xe9: b"),
        (b"set-cookie", b"1"),
        (b"set-cookie", b"2"),
        (b"content-type", b"application/json"),
    ]


@pytest.mark.parametrize("status", [204, 304, 404, 500, 529])
async def test_any_final_status(status: int) -> None:
    body = b"" if status in (204, 304) else b"hello"
    ear, yard = await heard(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
    assert ear.whole == (status, body)
    assert not yard.wires[0].closed


@pytest.mark.parametrize("size", CUT)
@pytest.mark.parametrize(
    "data", [UNTIL_CLOSED, UNTIL_CLOSED.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"connection: close\r\n", b"")]
)
async def test_an_answer_that_ends_with_the_connection(data: bytes, size: int | None) -> None:
    ear, yard = await heard(data, size)
    assert (ear.content, ear.ended) == (b"hello", [])
    yard.wires[0].lose()
    assert ear.whole == (200, b"hello")
    await yard.ask()
    assert len(yard.wires) == 2


@pytest.mark.parametrize(
    "data", [OK.replace(b"\r\nContent-Type", b"\r\nConnection: close\r\nContent-Type"), OK.replace(b"1.1", b"1.0")]
)
async def test_a_connection_that_closes_is_not_used_again(data: bytes) -> None:
    ear, yard = await heard(data)
    assert ear.whole == (200, b"hello")
    assert yard.wires[0].closed
    await yard.ask()
    assert len(yard.wires) == 2


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "data", [OK[:-2], CHUNKED[:-5], CHUNKED[:-20], encoded(b"gzip", gzip.compress(b"hello", mtime=0))[:-3]]
)
@pytest.mark.parametrize(("error", "detail"), [(None, "incomplete_chunked"), (ConnectionResetError(), "reset")])
async def test_an_answer_that_is_cut_off(data: bytes, size: int | None, error: Exception | None, detail: str) -> None:
    ear, yard = await heard(data, size)
    assert ear.ended == []
    yard.wires[0].lose(error)
    assert ear.failure == ("upstream_incomplete", detail)


async def test_a_reset_is_no_end_of_an_answer() -> None:
    ear, yard = await heard(UNTIL_CLOSED)
    yard.wires[0].lose(ConnectionResetError())
    assert ear.failure == ("upstream_incomplete", "reset")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize(("error", "detail"), [(None, "closed_before_headers"), (ConnectionResetError(), "reset")])
async def test_a_new_connection_that_closes_without_an_answer(
    data: bytes, error: Exception | None, detail: str
) -> None:
    ear, yard = await heard(data)
    yard.wires[0].lose(error)
    await settle()
    assert ear.failure == ("upstream_closed", detail)
    assert len(yard.wires) == 1


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
        b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"y" * 3000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000,
    ],
)
async def test_what_is_no_acceptable_head(data: bytes, size: int | None) -> None:
    ear, yard = await heard(data, size)
    assert ear.failure == ("upstream_bad_response", "bad_http")
    assert yard.wires[0].closed


async def test_content_does_not_count_as_head() -> None:
    content = b"x" * 10_000
    ear, _ = await heard(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n" + content)
    assert ear.whole == (200, content)


async def test_content_that_breaks_http() -> None:
    ear, yard = await heard(CHUNKED.replace(b"2;x=y", b"zz"))
    assert ear.failure == ("upstream_incomplete", "bad_http")
    assert (ear.status, ear.content) == (200, b"hel")
    assert yard.wires[0].closed


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (encoded(b"br", b"hello"), "bad_encoding"),
        (encoded(b"gzip", b"not gzip at all"), "bad_encoding"),
        (encoded(b"gzip", gzip.compress(b"hello", mtime=0)[:-6]), "bad_encoding"),
    ],
)
async def test_content_codings_that_cannot_be_undone(data: bytes, size: int | None, detail: str) -> None:
    ear, yard = await heard(data, size)
    assert ear.failure == ("upstream_bad_response", detail)
    assert yard.wires[0].closed


async def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000, mtime=0)
    ear, yard = await heard(encoded(b"gzip", bomb))
    assert ear.failure == ("upstream_bad_response", "too_large")
    assert len(ear.content) < 50_000_000
    assert yard.wires[0].closed


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"x"])
async def test_an_answer_nobody_asked_for_ends_the_connection(extra: bytes) -> None:
    ear, yard = await heard(OK)
    assert ear.whole == (200, b"hello")
    yard.wires[0].hear(extra)
    assert yard.wires[0].closed
    await settle()
    after, _, wire = await yard.ask()
    wire.hear(OK)
    assert after.whole == (200, b"hello")
    assert len(yard.wires) == 2


@pytest.mark.parametrize("extra", [OK, b"garbage"])
async def test_bytes_that_follow_an_answer_never_reach_the_next_call(extra: bytes) -> None:
    ear, yard = await heard(OK + extra)
    assert ear.content == b"hello"
    assert yard.wires[0].closed
    after, _, wire = await yard.ask()
    assert wire is yard.wires[1]
    assert (after.status, after.content) == (0, b"")


# --- stale connections -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_a_kept_connection_that_had_gone_costs_nothing(error: Exception | None) -> None:
    _, yard = await heard(OK)
    ear, _, wire = await yard.ask()
    wire.lose(error)
    await settle()
    assert (len(yard.wires), yard.stale, ear.ended) == (2, [ORIGIN], [])
    assert yard.wires[1].written == b"POST /v1\r\nx-a: b\r\n{}"
    yard.wires[1].hear(OK)
    assert ear.whole == (200, b"hello")


async def test_a_kept_connection_that_spoke_before_it_closed_is_not_stale() -> None:
    _, yard = await heard(OK)
    ear, _, wire = await yard.ask()
    wire.hear(b"HTTP/1.1 2")
    wire.lose()
    await settle()
    assert ear.failure == ("upstream_closed", "closed_before_headers")
    assert (len(yard.wires), yard.stale) == (1, [])


async def test_a_call_is_sent_again_only_once() -> None:
    _, yard = await heard(OK)
    ear, _, wire = await yard.ask()
    wire.lose()
    await settle()
    yard.wires[1].lose()
    await settle()
    assert ear.failure == ("upstream_closed", "closed_before_headers")
    assert len(yard.wires) == 2


async def test_a_stale_call_is_still_the_callers_to_stop() -> None:
    _, yard = await heard(OK)
    ear, flight, wire = await yard.ask()
    wire.lose()
    flight.cancel()
    await settle()
    assert ear.ended == []
    assert all(found.closed for found in yard.wires)
    _, yard = await heard(OK)
    ear, flight, wire = await yard.ask()
    wire.lose()
    await settle()
    flight.pause()
    assert not yard.wires[1].reading
    flight.resume()
    assert yard.wires[1].reading
    flight.cancel()
    assert yard.wires[1].closed


# --- callers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", OK[:20], OK[:-2]])
async def test_a_cancelled_call_closes_at_once_and_says_nothing(before: bytes) -> None:
    yard = Yard()
    ear, flight, wire = await yard.ask()
    wire.hear(before)
    flight.cancel()
    assert wire.closed
    wire.protocol.data_received(OK)
    await settle()
    assert ear.ended == []
    flight.cancel()


async def test_cancelling_from_within_the_answer() -> None:
    yard = Yard()
    flights: list[Any] = []
    ear = Ear(on_body=lambda data: flights[0].cancel())
    _, flight, wire = await yard.ask(ear)
    flights.append(flight)
    wire.hear(CHUNKED)
    await settle()
    assert (ear.content, ear.ended, wire.closed) == (b"hel", [], True)


async def test_a_paused_answer_is_not_read_and_its_connection_is_free_afterwards() -> None:
    yard = Yard()
    ear, flight, wire = await yard.ask()
    wire.hear(OK[:-2])
    flight.pause()
    assert not wire.reading
    wire.hear(OK[-2:])
    assert ear.whole == (200, b"hello")
    assert wire.reading


async def test_a_sink_that_breaks_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    def broken(data: bytes) -> None:
        raise ZeroDivisionError

    yard = Yard()
    ear, _, wire = await yard.ask(Ear(on_body=broken))
    wire.hear(OK)
    assert ear.failure == ("internal", "")
    assert wire.closed
    assert "could not be handled" in caplog.text


@pytest.mark.parametrize("framed", [True, False])
async def test_a_sink_that_breaks_at_the_end_hears_of_it(framed: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Stumbling(Ear):
        def done(self) -> None:
            raise ZeroDivisionError

    yard = Yard()
    ear, _, wire = await yard.ask(Stumbling())
    wire.hear(OK if framed else b"HTTP/1.1 200 OK\r\n\r\nhello")
    if not framed:
        wire.lose()
    assert ear.failure == ("internal", "")
    assert "could not be handled" in caplog.text


# --- limits ------------------------------------------------------------------------------------


async def test_a_provider_that_does_not_begin() -> None:
    yard = Yard()
    ear, _, wire = await yard.ask()
    yard.loop.advance(19.8)
    assert ear.ended == []
    yard.loop.advance(0.3)
    assert ear.failure == ("upstream_timeout", "first_byte_timeout")
    assert wire.closed


async def test_informational_answers_are_no_beginning() -> None:
    yard = Yard()
    ear, _, wire = await yard.ask()
    for _ in range(3):
        yard.loop.advance(6)
        wire.hear(b"HTTP/1.1 100 Continue\r\n\r\n")
    yard.loop.advance(2.2)
    assert ear.failure == ("upstream_timeout", "first_byte_timeout")


async def test_a_provider_that_stops_in_the_middle() -> None:
    yard = Yard()
    ear, _, wire = await yard.ask()
    wire.hear(OK[:-2])
    yard.loop.advance(9)
    wire.hear(OK[-2:-1])
    yard.loop.advance(9.9)
    assert ear.ended == []
    yard.loop.advance(0.3)
    assert ear.failure == ("upstream_timeout", "idle_timeout")


async def test_a_slow_caller_is_not_the_providers_fault() -> None:
    yard = Yard()
    ear, flight, wire = await yard.ask()
    wire.hear(OK[:-2])
    flight.pause()
    yard.loop.advance(30)
    assert ear.ended == []
    flight.resume()
    wire.hear(OK[-2:])
    assert ear.whole == (200, b"hello")


async def test_no_call_lasts_longer_than_it_may() -> None:
    yard = Yard()
    ear, flight, wire = await yard.ask(total=15.0)
    wire.hear(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(7):
        yard.loop.advance(2)
        wire.hear(b"1\r\nx\r\n")
    flight.pause()
    yard.loop.advance(1.2)
    assert ear.failure == ("upstream_timeout", "stream_limit")
