"""The configuration file as written: one Struct per mapping, every key named and described.

Also the source of the JSON Schema in ``published.py``. What the keys mean together is decided in ``providers.py``,
``models.py`` and ``pending.py``.
"""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from parley.config.amounts import DURATION_PATTERN, SIZE_PATTERN
from parley.settings import Strategy, UnknownFields

Duration: TypeAlias = Annotated[
    int | float | str,
    Meta(
        description="A duration such as 500ms, 5s, 1m, 2h or 30d, or a number of seconds.",
        extra_json_schema={"pattern": DURATION_PATTERN},
    ),
]
Size: TypeAlias = Annotated[
    int | float | str,
    Meta(
        description="A size such as 16KiB, 10MiB or 1MB, or a number of bytes.",
        extra_json_schema={"pattern": SIZE_PATTERN},
    ),
]
Free: TypeAlias = dict[str, Any]
OneOrMore: TypeAlias = str | tuple[str, ...]


class TimeoutsEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one call to this provider."""

    connect: Duration = "5s"
    first_byte: Duration = "60s"
    idle: Duration = "60s"
    total: Duration = "600s"


class ProviderEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place models are served."""

    type: Annotated[str | None, Meta(description="A row of the vendor table; left out: the provider's own name.")] = (
        None
    )
    wire: Annotated[str | None, Meta(description="Another wire of the same vendor.")] = None
    api_key: Annotated[
        str | UnsetType | None,
        Meta(description="The key; null: none is sent. Left out: the vendor's variable, for the vendor's own address."),
    ] = UNSET
    api_keys: Annotated[list[str] | UnsetType, Meta(description="Several keys, used in turn.")] = UNSET
    base_url: Annotated[str | None, Meta(description="Where the provider is, such as https://host/v1.")] = None
    endpoints: Annotated[list[str] | UnsetType, Meta(description="Several addresses of the same provider.")] = UNSET
    balance: Annotated[Strategy, Meta(description="How calls are spread over endpoints.")] = "round_robin"
    timeouts: TimeoutsEntry = TimeoutsEntry()
    headers: Annotated[dict[str, str], Meta(description="Headers added to every call.")] = {}
    max_concurrency: Annotated[int | None, Meta(description="Calls at one time, at most.")] = None
    transport: Annotated[
        str,
        Meta(
            description="native, or aiohttp: a library client in place of our own.",
            extra_json_schema={"enum": ["native", "aiohttp"]},
        ),
    ] = "native"
    paths: Annotated[
        dict[str, str],
        Meta(description="Operation -> path below the base URL, in place of the vendor's; {model} is the model."),
    ] = {}


class TargetEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A target with a weight."""

    to: Annotated[str, Meta(description="provider/model")]
    weight: Annotated[int, Meta(description="Share of the calls, above 0.")] = 1


class RetriesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """When another try is made before the first content."""

    attempts: Annotated[int, Meta(description="Tries in all, at least 1.")] = 3
    on: Annotated[tuple[int | str, ...], Meta(description="Statuses from 400 to 599, 5xx, connect.")] = (
        408,
        429,
        "5xx",
        "connect",
    )


class CacheEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Caching of answers; only off so far."""

    responses: Annotated[str, Meta(description="off")] = "off"


class ModelEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registration: what answers when this model is asked for."""

    model: Annotated[str, Meta(description="What the caller asks for.")]
    endpoint: Annotated[
        str | None,
        Meta(description="An operation such as chat, or its operationId; left out: every one the targets can serve."),
    ] = None
    targets: Annotated[list[str | TargetEntry] | UnsetType, Meta(description="provider/model, in order.")] = UNSET
    strategy: Annotated[Strategy, Meta(description="Which target comes first.")] = "fallback"
    settings: Annotated[Free, Meta(description="Fixed settings of a local engine. Not available yet.")] = {}
    local_settings: Annotated[Free, Meta(description="Another name for settings. Not available yet.")] = {}
    defaults: Annotated[Free, Meta(description="Request members used where the request is silent.")] = {}
    overrides: Annotated[Free, Meta(description="Request members that win over the request.")] = {}
    retries: RetriesEntry = RetriesEntry()
    unknown_fields: Annotated[UnknownFields, Meta(description="What happens to request members nobody knows.")] = (
        "forward"
    )
    share: Annotated[bool, Meta(description="Offer to the network of nodes. Only false so far.")] = False
    cache: CacheEntry = CacheEntry()


class AuthEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call."""

    required: Annotated[bool, Meta(description="Callers need a key. Only false so far.")] = False
    admin_key: Annotated[str | None, Meta(description="The key of the administration surface; empty: none.")] = None


class LimitsEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What one caller may take at the edge."""

    body: Size = "10MiB"
    upload: Size = "512MiB"
    header: Size = "16KiB"
    header_time: Duration = "10s"
    body_time: Duration = "30s"
    connections: int = 2000
    streams: int = 1000


class AddressesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Networks a node may register from, and hosts whose URLs may be fetched for a caller."""

    nodes: tuple[str, ...] = ("127.0.0.0/8",)
    fetch: tuple[str, ...] = ()


class LogEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged."""

    requests: Annotated[bool, Meta(description="One line per request.")] = True


class File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of a Parley gateway."""

    listen: Annotated[OneOrMore, Meta(description="Addresses HOST:PORT to serve HTTP on.")] = ("127.0.0.1:4242",)
    hosts: Annotated[
        OneOrMore, Meta(description="Names accepted in the Host header beside loopback names and addresses.")
    ] = ()
    providers: Annotated[
        dict[str, ProviderEntry | None], Meta(description="Where models are served, by the name used before the slash.")
    ] = {}
    models: Annotated[list[ModelEntry], Meta(description="What callers may ask for.")] = []
    auth: AuthEntry = AuthEntry()
    limits: LimitsEntry = LimitsEntry()
    addresses: AddressesEntry = AddressesEntry()
    log: LogEntry = LogEntry()
    store: Annotated[str | None, Meta(description="sqlite:///FILE. Nothing is kept in it yet.")] = None
    strict: Annotated[
        bool, Meta(description="A wrong included file stops the start; there are no included files yet.")
    ] = False
    cache: CacheEntry = CacheEntry()
    grpc: Annotated[Any, Meta(description="Not available yet.")] = None
    include: Annotated[Any, Meta(description="Not available yet.")] = None
    conversations: Annotated[Any, Meta(description="Not available yet.")] = None
    prices: Annotated[Any, Meta(description="Not available yet.")] = None
    connections: Annotated[Any, Meta(description="Not available yet.")] = None
    streams: Annotated[Any, Meta(description="Not available yet.")] = None
    node: Annotated[Any, Meta(description="Not available yet.")] = None


def rules() -> dict[str, Any]:
    """The shape as JSON Schema, for values whose references are filled in: what ``explain`` goes by."""
    return msgspec.json.schema(File)
