"""The published JSON Schema: what may stand in the file, for editors and ``parley check --schema``.

Made from the rules of ``shape.py``, which speak of values whose references are filled in already. Here every value
may still come from a variable or a file, and what ``check`` refuses key by key is refused as well. What depends
on several keys, on the vendor table or on the environment is left to ``check``.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from parley import extensions
from parley.config.amounts import DURATION_PATTERN, PAUSES_PATTERN, SIZE_PATTERN
from parley.config.edge import PENDING
from parley.config.members import NOT_SETTABLE, SPELLINGS
from parley.config.noding import BUCKET, HOST
from parley.config.noding import URL as URL_OF_NATS
from parley.config.providers import HEADER, PATHS
from parley.config.quotas import MAX_USD, WINDOWS
from parley.config.shape import File, PriceEntry, RegistrationFile
from parley.operations import OPERATIONS
from parley.settings import EVERY, SERVED_STORE
from parley.streams.address import SCHEMES

Rule: TypeAlias = dict[str, Any]

NAME = "[A-Za-z_][A-Za-z0-9_]*"
# ``$${`` is plain text, so a reference is not preceded by another dollar sign.
REFERENCE = rf"(?:^|[^$])\$\{{{NAME}(?::-[^}}]*)?\}}|^(?:os\.environ/|env\.){NAME}$|^file:."
NOT_ZERO = r"(?!\s*0+(?:\.0+)?\s*[A-Za-z]*\s*$)"
SPOKEN = r"^(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[01])$"
KEPT = r"^(?:off|memory|store|rediss?://[^\s/]+(?:/[0-9]*)?)$"
URL = r"^[hH][tT][tT][pP][sS]?://[^\s/?#@]+(?:/[^\s?#]*)?$"


def schema() -> Rule:
    """The JSON Schema (draft 2020-12) of the configuration file and of a document that holds one registration."""
    _, shapes = msgspec.json.schema_components((File, RegistrationFile), ref_template="#/$defs/{name}")
    for name, shape in shapes.items():
        properties: dict[str, Rule] = shape["properties"]
        for key, rule in properties.items():
            properties[key] = (_narrowed(name, key) or _open(rule)) | _about(rule)
        shape.update(_together(name))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Parley configuration",
        "if": {"type": "object", "required": ["registration"]},
        "then": {"$ref": "#/$defs/RegistrationFile"},
        "else": {"$ref": "#/$defs/File"},
        "$defs": shapes,
    }


def text(pattern: str) -> Rule:
    """A string of this form, or one with a reference in it."""
    return {"type": "string", "pattern": f"{pattern}|{REFERENCE}"}


def count() -> Rule:
    """A whole number from 1, also as text."""
    return {"anyOf": [{"type": "integer", "minimum": 1}, text("^[1-9][0-9]*$")]}


def one_of(*choices: str) -> Rule:
    """One of these words; they stand apart, so that editors offer them."""
    return {"anyOf": [{"enum": list(choices)}, {"type": "string", "pattern": REFERENCE}]}


def listed(item: Rule, least: int = 1) -> Rule:
    """A list of at least so many."""
    return {"type": "array", "items": item, "minItems": least}


def nullable(rule: Rule) -> Rule:
    """The same, or null."""
    return {"anyOf": [*rule.get("anyOf", [rule]), {"type": "null"}]}


def amount(pattern: str) -> Rule:
    """A duration or a size, above 0."""
    number = "integer" if pattern == SIZE_PATTERN else "number"
    return {"anyOf": [{"type": number, "exclusiveMinimum": 0}, text(NOT_ZERO + pattern)]}


def _narrowed(shape: str, key: str) -> Rule:
    """What ``check`` says about one key beyond its type; empty where it says nothing."""
    if shape == "File" and key in PENDING:
        return {"enum": [None, [], {}]}
    return _KEYS.get((shape, key), {})


def _endpoints() -> Rule:
    """The operations that can be registered, by each of their names, or null for all."""
    ids = [operation.id for operation in OPERATIONS.values()]
    names = [EVERY, *OPERATIONS, *ids, *(name[0].upper() + name[1:] for name in ids)]
    return {"anyOf": [*one_of(*names)["anyOf"], {"type": "null"}]}


def _rates() -> Rule:
    """A number for each minute, or a number for each window."""
    return {"anyOf": [*count()["anyOf"], {"$ref": "#/$defs/RatesEntry"}, {"type": "null"}]}


LISTENER = text(r"^\S+:[0-9]{1,5}$")
TARGET = text(r"^[^\s/]+/\S+$")
TRUTH: Rule = {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, text(SPOKEN)]}
PLACE: Rule = {"type": "string", "pattern": r"\S"}
MODEL: Rule = {"type": "string", "pattern": r"^\S(?:.*\S)?$"}
EXTENSION: Rule = {"type": ["object", "null"], "propertyNames": {"enum": list(extensions.FIELDS)}}
MEMBERS: Rule = {
    "type": "object",
    "propertyNames": {"not": {"enum": list(NOT_SETTABLE)}},
    "properties": dict.fromkeys(SPELLINGS, EXTENSION),
}
MONEY: Rule = {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": MAX_USD}, text(r"^[0-9]+(?:\.[0-9]+)?$")]}
BROKER = rf"^(?:{'|'.join(SCHEMES)})://"
COUNTED = r"^(?:memory|store|rediss?://\S+)?$"
STATUSES: Rule = {
    "anyOf": [{"type": "integer", "minimum": 400, "maximum": 599}, text("^(?:[45][0-9][0-9]|5xx|connect)$")]
}
_KEYS: Mapping[tuple[str, str], Rule] = {
    ("File", "listen"): {"anyOf": [LISTENER, {**listed(LISTENER), "uniqueItems": True}]},
    ("File", "grpc"): {"anyOf": [LISTENER, {"type": "null"}]},
    ("File", "hosts"): {"anyOf": [text(r"^[^\s:/]+$"), listed(text(r"^[^\s:/]+$"), 0)]},
    ("File", "store"): {"anyOf": [text("^sqlite:///."), text(f"^{SERVED_STORE}$"), {"type": "null"}]},
    ("ProviderEntry", "base_url"): {"anyOf": [text(URL), {"type": "null"}]},
    ("ProviderEntry", "endpoints"): {**listed(text(URL)), "uniqueItems": True},
    ("ProviderEntry", "headers"): {
        "type": "object",
        "propertyNames": {"pattern": f"^(?:{HEADER.pattern})$"},
        "additionalProperties": {"type": "string"},
    },
    ("ProviderEntry", "api_keys"): listed({"type": "string", "minLength": 1}),
    ("ProviderEntry", "max_concurrency"): {"anyOf": [*count()["anyOf"], {"type": "null"}]},
    ("ProviderEntry", "paths"): {
        "type": "object",
        "propertyNames": {"enum": list(PATHS)},
        "additionalProperties": text("^/[!-~]*$"),
    },
    ("TargetEntry", "to"): TARGET,
    ("TargetEntry", "weight"): count(),
    ("RetriesEntry", "attempts"): count(),
    ("RetriesEntry", "on"): listed(STATUSES, 0),
    **{(name, "responses"): text(KEPT) for name in ("CacheEntry", "ModelCacheEntry")},
    ("File", "prices"): {
        "type": "object",
        "propertyNames": TARGET,
        "additionalProperties": {"$ref": "#/$defs/PriceEntry"},
    },
    **{("PriceEntry", name): nullable({"type": "number", "minimum": 0}) for name in PriceEntry.__struct_fields__},
    ("File", "include"): {"anyOf": [PLACE, listed(PLACE, 0)]},
    ("PairEntry", "model"): MODEL,
    ("PairEntry", "endpoint"): _endpoints(),
    ("RegistrationFile", "request_defaults"): MEMBERS,
    ("ModelEntry", "model"): MODEL,
    ("ModelEntry", "endpoint"): _endpoints(),
    ("ModelEntry", "targets"): listed({"anyOf": [TARGET, {"$ref": "#/$defs/TargetEntry"}]}),
    ("ModelEntry", "defaults"): MEMBERS,
    ("ModelEntry", "overrides"): MEMBERS,
    **{("StreamEntry", name): count() for name in ("max_handlers", "attempts", "deliveries")},
    ("StreamRetriesEntry", "deliveries"): count(),
    ("StreamRetriesEntry", "backoff"): amount(PAUSES_PATTERN),
    ("StreamEntry", "redeliveries"): {"anyOf": [{"type": "integer", "minimum": 0}, text("^[0-9]+$")]},
    **{("StreamEntry", name): text(BROKER) for name in ("requests", "responses")},
    ("StreamEntry", "dead_letter"): nullable(text(BROKER)),
    ("LogEntry", "slow"): nullable(amount(DURATION_PATTERN)),
    ("TelemetryEntry", "otlp"): nullable(text(r"^\s*(?:https?://[^\s/?#]+(?:/[^\s?#]*)?)?\s*$")),
    ("LimitsEntry", "connections"): count(),
    ("LimitsEntry", "streams"): count(),
    **{("QuotaEntry", name): _rates() for name in ("requests", "tokens")},
    ("QuotaEntry", "parallel"): nullable(count()),
    ("QuotaEntry", "budget"): nullable(MONEY),
    ("QuotaEntry", "budget_period"): nullable(amount(DURATION_PATTERN)),
    **{("RatesEntry", name): nullable(count()) for name in WINDOWS},
    ("QuotasEntry", "tags"): {
        "type": "object",
        "propertyNames": {"pattern": "^[^=]+=."},
        "additionalProperties": {"$ref": "#/$defs/QuotaEntry"},
    },
    ("QuotasEntry", "counters"): text(COUNTED),
    ("AdmissionEntry", "parallel"): nullable(count()),
    ("AdmissionEntry", "queue"): {"anyOf": [{"type": "integer", "minimum": 0}, text("^[0-9]+$")]},
    ("AddressesEntry", "nodes"): listed(text(r"^[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?$"), 0),
    ("AddressesEntry", "fetch"): listed(text(f"^(?:[0-9A-Fa-f.:]+(?:/[0-9]{{1,3}})?|{HOST})$"), 0),
    ("NodeEntry", "network"): {"anyOf": [text(r"^\S+://\S+$"), listed(text(f"^{URL_OF_NATS}$"), 0)]},
    **{("NodeEntry", name): nullable(MODEL) if name == "id" else MODEL for name in ("id", "project")},
    ("NodeEntry", "replicas"): count(),
    ("NodeEntry", "bucket"): text(f"^{BUCKET}$"),
    **{("SettingsEntry", name): nullable(count()) for name in ("threads", "context_size", "batch", "parallel")},
    **{("SettingsEntry", name): nullable(TRUTH) for name in ("mmap", "mlock", "mmlock", "embeddings", "preload")},
    **{("SettingsEntry", name): nullable(amount(DURATION_PATTERN)) for name in ("idle", "keep_alive", "start_time")},
    **{("SettingsEntry", name): nullable(PLACE) for name in ("model", "template", "mmproj")},
    ("SettingsEntry", "memory"): nullable(amount(SIZE_PATTERN)),
    ("SettingsEntry", "gpu_layers"): nullable({"anyOf": [{"type": "integer", "minimum": 0}, text("^(?:all|[0-9]+)$")]}),
    ("LoraEntry", "path"): PLACE,
    ("LoraEntry", "scale"): {"anyOf": [{"type": "number"}, text(r"^-?[0-9]+(?:\.[0-9]+)?$")]},
}


def _together(shape: str) -> Rule:
    """What a mapping as a whole must have, or must not have side by side."""
    if shape == "File":
        return {"type": ["object", "null"]}
    if shape == "ModelEntry":
        return {"required": ["model"]}
    if shape == "ProviderEntry":
        beside = {"endpoints": {"base_url": {"type": "null"}}, "api_keys": {"api_key": False}}
        return {"dependentSchemas": {key: {"properties": other} for key, other in beside.items()}}
    return {}


def _open(rule: Rule) -> Rule:
    """The same, where a number, boolean, word or amount may come from a variable."""
    if rule.get("type") == "boolean":
        return TRUTH
    if "enum" in rule:
        return one_of(*rule["enum"])
    if "pattern" in rule:
        return amount(rule["pattern"])
    return rule


def _about(rule: Rule) -> Rule:
    """What is said about a key, whatever its values."""
    return {name: rule[name] for name in ("description", "default") if name in rule}
