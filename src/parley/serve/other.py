"""uvicorn's own protocol, used for what is not hot: it makes the ASGI scope, runs the application, writes its answer.

uvicorn does not declare this class stable: the version is pinned and ``usable`` checks the hooks used here.
Without them the same handlers run as plain ASGI (parley.serve.asgi).
"""

from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from parley.serve.connection import CallerConnection
from parley.serve.descriptors import Descriptors, Shed
from parley.serve.house import UPLOAD, House
from parley.serve.plain import Plain

_HOOKS = ("connection_made", "on_message_begin", "on_headers_complete", "on_body", "on_message_complete")


def usable() -> bool:
    """Whether uvicorn's protocol still has every hook that is called here."""
    return all(callable(getattr(HttpToolsProtocol, name, None)) for name in _HOOKS)


def protocol(house: House, descriptors: Descriptors, **given: Any) -> CallerConnection | Shed:
    """What uvicorn calls for each connection, with the keywords it gives to a protocol class."""
    if descriptors.scarce():
        return Shed(house, silent=descriptors.gone())
    return CallerConnection(house, given["server_state"], lambda connection: Asgi(connection, given))


class Asgi:
    """One connection's use of uvicorn's protocol: it never sees the socket's bytes, only whole requests."""

    def __init__(self, connection: CallerConnection, given: dict[str, Any]) -> None:
        self._side = _Side(connection, **given)

    def run(self, plain: Plain, body: bytes) -> None:
        """Give it the request as its own parser would."""
        self._side.begin(plain, body)

    def leave(self) -> None:
        """Wake what waits for the caller."""
        cycle = self._side.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self._side.flow.resume_writing()

    def hold(self) -> None:
        """The application's next send waits."""
        self._side.flow.pause_writing()

    def release(self) -> None:
        """It goes on."""
        self._side.flow.resume_writing()


class _Side(HttpToolsProtocol):
    def __init__(self, connection: CallerConnection, **given: Any) -> None:
        super().__init__(**given)
        self._connection = connection
        self._plain: Plain | None = None
        self.connection_made(connection.transport)
        # The connection is counted once, as the one that has the socket.
        self.connections.discard(self)

    def begin(self, plain: Plain, body: bytes) -> None:
        self._plain = plain
        self.parser = cast(Any, _Head(plain))
        self.on_message_begin()
        self.url = plain.url
        for name, value in plain.headers:
            if name != b"expect":
                self.on_header(name, value)
        self.on_headers_complete()
        if plain.upload is not None:
            cast(dict[str, Any], self.scope)[UPLOAD] = plain.upload
        if body:
            self.on_body(body)
        self.on_message_complete()

    def on_response_complete(self) -> None:
        plain, self._plain = self._plain, None
        if plain is not None:
            plain.keep_alive = plain.keep_alive and self.cycle.keep_alive
            plain.over = True
            if plain.upload is not None:
                plain.upload.close()
            self._connection.answered(plain)


class _Head:
    """The questions uvicorn asks its parser, answered for a request that has been read already."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain

    def get_http_version(self) -> str:
        return "1.0" if self._plain.old else "1.1"

    def get_method(self) -> bytes:
        return self._plain.method

    def should_keep_alive(self) -> bool:
        # A connection that closes is closed by us, after the caller has read.
        return not self._plain.old

    def should_upgrade(self) -> bool:
        return False
