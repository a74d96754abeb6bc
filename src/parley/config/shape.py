"""The configuration file as written: one Struct per mapping, every key named and described.

Also the source of the JSON Schema in ``published.py``. What the keys mean together is decided in ``providers.py``,
``models.py``, ``local.py`` and ``edge.py``.
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
    options: Annotated[
        Free, Meta(description="What this wire has to know of the server, such as a template or names of tensors.")
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


class LoraEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """An adapter put on top of the weights."""

    path: Annotated[str, Meta(description="The adapter's file (GGUF), relative to this file.")]
    scale: Annotated[float, Meta(description="How strongly it is mixed in.")] = 1.0


Loras: TypeAlias = str | LoraEntry | list[str | LoraEntry]


class SettingsEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fixed settings of a model that runs on this machine. No request can change them; null: as if left out."""

    model: Annotated[str | UnsetType | None, Meta(description="The weights (GGUF), relative to this file.")] = UNSET
    backend: Annotated[str | UnsetType | None, Meta(description="The engine; llama, which is also the default.")] = (
        UNSET
    )
    template: Annotated[
        str | UnsetType | None,
        Meta(description="Prompt template in place of the model's own, relative to this file; .tmpl or .jinja may go."),
    ] = UNSET
    mmproj: Annotated[str | UnsetType | None, Meta(description="The projector of a model that sees or hears.")] = UNSET
    lora: Annotated[Loras | UnsetType | None, Meta(description="Adapters: a path, {path, scale}, or a list.")] = UNSET
    threads: Annotated[int | UnsetType | None, Meta(description="Processor threads.")] = UNSET
    context_size: Annotated[int | UnsetType | None, Meta(description="Tokens of context.")] = UNSET
    gpu_layers: Annotated[int | str | UnsetType | None, Meta(description="Layers on the GPU, or all.")] = UNSET
    batch: Annotated[int | UnsetType | None, Meta(description="Prompt tokens computed at one time.")] = UNSET
    parallel: Annotated[int | UnsetType | None, Meta(description="Requests answered at one time.")] = UNSET
    mmap: Annotated[bool | UnsetType | None, Meta(description="Map the weights into memory; true.")] = UNSET
    mlock: Annotated[bool | UnsetType | None, Meta(description="Keep the weights from being paged out; false.")] = UNSET
    mmlock: Annotated[bool | UnsetType | None, Meta(description="Another name for mlock.")] = UNSET
    embeddings: Annotated[bool | UnsetType | None, Meta(description="Offer embeddings; false.")] = UNSET
    preload: Annotated[bool | UnsetType | None, Meta(description="Load at the start; false: on first use.")] = UNSET
    idle: Annotated[Duration | UnsetType | None, Meta(description="Unload after this long without a request.")] = UNSET
    keep_alive: Annotated[Duration | UnsetType | None, Meta(description="Another name for idle.")] = UNSET
    start_time: Annotated[Duration | UnsetType | None, Meta(description="Longest time to load; 600s.")] = UNSET
    memory: Annotated[Size | UnsetType | None, Meta(description="Most memory the engine may take.")] = UNSET


class ModelEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registration: what answers when this model is asked for."""

    model: Annotated[str, Meta(description="What the caller asks for.")]
    endpoint: Annotated[
        str | None,
        Meta(description="An operation such as chat, or its operationId; left out: every one the targets can serve."),
    ] = None
    targets: Annotated[list[str | TargetEntry] | UnsetType, Meta(description="provider/model, in order.")] = UNSET
    alias: Annotated[str | None, Meta(description="Another registered model that answers in place of this one.")] = None
    strategy: Annotated[
        Strategy | UnsetType, Meta(description="Which target comes first; fallback: in their order.")
    ] = UNSET
    settings: Annotated[SettingsEntry, Meta(description="Fixed settings of a model that runs on this machine.")] = (
        SettingsEntry()
    )
    local_settings: Annotated[SettingsEntry, Meta(description="Another name for settings.")] = SettingsEntry()
    defaults: Annotated[Free, Meta(description="Request members used where the request is silent.")] = {}
    overrides: Annotated[Free, Meta(description="Request members that win over the request.")] = {}
    retries: Annotated[RetriesEntry | UnsetType, Meta(description="When another try is made.")] = UNSET
    unknown_fields: Annotated[
        UnknownFields | UnsetType, Meta(description="What happens to request members nobody knows; forward.")
    ] = UNSET
    share: Annotated[bool, Meta(description="Offer to the network of nodes. Only false so far.")] = False
    cache: CacheEntry = CacheEntry()


class PairEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """The pair that a registration is asked for by."""

    model: Annotated[str, Meta(description="What the caller asks for.")]
    endpoint: Annotated[str | None, Meta(description="An operation or its operationId; left out: every one.")] = None


class RegistrationFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file, or a document of it, that holds one registration."""

    registration: PairEntry
    local_settings: Annotated[SettingsEntry, Meta(description="Fixed settings; null: none.")] = SettingsEntry()
    local_paths: Annotated[SettingsEntry, Meta(description="Another name for local_settings.")] = SettingsEntry()
    request_defaults: Annotated[Free, Meta(description="Request members used where the request is silent.")] = {}


class ModelsFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An included file of entries as they stand under ``models``."""

    models: Annotated[list[ModelEntry], Meta(description="What callers may ask for.")]


class ConversationsEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Conversations and answers that callers asked to keep."""

    retention: Annotated[Duration, Meta(description="How long they are kept.")] = "30d"


class AuthEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call."""

    required: Annotated[bool, Meta(description="Callers need a key even while none exists.")] = False
    admin_key: Annotated[str | None, Meta(description="An admin key beside those of the store; empty: none.")] = None


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
    include: Annotated[
        OneOrMore, Meta(description="Files of registrations, folders of them or patterns, relative to this file.")
    ] = ()
    conversations: ConversationsEntry = ConversationsEntry()
    store: Annotated[str | None, Meta(description="sqlite:///FILE: where conversations are kept.")] = None
    strict: Annotated[bool, Meta(description="A wrong included file stops the start instead of being left out.")] = (
        False
    )
    cache: CacheEntry = CacheEntry()
    grpc: Annotated[Any, Meta(description="Not available yet.")] = None
    prices: Annotated[Any, Meta(description="Not available yet.")] = None
    connections: Annotated[Any, Meta(description="Not available yet.")] = None
    streams: Annotated[Any, Meta(description="Not available yet.")] = None
    node: Annotated[Any, Meta(description="Not available yet.")] = None


def rules(shape: type = File) -> dict[str, Any]:
    """A shape as JSON Schema, for values whose references are filled in: what ``explain`` goes by."""
    return msgspec.json.schema(shape)
