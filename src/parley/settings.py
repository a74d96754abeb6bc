"""The configuration as frozen values: what every part of the gateway reads, however it was written.

Times are seconds, sizes bytes. Sources: product contract section 4.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from parley.keys.token import Issuer
from parley.limits.quota import Admission, Priority, Quotas
from parley.streams.setup import Stream

Strategy: TypeAlias = Literal["fallback", "round_robin", "weighted", "least_busy", "fastest", "prefix_hash"]
UnknownFields: TypeAlias = Literal["forward", "drop", "strict"]
Choices: TypeAlias = Literal["refuse", "fan_out"]
# "idlest" is least_busy among places that also tell their own load, and then the fastest.
Balance: TypeAlias = Literal[Strategy, "idlest"]
Transport: TypeAlias = Literal[
    "native", "aiohttp", "echo", "local", "bedrock", "grpc-infer", "stops", "oauth", "predict", "node"
]
Recording: TypeAlias = Literal["auto", "on", "off"]
EVERY = "*"
# What stands before the first slash in targets that are models of nodes.
NODE = "node"
# The detail of a refusal by one target that another need not share.
UNFIT = "unfit"
EXTENSIONS = "x-parley-extensions"
# A store on a server: USER:PASSWORD@HOST:PORT may be left out, the database may not.
SERVED_STORE = r"postgres(?:ql)?://[^/?\s]*/[^/?\s]+(?:\?\S*)?"


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


class Signing(Struct, frozen=True, kw_only=True):
    """What the calls to one provider are signed with, in place of what the chain of AWS's own tools finds.

    "" is left to that chain. ``role`` is assumed with those credentials, for ``session`` and with ``external_id``.
    """

    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    token: str = ""
    profile: str = ""
    role: str = ""
    session: str = ""
    external_id: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody may read."""
        return tuple(one for one in (self.secret_key, self.token, self.external_id) if one)

    def __repr__(self) -> str:
        return f"Signing(region={self.region!r}, role={self.role!r})"


class Provider(Struct, frozen=True, kw_only=True):
    """A place models are served. ``endpoints`` are base URLs such as https://host/v1 (no final slash);
    ``paths`` maps an operation to the path below it, ``{model}`` replaced by the model's name, ``{path}`` by the same
    with its slashes left as they are.

    ``auth`` is the header that carries a key: "bearer" (Authorization: Bearer), "none", or a header's name.
    What stands behind a "#" in ``name`` tells the engines of this machine apart and is not shown.
    ``trips`` failures in a row keep requests away from an endpoint for ``rests`` seconds; None: as for all.
    ``can`` and ``cannot`` are capabilities (parley.vendors) as documented; what neither names is not known.
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
    balance: Balance = "round_robin"
    timeouts: Timeouts = Timeouts()
    max_concurrency: int | None = None
    transport: Transport = "native"
    quirks: Quirks = Quirks()
    extensions: Mapping[str, str] = {}
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    trips: int | None = None
    rests: float | None = None
    engine: Engine | None = None
    signing: Signing | None = None

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


class Caching(Struct, frozen=True):
    """Where answers are kept ("off", "memory", "store" or the URL of a Redis server) and for how many seconds; None is
    left to what holds for every model."""

    place: str | None = None
    ttl: float | None = None

    def over(self, other: "Caching") -> "Caching":
        """The same, with the other's word where this one has none."""
        place, ttl = self.place, self.ttl
        return Caching(other.place if place is None else place, other.ttl if ttl is None else ttl)


class Hook(Struct, frozen=True):
    """Somebody who looks at requests and answers: its name or ``module:attribute``, patterns of models (none: all),
    what happens when it fails, its time in seconds, and what it is made with. ``slow`` (None: as it says itself): it
    runs in a thread, or does from so many bytes on."""

    use: str
    models: tuple[str, ...] = ()
    on_failure: Literal["refuse", "pass"] = "refuse"
    timeout: float = 5.0
    slow: bool | int | None = None
    options: Mapping[str, Any] = {}


class Registration(Struct, frozen=True, kw_only=True):
    """What answers a {endpoint, model} pair. ``endpoint`` is an operation ("chat") or EVERY.

    Defaults and overrides may hold the extension object under EXTENSIONS. ``choices`` is what becomes of a request for
    several answers where a provider gives one. ``share``: other nodes may ask for it.
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
    choices: Choices = "refuse"
    priority: Priority = "normal"
    cache: Caching = Caching()
    share: bool = False


class Limits(Struct, frozen=True):
    """The edge: bytes and seconds a caller may take."""

    body: int = 10 * 1024 * 1024
    upload: int = 512 * 1024 * 1024
    header: int = 16 * 1024
    header_time: float = 10.0
    body_time: float = 30.0
    connections: int = 2000
    streams: int = 1000


class Bodies(Struct, frozen=True):
    """What is kept of requests and answers themselves: those of ``keys`` (patterns for names and ids; none: nothing),
    for ``keep`` seconds, up to ``size`` bytes each; ``scrub``: without personal data."""

    keys: tuple[str, ...] = ()
    keep: float = 7 * 86400.0
    size: int = 64 * 1024
    scrub: bool = True


class Ledger(Struct, frozen=True):
    """What is written down of requests; ``requests`` auto: as soon as there is a store. ``retention`` in seconds."""

    requests: Recording = "auto"
    retention: float = 90 * 86400.0
    bodies: Bodies = Bodies()


class Batches(Struct, frozen=True):
    """How batches are worked on: where files are kept ("" for beside the store), lines asked at one time by one
    process, tries of a line, behind what they stand in line, and for how many seconds batches and their files are
    kept."""

    files: str = ""
    parallel: int = 16
    attempts: int = 5
    priority: Priority = "low"
    keep: float = 30 * 86400.0


class Telemetry(Struct, frozen=True):
    """Where OpenTelemetry goes: the base URL of a collector, None for what the environment says, if anything.

    ``sample`` is the share of traces that begin here and are kept; others are as their caller decided.
    """

    otlp: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    sample: float = 1.0


class Tls(Struct, frozen=True, kw_only=True):
    """Files of PEM text: who signs a server, and who we are; ``hostname`` where it is not the URL's."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    hostname: str | None = None


class Node(Struct, frozen=True, kw_only=True):
    """This gateway as a node. ``id`` "" for one of its own making, ``project`` is what its shared models are offered
    as, ``network`` where it meets others (none: it is alone). ``addresses`` are networks that workers may be registered
    in, ``fetch`` hosts and networks whose URLs may be fetched for a caller, ``projects`` the names of keys by patterns
    of projects that only they may register, ``pictures`` the folders from which pictures are read that workers on this
    machine name by their path (None: any), ``probe`` the seconds between two looks at a worker.

    The rest is for the network: a file of ``credentials`` or of an ``nkey``, or user and password, or a token; whether
    bodies are encrypted between nodes; seconds after which a silent node is gone and between its signs of life; of the
    place where facts are kept its name and in how many copies; the public keys that alone are heard (none: all), and by
    project the nodes or keys that may offer it."""

    id: str = ""
    project: str = "parley"
    network: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ("127.0.0.0/8",)
    fetch: tuple[str, ...] = ()
    projects: Mapping[str, tuple[str, ...]] = {}
    pictures: tuple[str, ...] | None = None
    probe: float = 10.0
    credentials: str | None = None
    nkey: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls: Tls | None = None
    encrypt: Recording = "auto"
    ttl: float = 45.0
    heartbeat: float = 15.0
    replicas: int = 1
    bucket: str = "parley_nodes"
    trust: tuple[str, ...] = ()
    allow: Mapping[str, tuple[str, ...]] = {}


class Rejected(Struct, frozen=True):
    """What is wrong with an included file, which was left out; ``line`` and ``column`` count from 1, 0 for none."""

    message: str
    file: str
    line: int = 0
    column: int = 0


class Component(Struct, frozen=True):
    """A component of Dapr that is served, as it is told to callers: its name is also a registration's."""

    name: str
    type: str
    version: str = "v1"


def loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on ``host``; names other than localhost count as public."""
    from ipaddress import ip_address

    plain = host.strip("[]").partition("%")[0]
    try:
        return ip_address(plain).is_loopback
    except ValueError:
        return plain.lower().rstrip(".") == "localhost" or plain.lower().endswith(".localhost")


class Settings(Struct, frozen=True, kw_only=True):
    """Everything the gateway runs by. ``registrations`` is keyed {endpoint, model}. ``grpc`` is where gRPC is served,
    "" for nowhere; ``dapr_token`` what callers of Dapr's API have to show, "" for nothing, ``dapr_app`` our id there.

    ``hosts`` are names accepted in Host beside loopback names and plain addresses; empty = any valid
    name where ``public``, else none. ``offered`` are names, ``provider/model`` each, that lists of models
    show beside the registrations: what model servers found on this machine said they serve. ``rejected`` is
    what was left out. ``slow`` seconds make a request one whose time is told of.
    ``auth_required``: callers need a key even where none exists. ``store`` is
    the URL of what is kept, as given; ``retention`` how long conversations are. ``prices`` are the operator's, by
    ``provider/model`` (or ``provider/*``): picodollars by unit, see parley.prices. ``cache`` is for models that
    say nothing of their own, ``cache_size`` how many bytes of answers are kept in one place; ``hooks`` are asked in
    their order, ``jwt`` is whose tokens are keys.
    """

    listen: tuple[str, ...] = ("127.0.0.1:4242",)
    grpc: str = ""
    providers: Mapping[str, Provider] = {}
    registrations: Mapping[tuple[str, str], Registration] = {}
    offered: tuple[str, ...] = ()
    limits: Limits = Limits()
    hosts: tuple[str, ...] = ()
    public: bool = False
    log_requests: bool = True
    slow: float | None = None
    telemetry: Telemetry = Telemetry()
    admin_key: str = ""
    dapr_token: str = ""
    dapr_app: str = "parley"
    auth_required: bool = False
    rejected: tuple[Rejected, ...] = ()
    components: Mapping[str, Component] = {}
    store: str | None = None
    retention: float = 30 * 86400.0
    prices: Mapping[str, Mapping[str, int]] = {}
    ledger: Ledger = Ledger()
    cache: Caching = Caching("off", 600.0)
    cache_size: int = 64 * 1024 * 1024
    hooks: tuple[Hook, ...] = ()
    jwt: Issuer | None = None
    quotas: Quotas = Quotas()
    admission: Admission = Admission()
    batches: Batches = Batches()
    node: Node = Node()
    connections: Mapping[str, str] = {}
    streams: tuple[Stream, ...] = ()

    @property
    def keys_required(self) -> bool:
        """Whether callers need a key even where none exists: asked for, or others can reach us and nobody allowed
        that without."""
        return self.auth_required or not (self.public or self.private())

    def private(self, port: int | None = None) -> bool:
        """Whether only this machine reaches the listeners, those on that ``port`` where one is given."""
        places = (address.rpartition(":") for address in (*self.listen, self.grpc) if address)
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
