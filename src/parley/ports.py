"""Contracts between the gateway and the world: clock, upstream, caller.

All calls are synchronous and happen on the event loop's thread; nothing here awaits. A call answers
through its sink, so no task or future exists per request.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Raw, Struct

from parley.failure import Failure
from parley.settings import Signing

Headers = list[tuple[bytes, bytes]]


class Timer(Protocol):
    """A pending callback."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """Monotonic time in seconds and callbacks in it."""

    def now(self) -> float:
        """Monotonic seconds."""

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Run ``call`` after ``delay`` seconds."""


class Destination(Struct, frozen=True, kw_only=True, eq=False):
    """Where calls go, and their limits: made once, compared by identity.

    ``origin`` is scheme://host:port, ``path`` the target with its query. Limits in seconds and bytes. ``signing``: what
    calls are signed with, where their transport signs them.
    """

    method: bytes
    origin: str
    path: bytes
    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 60.0
    max_head: int = 65536
    signing: Signing | None = None


class Call:
    """One request. ``head`` are complete header lines (CRLF ended) without Host, Content-Length and the blank
    line; ``body`` are parts to be sent one after the other; ``total`` seconds are left for all of it.
    ``fresh``: on a connection that has carried nothing yet."""

    __slots__ = ("body", "fresh", "head", "to", "total")

    def __init__(
        self, to: Destination, head: bytes, body: tuple[bytes | memoryview, ...], total: float, fresh: bool = False
    ) -> None:
        self.to = to
        self.head = head
        self.body = body
        self.total = total
        self.fresh = fresh


class Sink(Protocol):
    """Receives one answer: head, any bodies, then exactly one of done or failed (failed may come first)."""

    def head(self, status: int, headers: Headers) -> None:
        """The final status (1xx are swallowed) and headers, names in lower case."""

    def body(self, data: bytes) -> None:
        """Decoded content (transfer-coding and content-coding removed)."""

    def done(self) -> None:
        """The answer is whole; the connection has been given back."""

    def failed(self, failure: Failure) -> None:
        """It broke; no further call follows."""


class Flight(Protocol):
    """A call under way. Its sink lets go of it when it hears ``done`` or ``failed``."""

    def cancel(self) -> None:
        """Stop it at once and free its connection; the sink hears nothing more."""

    def pause(self) -> None:
        """Read no more from upstream until resume (the caller is slow)."""

    def resume(self) -> None:
        """Read on."""


class Request:
    """One request of a caller, read whole. Header names are in lower case; ``target`` is the path with its query,
    ``source`` the address that it comes from, "" where that is not known. ``prepared``: its body is what the wire made
    of the caller's. ``members``: those of its body, where they are read already. ``bare``: of a good answer nothing but
    the body is wanted."""

    __slots__ = ("bare", "body", "headers", "id", "members", "prepared", "source", "target")

    def __init__(self, headers: Headers, body: bytes, id: str, target: bytes = b"", source: str = "") -> None:
        self.prepared = self.bare = False
        self.members: dict[str, Raw] | None = None
        self.headers = headers
        self.body = body
        self.id = id
        self.target = target
        self.source = source


class Caller(Protocol):
    """Where an answer goes: either one ``answer``, or ``open``, any ``send`` and one ``finish``.

    ``head`` are complete header lines (CRLF ended) without framing headers.
    """

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer."""

    def open(self, status: int, head: bytes) -> None:
        """A stream begins."""

    def send(self, data: bytes) -> None:
        """More of it."""

    def finish(self, *, close: bool = False) -> None:
        """The stream is over; ``close`` also ends the connection (after an error event)."""

    def cut(self) -> None:
        """The stream broke and has no way to say so: end the connection so that nobody takes it for whole."""


class Upstream(Protocol):
    """Sends calls. Implementations: own HTTP/1.1 client, library client, built-in echo."""

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call; failures arrive at the sink, never as an exception, and never before send returns."""

    def close(self) -> None:
        """Close idle connections and refuse new calls."""


class Recalled(Struct, frozen=True):
    """What was said before a request. ``items`` is the JSON array text of all earlier items, oldest first.

    ``provider`` (Provider.name) made the previous response, "" where there is none; ``native``: its id is that
    provider's own, so that the provider knows what came before by itself.
    """

    items: bytes = b"[]"
    provider: str = ""
    native: bool = False


class Kept(Struct, frozen=True, kw_only=True):
    """A response to be remembered. ``owner`` is the tenant, ``created`` seconds since 1970.

    ``input`` is the JSON array text of the request's own items (a plain string already as a message item),
    ``response`` the whole response object as answered.
    """

    id: str
    owner: str = ""
    model: str
    provider: str
    native: bool
    created: int
    previous: str | None = None
    conversation: str | None = None
    input: bytes
    response: bytes


class Memory(Protocol):
    """Remembers responses and conversations. ``then`` is called once, on the loop's thread, perhaps before return."""

    def recall(
        self,
        response_id: str | None,
        conversation: str | None,
        owner: str,
        then: Callable[[Recalled | Failure], None],
    ) -> None:
        """What came before a request that names a previous response, a conversation, or neither.

        A Failure whose detail is ``another_owners`` looks like any other to the caller; no provider may be asked.
        """

    def resolve(self, items: bytes, owner: str, then: Callable[[bytes | Failure], None]) -> None:
        """The JSON array of items with each ``item_reference`` replaced by the item it names."""

    def keep(self, kept: Kept) -> None:
        """Remember a response, later; nobody waits for it."""

    def begin_background(self, kept: Kept, then: "Callable[[Unattended | Failure], None]") -> None:
        """Store a response that is queued; ``then`` hears what shall be the Caller of the job that makes it."""


class Fetcher(Protocol):
    """Fetches what the operator allows to be fetched for callers, and nothing else."""

    def fetch(self, url: str, limit: int, then: "Callable[[bytes | Failure], None]") -> "Callable[[], None]":
        """What is at that URL, of at most ``limit`` bytes; ``then`` is called once, later, unless what is returned was
        called before."""


class Context(Protocol):
    """A conversation that one request continues while others wait. ``turns`` are what was said before."""

    id: str
    turns: list[bytes]

    def keep(self, turns: Sequence[bytes], then: "Callable[[Failure | None], None]") -> None:
        """Write what was said, all or nothing, and let go; ``then`` hears None once it is on disk."""

    def leave(self) -> None:
        """Let go, or wait no longer; nothing is written. After ``keep`` it means nothing."""


class Contexts(Protocol):
    """Conversations that callers continue by an id."""

    def enter(self, owner: str, place: str, id: str, then: "Callable[[Failure | None], None]") -> Context:
        """Continue the one of that id, "" for a new one. ``then`` is called once, on the loop's thread, perhaps before
        return: with None once it is the request's turn, else with a Failure (detail ``no_context``: there is none)."""


class Unattended(Caller, Protocol):
    """The Caller of a job for which nobody waits."""

    kept: Kept

    def runs(self, stop: Callable[[], None]) -> None:
        """The job has been started; ``stop`` ends it without an answer."""


Layers: TypeAlias = Sequence[dict[str, Raw]]


class Configs(Protocol):
    """Configs that callers have stored for a service."""

    def find(
        self, owner: str, service: tuple[str, str], id: int | None, then: Callable[[Layers | Failure], None]
    ) -> None:
        """The members of the default config, if there is one, then of the one with that ``id``. ``then`` is called
        once, perhaps before this returns."""
