"""Heads that come again on a connection: every request is still the one that was sent."""

import asyncio
from typing import Any

import pytest
from uvicorn.server import ServerState

from gateway.parts import ANSWER, CHAT, MESSAGES, Stage
from parley.serve.connection import CallerConnection
from parley.serve.house import House
from parley.settings import Limits
from serve.parts import BODY, settle
from serve.test_parity import Plug

HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nX-Mine: a\r\nContent-Length: %d\r\n\r\n"


class PausingPlug(Plug):
    def pause_reading(self) -> None:
        """The test says when more comes."""


class Line:
    """A caller's connection, and all that was asked and answered on it."""

    def __init__(self) -> None:
        self.stage, self.plug = Stage(), PausingPlug()
        self.house = House(self.stage.gateway, asyncio.get_running_loop())
        self.connection = CallerConnection(self.house, ServerState(), lambda found: pytest.fail("not a hot path"))
        self.connection.connection_made(self.plug)

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)
        await settle()

    def answer(self) -> bytes:
        """Answer what waits; what the caller got since the last time."""
        for sent in self.stage.sent:
            sent.whole()
        self.stage.sent.clear()
        self.house.cork.flush()
        written, self.plug.written = self.plug.written, b""
        return written


def request(body: bytes = BODY, head: bytes = HEAD, path: bytes = CHAT) -> bytes:
    return head % (path, len(body)) + body


def asking(words: str) -> bytes:
    return BODY.replace(b'"hi"', b'"' + words.encode() + b'"')


async def known() -> Line:
    line = Line()
    await line.say(request())
    assert line.answer().endswith(ANSWER)
    return line


async def test_every_body_arrives_with_the_headers_it_came_with() -> None:
    line = await known()
    for words in ("hi", "another", "x" * 5000):
        await line.say(request(asking(words)))
        (sent,) = line.stage.sent
        assert sent.body["messages"][0]["content"] == words
        assert sent.lines[b"x-mine"] == b"a"
        got = line.answer()
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert got.count(b"x-request-id: ") == 1
    assert len({record["request_id"] for record in line.stage.records}) == 4


@pytest.mark.parametrize("cut", [1, 20, 60, -1])
async def test_a_known_head_in_pieces(cut: int) -> None:
    line, data = await known(), request(asking("pieces"))
    await line.say(data[:cut], data[cut:])
    assert line.stage.sent[0].body["messages"][0]["content"] == "pieces"
    assert line.answer().endswith(ANSWER)
    await line.say(request())
    assert line.answer().endswith(ANSWER)


async def test_requests_that_follow_at_once_wait_for_their_turn() -> None:
    line = await known()
    await line.say(request(asking("one")) + request(asking("two")), request(asking("three")))
    for words in ("one", "two", "three"):
        (sent,) = line.stage.sent
        assert sent.body["messages"][0]["content"] == words
        assert line.answer().endswith(ANSWER)
        await settle()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(head=HEAD.replace(b"localhost", b"evil.example")), b"421"),
        (request(head=HEAD.replace(b"X-Mine", b"Host")), b"400"),
        (request(head=HEAD.replace(b"X-Mine: a", b"Transfer-Encoding: chunked")), b"400"),
        (request(head=HEAD.replace(b"1.1", b"2.0")), b"400"),
        (request(b"{"), b"400"),
    ],
)
async def test_what_is_refused_is_refused_after_a_good_request_too(data: bytes, status: bytes) -> None:
    line = await known()
    await line.say(data)
    assert line.stage.sent == []
    assert line.answer().split(b" ")[1] == status


async def test_a_body_over_the_limit_and_a_gateway_that_drains() -> None:
    line = await known()
    line.house.limits = Limits(body=5000)
    line.house.max_body = 5000
    await line.say(request(asking("x" * 5000)))
    assert line.answer().startswith(b"HTTP/1.1 413 ")
    line = await known()
    line.house.draining = True
    await line.say(request())
    assert line.answer().startswith(b"HTTP/1.1 503 ")


async def test_another_path_and_the_first_one_again() -> None:
    line, message = await known(), BODY[:-1] + b',"max_tokens":9}'
    for path, body, shape in ((MESSAGES, message, b'"type":"message"'), (CHAT, BODY, ANSWER)):
        for _ in range(2):
            await line.say(request(body, path=path))
            assert shape in line.answer()


async def test_a_caller_who_wants_to_leave_is_let_go() -> None:
    line = await known()
    await line.say(request(head=HEAD.replace(b"X-Mine: a", b"Connection: close")))
    assert b"connection: close\r\n" in line.answer()
    assert line.plug.closed


async def test_our_own_fault_ends_the_connection_as_it_does_without_a_known_head(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    ends = []
    for line in (Line(), await known()):
        line.stage.gateway.begin = fail  # type: ignore[method-assign,assignment]
        await line.say(request(), request())
        ends.append((line.answer(), line.plug.closed))
    assert ends[0] == ends[1]
    assert caplog.text.count("a request could not be handled") == 2


@pytest.mark.parametrize("end", ["half-close", "shutdown"])
async def test_an_answer_of_the_same_turn_is_not_lost_when_the_connection_ends(end: str) -> None:
    line = await known()
    line.connection.data_received(request(b"{"))
    if end == "half-close":
        line.connection.eof_received()
    else:
        line.connection.shutdown()
    assert line.plug.written.startswith(b"HTTP/1.1 400 ")
