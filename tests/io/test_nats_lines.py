"""Lines of NATS: cut anywhere, ours and the client's own between each other."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from parley.io.brokers.nats_lines import Lines, number_of, said

OURS = b"MSG told.1 7 in.4 5\r\nhello\r\n"
HEADED = b"HMSG told.2 7 12 17\r\nNATS/1.0\r\n\r\nworld\r\n"
THEIRS = b"PING\r\n"
ALSO_THEIRS = b"MSG other 8 3\r\nabc\r\n"
HEARD = [(b"told.1", b"in.4", b"", b"hello"), (b"told.2", b"", b"NATS/1.0\r\n\r\n", b"world")]


class Rest:
    """The client's own parser."""

    def __init__(self) -> None:
        self.data = b""

    async def parse(self, data: bytes) -> None:
        """Keeps it."""
        self.data += data

    def reset(self) -> None:
        """Nothing is kept."""


class Client:
    """As much of a connection as is read."""

    def __init__(self) -> None:
        self._ps: Any = Rest()
        self._transport: Any = self
        # What a connection of the client's own that is no web socket has.
        self._io_writer = None
        self.up, self.asked = True, 0
        self.written: list[bytes] = []

    @property
    def is_connected(self) -> bool:
        """Counts who asks."""
        self.asked += 1
        return self.up

    def write(self, data: bytes) -> None:
        """One call of the kernel's."""
        self.written.append(data)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
async def test_each_message_reaches_its_listener_however_the_bytes_are_cut(size: int) -> None:
    client, heard = Client(), []
    rest = client._ps
    lines = Lines(client)
    lines.listen(7, lambda *said: heard.append(said))
    data = OURS + THEIRS + HEADED + ALSO_THEIRS + OURS
    for at in range(0, len(data), size):
        await lines.parse(data[at : at + size])
    assert heard == [*HEARD, HEARD[0]]
    assert rest.data == THEIRS + ALSO_THEIRS


class Socket:
    """A transport, and what nats-py has around it: what comes waits in a reader until somebody reads it."""

    def __init__(self, client: Client) -> None:
        self.reader = asyncio.StreamReader()
        self.protocol: Any = asyncio.StreamReaderProtocol(self.reader)
        self.seen = 0
        client._transport = SimpleNamespace(_io_reader=self.reader, _io_writer=SimpleNamespace(transport=self))

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol, self.seen = protocol, self.seen + 1

    async def read(self, lines: Lines) -> None:
        """As the client's loop does."""
        while self.reader._buffer:  # type: ignore[attr-defined]
            await lines.parse(await self.reader.read(16))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
async def test_once_nothing_waits_bytes_are_looked_at_where_they_come_in(size: int) -> None:
    client, heard = Client(), []
    rest, socket = client._ps, Socket(client)
    lines = Lines(client)
    lines.listen(7, lambda *said: heard.append(said))
    data = OURS + THEIRS + HEADED + ALSO_THEIRS + OURS
    # What had come before waits to be read first, and ends in the middle of a message.
    socket.protocol.data_received(OURS + OURS[:9])
    await socket.read(lines)
    assert (heard, socket.seen) == ([HEARD[0]], 1)
    data = OURS[9:] + data
    for at in range(0, len(data), size):
        socket.protocol.data_received(data[at : at + size])
    assert heard == [HEARD[0], HEARD[0], *HEARD, HEARD[0]]
    assert rest.data == b""
    await socket.read(lines)
    assert (rest.data, socket.seen) == (THEIRS + ALSO_THEIRS, 1)


async def test_a_connection_that_begins_anew_is_read_anew() -> None:
    client, heard = Client(), []
    rest, first = client._ps, Socket(client)
    lines = Lines(client)
    lines.listen(7, lambda *said: heard.append(said))
    await lines.parse(OURS)
    first.protocol.data_received(OURS[:9])
    lines.reset()
    second = Socket(client)
    second.protocol.data_received(OURS)
    await second.read(lines)
    assert (len(heard), second.seen, rest.data) == (2, 1, b"")
    # The old one is nobody's any more.
    first.protocol.data_received(THEIRS)
    assert bytes(first.reader._buffer) == THEIRS  # type: ignore[attr-defined]
    second.protocol.data_received(OURS)
    assert len(heard) == 3
    second.protocol.eof_received()
    assert second.reader.at_eof()


async def test_what_a_listener_cannot_read_does_not_end_the_connection() -> None:
    client, heard, told = Client(), [], []
    lines = Lines(client)

    def sink(subject: bytes, reply: bytes, head: bytes, body: bytes) -> None:
        number_of(body)
        heard.append(body)

    lines.listen(7, sink)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    await lines.parse(OURS + b"MSG told.3 7 2\r\n12\r\n")
    assert heard == [b"12"]
    assert [type(error) for error in told] == [ValueError]


async def test_what_is_said_in_one_turn_goes_out_at_once() -> None:
    client = Client()
    lines = Lines(client)
    for _ in range(3):
        assert lines.speaks
        lines.publish(b"a", b"12")
        lines.publish(b"b", b"", b"in.1")
        lines.publish(b"c", b"xyz", b"in.2", b"NATS/1.0\r\n\r\n")
        lines.tell(b"d", said(b"+ACK"))
    assert (client.written, client.asked) == ([], 1)
    await asyncio.sleep(0)
    one = (
        b"PUB a 2\r\n12\r\n"
        + b"PUB b in.1 0\r\n\r\n"
        + b"HPUB c in.2 12 15\r\nNATS/1.0\r\n\r\nxyz\r\n"
        + b"PUB d 4\r\n+ACK\r\n"
    )
    assert client.written == [one * 3]


async def test_a_connection_that_went_is_noticed_in_the_next_turn_and_one_that_came_at_once() -> None:
    client = Client()
    lines = Lines(client)
    client.up = False
    assert not lines.speaks
    lines.publish(b"a", b"")
    assert not lines.speaks
    await asyncio.sleep(0)
    assert client.written == []
    client.up = True
    assert lines.speaks
    lines.publish(b"a", b"")
    client.up = False
    assert lines.speaks
    await asyncio.sleep(0)
    assert client.written == []
    assert not lines.speaks


async def test_a_connection_that_went_unnoticed_is_no_error_here() -> None:
    client, told = Client(), []
    lines = Lines(client)

    def closed(data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    client._transport = SimpleNamespace(write=closed, _io_writer=None)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    lines.publish(b"a", b"")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == []


@pytest.mark.parametrize(("text", "at", "number"), [(b"0", 0, 0), (b"4711", 0, 4711), (b"a.b.007", 4, 7)])
def test_digits_are_read_from_anywhere(text: bytes, at: int, number: int) -> None:
    assert number_of(text, at) == number


@pytest.mark.parametrize("text", [b"", b"-1", b"+1", b"1 ", b"1_0", b"1.5", b"x"])
def test_what_is_no_number_is_none(text: bytes) -> None:
    with pytest.raises(ValueError, match="digit"):
        number_of(text)
