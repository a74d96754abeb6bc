"""All the small providers behind one port, in a thread of this process: /{fake}/{scenario}/... is one of them."""

import asyncio
import contextlib
import threading
from typing import Any

from grid.calls import Caught
from grid.fakes import Fake, made
from grid.fakes.texts import InferCalls
from grid.features import FAILING, PLANS, SCENARIOS, after
from grid.parts import Seen, Wrong


class Upstream:
    """Serves, remembers what it was asked, and says what was wrong with it."""

    def __init__(self) -> None:
        self.fakes: dict[str, Fake] = {fake.name: fake for fake in made()}
        self.seen: list[Seen] = []
        self.wrong: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        called = self.fakes["infer_grpc"]
        assert isinstance(called, InferCalls)
        self._calls = Caught(called, self.seen, self.wrong)

    def url(self, fake: str, scenario: str) -> str:
        """Where a provider is in a scenario."""
        return f"http://127.0.0.1:{self.port}/{fake}/{scenario}"

    def take(self) -> list[Seen]:
        """What was asked since the last call; fails where a request was wrong."""
        seen, wrong = list(self.seen), list(self.wrong)
        self.forget()
        assert wrong == [], wrong
        return seen

    def forget(self) -> None:
        """Start anew."""
        self.seen.clear()
        self.wrong.clear()

    def close(self) -> None:
        """End it."""
        self._calls.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                await self._turn(reader, writer)
        writer.close()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        pairs = (text.partition(":") for text in rest)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        _, name, scenario, path = line.split(" ")[1].split("/", 3)
        fake = self.fakes[name]
        try:
            seen = fake.read(f"/{path}", headers, body)
        except (Wrong, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            self.wrong.append(f"{name}: {type(error).__name__} {error}: {body[:600]!r}")
            status, answer, kind = 400, fake.error(400), "application/json"
            self._answer(writer, status, kind, answer)
            return
        self.seen.append(seen)
        await self._play(fake, scenario.partition("~")[0], seen, writer)

    async def _play(self, fake: Fake, scenario: str, seen: Seen, writer: asyncio.StreamWriter) -> None:
        kind, _, status = scenario.partition("-")
        if kind == "error":
            self._answer(writer, int(status), "application/json", fake.error(int(status)))
            return
        plan = after(PLANS[scenario], seen, fake.name)
        model = "answered-by-" + fake.name
        if not seen.stream or not fake.stream_type:
            whole = fake.whole(plan, model)
            cut = scenario == "cut-stream"
            self._answer(writer, 200, "application/json", whole[: len(whole) // 2] if cut else whole)
            return
        await self._stream(fake, fake.pieces(plan, model), scenario == "cut-stream", writer)

    def _answer(self, writer: asyncio.StreamWriter, status: int, kind: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    async def _stream(self, fake: Fake, events: list[bytes], cut: bool, writer: asyncio.StreamWriter) -> None:
        """Events, split where nobody expects it; ``cut``: it ends well as HTTP, but not as an answer."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {fake.stream_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        data = b"".join(events[: len(events) // 2] if cut else events)
        size = max(1, len(data) // 4 + 1)
        for at in range(0, len(data), size):
            part = data[at : at + size]
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")


def configuration(upstream: Upstream, callers: list[str]) -> dict[str, Any]:
    """Every provider in every scenario. Where a failure counts against a provider, each caller has one of its own."""
    providers, models = {}, []
    for fake in upstream.fakes.values():
        for scenario in SCENARIOS:
            providers[f"{fake.name}.{scenario}"] = fake.provider(upstream.url(fake.name, scenario))
        for scenario in FAILING:
            for caller in callers:
                name = f"{fake.name}.{scenario}.{caller}"
                providers[name] = fake.provider(upstream.url(fake.name, f"{scenario}~{caller}"))
                models.append({"model": name, "targets": [f"{name}/m"], "retries": {"attempts": 1}})
    return {"providers": providers, "models": models}
