"""What it takes to join a network of nodes. Source: computing node contract section 12.4."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from parley.ports import Caller, Request

Encrypt: TypeAlias = Literal["auto", "on", "off"]


class Tls(Struct, frozen=True, kw_only=True):
    """Files of PEM text: who signs the server, and who we are; ``hostname`` where it is not the URL's."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    hostname: str | None = None


class Joining(Struct, frozen=True, kw_only=True):
    """The network and how it is entered.

    ``credentials`` and ``nkey`` are paths. ``ttl`` seconds after which a node that is not heard is gone, ``heartbeat``
    seconds between two words of it; ``bucket`` names the network on its servers, ``replicas`` of them keep the facts.
    ``trust``: public keys, the only nodes that are heard and served (empty: all). ``allow``: by project, the ids or
    public keys of the nodes that may offer it.
    """

    network: tuple[str, ...] = ()
    credentials: str | None = None
    nkey: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls: Tls | None = None
    encrypt: Encrypt = "auto"
    ttl: float = 45.0
    heartbeat: float = 15.0
    bucket: str = "parley_nodes"
    replicas: int = 1
    trust: tuple[str, ...] = ()
    allow: Mapping[str, tuple[str, ...]] = {}


class Work(Protocol):
    """A request of another node while our own gateway is at it."""

    def left(self) -> None:
        """Nobody waits for it any more."""

    def pause(self) -> None:
        """Its answer is read slowly."""

    def resume(self) -> None:
        """The reader has caught up."""


class Peers(Struct, frozen=True, kw_only=True):
    """What other nodes meet. ``secret``: 32 bytes that only this node has; ``run`` tells one start of it from another,
    ``slot`` its processes; ``ask`` puts a request to our own gateway; ``largest`` bytes of a body are taken."""

    secret: bytes
    run: str
    ask: Callable[[Request, Caller], Work]
    slot: int = 0
    largest: int = 512 * 1024 * 1024


class DuplicateError(ValueError):
    """Another node that is alive has our id."""

    def __init__(self, node: str) -> None:
        super().__init__(f"another node of the network is called {node!r} and is alive: give this one another node.id")
