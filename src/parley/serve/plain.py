"""A request for the ASGI application, and who runs that."""

from typing import TYPE_CHECKING, Protocol

from parley.ports import Headers
from parley.serve.exchange import Incoming

if TYPE_CHECKING:
    from parley.serve.connection import CallerConnection


class Other(Protocol):
    """Runs an ASGI application for the requests of one connection."""

    def run(self, plain: "Plain", body: bytes) -> None:
        """Start the application; ``connection.answered(plain)`` follows."""

    def leave(self) -> None:
        """The caller has left."""

    def hold(self) -> None:
        """Write no more for now."""

    def release(self) -> None:
        """Write on."""


class Plain(Incoming):
    """One such request."""

    def __init__(self, connection: "CallerConnection", headers: Headers, url: bytes, method: bytes) -> None:
        super().__init__(connection, headers)
        self.url = url
        self.method = method
        self.upload = connection.house.upload(method, url, headers, connection.source)

    def take(self, data: bytes) -> None:
        """More of the body; that of an upload is not kept here."""
        if self.upload is None:
            self.parts.append(data)
        else:
            self.upload.feed(data)

    def begin(self) -> None:
        """Run the application for it."""
        self.began = self.connection.house.loop.time()
        body = self.body()
        if self.upload is not None and body:
            self.upload.feed(body)
            body = b""
        self.connection.other().run(self, body)

    def gone(self) -> None:
        """The application learns that nobody listens."""
        self.over = True
        if self.upload is not None and not self.began:
            self.upload.close()
        self.connection.other().leave()

    def pause(self) -> None:
        """The application waits in its next send."""
        self.connection.other().hold()

    def resume(self) -> None:
        """It goes on."""
        self.connection.other().release()
