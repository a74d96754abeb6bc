"""The ``providers:`` part: entries of the file to providers, with the vendor table's help."""

import re
from collections.abc import Mapping

from msgspec import UNSET, ValidationError
from msgspec.structs import replace

from parley import vendors
from parley.config.address import base_url
from parley.config.amounts import duration
from parley.config.document import Path
from parley.config.environment import ECHO, base_of, echo, key_of, usable_key
from parley.config.local import LOCAL
from parley.config.packages import lacking
from parley.config.problem import listed, suggest
from parley.config.report import Report
from parley.config.shape import ProviderEntry, TimeoutsEntry
from parley.config.signed import credentials, given, regional, signing_of
from parley.operations import OPERATIONS
from parley.settings import Provider, Quirks, Timeouts
from parley.vendors import Vendor, VendorWire

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer",
                  "expect", "accept-encoding", "keep-alive"})  # fmt: skip
PATHS = (*OPERATIONS, "chat_stream", "models", "count_tokens")


def providers_of(
    entries: Mapping[str, ProviderEntry | None], env: Mapping[str, str], report: Report
) -> dict[str, Provider]:
    """The providers of the file by name; entries with a mistake in them are left out."""
    made: dict[str, Provider] = {}
    for name, entry in entries.items():
        provider = _Reader(name, entry or ProviderEntry(), env, report).read()
        if provider is not None:
            made[name] = provider
    return made


class _Reader:
    """Reads one entry."""

    def __init__(self, name: str, entry: ProviderEntry, env: Mapping[str, str], report: Report) -> None:
        self.name, self.entry, self.env, self.report = name, entry, env, report
        self.path: Path = ("providers", name)
        self.aws = {} if entry.aws is None else given(entry.aws)
        if "region" in self.aws:
            self.env = {**env, "AWS_REGION": self.aws["region"]}

    def read(self) -> Provider | None:
        """The provider, None where a mistake leaves it without an address or a wire."""
        if not self.name or "/" in self.name or self.name != self.name.strip():
            self._add((), "a provider's name is not empty and has no slash", "rename it", key=True)
            return None
        kind = self.entry.type or self.name
        if ECHO in (kind, self.name):
            return self._echo(kind)
        vendor = self._vendor(kind)
        if vendor is not None and vendor.name == LOCAL:
            hint = "name the weights under models: with settings: {model: PATH}, and remove this provider"
            self._add(("type",) if self.entry.type else (), "models of this machine need no provider", hint, key=True)
            return None
        if vendor is None:
            self._completed(echo())
            return None
        spoken = self._wire(vendor)
        wire = spoken or next(iter(vendor.wires.values()), None)
        return self._provider(vendor, wire, spoken is not None) if wire is not None else None

    def _provider(self, vendor: Vendor, wire: VendorWire, spoken: bool) -> Provider | None:
        """The provider; with a wire that is not spoken the rest is only checked."""
        urls, addressed = self._endpoints(vendor, wire)
        home = bool(urls) and all(wire.is_home(url) for url in urls)
        keys = self._keys(vendor, home, home or not addressed)
        provider = self._completed(vendors.provider_of(vendor, self.name, wire, endpoints=urls, keys=keys))
        return provider if urls and spoken else None

    def _echo(self, kind: str) -> Provider:
        """The built-in provider, which has nothing to set."""
        if kind != ECHO:
            self._add(("type",), f'"{ECHO}" is the built-in provider and cannot be of another type', "rename it")
        elif self.entry not in (ProviderEntry(), ProviderEntry(type=ECHO)):
            self._add((), "the built-in echo has nothing to set", f"write only type: {ECHO}", key=True)
        return replace(echo(), name=self.name)

    def _vendor(self, kind: str) -> Vendor | None:
        """The row meant."""
        vendor = vendors.find(kind)
        if vendor is not None:
            return vendor
        if self.entry.type is None:
            message = f'"{kind}" is not a known vendor: say what it is with type:'
            hint = suggest(kind, vendors.names(), "add type: openai for any OpenAI-compatible server")
            self.report.add(self.path, message, hint, key=True, sure=True)
        else:
            self._add(("type",), f'unknown provider type "{kind}"', _types(kind))
        return None

    def _wire(self, vendor: Vendor) -> VendorWire | None:
        """The wire meant."""
        named = self.entry.wire
        wanted = named or vendor.default
        wire = vendor.wires.get(wanted)
        if wire is not None:
            return wire
        path = ("wire",) if named else ("type",) if self.entry.type else ()
        choices = listed([*vendor.wires, *vendor.pending])
        instead = f"write wire: {listed(vendor.wires)}" if vendor.wires else "remove this provider for now"
        if wanted in vendor.pending or not vendor.wires:
            what = f"wire {wanted} of {vendor.title}" if vendor.wires else vendor.title
            self._add(path, f"{what}: not available yet", instead, key=True)
        else:
            self._add(
                path, f'{vendor.title} has no wire "{wanted}": choose {choices}', suggest(wanted, vendor.wires, instead)
            )
        return None

    def _endpoints(self, vendor: Vendor, wire: VendorWire) -> tuple[tuple[str, ...], bool]:
        """Base URLs, checked, and whether the file gave them."""
        entry = self.entry
        if entry.endpoints is not UNSET and entry.base_url is not None:
            self._add(("base_url",), "give base_url or endpoints, not both", "keep endpoints", key=True)
        if entry.endpoints is not UNSET:
            if not entry.endpoints:
                self._add(("endpoints",), "no endpoint is given", "add a base URL such as https://host/v1", key=True)
            checked = [self._url(("endpoints", index), url) for index, url in enumerate(entry.endpoints)]
            self._twice(entry.endpoints)
            return tuple(url for url in checked if url), True
        if entry.base_url is not None:
            url = self._url(("base_url",), entry.base_url)
            return ((url,) if url else ()), True
        try:
            url = base_of(vendor, wire, self.env)
        except ValueError as error:
            self._add((), str(error), "set base_url here", key=True)
            return (), False
        return (wire.complete(url),), False

    def _twice(self, urls: list[str]) -> None:
        """The same address twice would get twice the calls."""
        for index, url in enumerate(urls):
            if url in urls[:index]:
                self._add(("endpoints", index), "the same endpoint is given twice", "keep one of them")

    def _url(self, path: Path, text: str) -> str:
        """One base URL; "" where it is wrong."""
        try:
            return base_url(text)
        except ValueError as error:
            self._add(path, str(error), "such as https://host/v1")
            return ""

    def _paths(self) -> dict[str, str]:
        """Paths that replace the row's; those that nothing will ever ask for are a mistake."""
        for operation, path in self.entry.paths.items():
            if operation not in PATHS:
                hint = suggest(operation, PATHS, f"known: {listed(PATHS)}")
                self._add(("paths", operation), f'unknown operation "{operation}"', hint, key=True)
            elif not path.startswith("/") or not path.isascii() or any(letter <= " " for letter in path):
                message = "a path begins with a slash, is ASCII and has no spaces"
                self._add(("paths", operation), message, "such as /chat/completions")
        return self.entry.paths

    def _keys(self, vendor: Vendor, home: bool, trusted: bool) -> tuple[str, ...]:
        """The keys; a key of the environment is not sent to an address that the file names, unless it is home."""
        entry = self.entry
        if entry.api_key is not UNSET and entry.api_keys is not UNSET:
            self._add(("api_key",), "give api_key or api_keys, not both", "put every key into api_keys", key=True)
        if entry.api_keys is not UNSET:
            if not entry.api_keys:
                self._add(("api_keys",), "no key is given", "add a key or remove api_keys", key=True)
            return tuple(
                key for index, text in enumerate(entry.api_keys) if (key := self._key(("api_keys", index), text))
            )
        if credentials(self.aws) and entry.api_key not in (UNSET, None):
            self._add(("api_key",), "give api_key or aws, not both", "calls are signed, or bear a key", key=True)
        if isinstance(entry.api_key, str):
            key = self._key(("api_key",), entry.api_key)
            return (key,) if key else ()
        if entry.api_key is None or not trusted or credentials(self.aws):
            return ()
        return self._key_of_environment(vendor, home)

    def _key_of_environment(self, vendor: Vendor, home: bool) -> tuple[str, ...]:
        """The vendor's variable, where the file says nothing."""
        key = key_of(vendor, self.env)
        if key:
            return (key,)
        if home and not vendor.open and not self.entry.headers:
            hint = f"set {vendor.keys[0]}, or api_key here (api_key: null for none)"
            self._add((), f"no key for {vendor.title}", hint, key=True)
        return ()

    def _key(self, path: Path, text: str) -> str:
        """One key; "" where it cannot be used."""
        key = text.strip()
        if not key:
            self._add(path, "the key is empty", "set the variable it comes from, or write api_key: null for no key")
            return ""
        if not usable_key(key):
            self._add(
                path,
                "the key holds characters that cannot be sent in a header",
                "check for line breaks and quotes in it",
            )
            return ""
        return key

    def _completed(self, provider: Provider) -> Provider:
        """The provider with everything else the entry says."""
        entry = self.entry
        if entry.max_concurrency is not None and entry.max_concurrency < 1:
            self._add(("max_concurrency",), "max_concurrency is at least 1", "remove it for no limit")
        if entry.transport not in ("native", "aiohttp"):
            self._add(("transport",), f'unknown transport "{entry.transport}"', "write native or aiohttp")
        if entry.transport == "aiohttp" and provider.transport != "native":
            self._add(("transport",), "calls to this provider are made on the native transport only", "remove it")
        lacks, hint = lacking(provider.transport, bool(provider.keys))
        if lacks:
            self._add((), lacks, hint, key=True)
        if self.aws and provider.transport != "bedrock":
            self._add(("aws",), "only calls to AWS are signed", "remove aws, or write the type that is meant", key=True)
        return replace(
            provider,
            balance=entry.balance,
            timeouts=self._timeouts(entry.timeouts),
            headers=self._headers(),
            max_concurrency=entry.max_concurrency,
            transport="aiohttp" if entry.transport == "aiohttp" else provider.transport,
            paths={**provider.paths, **self._paths()},
            quirks=self._fitted(provider),
            signing=signing_of(regional(self.aws, provider.endpoints), self._unsigned),
        )

    def _unsigned(self, name: str, message: str, hint: str) -> None:
        """What is wrong with a member of ``aws:``."""
        self._add(("aws", name), message, hint, key=True)

    def _fitted(self, provider: Provider) -> Quirks:
        """The quirks with the entry's options, which the wires themselves judge."""
        given, quirks = self.entry.options, provider.quirks
        if not given:
            return quirks
        from parley.wire import SPOKEN, load

        wires = [load(name) for name in dict.fromkeys(SPOKEN[provider.wire].values())]
        known = sorted({name for wire in wires for name in wire.options})
        for name in given:
            if name not in known:
                otherwise = f"known: {listed(known)}" if known else "remove it: this wire has no options"
                hint = suggest(name, known, otherwise)
                self._add(("options", name), f'unknown option "{name}"', hint, key=True)
        made = {**quirks.options, **given}
        try:
            for wire in wires:
                if wire.fitted is not None:
                    wire.fitted(made)
        except ValidationError as error:
            message, _, place = str(error).partition(" - at `$.")
            name = place.rstrip("`").partition(".")[0].partition("[")[0]
            self._add(("options", name) if name in given else ("options",), message)
        return replace(quirks, options=made)

    def _headers(self) -> tuple[tuple[str, str], ...]:
        """Added headers, names and values checked."""
        for name, value in self.entry.headers.items():
            if not HEADER.fullmatch(name):
                self._add(("headers", name), "not a valid header name", "letters, digits and -", key=True)
            elif name.lower() in OURS:
                self._add(("headers", name), f"the header {name} is set by the gateway itself", "remove it", key=True)
            elif not VALUE.fullmatch(value):
                self._add(
                    ("headers", name),
                    "the value holds characters that cannot be sent in a header",
                    "check for line breaks in it",
                )
        return tuple(self.entry.headers.items())

    def _timeouts(self, entry: TimeoutsEntry) -> Timeouts:
        """Limits in seconds."""
        made: dict[str, float] = {}
        for name in entry.__struct_fields__:
            try:
                made[name] = duration(getattr(entry, name))
            except ValueError as error:
                self._add(("timeouts", name), str(error))
        return Timeouts(**made)

    def _add(self, path: Path, message: str, hint: str = "", key: bool = False) -> None:
        """A mistake below this entry."""
        self.report.add((*self.path, *path), message, hint, key)


def _types(kind: str) -> str:
    """The way out of an unknown type."""
    return suggest(kind, [*vendors.names(), ECHO], "openai fits any OpenAI-compatible server")
