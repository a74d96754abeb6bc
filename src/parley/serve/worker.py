"""One of several processes that serve the same addresses, started and led by parley.serve.workers.

It has its own gateway; what all of them must agree on comes from the supervisor over the line.
"""

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from parley.ports import Upstream
from parley.serve.control import Line, line
from parley.serve.metrics import Snapshot, counted, snapshot
from parley.serve.rereading import Reading
from parley.settings import Settings

if TYPE_CHECKING:
    from parley.serve.house import House
    from parley.serve.reload import Adoption
    from parley.serve.server import Server

VARIABLE: Final = "PARLEY_WORKER"
PUSH_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 2.0


class Place(Struct, frozen=True):
    """What a worker is told in its environment: the descriptors of its line and of its listening sockets, and which
    of how many it is."""

    index: int
    of: int
    line: int
    sockets: tuple[int, ...]


class News(Struct, frozen=True):
    """A configuration to be served, as the supervisor read it. ``environ`` is the environment that goes with it."""

    reading: Reading
    why: str
    environ: dict[str, str]


class Count(Struct, frozen=True):
    """How many workers serve, of how many."""

    up: int
    of: int


def work(given: str) -> int:
    """Serve as the worker that ``given``, the variable's value, describes; the exit code."""
    from parley.serve.server import keep_large_blocks, loop_factory

    place = msgspec.json.decode(given, type=Place)
    keep_large_blocks()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_work(place))


async def _work(place: Place) -> int:
    from parley.serve.server import run

    member = Member(place)
    settings = await member.enter()
    return await run(settings, [_inherited(number) for number in place.sockets], member.listening, member=member)


class Member:
    """A worker's side of the line. In its house it is the Crew, and the one that loads configurations."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._line: Line | None = None
        self._house: House | None = None
        self._adoption: Adoption | None = None
        self._may_listen = asyncio.Event()
        self._count = Count(place.of, place.of)
        self._timer: asyncio.TimerHandle | None = None
        self._asked: set[asyncio.Task[Reading]] = set()
        self._server: Server | None = None

    async def enter(self) -> Settings:
        """Take up the line; the settings to serve by."""
        self._line = await line(_inherited(self.place.line), self._answer, self._alone)
        settings: Settings = await self._line.ask("begin")
        return settings

    async def join(self, server: "Server", house: "House", made: dict[str, Upstream]) -> None:
        """All is ready but the sockets: wait until they may be used."""
        from parley.serve.reload import Adoption

        self._server, self._house, house.crew, house.reload = server, house, self, self
        # Whose turn it is differs from worker to worker, so that all together use every target alike.
        house.gateway.fleet.start = self.place.index
        # What is wrong with a configuration is told once, by who read it.
        self._adoption = Adoption(house, made, lambda told: None)
        assert self._line is not None
        self._line.tell("prepared")
        await self._may_listen.wait()
        self._push()

    def listening(self) -> None:
        """Connections are taken from now on."""
        assert self._line is not None
        self._line.tell("listening")

    def leave(self) -> None:
        """The last word."""
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None and self._house is not None:
            self._line.tell("counts", counted(self._house))
            self._line.close()

    # The house's crew

    async def metrics(self) -> Snapshot:
        """The numbers of all workers as one. Raises ConnectionError or TimeoutError."""
        assert self._line is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            found: Snapshot = await self._line.ask("sum")
        return found

    async def registered(self) -> None:
        """Have the other workers read what was registered. Raises ConnectionError or TimeoutError."""
        assert self._line is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._line.ask("registered")

    def problems(self) -> list[dict[str, Any]]:
        """What is amiss with the other workers."""
        up, of = self._count.up, self._count.of
        message = f"{up} of {of} workers serve; the others are being replaced"
        return [{"kind": "workers", "message": message}] if up < of else []

    # What reloads are asked of

    async def load(self, why: str) -> Reading:
        """Have the configuration read and taken over by all."""
        assert self._line is not None
        reading: Reading = await self._line.ask("load", why)
        return reading

    def ask(self, why: str) -> None:
        """Load soon."""
        task = asyncio.ensure_future(self.load(why))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def watch(self) -> None:
        """The supervisor does."""

    # The line

    async def _answer(self, word: str, value: Any) -> Any:
        if word == "listen":
            self._may_listen.set()
        elif word == "crew":
            self._count = value
        elif word == "count":
            return None if self._house is None else snapshot(self._house)
        elif word == "take":
            return self._take(value)
        elif word == "nodes" and self._house is not None and self._house.nodes is not None:
            await self._house.nodes.read()
        return None

    def _take(self, news: News) -> Reading | None:
        """What came of it; None where it is too early."""
        if self._adoption is None:
            return None
        if not news.reading.problems:
            for name in set(os.environ).difference(news.environ):
                del os.environ[name]
            os.environ.update(news.environ)
        return self._adoption.take(news.reading, news.why)

    def _push(self) -> None:
        """What was counted so far, so that little is lost with the process."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(PUSH_SECONDS, self._push)
        if self._line is not None and self._house is not None and not self._line.busy:
            self._line.tell("counts", counted(self._house))

    def _alone(self) -> None:
        """Without a supervisor nobody would replace us, nor end us: finish what is there, then go."""
        if self._server is not None:
            self._server.leave()
        else:
            os.kill(os.getpid(), signal.SIGTERM)


def share(settings: Settings, workers: int) -> Settings:
    """One worker's part of what is limited per process: connections, streams, calls under way at a provider."""
    from msgspec.structs import replace

    def part(whole: int) -> int:
        return -(-whole // workers)

    limits = settings.limits
    providers = {
        name: one if one.max_concurrency is None else replace(one, max_concurrency=part(one.max_concurrency))
        for name, one in settings.providers.items()
    }
    limits = replace(limits, connections=part(limits.connections), streams=part(limits.streams))
    return replace(settings, limits=limits, providers=providers)


def _inherited(descriptor: int) -> socket.socket:
    made = socket.socket(fileno=descriptor)
    made.setblocking(False)
    made.set_inheritable(False)
    return made
