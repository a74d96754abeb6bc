"""What stands between the library and the socket: ours is taken, all else arrives as if nobody had looked."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parties import JSON, Party, until

from fixtures.nats import NatsServer
from parley.io.nats import pipe as pipes
from parley.io.nats.pipe import Pipe
from parley.nodes.joining import Joining

OURS = b"net.in.1.a"
STATUS = b"NATS/1.0 503\r\n\r\n"


class Behind:
    """The library."""

    def __init__(self) -> None:
        self.bytes = b""
        self.words: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.bytes += data

    def eof_received(self) -> bool:
        self.words.append("eof")
        return True

    def __getattr__(self, name: str) -> Any:
        return lambda *more: self.words.append(name)


class Line:
    """A transport."""

    def __init__(self) -> None:
        self.sent = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closing


class Laid:
    """A Pipe with both of its ends; ``taken`` is what was ours."""

    def __init__(self) -> None:
        self.behind, self.line = Behind(), Line()
        self.taken: list[tuple[bytes, bytes, bytes, bool]] = []
        self.soon: list[Callable[[], None]] = []
        routes = {OURS: lambda *message: self.taken.append(message)}
        self.pipe = Pipe(self.line, self.behind, routes, self.soon.append)


def message(subject: bytes, payload: bytes, reply: bytes = b"", sid: bytes = b"7") -> bytes:
    words = [b"MSG", subject, sid, *([reply] if reply else []), b"%d" % len(payload)]
    return b" ".join(words) + b"\r\n" + payload + b"\r\n"


def headed(subject: bytes, headers: bytes, payload: bytes = b"") -> bytes:
    return b"HMSG %b 7 %d %d\r\n%b%b\r\n" % (subject, len(headers), len(headers) + len(payload), headers, payload)


LIBRARY = (
    b"PING\r\n",
    b"PONG\r\n",
    b"+OK\r\n",
    b"-ERR 'Permissions Violation for Subscription to \"net.in.1.a.x\"'\r\n",
    b'INFO {"server_id":"MSG net.in.1.a.x 1 5"}\r\n',
    message(b"_INBOX.abc", b"MSG net.in.1.a.t 7 5\r\nhello\r\n"),
    message(b"net.in.1", b"x"),
    message(b"net.in.1.a", b"x"),
    headed(b"$KV.b.k", STATUS, b"value"),
)
MINE = (
    (message(OURS + b".t1", b"hello"), (b"t1", b"", b"hello", False)),
    (message(OURS + b".t2", b"", b"back.to.me"), (b"t2", b"back.to.me", b"", False)),
    (message(OURS + b".t3", b"PING\r\nMSG a 1 3\r\n"), (b"t3", b"", b"PING\r\nMSG a 1 3\r\n", False)),
    (headed(OURS + b".t4", STATUS), (b"t4", b"", b"", True)),
    (headed(OURS + b".t5", b"NATS/1.0\r\na: b\r\n\r\n", b"text"), (b"t5", b"", b"text", False)),
)
PARTS = (*((part, None) for part in LIBRARY), *MINE)


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.lists(st.integers(1, 40), min_size=1))
def test_however_it_is_cut(parts: list[Any], cuts: list[int]) -> None:
    laid, stream = Laid(), b"".join(part for part, _ in parts)
    place = turn = 0
    while place < len(stream):
        step = cuts[turn % len(cuts)]
        laid.pipe.data_received(stream[place : place + step])
        place, turn = place + step, turn + 1
    assert laid.taken == [told for _, told in parts if told is not None]
    assert laid.behind.bytes == b"".join(part for part, told in parts if told is None)


@pytest.mark.parametrize("line", [b"MSG net.in.1.a.t 7 -1", b"MSG net.in.1.a.t 7", b"MSG", b"MSG a b c d e f 1", b"?"])
def test_what_is_no_protocol_is_the_librarys_to_judge(line: bytes) -> None:
    laid = Laid()
    laid.pipe.data_received(line + b"\r\n" + message(OURS + b".t", b"x"))
    assert laid.behind.bytes == line + b"\r\n"
    assert laid.taken == [(b"t", b"", b"x", False)]


def test_a_line_without_end_is_not_kept() -> None:
    laid = Laid()
    for _ in range(80):
        laid.pipe.data_received(b"x" * 1024)
    assert len(laid.behind.bytes) > 64 * 1024


def test_who_fails_to_take_something_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    laid = Laid()

    def fails(*message: Any) -> None:
        raise RuntimeError(message[0])

    pipe = Pipe(laid.line, laid.behind, {OURS: fails}, laid.soon.append)
    pipe.data_received(message(OURS + b".t", b"x") + b"PING\r\n")
    assert laid.behind.bytes == b"PING\r\n"
    assert "could not be handled" in caplog.text


def test_what_is_said() -> None:
    laid = Laid()
    laid.pipe.say(b"a.b", b"", b"text")
    laid.pipe.say(b"a.c", b"d", b"")
    assert (laid.line.sent, len(laid.soon)) == (b"", 1)
    laid.soon.pop()()
    assert laid.line.sent == b"PUB a.b 4\r\ntext\r\nPUB a.c d 0\r\n\r\n"
    assert laid.pipe.open
    laid.pipe.say(b"a.d", b"", b"lost")
    laid.line.closing = True
    assert not laid.pipe.open
    laid.soon.pop()()
    assert laid.line.sent.count(b"PUB") == 2


def test_the_library_hears_of_everything_else() -> None:
    laid = Laid()
    laid.pipe.pause_writing()
    laid.pipe.resume_writing()
    assert laid.pipe.eof_received() is True
    laid.pipe.connection_lost(None)
    assert laid.behind.words == ["pause_writing", "resume_writing", "eof", "connection_lost"]
    assert not laid.pipe.open


@pytest.mark.parametrize("laid", [True, False])
async def test_calls_go_with_and_without_one(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, laid: bool
) -> None:
    """A library that we do not know well enough is asked to do it all."""
    if not laid:
        monkeypatch.setattr("parley.io.nats.link.piped", lambda client, routes: None)
    said: list[bytes] = []
    say = pipes.Pipe.say
    monkeypatch.setattr(pipes.Pipe, "say", lambda pipe, *words: (said.append(words[0]), say(pipe, *words))[1])
    joining = Joining(network=(nats_server.url,), encrypt="on")
    a, b = Party("a"), Party("b", "m", react=lambda work: work.caller.answer(200, JSON, b'{"a": 1}'))
    try:
        for party in (a, b):
            await party.join(joining)
        await until(lambda: "b" in a.book.nodes and "a" in b.book.nodes, 60)
        said.clear()
        calls = [a.call("b")[1] for _ in range(20)]
        for heard in calls:
            await heard.end(60)
            assert (heard.failure, heard.text) == (None, b'{"a": 1}')
        # There and back: nothing else is said for a call.
        assert len([subject for subject in said if b".a." in subject]) == 20 * laid
        assert len([subject for subject in said if b".call." in subject]) == 20 * laid
        assert len({await a.network.link.rtt() for _ in range(3)}) > 1
    finally:
        await asyncio.gather(a.leave(), b.leave())
