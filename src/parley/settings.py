"""The configuration as frozen values: what every part of the gateway reads, however it was written.

Times are seconds, sizes bytes. Sources: product contract section 4.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Strategy: TypeAlias = Literal["fallback", "round_robin", "weighted", "least_busy", "fastest", "prefix_hash"]
UnknownFields: TypeAlias = Literal["forward", "drop", "strict"]
Transport: TypeAlias = Literal["native", "aiohttp", "echo", "local", "bedrock", "grpc-infer", "stops", "oauth"]
EVERY = "*"
EXTENSIONS = "x-parley-extensions"


class Timeouts(Struct, frozen=True):
    """Limits of one call upstream."""

    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 60.0
    total: float = 600.0


class Quirks(Struct, frozen=True):
    """How one vendor differs on a known wire, as edits of top-level request members, done last."""

    rename: Mapping[str, str] = {}
    drop: tuple[str, ...] = ()
    default: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}


class Engine(Struct, frozen=True, kw_only=True):
    """A model that runs on this machine, from a registration's ``settings``; no request can change any of it.

    Paths are absolute. ``memory`` in bytes, ``idle`` (None: never unloaded) and ``start_time`` in seconds.
    ``lora`` are (path, scale) pairs. None for a number = the engine's own default.
    """

    model: str
    backend: str = "llama"
    template: str | None = None
    mmproj: str | None = None
    lora: tuple[tuple[str, float], ...] = ()
    threads: int | None = None
    context_size: int | None = None
    gpu_layers: int | None = None
    batch: int | None = None
    parallel: int | None = None
    mmap: bool = True
    mlock: bool = False
    embeddings: bool = False
    preload: bool = False
    idle: float | None = None
    start_time: float = 600.0
    memory: int | None = None


class Provider(Struct, frozen=True, kw_only=True):
    """A place models are served. ``endpoints`` are base URLs such as https://host/v1 (no final slash);
    ``paths`` maps an operation to the path below it, ``{model}`` replaced by the model's name, ``{path}`` by the same
    with its slashes left as they are.

    ``auth`` is the header that carries a key: "bearer" (Authorization: Bearer), "none", or a header's name.
    What stands behind a "#" in ``name`` tells the engines of this machine apart and is not shown.
    ``extensions`` maps a field of the extension object to this provider's own top-level member (dots for nesting).
    """

    name: str
    type: str
    wire: str
    endpoints: tuple[str, ...]
    paths: Mapping[str, str]
    keys: tuple[str, ...] = ()
    auth: str = "bearer"
    headers: tuple[tuple[str, str], ...] = ()
    balance: Strategy = "round_robin"
    timeouts: Timeouts = Timeouts()
    max_concurrency: int | None = None
    transport: Transport = "native"
    quirks: Quirks = Quirks()
    extensions: Mapping[str, str] = {}
    engine: Engine | None = None

    @property
    def label(self) -> str:
        """The name as users know it."""
        return self.name.partition("#")[0]


class Target(Struct, frozen=True):
    """One concrete model at one provider."""

    provider: str
    model: str
    weight: int = 1

    @property
    def name(self) -> str:
        """``provider/model``, as users know it."""
        return f"{self.provider.partition('#')[0]}/{self.model}"


class Retries(Struct, frozen=True):
    """How many tries in all, and which failures may be tried again: statuses, "5xx", "connect"."""

    attempts: int = 3
    on: frozenset[str] = frozenset({"408", "429", "5xx", "connect"})


class Registration(Struct, frozen=True, kw_only=True):
    """What answers a {endpoint, model} pair. ``endpoint`` is an operation ("chat") or EVERY.

    Defaults and overrides may hold the extension object under EXTENSIONS.
    """

    model: str
    targets: tuple[Target, ...]
    endpoint: str = EVERY
    strategy: Strategy = "fallback"
    settings: Mapping[str, Any] = {}
    defaults: Mapping[str, Any] = {}
    overrides: Mapping[str, Any] = {}
    retries: Retries = Retries()
    unknown_fields: UnknownFields = "forward"


class Limits(Struct, frozen=True):
    """The edge: bytes and seconds a caller may take."""

    body: int = 10 * 1024 * 1024
    upload: int = 512 * 1024 * 1024
    header: int = 16 * 1024
    header_time: float = 10.0
    body_time: float = 30.0
    connections: int = 2000
    streams: int = 1000


class Rejected(Struct, frozen=True):
    """What is wrong with an included file, which was left out; ``line`` and ``column`` count from 1, 0 for none."""

    message: str
    file: str
    line: int = 0
    column: int = 0


def loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on ``host``; names other than localhost count as public."""
    from ipaddress import ip_address

    plain = host.strip("[]").partition("%")[0]
    try:
        return ip_address(plain).is_loopback
    except ValueError:
        return plain.lower().rstrip(".") == "localhost" or plain.lower().endswith(".localhost")


class Settings(Struct, frozen=True, kw_only=True):
    """Everything the gateway runs by. ``registrations`` is keyed {endpoint, model}.

    ``hosts`` are names accepted in Host beside loopback names and plain addresses; empty = any valid
    name where ``public``, else none. ``offered`` are names, ``provider/model`` each, that lists of models
    show beside the registrations: what model servers found on this machine said they serve. ``rejected`` is
    what was left out. ``auth_required``: callers need a key even where none exists. ``store`` is
    the URL of what is kept, as given; ``retention`` how long conversations are.
    """

    listen: tuple[str, ...] = ("127.0.0.1:4242",)
    providers: Mapping[str, Provider] = {}
    registrations: Mapping[tuple[str, str], Registration] = {}
    offered: tuple[str, ...] = ()
    limits: Limits = Limits()
    hosts: tuple[str, ...] = ()
    public: bool = False
    log_requests: bool = True
    admin_key: str = ""
    auth_required: bool = False
    rejected: tuple[Rejected, ...] = ()
    store: str | None = None
    retention: float = 30 * 86400.0

    @property
    def keys_required(self) -> bool:
        """Whether callers need a key even where none exists: asked for, or others can reach us and nobody allowed
        that without."""
        return self.auth_required or not (self.public or self.private())

    def private(self, port: int | None = None) -> bool:
        """Whether only this machine reaches the listeners, those on that ``port`` where one is given."""
        places = (address.rpartition(":") for address in self.listen)
        return all(loopback(host) for host, _, number in places if port is None or number == str(port))

    def find(self, operation: str, model: str) -> Registration | None:
        """The registration that answers, else one made for ``provider/model`` of a known provider, else None."""
        found = self.registrations.get((operation, model)) or self.registrations.get((EVERY, model))
        if found is not None:
            return found
        provider, slash, name = model.partition("/")
        if slash and name and provider in self.providers:
            return Registration(model=model, targets=(Target(provider, name),))
        return None
