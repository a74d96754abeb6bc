"""A gateway played by hand behind the ASGI shell, and requests to it as a server would make them."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from gateway.parts import CHAT, Stage
from parley.serve.asgi import Shell
from parley.serve.house import House
from parley.settings import Limits

HOST = (b"host", b"127.0.0.1:4242")
BODY = b'{"model":"one","messages":[{"role":"user","content":"hi"}]}'
STREAM = BODY[:-1] + b',"stream":true}'
Message = MutableMapping[str, Any]


class Asked:
    """One request to the shell: what the server gives it, and what it says."""

    def __init__(self, shell: Shell, *parts: bytes, path: bytes = CHAT, **scope: Any) -> None:
        self.said: list[Message] = []
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        self.broken = False
        self.gate = asyncio.Event()
        self.gate.set()
        made = {
            "type": "http",
            "method": "POST",
            "http_version": "1.1",
            "path": path.decode(),
            "raw_path": path,
            "query_string": b"",
            "headers": [HOST],
            **scope,
        }
        for part in parts:
            self.coming.put_nowait({"type": "http.request", "body": part, "more_body": part is not parts[-1]})
        self.task = asyncio.ensure_future(shell(made, self.coming.get, self.send))

    async def send(self, message: Message) -> None:
        await self.gate.wait()
        if self.broken:
            raise OSError
        self.said.append(message)

    def leave(self) -> None:
        self.coming.put_nowait({"type": "http.disconnect"})

    async def over(self) -> "Asked":
        async with asyncio.timeout(30):
            await self.task
        return self

    @property
    def status(self) -> int:
        assert self.said[0]["type"] == "http.response.start"
        found: int = self.said[0]["status"]
        return found

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.said[0]["headers"])

    @property
    def body(self) -> bytes:
        assert all(message["type"] == "http.response.body" for message in self.said[1:])
        assert [message.get("more_body", False) for message in self.said[1:]][-1:] in ([], [False])
        return b"".join(message["body"] for message in self.said[1:])

    @property
    def code(self) -> str:
        found: str = msgspec.json.decode(self.body)["error"]["code"]
        return found


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Door:
    """A stage behind the shell. ``others`` are the paths that were handed on."""

    def __init__(self, **settings: Any) -> None:
        self.stage = Stage(**settings)
        self.house = House(self.stage.gateway, asyncio.get_running_loop())
        self.others: list[str] = []
        self.made = 0
        self.shell = Shell(self.house, self._other)

    def _other(self) -> Callable[..., Awaitable[None]]:
        self.made += 1

        async def other(scope: Message, receive: Any, send: Any) -> None:
            self.others.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"other"})

        return other

    def ask(self, *parts: bytes, **scope: Any) -> Asked:
        return Asked(self.shell, *parts, **scope)

    def limited(self, **limits: Any) -> "Door":
        self.house.limits = Limits(**limits)
        return self
