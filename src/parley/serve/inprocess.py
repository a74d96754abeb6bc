"""One request answered in this process, without a socket: for ``parley run``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from math import inf

from msgspec import Struct

from parley.ports import Headers, Request
from parley.serve.asgi import AsgiCaller
from parley.serve.server import gateway_for
from parley.settings import Settings
from parley.wire.inlets import Inlets


class Answer(Struct, frozen=True):
    """Status and headers at once, the body as it comes."""

    status: int
    headers: Headers
    chunks: AsyncIterator[bytes]


async def ask(
    settings: Settings, path: bytes, body: bytes, write: Callable[[bytes], None] = lambda line: None
) -> Answer:
    """Ask the gateway that these settings describe; ``write`` takes its log lines. A model of this machine is waited
    for however long it loads."""
    loop = asyncio.get_running_loop()
    gateway = gateway_for(settings, loop, write, inf)
    caller = AsgiCaller()
    inlet = Inlets().find(path)
    assert inlet is not None
    job = gateway.begin(inlet, Request([], body, gateway.request_id(None)), caller)
    messages = caller.messages()

    def leave() -> None:
        job.left()
        for upstream in gateway.upstreams.values():
            upstream.close()

    try:
        head = await anext(messages)
    except BaseException:
        leave()
        raise

    async def chunks() -> AsyncIterator[bytes]:
        try:
            async for message in messages:
                yield message["body"]
        finally:
            leave()

    return Answer(head["status"], head["headers"], chunks())
