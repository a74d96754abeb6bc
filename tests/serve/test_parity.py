"""The hot protocol and the plain ASGI shell give the same answers to the same requests."""

import asyncio
from typing import Any

import httptools
import pytest
from uvicorn.server import ServerState

from gateway.parts import ANSWER, CHAT, COUNT, DONE, MESSAGES, OPENING, STOP, WORD, Sent, Stage, error
from parley.serve.connection import CallerConnection
from parley.serve.house import House
from serve.parts import BODY, HOST, STREAM, Door, settle

# What the server says of its connection, and what is new with every request.
OWN = {b"date", b"server", b"connection", b"content-length", b"transfer-encoding", b"x-request-id", b"request-id"}
MESSAGE = BODY[:-1] + b',"max_tokens":9}'


class Plug:
    """A transport that keeps what was written, and reads it as an HTTP client would."""

    def __init__(self) -> None:
        self.written = b""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: Any) -> None:
        self.written += b"".join(parts)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        raise AssertionError

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def read(self) -> None:
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(self.written)
        self.status = parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self.body += data


def act(stage: Stage, answer: Any) -> None:
    for sent in stage.sent:
        answer(sent)


async def hot(path: bytes, headers: list[tuple[bytes, bytes]], body: bytes, answer: Any) -> Plug:
    stage, plug = Stage(), Plug()
    house = House(stage.gateway, asyncio.get_running_loop())
    connection = CallerConnection(house, ServerState(), lambda found: pytest.fail("not a hot path"))
    connection.connection_made(plug)
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    connection.data_received(b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (path, lines, len(body), body))
    act(stage, answer)
    await settle()
    connection.connection_lost(None)
    plug.read()
    return plug


def failing(sent: Sent) -> None:
    sent.begin()
    sent.say(WORD, b"data: {broken\n\n")


@pytest.mark.parametrize(
    ("path", "headers", "body", "answer"),
    [
        (CHAT, [HOST], BODY, Sent.whole),
        (CHAT, [HOST, (b"x-request-id", b"mine")], BODY, Sent.whole),
        (CHAT, [HOST], STREAM, lambda sent: sent.stream(OPENING, WORD, STOP, DONE)),
        (CHAT, [HOST], STREAM, failing),
        (CHAT, [HOST], STREAM, lambda sent: sent.whole(error(), 400)),
        (CHAT, [HOST], BODY, lambda sent: sent.whole(error(), 401)),
        (CHAT, [HOST], b"{", None),
        (CHAT, [HOST], b'{"model":"nobody","messages":[]}', None),
        (CHAT, [], BODY, None),
        (CHAT, [HOST, HOST], BODY, None),
        (CHAT, [(b"host", b"evil.example")], BODY, None),
        (CHAT, [HOST, (b"origin", b"null")], BODY, None),
        (CHAT, [HOST] + [(b"x", b"y")] * 101, BODY, None),
        (MESSAGES, [HOST], MESSAGE, lambda sent: sent.whole(ANSWER)),
        (MESSAGES, [HOST], MESSAGE[:-1] + b',"stream":true}', lambda sent: sent.stream(OPENING, WORD, STOP, DONE)),
        (MESSAGES, [], MESSAGE, None),
        (COUNT, [HOST], BODY, None),
    ],
)
async def test_one_request_one_answer(
    path: bytes, headers: list[tuple[bytes, bytes]], body: bytes, answer: Any
) -> None:
    plug = await hot(path, headers, body, answer)
    door = Door()
    asked = door.ask(body, path=path, headers=[*headers, (b"content-length", b"%d" % len(body))])
    await settle()
    act(door.stage, answer)
    await asked.over()
    assert (asked.status, asked.body) == (plug.status, plug.body)
    assert plug.status
    kept = [
        {name: value for name, value in found.items() if name not in OWN} for found in (asked.headers, plug.headers)
    ]
    assert kept[0] == kept[1]
    if (b"x-request-id", b"mine") in headers:
        assert asked.headers[b"x-request-id"] == plug.headers[b"x-request-id"] == b"mine"
    assert plug.headers[b"x-request-id"]
