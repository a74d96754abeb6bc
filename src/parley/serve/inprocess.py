"""One request answered in this process, without a socket: for ``parley run``."""

import asyncio
from collections.abc import AsyncIterator

from msgspec import Struct

from parley.ports import Headers, Request
from parley.serve.asgi import AsgiCaller
from parley.serve.server import gateway_for
from parley.settings import Settings
from parley.wire.inlets import inlets


class Answer(Struct, frozen=True):
    """Status and headers at once, the body as it comes."""

    status: int
    headers: Headers
    chunks: AsyncIterator[bytes]


async def ask(settings: Settings, path: bytes, body: bytes) -> Answer:
    """Ask the gateway that these settings describe."""
    loop = asyncio.get_running_loop()
    gateway = gateway_for(settings, loop, lambda line: None)
    caller = AsgiCaller()
    job = gateway.begin(inlets()[path], Request([], body, gateway.request_id(None)), caller)
    messages = caller.messages()
    head = await anext(messages)

    async def chunks() -> AsyncIterator[bytes]:
        try:
            async for message in messages:
                yield message["body"]
        finally:
            job.left()
            for upstream in gateway.upstreams.values():
                upstream.close()

    return Answer(head["status"], head["headers"], chunks())
