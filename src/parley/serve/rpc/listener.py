"""The gRPC server. It tolerates clients that ping often, and answers nothing but what is asked for here.

Source: conversation contract section 1.3.
"""

from typing import Any, Final

from grpc import aio

from parley.serve.house import House
from parley.serve.rpc import reflecting
from parley.serve.rpc.dapr import Conversations
from parley.serve.rpc.gate import Gate

MAX_MESSAGE: Final = 100 * 1024 * 1024
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
)


class Rpc:
    """Made on the loop that serves HTTP. ``shared``: several processes listen at the same address, each taking its part
    of the connections; otherwise another one there would be a mistake."""

    def __init__(self, house: House, *, shared: bool = False) -> None:
        self._house = house
        self._shared = shared
        self._server: Any = None

    async def start(self, address: str) -> int:
        """Listen at HOST:PORT; the port. Raises OSError where the address cannot be had."""
        server = aio.server(
            options=(*_OPTIONS, ("grpc.so_reuseport", int(self._shared))),
            maximum_concurrent_rpcs=self._house.limits.connections,
        )
        conversations = Conversations(self._house)
        server.add_generic_rpc_handlers((conversations.handler(), Gate(self._house).handler()))
        reflecting.add(server, conversations.admit)
        try:
            port: int = server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if not port:
            raise OSError(f"cannot listen at {address} for gRPC")
        self._server = server
        await server.start()
        return port

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and end those that are left after so long."""
        if self._server is not None:
            await self._server.stop(seconds)
