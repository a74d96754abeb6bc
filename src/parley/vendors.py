"""The vendor table as values: who serves models, where, on which wires and with which habits.

The facts are rows of ``vendors.toml``; this file only reads them. Reading costs a few milliseconds and
happens once, on first use.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from parley.operations import OPERATIONS
from parley.settings import Provider, Quirks, Transport

VARIABLE = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
# Stands for a {VAR} of a base URL: any one label of a host's name.
_LABEL = "any0label"
VERSION = re.compile(r"/v\d+[a-z0-9]*$")
# What a vendor's models may take or give, beyond text. The last two are told by its paths.
CAPABILITIES = (
    "tools",
    "images",
    "audio",
    "files",
    "json_schema",
    "reasoning",
    "logprobs",
    "n",
    "embeddings",
    "rerank",
)
_NOT_OF_WIRE = frozenset({"rename", "drop", "defaults", "options", "home", "offers"})


class VendorWire(Struct, frozen=True, kw_only=True):
    """How a vendor is spoken to on one wire. ``base`` may hold {VAR} of the environment; ``suffix`` completes a base
    URL given by the operator, ``sheds`` is taken off its end; ``home`` are the quirks at the vendor's own address;
    ``extensions`` maps fields of the extension object to the vendor's own members; ``can`` and ``cannot`` are
    CAPABILITIES, those of the row among them."""

    wire: str
    base: str
    paths: Mapping[str, str]
    suffix: str = ""
    sheds: str = ""
    auth: str = "bearer"
    transport: Transport = "native"
    quirks: Quirks = Quirks()
    home: Quirks = Quirks()
    extensions: Mapping[str, str] = {}
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables that the base URL needs."""
        return tuple(VARIABLE.findall(self.base))

    def is_home(self, url: str) -> bool:
        """Whether ``url`` is the vendor's own server or a regional name below it."""
        mine, host = urlsplit(VARIABLE.sub(_LABEL, self.base)).hostname, urlsplit(url).hostname
        if not mine or not host:
            return False
        if _LABEL in mine:
            return re.fullmatch(re.escape(mine).replace(_LABEL, "[a-z0-9-]+"), host) is not None
        return host == mine or host.endswith(f".{mine}")

    def complete(self, url: str) -> str:
        """An operator's base URL with this wire's suffix, where it does not already end in a version, and without
        the end that is another wire's of the same server."""
        url = url.rstrip("/")
        if self.sheds:
            url = url.removesuffix(self.sheds)
        if not self.suffix or url.endswith(self.suffix) or VERSION.search(url):
            return url
        return url + self.suffix


class Vendor(Struct, frozen=True, kw_only=True):
    """One row. ``keys`` and ``bases`` are environment variables, best first; ``port`` where it listens on this
    machine; ``open`` works without a key; ``discovered`` is looked for there, by asking for
    ``listed``, paths of which one answers with its models;
    ``default`` the wire meant when none is named, maybe a ``pending`` one."""

    name: str
    title: str
    wires: Mapping[str, VendorWire]
    keys: tuple[str, ...]
    bases: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    default: str = ""
    port: int | None = None
    open: bool = False
    discovered: bool = False
    listed: tuple[str, ...] = ("/v1/models",)

    def choose(self, wire: str | None = None) -> VendorWire | None:
        """The wire of that name (the default one for None), None where it is not spoken (yet)."""
        return self.wires.get(wire or self.default)


@cache
def vendors() -> Mapping[str, Vendor]:
    """Every row by name."""
    import tomllib
    from importlib.resources import files

    table = tomllib.loads(files("parley").joinpath("vendors.toml").read_text("utf-8"))
    shared = cast(dict[str, dict[str, Any]], table["shared"])
    return {name: _vendor(name, row, shared) for name, row in table["vendors"].items()}


@cache
def names() -> Mapping[str, str]:
    """Every accepted spelling of a vendor's name -> the name of its row."""
    rows = vendors().values()
    return {alias: row.name for row in rows for alias in row.aliases} | {row.name: row.name for row in rows}


def find(name: str) -> Vendor | None:
    """The row of that name or alias, in any case of letters."""
    row = names().get(name.lower())
    return vendors()[row] if row is not None else None


def provider_of(
    vendor: Vendor,
    name: str,
    wire: VendorWire,
    *,
    endpoints: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
) -> Provider:
    """A provider of that row; ``endpoints`` replace the row's own address (``{VAR}`` must be filled in)."""
    urls = tuple(wire.complete(url) for url in endpoints) or (wire.base,)
    home = all(wire.is_home(url) for url in urls)
    return Provider(
        name=name,
        type=vendor.name,
        wire=wire.wire,
        endpoints=urls,
        paths=wire.paths,
        keys=keys,
        auth=wire.auth if keys else "none",
        transport=wire.transport,
        quirks=_both(wire.quirks, wire.home) if home else wire.quirks,
        extensions=wire.extensions,
        # Another server of the same wire may well do more, or less.
        can=wire.can if home or vendor.port is not None else (),
        cannot=wire.cannot if home or vendor.port is not None else (),
    )


def capabilities(provider: Provider) -> dict[str, bool]:
    """What is known of a provider; a capability that is not named is not known."""
    offers = {name: True for name in ("embeddings", "rerank") if name in provider.paths}
    known = {**dict.fromkeys(provider.can, True), **dict.fromkeys(provider.cannot, False), **offers}
    return {name: known[name] for name in CAPABILITIES if name in known}


def variables_of(name: str, suffix: str, more: tuple[str, ...]) -> tuple[str, ...]:
    """``<NAME>_<SUFFIX>`` and the row's own variables, each once."""
    first = re.sub(r"[^A-Z0-9]+", "_", name.upper()) + "_" + suffix
    return tuple(dict.fromkeys((first, *more)))


def _vendor(name: str, row: dict[str, Any], shared: dict[str, dict[str, Any]]) -> Vendor:
    """A row of the file with everything it left out."""
    rest = {key: value for key, value in row.items() if key not in ("wires", "keys", "bases", "can", "cannot")}
    wires = {key: _wire(_completed(shared.get(key, {}), value), row) for key, value in row.get("wires", {}).items()}
    made = {
        "default": next(iter(wires), ""),
        **rest,
        "name": name,
        "wires": wires,
        "keys": variables_of(name, "API_KEY", tuple(row.get("keys", ()))),
        "bases": variables_of(name, "BASE_URL", tuple(row.get("bases", ()))),
    }
    return msgspec.convert(made, Vendor)


def _completed(shared: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A wire's row with what it leaves out; extensions add up, and top_k is one where the wire's options say so."""
    own = {"top_k": "top_k"} if row.get("options", {}).get("top_k") is True else {}
    return {**shared, **row, "extensions": {**shared.get("extensions", {}), **own, **row.get("extensions", {})}}


def _wire(row: dict[str, Any], vendor: dict[str, Any]) -> VendorWire:
    """A wire's row; the table's ``defaults`` is ``default`` in the settings, its ``offers`` are paths. Capabilities of
    the wire come before the vendor's."""
    rest = {key: value for key, value in row.items() if key not in _NOT_OF_WIRE}
    rest["paths"] = {**row["paths"], **{name: OPERATIONS[name].path for name in row.get("offers", ())}}
    can, cannot = row.get("can", ()), row.get("cannot", ())
    rest["can"] = (*can, *(name for name in vendor.get("can", ()) if name not in (*can, *cannot)))
    rest["cannot"] = (*cannot, *(name for name in vendor.get("cannot", ()) if name not in (*can, *cannot)))
    return msgspec.convert({**rest, "quirks": _quirks(row), "home": _quirks(row.get("home", {}))}, VendorWire)


def _quirks(row: Mapping[str, Any]) -> Quirks:
    """TOML has no null, so an option says "null"."""
    options = {key: None if value == "null" else value for key, value in row.get("options", {}).items()}
    return Quirks(row.get("rename", {}), tuple(row.get("drop", ())), row.get("defaults", {}), options)


def _both(first: Quirks, second: Quirks) -> Quirks:
    """Two sets of quirks, the second winning."""
    return Quirks(
        {**first.rename, **second.rename},
        tuple(dict.fromkeys((*first.drop, *second.drop))),
        {**first.default, **second.default},
        {**first.options, **second.options},
    )
