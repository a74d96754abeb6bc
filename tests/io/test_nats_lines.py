"""Lines of NATS: cut anywhere, ours and the client's own between each other."""

import asyncio
from typing import Any

import pytest

from parley.io.brokers.nats_lines import Lines, number_of

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


class Client:
    """As much of a connection as is read."""

    def __init__(self) -> None:
        self._ps: Any = Rest()


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


@pytest.mark.parametrize(("text", "at", "number"), [(b"0", 0, 0), (b"4711", 0, 4711), (b"a.b.007", 4, 7)])
def test_digits_are_read_from_anywhere(text: bytes, at: int, number: int) -> None:
    assert number_of(text, at) == number


@pytest.mark.parametrize("text", [b"", b"-1", b"+1", b"1 ", b"1_0", b"1.5", b"x"])
def test_what_is_no_number_is_none(text: bytes) -> None:
    with pytest.raises(ValueError, match="digit"):
        number_of(text)
