"""Pieces of the file as written that stand by themselves: amounts, caching, hooks, tokens. See ``shape.py``."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from parley.config.amounts import DURATION_PATTERN, PAUSES_PATTERN, SIZE_PATTERN
from parley.settings import Recording

Duration: TypeAlias = Annotated[
    int | float | str,
    Meta(
        description="A duration such as 500ms, 5s, 1m, 2h or 30d, or a number of seconds.",
        extra_json_schema={"pattern": DURATION_PATTERN},
    ),
]
Pauses: TypeAlias = Annotated[
    int | float | str,
    Meta(
        description="The first pause and the longest, such as 1s..60s, or the first alone.",
        extra_json_schema={"pattern": PAUSES_PATTERN},
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


class AwsEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calls to AWS are signed with; what is left out is found where AWS's own tools find it."""

    region: Annotated[str | None, Meta(description="The region, such as eu-central-1.")] = None
    access_key_id: Annotated[str | None, Meta(description="A key's id, with its secret_access_key.")] = None
    secret_access_key: Annotated[str | None, Meta(description="The secret of that key.")] = None
    session_token: Annotated[str | None, Meta(description="The token that goes with a key for some time.")] = None
    profile: Annotated[str | None, Meta(description="A profile of AWS's own files, in place of a key.")] = None
    role_arn: Annotated[str | None, Meta(description="The role that is assumed with these credentials.")] = None
    role_session_name: Annotated[str | None, Meta(description="What AWS's log calls who assumed it; parley.")] = None
    external_id: Annotated[str | None, Meta(description="What the role's owner wants to be told.")] = None


class CacheEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers that are kept for exactly the same request to come again."""

    responses: Annotated[str, Meta(description="off, memory, store or redis://HOST:PORT/NUMBER.")] = "off"
    ttl: Annotated[Duration, Meta(description="How long they are kept.")] = "10m"
    size: Annotated[Size, Meta(description="Most bytes of them in memory, and in the store.")] = "64MiB"


class HookEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who looks at requests and answers, and may change or refuse them."""

    use: Annotated[str, Meta(description="pii, the name of an installed hook, or module:attribute.")]
    models: Annotated[OneOrMore, Meta(description="Patterns of models that it is for; left out: all.")] = ()
    on_failure: Annotated[
        Literal["refuse", "pass"], Meta(description="What happens to a request when it fails or takes too long.")
    ] = "refuse"
    timeout: Annotated[Duration, Meta(description="How long it may take where it runs in a thread.")] = "5s"
    slow: Annotated[
        bool | int | None, Meta(description="It runs in a thread: always, never, or from so many bytes on.")
    ] = None
    options: Annotated[Free, Meta(description="What it is made with.")] = {}


class ModelCacheEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """The same for one model."""

    responses: Annotated[
        str | UnsetType, Meta(description="off, memory, store or redis://HOST:PORT/NUMBER; left out: as for all.")
    ] = UNSET
    ttl: Annotated[Duration | UnsetType, Meta(description="How long they are kept; left out: as for all.")] = UNSET


class StreamRetriesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a message is delivered, and how long it waits between."""

    deliveries: Annotated[
        int | UnsetType,
        Meta(description="How often a request that may still succeed is delivered; left out: as deliveries has it."),
    ] = UNSET
    backoff: Annotated[
        Pauses, Meta(description="The pause before it is delivered again, the first one and the longest: 1s..60s.")
    ] = "1s..300s"


class StreamEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests that come as messages of a broker, and where their answers go."""

    requests: Annotated[str, Meta(description="URL of the queue or subscription that requests come from.")]
    responses: Annotated[str, Meta(description="URL of the topic that answers go to.")]
    dead_letter: Annotated[str | None, Meta(description="URL of the topic for messages that are given up.")] = None
    name: Annotated[str | None, Meta(description="What logs and metrics call it; left out: the URL of requests.")] = (
        None
    )
    max_handlers: Annotated[int, Meta(description="Messages in work at one time.")] = 1
    key: Annotated[str | None, Meta(description="Name of the key its requests are asked with.")] = None
    timeout: Annotated[Duration, Meta(description="How long a request may take, all tries together.")] = "10m"
    attempts: Annotated[int, Meta(description="Tries of a request before its last answer goes out.")] = 3
    redeliveries: Annotated[
        int, Meta(description="How often a request that may still succeed is given back to the broker after that.")
    ] = 0
    deliveries: Annotated[int, Meta(description="A message that is delivered more often is given up.")] = 5
    retries: Annotated[
        StreamRetriesEntry, Meta(description="What is given back to the broker: how often, and for how long.")
    ] = StreamRetriesEntry()
    window: Annotated[Duration, Meta(description="How long answers are remembered, for messages that come again.")] = (
        "10m"
    )
    remember: Annotated[
        str, Meta(description="Where: memory (of each process), store or redis://HOST:PORT/NUMBER.")
    ] = "memory"
    identity: Annotated[str | None, Meta(description="The metadata member that tells requests apart.")] = None
    order: Annotated[
        str | None, Meta(description="Requests with the same value of this metadata member keep order.")
    ] = None
    stream: Annotated[Literal["collect", "refuse"], Meta(description="What becomes of a request for a stream.")] = (
        "collect"
    )
    error_max_backoff: Annotated[Duration, Meta(description="The longest wait after errors.")] = "30s"
    kubeai: Annotated[bool, Meta(description="Paths that are not known are answered 400, not 404.")] = False


class JwtEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer whose tokens are taken as keys (OpenID Connect)."""

    issuer: Annotated[str, Meta(description="As tokens carry it in iss, such as https://login.example.org/realm.")]
    audience: Annotated[OneOrMore, Meta(description="What tokens for this gateway carry in aud.")]
    jwks_url: Annotated[str | None, Meta(description="Where its keys are; left out: the issuer says it.")] = None
    algorithms: Annotated[tuple[str, ...], Meta(description="Signatures that are taken.")] = (
        "RS256", "ES256", "PS256", "EdDSA",
    )  # fmt: skip
    claims: Annotated[
        dict[str, str | int | bool | list[str]], Meta(description="Claim -> the value, or one of those, it must have.")
    ] = {}
    models: Annotated[str | None, Meta(description="The claim that names models its holder may ask for.")] = None
    name: Annotated[str | None, Meta(description="The claim that says who it is, for people.")] = None
    tags: Annotated[dict[str, str], Meta(description="Tag -> the claim that it is taken from.")] = {}
    leeway: Annotated[Duration, Meta(description="How far clocks may be apart.")] = "30s"
    refresh: Annotated[Duration, Meta(description="How often its keys are read again.")] = "10m"


class NodeTlsEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of PEM text for the way to the network."""

    ca: Annotated[str | None, Meta(description="Who signs the server's certificate.")] = None
    cert: Annotated[str | None, Meta(description="Our own certificate.")] = None
    key: Annotated[str | None, Meta(description="Its key.")] = None
    hostname: Annotated[str | None, Meta(description="The name in the server's certificate, if not the URL's.")] = None


class NodeEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """This gateway as a node, and the network that it shares models with."""

    id: Annotated[
        str | None, Meta(description="Its name; left out: the host's with a random end, kept in the store.")
    ] = None
    network: Annotated[OneOrMore, Meta(description="NATS servers, nats://HOST:PORT; left out: a network of one.")] = ()
    project: Annotated[str, Meta(description="The project that shared models are offered as.")] = "parley"
    projects: Annotated[
        dict[str, OneOrMore],
        Meta(description="Project, or a pattern -> names of the keys that alone may register it."),
    ] = {}
    pictures: Annotated[
        OneOrMore | None,
        Meta(description="Folders with pictures that workers name by their path; left out: any; []: none."),
    ] = None
    probe: Annotated[Duration, Meta(description="Time between two looks at a worker.")] = "10s"
    credentials: Annotated[str | None, Meta(description="A NATS credentials file.")] = None
    nkey: Annotated[str | None, Meta(description="A file with the seed of an NKey.")] = None
    user: Annotated[str | None, Meta(description="User at the NATS servers.")] = None
    password: Annotated[str | None, Meta(description="Its password.")] = None
    token: Annotated[str | None, Meta(description="A token in place of a user.")] = None
    tls: Annotated[NodeTlsEntry | None, Meta(description="TLS with files of our own.")] = None
    encrypt: Annotated[
        Recording, Meta(description="Bodies between nodes; auto: unless every server is on this machine.")
    ] = "auto"
    ttl: Annotated[Duration, Meta(description="After so long without a word a node is gone.")] = "45s"
    heartbeat: Annotated[Duration, Meta(description="Time between two words.")] = "15s"
    replicas: Annotated[int, Meta(description="NATS servers that keep what is known of nodes.")] = 1
    bucket: Annotated[str, Meta(description="Name of the network on its servers.")] = "parley_nodes"
    trust: Annotated[OneOrMore, Meta(description="Public keys of the nodes that alone are heard.")] = ()
    allow: Annotated[
        dict[str, OneOrMore], Meta(description="Project -> ids or public keys of the nodes that may offer it.")
    ] = {}


class BatchesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Files, and batches of requests that are made of them."""

    files: Annotated[
        str, Meta(description="Where files are kept: a folder or s3://BUCKET/PREFIX; left out: beside the store.")
    ] = ""
    parallel: Annotated[int, Meta(description="Lines that one process works on at a time.")] = 16
    attempts: Annotated[int, Meta(description="Tries of a line in all.")] = 5
    priority: Annotated[
        Literal["low", "normal", "high"], Meta(description="Who goes first where requests wait for admission.")
    ] = "low"
    keep: Annotated[
        Duration, Meta(description="How long batches are kept when they are over, and files that name no other time.")
    ] = "30d"
