"""Nodes of a network inside the test's own process: real connections, a directory and a gateway that the test plays."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from parley.failure import Failure
from parley.io.nats import NatsNetwork, joined
from parley.nodes.facts import Facts, Offer
from parley.nodes.joining import Joining, Peers
from parley.nodes.network import place
from parley.ports import Call, Destination, Flight, Headers, Request

JSON = b"content-type: application/json\r\n"


class Book:
    """What a Directory is to the network."""

    def __init__(self, node: str, *models: str) -> None:
        self.id, self.project, self.key, self.since = node, "parley", "", 1.0
        self.models = list(models)
        self.load = 0
        self.listeners: list[Callable[[], None]] = []
        self.nodes: dict[str, Facts] = {}
        self.latencies: dict[str, float | None] = {}
        self.words: list[str] = []

    def own(self) -> Facts:
        offers = tuple(Offer(project="parley", model=model, in_flight=self.load) for model in self.models)
        return Facts(node=self.id, since=self.since, key=self.key, offers=offers)

    def heard(self, facts: Facts, latency: float | None = None) -> None:
        self.words.append(f"heard {facts.node}")
        self.nodes[facts.node], self.latencies[facts.node] = facts, latency

    def lost(self, node: str) -> None:
        self.words.append(f"lost {node}")
        self.nodes.pop(node, None)

    def here(self, operation: str, project: str, model: str, cid: str = "") -> str | None:
        return model if operation == "chat" and project == "parley" and model in self.models else None

    def change(self, *models: str) -> None:
        self.models = list(models)
        for listener in self.listeners:
            listener()


class Work:
    """A request that reached the gateway of a node; the test answers it through ``caller``."""

    def __init__(self, request: Request, caller: Any) -> None:
        self.request, self.caller = request, caller
        self.has_left, self.paused = False, False
        self.pauses = 0

    def left(self) -> None:
        self.has_left = True

    def pause(self) -> None:
        self.paused = True
        self.pauses += 1

    def resume(self) -> None:
        self.paused = False


class Heard:
    """The sink of a call."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.parts: list[bytes] = []
        self.failure: Failure | None = None
        self.over = asyncio.Event()

    def head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers

    def body(self, data: bytes) -> None:
        self.parts.append(data)

    def done(self) -> None:
        self.over.set()

    def failed(self, failure: Failure) -> None:
        self.failure = failure
        self.over.set()

    @property
    def text(self) -> bytes:
        return b"".join(self.parts)

    async def end(self, seconds: float = 30) -> "Heard":
        async with asyncio.timeout(seconds):
            await self.over.wait()
        return self


class Party:
    """One node. ``works`` are the requests that reached it; ``react`` may answer them at once."""

    def __init__(self, node: str, *models: str, react: Callable[[Work], None] | None = None) -> None:
        self.book = Book(node, *models)
        self.works: list[Work] = []
        self.react = react
        self.log: list[dict[str, Any]] = []
        self.network: NatsNetwork

    async def join(self, joining: Joining, secret: bytes = b"", run: str = "", slot: int = 0) -> "Party":
        name = self.book.id.encode()
        secret = secret or name.ljust(32, b"-")
        peers = Peers(secret=secret, run=run or f"run of {self.book.id}", slot=slot, ask=self.asked, largest=64 * 2**20)
        self.network = await joined(joining, self.book, peers, lambda line: self.log.append(json.loads(line)), 3)  # type: ignore[arg-type]
        return self

    def asked(self, request: Request, caller: Any) -> Work:
        self.works.append(Work(request, caller))
        if self.react is not None:
            self.react(self.works[-1])
        return self.works[-1]

    def call(
        self, node: str, model: str = "m", body: bytes | None = None, total: float = 60, more: bytes = b""
    ) -> tuple[Flight, Heard]:
        """Call a model at another node."""
        origin, _, path = place(node, "chat", "parley", model).removeprefix("node://").partition("/")
        to = Destination(method=b"POST", origin=f"node://{origin}", path=f"/{path}".encode())
        heard = Heard()
        body = json.dumps({"model": "x", "messages": []}).encode() if body is None else body
        return self.network.send(Call(to, JSON + more, (body,), total), heard), heard

    async def leave(self) -> None:
        await self.network.close_down()


async def heeded(client: Any) -> None:
    """Until the server has heard what a client of the library said: the library's first ping may overtake it."""
    await client.flush()
    await client.flush()


async def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true result."""
    async with asyncio.timeout(seconds):
        while not (found := look()):  # noqa: ASYNC110 - what is looked at are plain values
            await asyncio.sleep(0.005)
    return found
