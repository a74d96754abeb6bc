"""The configuration file as written: one Struct per mapping, every key named and described.

Also the source of the JSON Schema in ``published.py``. What the keys mean together is decided in ``providers.py``,
``models.py``, ``local.py`` and ``edge.py``.
"""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from parley.config.parts import (
    AwsEntry,
    BatchesEntry,
    CacheEntry,
    Duration,
    Free,
    HookEntry,
    JwtEntry,
    ModelCacheEntry,
    NodeEntry,
    OneOrMore,
    Size,
    StreamEntry,
)
from parley.limits.quota import Priority, Unknown, WhenAway
from parley.settings import Choices, Recording, Strategy, UnknownFields


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
    aws: Annotated[AwsEntry | None, Meta(description="What calls to AWS are signed with.")] = None


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
    choices: Annotated[
        Choices | UnsetType,
        Meta(description="A request for several answers (n) where a provider gives one; fan_out: ask it as often."),
    ] = UNSET
    priority: Annotated[
        Priority | UnsetType, Meta(description="Who goes first where requests wait for admission; normal.")
    ] = UNSET
    share: Annotated[bool, Meta(description="Offer it to the network of nodes.")] = False
    cache: ModelCacheEntry = ModelCacheEntry()


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


class BodiesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts and answers that are kept beside the rows of the ledger: of named keys alone."""

    keys: Annotated[
        list[str], Meta(description="Names or ids of keys, or patterns such as test-*. None: nothing.")
    ] = []
    keep: Annotated[Duration, Meta(description="How long they are kept.")] = "7d"
    size: Annotated[Size, Meta(description="What is kept of each; the rest is cut off.")] = "64KiB"
    scrub: Annotated[bool, Meta(description="Replace personal data in them by a word for what it was.")] = True


class LedgerEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written down of each request: who, which model, tokens, cost. No prompts, no answers."""

    requests: Annotated[
        Recording, Meta(description="on, off, or auto: as soon as there is a store or one is named.")
    ] = "auto"
    retention: Annotated[Duration, Meta(description="How long requests and sums of hours are kept.")] = "90d"
    bodies: BodiesEntry = BodiesEntry()


class PriceEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars per million tokens, unless said otherwise. A part without a price has that of the whole."""

    input: Annotated[float | None, Meta(description="Tokens read.")] = None
    output: Annotated[float | None, Meta(description="Tokens made.")] = None
    cached: Annotated[float | None, Meta(description="Of the input: read from the cache.")] = None
    cache_write: Annotated[float | None, Meta(description="Of the input: written to the cache.")] = None
    cache_write_1h: Annotated[float | None, Meta(description="Of these: kept for an hour.")] = None
    reasoning: Annotated[float | None, Meta(description="Of the output: thoughts.")] = None
    audio_input: Annotated[float | None, Meta(description="Of the input: sound.")] = None
    audio_cached: Annotated[float | None, Meta(description="Of the sound: read from the cache.")] = None
    audio_output: Annotated[float | None, Meta(description="Of the output: sound.")] = None
    image_input: Annotated[float | None, Meta(description="Of the input: pictures.")] = None
    image_cached: Annotated[float | None, Meta(description="Of the pictures: read from the cache.")] = None
    image_output: Annotated[float | None, Meta(description="Of the output: pictures.")] = None
    video_input: Annotated[float | None, Meta(description="Of the input: film.")] = None
    image: Annotated[float | None, Meta(description="Per picture made.")] = None
    request: Annotated[float | None, Meta(description="Per request.")] = None
    search: Annotated[float | None, Meta(description="Per search that the provider makes.")] = None
    hour: Annotated[float | None, Meta(description="Per hour of sound.")] = None
    character: Annotated[float | None, Meta(description="Per million characters of text to speak.")] = None


class AuthEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call."""

    required: Annotated[bool, Meta(description="Callers need a key even while none exists.")] = False
    admin_key: Annotated[str | None, Meta(description="An admin key beside those of the store; empty: none.")] = None
    jwt: Annotated[JwtEntry | None, Meta(description="An issuer whose tokens are taken as keys.")] = None


class LimitsEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What one caller may take at the edge."""

    body: Size = "10MiB"
    upload: Size = "512MiB"
    header: Size = "16KiB"
    header_time: Duration = "10s"
    body_time: Duration = "30s"
    connections: int = 2000
    streams: int = 1000


class RatesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """How many in each window of that length; a window opens with the first request."""

    minute: Annotated[int | None, Meta(description="In a minute.")] = None
    hour: Annotated[int | None, Meta(description="In an hour.")] = None
    day: Annotated[int | None, Meta(description="In a day.")] = None


class QuotaEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be taken together."""

    requests: Annotated[int | RatesEntry | None, Meta(description="Requests; a number alone: in a minute.")] = None
    tokens: Annotated[int | RatesEntry | None, Meta(description="Tokens; a number alone: in a minute.")] = None
    parallel: Annotated[int | None, Meta(description="Requests at one time.")] = None
    budget: Annotated[float | None, Meta(description="US dollars in a period.")] = None
    budget_period: Annotated[Duration | None, Meta(description="How long a period is; left out: one for ever.")] = None


class QuotasEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of requests, tokens and money."""

    all: Annotated[QuotaEntry, Meta(description="Of all requests together.")] = QuotaEntry()
    keys: Annotated[QuotaEntry, Meta(description="Of each key that has no such limit of its own.")] = QuotaEntry()
    tags: Annotated[dict[str, QuotaEntry], Meta(description='Of all keys with a tag K=V; "K=*": of each value.')] = {}
    models: Annotated[dict[str, QuotaEntry], Meta(description="Of a model, or of all that fit a pattern.")] = {}
    counters: Annotated[
        str, Meta(description="Where processes count: memory (each by itself), store or redis://HOST:PORT/NUMBER.")
    ] = ""
    budget_unknown_price: Annotated[
        Unknown, Meta(description="What a budget does with a request whose price is not known.")
    ] = "allow"
    when_store_is_away: Annotated[
        WhenAway, Meta(description="open: each process goes on with what was left; closed: it refuses.")
    ] = "open"


class AdmissionEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """How much each process takes on at a time."""

    parallel: Annotated[int | None, Meta(description="Requests at work; left out: no limit.")] = None
    queue: Annotated[int, Meta(description="Requests that wait beyond that.")] = 100
    wait: Annotated[Duration, Meta(description="How long one waits at most.")] = "10s"


class AddressesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Networks that workers may be registered in, and hosts whose URLs may be fetched for a caller."""

    nodes: tuple[str, ...] = ("127.0.0.0/8",)
    fetch: tuple[str, ...] = ()


class LogEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged."""

    requests: Annotated[bool, Meta(description="One line per request.")] = True
    slow: Annotated[
        Duration | None, Meta(description="One more line for requests that took so long: where the time went.")
    ] = None


class TelemetryEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Traces and metrics for an OpenTelemetry collector."""

    otlp: Annotated[
        str | None, Meta(description="Base URL of its OTLP/HTTP receiver, such as http://127.0.0.1:4318.")
    ] = None
    headers: Annotated[dict[str, str], Meta(description="Headers to send to it.")] = {}
    sample: Annotated[float, Meta(ge=0, le=1, description="Share of the traces begun here that are kept.")] = 1.0


class File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of a Parley gateway."""

    listen: Annotated[OneOrMore, Meta(description="Addresses HOST:PORT to serve HTTP on.")] = ("127.0.0.1:4242",)
    grpc: Annotated[
        str | None,
        Meta(description="HOST:PORT to serve gRPC on; left out: 127.0.0.1:50001 with components."),
    ] = None
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
    telemetry: TelemetryEntry = TelemetryEntry()
    include: Annotated[
        OneOrMore, Meta(description="Files of registrations, folders of them or patterns, relative to this file.")
    ] = ()
    conversations: ConversationsEntry = ConversationsEntry()
    store: Annotated[
        str | None, Meta(description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE: what is kept.")
    ] = None
    strict: Annotated[bool, Meta(description="A wrong included file stops the start instead of being left out.")] = (
        False
    )
    cache: CacheEntry = CacheEntry()
    hooks: Annotated[list[HookEntry], Meta(description="Who looks at requests and answers, in order.")] = []
    prices: Annotated[
        dict[str, PriceEntry], Meta(description="Prices by provider/model; they win over the price data package.")
    ] = {}
    ledger: LedgerEntry = LedgerEntry()
    quotas: QuotasEntry = QuotasEntry()
    admission: AdmissionEntry = AdmissionEntry()
    batches: BatchesEntry = BatchesEntry()
    connections: Annotated[
        dict[str, str], Meta(description="Addresses of brokers by name, for ?connection=NAME in URLs of streams.")
    ] = {}
    streams: Annotated[list[StreamEntry], Meta(description="Requests that come as messages.")] = []
    node: Annotated[NodeEntry | None, Meta(description="This gateway as a node; left out: a network of one.")] = None


def rules(shape: type = File) -> dict[str, Any]:
    """A shape as JSON Schema, for values whose references are filled in: what ``explain`` goes by."""
    return msgspec.json.schema(shape)
