"""An answer that cannot be handled at its very end: whoever asked hears of it, on every way that answers come."""

import asyncio
from typing import Any

import pytest
from msgspec import json
from servers import Provider, Waiting, listening

from parley.io.echo import Echo
from parley.io.ending import finished
from parley.io.library import LibraryUpstream
from parley.io.oip_grpc import GrpcFlight
from parley.ports import Call, Destination


class Stumbling(Waiting):
    """Raises where the answer is said to be whole."""

    def done(self) -> None:
        raise ZeroDivisionError


def call(origin: str, path: str) -> Call:
    body = json.encode({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    return Call(Destination(method=b"POST", origin=origin, path=path.encode()), b"accept: */*\r\n", (body,), 60.0)


async def heard(ear: Waiting, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(60):
        await ear.over.wait()
    assert ear.failure == ("internal", "")
    assert "could not be handled" in caplog.text


async def test_of_echo(caplog: pytest.LogCaptureFixture) -> None:
    ear = Stumbling()
    Echo(asyncio.get_running_loop()).send(call("http://echo", "/v1/chat/completions"), ear)
    await heard(ear, caplog)


async def test_of_the_library(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(Provider()) as port:
        upstream, ear = LibraryUpstream(asyncio.get_running_loop()), Stumbling()
        upstream.send(call(f"http://127.0.0.1:{port}", "/v1/m"), ear)
        await heard(ear, caplog)
        before = asyncio.all_tasks()
        upstream.close()
        await asyncio.gather(*(asyncio.all_tasks() - before))


async def test_of_a_grpc_server(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def channel(self, origin: str) -> Any:
            raise ZeroDivisionError

    upstream: Any = Broken()
    ear = Waiting()
    await GrpcFlight(upstream, call("grpc://h:1", "/v2/models/m/infer"), ear).run()
    await heard(ear, caplog)


def test_what_went_well_is_told_once() -> None:
    ear = Waiting()
    finished(ear)
    assert ear.ended == ["done"]
