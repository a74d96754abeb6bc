"""Calls over a Unix socket, whatever its name."""

import asyncio
import tempfile
from pathlib import Path

from fixtures.local import Heard
from parley.io.opening import Opener
from parley.io.pool import Pool
from parley.ports import Call, Destination


async def test_a_call_goes_to_the_socket_and_past_all_proxies() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
        writer.close()
        await writer.wait_closed()

    loop = asyncio.get_running_loop()
    pool = Pool(loop, Opener(loop, {"all": "http://proxy.invalid:1", "http": "http://proxy.invalid:1"}))
    with tempfile.TemporaryDirectory(prefix="p #?%20") as folder:
        path = str(Path(folder, "s.sock"))
        async with await asyncio.start_unix_server(answer, path):
            heard = Heard()
            to = Destination(method=b"POST", origin=f"unix://{path}", path=b"/v1/x")
            pool.send(Call(to, b"a: b\r\n", (b"{}",), 5.0), heard)
            await heard.over()
    pool.close()
    assert (heard.status, heard.data, heard.failure) == (200, b"hello", None)
    assert asked == [b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\na: b\r\ncontent-length: 2\r\n\r\n{}"]


async def test_a_socket_that_is_not_there_is_a_provider_that_is_not_there() -> None:
    loop = asyncio.get_running_loop()
    to = Destination(method=b"POST", origin="unix:///no/such.sock", path=b"/")
    failure = await Opener(loop, {}).open(Call(to, b"", (b"",), 5.0), None)
    assert failure is not None
    assert failure.kind == "upstream_unreachable"
    assert "such.sock" not in failure.message
