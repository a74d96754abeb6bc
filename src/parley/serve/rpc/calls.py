"""Whether gRPC is served, and where: opened once it is wanted, moved where the configuration says so, ended with the
rest. What serves it is imported only then.
"""

import asyncio
import contextlib
import errno
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from parley.serve.house import House
from parley.serve.sockets import bind

if TYPE_CHECKING:
    from parley.serve.rpc.listener import Rpc

_LISTENER: Final = "parley.serve.rpc.listener"
# What is left after the drain of all requests.
LAST_SECONDS: Final = 1.0
# What calls under way have where it is no longer served: as long as requests have when all ends.
LEAVING_SECONDS: Final = 30.0


class Calls:
    """One per house. ``shared``: other processes listen at the same address. ``write`` takes log lines."""

    def __init__(self, house: House, write: Callable[[bytes], None], *, shared: bool = False) -> None:
        self._house = house
        self._write = write
        self._shared = shared
        self._rpc: Rpc | None = None
        self._address = ""
        self._task: asyncio.Task[None] | None = None
        self._problem = ""
        # Those that end their calls, and by what.
        self._leaving: dict[asyncio.Task[None], Rpc] = {}

    async def open(self, address: str) -> None:
        """Listen at HOST:PORT, and nowhere else. Raises OSError whose ``filename`` is the address."""
        if not self._shared:
            free(address)
        made: Rpc = (await asyncio.to_thread(importlib.import_module, _LISTENER)).Rpc(self._house, shared=self._shared)
        try:
            await made.start(address)
        except OSError as error:
            raise OSError(error.errno or errno.EADDRINUSE, error.strerror or "the address is in use", address) from None
        before, self._rpc, self._address = self._rpc, made, address
        self._leave(before, LEAVING_SECONDS)

    def adopt(self) -> None:
        """The configuration may say something else now."""
        wanted = self._house.gateway.settings.grpc
        if self._task is None and wanted != self._address and not self._house.draining:
            self._task = asyncio.ensure_future(self._move())

    def problems(self) -> list[dict[str, Any]]:
        """Where it cannot be served although it should."""
        return [{"kind": "grpc", "message": self._problem}] if self._problem else []

    def drain(self, seconds: float) -> None:
        """Take no more calls; those under way have so long."""
        rpc, self._rpc = self._rpc, None
        self._leave(rpc, seconds)

    async def close(self) -> None:
        """End everything."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.drain(LAST_SECONDS)
        # A shorter time than the one that was given before wins.
        tasks, left = tuple(self._leaving), tuple(self._leaving.values())
        await asyncio.gather(*(rpc.stop(LAST_SECONDS) for rpc in left), *tasks)

    def _leave(self, rpc: "Rpc | None", seconds: float) -> None:
        """That one takes no more calls; those under way have so long, and nobody waits for them here."""
        if rpc is not None:
            task = asyncio.ensure_future(rpc.stop(seconds))
            self._leaving[task] = rpc
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        del self._leaving[task]

    async def _move(self) -> None:
        """Until it is served where it is wanted, which may change meanwhile."""
        try:
            tried = None
            while (wanted := self._house.gateway.settings.grpc) not in (self._address, tried):
                tried = wanted
                await self._go(wanted)
        finally:
            self._task = None

    async def _go(self, wanted: str) -> None:
        self._problem = ""
        try:
            if wanted:
                await self.open(wanted)
            elif self._rpc is not None:
                self._address = ""
                self.drain(LEAVING_SECONDS)
        except (OSError, ImportError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._problem = f"cannot listen on {wanted} for gRPC: {reason}"
            self._write(msgspec.json.encode({"event": "grpc.failed", "message": self._problem}))
        else:
            self._write(msgspec.json.encode({"event": "grpc.moved", "address": wanted}))


def free(address: str) -> None:
    """Whether nobody listens there. Raises OSError whose ``filename`` is the address."""
    try:
        bind(address).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), address) from None
