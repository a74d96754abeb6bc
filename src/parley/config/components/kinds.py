"""Types ``conversation.*``: which vendor a component means, where it is, with which model and key.

Source: conversation contract sections 3.3 and 5.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from msgspec import UNSET, Struct, convert
from msgspec.structs import replace

from parley import vendors
from parley.config.address import base_url
from parley.config.components.durations import go_seconds
from parley.config.components.properties import Properties
from parley.config.environment import key_of, usable_key
from parley.config.parts import ModelCacheEntry
from parley.config.problem import listed, suggest
from parley.config.signed import regional, signing_of
from parley.settings import Provider, Quirks, Signing, Strategy

PREFIX: Final = "conversation."
ECHO: Final = "conversation.echo"
# Where the answers of echo components come from.
ECHO_WIRE: Final = "dapr"
ECHO_PATHS: Final = {"chat": "/conversation/converse"}
BALANCE: Final[Mapping[str, Strategy]] = {
    "ROUNDROBIN": "round_robin",
    "LEASTREQUEST": "least_busy",
    "RANDOM": "weighted",
    "FAILOVER": "fallback",
}
# Member of what calls are signed with -> property.
SIGNED: Final[Mapping[str, str]] = {
    "region": "region",
    "access_key_id": "accessKey",
    "secret_access_key": "secretKey",
    "session_token": "sessionToken",
    "role_arn": "assumeRoleArn",
    "role_session_name": "sessionName",
}
_VERSION: Final = re.compile(r"(?<=api-version=)[^&]*")
_SPACES: Final = re.compile(r"\s")
_MOST_TOKENS: Final = 2**31 - 1


class Kind(Struct, frozen=True, kw_only=True):
    """One type, a row of kinds.toml, where every member is explained."""

    vendor: str
    wire: str
    model: str
    chosen: str = ""
    base: str = ""
    bases: tuple[str, ...] = ()
    fixed: bool = False
    keyless: str | None = None
    wanted: str = "key is required"
    defaults: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    region: bool = False
    versioned: bool = False
    needs: tuple[str, ...] = ()
    told: str = ""
    elsewhere: Mapping[str, str] = {}
    rename: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    keeps: tuple[str, ...] = ()
    untempered: str = ""


@cache
def kinds() -> Mapping[tuple[str, str], Kind]:
    """Every type by its name and its apiType, "" for none."""
    rows = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text(encoding="utf-8"))
    made: dict[tuple[str, str], Kind] = {}
    for name, row in rows.items():
        meant = dict(rows[row["like"]] if "like" in row else row)
        forms = {"": {}, **meant.pop("api", {})}
        for api, own in forms.items():
            made[name, api] = convert(meant | own, Kind)
    return made


class Component(Struct, frozen=True, kw_only=True):
    """What a component comes to: the provider that it is, the model asked there, and what its registration says."""

    provider: Provider
    model: str
    defaults: Mapping[str, Any] = {}
    cache: ModelCacheEntry = ModelCacheEntry()


def component_of(given: Properties, env: Mapping[str, str]) -> Component | None:
    """The component, None where a mistake leaves it without an address, a key or a type."""
    resource = given.resource
    # Names of components may hold spaces, those of providers may not.
    name, told = f"{_SPACES.sub(_encoded, resource.name)}#component", len(resource.report.problems)
    if resource.version not in ("v0", "v1"):
        message = f"couldn't find conversation {resource.kind}/{resource.version}"
        resource.add(("spec", "version"), message, "write version: v1")
        return None
    if resource.kind == ECHO:
        echo = Provider(
            name=name, type="echo", wire=ECHO_WIRE, endpoints=("echo:",), paths=ECHO_PATHS, transport="echo"
        )
        made = Component(provider=echo, model="echo", defaults=_defaults(given), cache=ModelCacheEntry())
        return made if len(resource.report.problems) == told else None
    kind = _kind(given)
    if kind is None:
        return None
    model = env.get(kind.chosen, "").strip() or given.get("model") or kind.model
    provider = _provider(given, kind, model, env)
    defaults = {**kind.defaults, **_defaults(given)}
    cache = _cache(given)
    if provider is None or len(resource.report.problems) > told:
        return None
    return Component(provider=replace(provider, name=name), model=model, defaults=defaults, cache=cache)


def _encoded(found: re.Match[str]) -> str:
    return quote(found[0])


def _kind(given: Properties) -> Kind | None:
    """The type, with what ``apiType`` makes of it."""
    resource, table = given.resource, kinds()
    if (resource.kind, "") not in table:
        names = sorted({*(name for name, _ in table), ECHO})
        message = f"couldn't find conversation {resource.kind}/{resource.version}"
        resource.add(("spec", "type"), message, suggest(resource.kind, names, f"known: {listed(names)}"))
        return None
    forms = [api for name, api in table if name == resource.kind and api]
    api = given.get("apitype").lower() if forms else ""
    kind = table.get((resource.kind, api))
    if kind is None:
        given.add("apitype", f'unknown apiType "{api}"', f"known: {', '.join(forms)}")
    elif not all(given.get(name) for name in kind.needs):
        given.add("apitype", kind.told)
        return None
    return kind


def _provider(given: Properties, kind: Kind, model: str, env: Mapping[str, str]) -> Provider | None:
    vendor = vendors.vendors()[kind.vendor]
    wire = vendor.wires[kind.wire]
    urls = _regional(given, wire.base, env) if kind.region else _endpoints(given, kind, model, env)
    for name, hint in kind.elsewhere.items():
        if given.get(name):
            given.add(name, "credentials of this type are not taken from a component", hint)
    signing = _signing(given, urls) if kind.region else None
    home = not urls or all(wire.is_home(url) for url in urls)
    key = given.get("key") or (key_of(vendor, env) if home and kind.keyless is None else "")
    if not key and kind.keyless is None:
        given.add("key", kind.wanted, "- {name: key, secretKeyRef: {name: ..., key: ...}}")
        return None
    if key and not usable_key(key):
        given.add("key", "the key holds characters that cannot be sent in a header", "check for line breaks in it")
        return None
    keys = tuple(one for one in (key or kind.keyless or "",) if one)
    made = vendors.provider_of(vendor, "", wire, endpoints=urls, keys=keys)
    headers = tuple((header, value) for name, header in kind.headers.items() if (value := given.get(name)))
    made = replace(made, balance=_balance(given), headers=headers, signing=signing)
    if kind.versioned:
        made = replace(made, paths=versioned(made.paths, given.get("apiversion")))
    return replace(made, quirks=_fitted(made.quirks, kind, model))


def _fitted(quirks: Quirks, kind: Kind, model: str) -> Quirks:
    """The vendor's quirks as the runtime's own client has them."""
    drop = tuple(name for name in quirks.drop if name not in kind.keeps)
    if kind.untempered and re.match(kind.untempered, model):
        drop += ("temperature",)
    return replace(
        quirks, rename={**quirks.rename, **kind.rename}, drop=drop, options={**quirks.options, **kind.options}
    )


def versioned(paths: Mapping[str, str], version: str) -> dict[str, str]:
    """Paths whose query asks for that version of the API."""
    return {name: _VERSION.sub(lambda _: version, path) for name, path in paths.items()}


def _endpoints(given: Properties, kind: Kind, model: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """Base URLs; none for the vendor's own."""
    several = [one.strip() for one in given.get("endpoints").split(",") if one.strip()]
    if several and not kind.fixed:
        return tuple(url for one in several if (url := _url(given, "endpoints", whole(one))))
    own = "" if kind.fixed else given.get("endpoint")
    if own:
        url = _url(given, "endpoint", own.rstrip("/"))
        return (url,) if url else ()
    base = next((env[name].strip() for name in kind.bases if env.get(name, "").strip()), "")
    base = base or kind.base.replace("{model}", model)
    return (base,) if base else ()


def whole(endpoint: str) -> str:
    """An entry of ``endpoints``: a bare host is OpenAI's surface there, over TLS."""
    if "://" in endpoint:
        return endpoint.rstrip("/")
    host, slash, _ = endpoint.partition("/")
    return f"https://{endpoint.rstrip('/')}" if slash or ":" in host else f"https://{host}/v1"


def _url(given: Properties, name: str, text: str) -> str:
    try:
        return base_url(text)
    except ValueError as error:
        given.add(name, str(error), "such as https://host/v1")
        return ""


def _regional(given: Properties, base: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """Its own address, else that of its region."""
    own = given.get("endpoint")
    if own:
        url = _url(given, "endpoint", own)
        return (url,) if url else ()
    region = given.get("region") or env.get("AWS_REGION", "").strip()
    if not region:
        given.add("region", "the AWS region is not known", "- {name: region, value: eu-central-1}")
        return ()
    return (base.replace("{AWS_REGION}", region),)


def _signing(given: Properties, urls: tuple[str, ...]) -> Signing | None:
    """What its calls are signed with; None where AWS's own chain finds everything."""
    said = {member: text for member, name in SIGNED.items() if (text := given.get(name.lower()))}
    return signing_of(regional(said, urls), lambda member, *told: given.add(SIGNED[member].lower(), *told), SIGNED)


def _balance(given: Properties) -> Strategy:
    policy = given.get("loadbalancingpolicy").upper() or "ROUNDROBIN"
    if policy not in BALANCE:
        given.add("loadbalancingpolicy", f'unknown loadBalancingPolicy "{policy}"', f"known: {', '.join(BALANCE)}")
    return BALANCE.get(policy, "round_robin")


def _defaults(given: Properties) -> dict[str, Any]:
    """``maxTokens``, which a request overrides."""
    text = given.get("maxtokens")
    if not text:
        return {}
    if not text.isdecimal() or not 0 < int(text) <= _MOST_TOKENS:
        given.add("maxtokens", "maxTokens is a positive integer")
        return {}
    return {"max_tokens": int(text)}


def _cache(given: Properties) -> ModelCacheEntry:
    text = given.get("cachettl", "responsecachettl")
    if not text:
        return ModelCacheEntry()
    seconds = go_seconds(text)
    if seconds is None or seconds < 0:
        name = "cachettl" if given.get("cachettl") else "responsecachettl"
        given.add(name, f'"{text}" is not a duration', "such as 10m, 1h30m, or a number of seconds")
        return ModelCacheEntry()
    return ModelCacheEntry(responses="memory", ttl=seconds) if seconds else ModelCacheEntry(ttl=UNSET)
