"""A loop whose time is moved by hand, transports that only remember, and sinks that write down what they hear."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from parley.failure import Failure
from parley.io.pool import Pool
from parley.ports import Call, Destination, Headers

ORIGIN = "http://h.example"


class ManualLoop:
    """What the pool needs of a loop. Timers run only in ``advance``; callbacks and tasks run on the real loop."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[list[Any]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> Any:
        return asyncio.get_running_loop().call_soon(call, *arguments)

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> Any:
        return asyncio.get_running_loop().create_task(coroutine)

    def call_later(self, delay: float, call: Callable[[], None]) -> "ManualTimer":
        timer = [self.now + delay, call]
        self.timers.append(timer)
        return ManualTimer(self.timers, timer)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda found: found[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end


class ManualTimer:
    def __init__(self, timers: list[list[Any]], timer: list[Any]) -> None:
        self._timers = timers
        self._timer = timer

    def cancel(self) -> None:
        if self._timer in self._timers:
            self._timers.remove(self._timer)


class Wire:
    """A transport without a socket. ``written`` is what left, ``reading`` whether it is being read."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.parts: list[bytes] = []
        self.closed = False
        self.reading = True
        protocol.connection_made(self)

    @property
    def written(self) -> bytes:
        return b"".join(self.parts)

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.parts.append(bytes(data))

    def writelines(self, parts: Any) -> None:
        for part in parts:
            self.write(part)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    close = abort

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def hear(self, data: bytes, size: int | None = None) -> None:
        """The peer says something, in pieces of ``size``; a closed transport delivers nothing."""
        for at in range(0, len(data), size or max(1, len(data))):
            if not self.closed:
                self.protocol.data_received(data[at : at + (size or len(data))])

    def lose(self, error: Exception | None = None) -> None:
        """The peer closes, or the connection breaks."""
        self.closed = True
        if error is None:
            self.protocol.eof_received()
        self.protocol.connection_lost(error)


class HandOpener:
    """Opens connections to nowhere; ``failures`` come first, ``gate`` holds openings back while it is set."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.failures: list[Failure] = []
        self.gate: asyncio.Event | None = None
        self.opening = 0

    def message(self, call: Call) -> tuple[bytes | memoryview, ...]:
        return (call.to.method + b" " + call.to.path + b"\r\n" + call.head, *call.body)

    async def open(self, call: Call, protocol: Any) -> Failure | None:
        self.opening += 1
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.opening -= 1
        if self.failures:
            return self.failures.pop(0)
        self.wires.append(Wire(protocol))
        return None


class Ear:
    """A sink; every word it hears, bodies joined. ``on_head`` is called with each head."""

    def __init__(self, on_body: Callable[[bytes], None] | None = None) -> None:
        self.status = 0
        self.headers: Headers = []
        self.content = b""
        self.ended: list[str | Failure] = []
        self._on_body = on_body

    def head(self, status: int, headers: Headers) -> None:
        assert self.status == 0
        assert not self.ended
        self.status, self.headers = status, headers

    def body(self, data: bytes) -> None:
        assert self.status
        assert not self.ended
        self.content += data
        if self._on_body is not None:
            self._on_body(data)

    def done(self) -> None:
        assert not self.ended
        self.ended.append("done")

    def failed(self, failure: Failure) -> None:
        assert not self.ended
        self.ended.append(failure)

    @property
    def whole(self) -> tuple[int, bytes]:
        """Status and content of an answer that came whole."""
        assert self.ended == ["done"]
        return self.status, self.content

    @property
    def failure(self) -> tuple[str, str]:
        """Kind and detail of the failure."""
        (found,) = self.ended
        assert isinstance(found, Failure)
        return found.kind, found.detail


TO = Destination(method=b"POST", origin=ORIGIN, path=b"/v1", connect=5.0, first_byte=20.0, idle=10.0, max_head=2000)


def call(body: bytes = b"{}", *, to: Destination = TO, total: float = 60.0, fresh: bool = False) -> Call:
    return Call(to, b"x-a: b\r\n", (body,), total, fresh)


async def settle() -> None:
    """Let everything that is ready run: callbacks set off by callbacks, tasks they wake."""
    for _ in range(8):
        await asyncio.sleep(0)


class Yard:
    """A pool over nothing but hands."""

    def __init__(self, **more: Any) -> None:
        self.loop = ManualLoop()
        self.opener = HandOpener()
        self.stale: list[str] = []
        self.pool = Pool(self.loop, self.opener, on_stale=self.stale.append, **more)  # type: ignore[arg-type]

    @property
    def wires(self) -> list[Wire]:
        return self.opener.wires

    async def ask(self, ear: Ear | None = None, **more: Any) -> tuple[Ear, Any, Wire]:
        """A call under way: its sink, its flight, and the connection it is on."""
        ear = ear or Ear()
        before = [len(wire.parts) for wire in self.wires]
        flight = self.pool.send(call(**more), ear)
        await settle()
        changed = [wire for wire, count in zip(self.wires, before, strict=False) if len(wire.parts) > count]
        return ear, flight, (changed or self.wires[len(before) :])[0]
