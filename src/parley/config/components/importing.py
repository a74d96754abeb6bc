"""Component files of Dapr written as a configuration of ours, for ``parley import``.

Secrets are not looked up: what names one becomes a reference to a variable.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from parley import vendors
from parley.config.components.doubts import doubts
from parley.config.components.durations import go_seconds
from parley.config.components.kinds import BALANCE, ECHO, PREFIX, SIGNED, Kind, kinds, versioned, whole
from parley.config.components.resiliency import Policies, Resiliency
from parley.config.components.resource import Property, Resource, is_ours, resource_of, value_of
from parley.config.document import Document
from parley.config.environment import ECHO as OURS

_WORD: Final = re.compile("[^A-Z0-9]+")
_READ: Final = frozenset(
    {
        "key", "model", "endpoint", "endpoints", "loadbalancingpolicy", "maxtokens", "cachettl", "responsecachettl",
        "apitype", "siteurl", "sitetitle",
    }
)  # fmt: skip
_SIGNED: Final = {name.lower(): member for member, name in SIGNED.items()}


class Components:
    """The components of some files. ``notes`` are what could not be carried over: where, and why."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self._prefixes: dict[str, str] = {}
        self._policies: list[Resiliency] = []
        self._resources: list[tuple[str, Resource]] = []
        self._names: set[str] = set()

    def add(self, document: Document) -> None:
        """One document."""
        value, report = value_of(document)
        if is_ours(value, "Resiliency"):
            self._policies.append(Resiliency(value, report))
            return
        found = resource_of(value, report) if is_ours(value, "Component") else None
        for problem in report.problems:
            self.notes.append((problem.where, problem.message))
        if found is None:
            kind = value.get("kind") if isinstance(value, dict) else None
            self.notes.append((document.name, f"left out: a document of kind {kind}"))
            return
        self._names.add(found.name)
        if found.kind.startswith("secretstores."):
            given = {one.name.lower(): one.value or "" for one in found.properties}
            self._prefixes[found.name] = given.get("prefix", "") if found.kind.endswith(".env") else ""
        elif found.kind.startswith(PREFIX):
            self._resources.append((f"{document.name}: {found.name}", found))
        else:
            self.notes.append((f"{document.name}: {found.name}", f"left out: {found.kind}"))

    def written(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Providers by name, and entries of models."""
        providers: dict[str, Any] = {}
        entries: list[dict[str, Any]] = []
        for where, resource in self._resources:
            made = _Writer(resource, where, self).write(self._policies_of(resource.name))
            if made is None:
                continue
            provider, entry = made
            if entry["model"] in (one["model"] for one in entries):
                self.notes.append((where, "left out: another component has this name"))
                continue
            entries.append(entry)
            if provider is not None:
                providers[resource.name] = provider
        for one in self._policies:
            wrong = (*one.report.problems, *doubts(one, self._names))
            self.notes += [(problem.where, problem.message) for problem in wrong]
        return providers, entries

    def prefix(self, store: str) -> str:
        """What a store of secrets puts before the names of its variables."""
        return self._prefixes.get(store, "")

    def _policies_of(self, name: str) -> Policies:
        named = next((one for one in self._policies if name in one.names), None)
        chosen = named or next(iter(self._policies), None)
        return Policies() if chosen is None else chosen.of(name)


class _Writer:
    """One component."""

    def __init__(self, resource: Resource, where: str, home: Components) -> None:
        self.resource, self.where, self.home = resource, where, home
        self.given = {one.name.lower(): one for one in resource.properties}

    def write(self, policies: Policies) -> tuple[dict[str, Any] | None, dict[str, Any]] | None:
        """The provider (None: one that is built in) and the model's entry; None where neither can be made."""
        name = self.resource.name
        if self.resource.kind == ECHO:
            self._note("the built-in echo repeats the last message only; the component repeats all")
            return None, {"model": name, "targets": [f"{OURS}/{OURS}"], **self._settings()}
        kind = kinds().get((self.resource.kind, self._text("apitype").lower()))
        if kind is None:
            self._note(f"left out: the type {self.resource.kind} is not known")
            return None
        if not all(self._text(one) for one in kind.needs):
            self._note(f"left out: {kind.told}")
            return None
        if " " in name:
            self._note("left out: its name cannot be that of a provider")
            return None
        for other in sorted(set(self.given) - _READ - set(_SIGNED if kind.region else kind.needs)):
            self._note(f"the property {self.given[other].name} is not carried over")
        if kind.chosen:
            self._note(f"{kind.chosen} in the environment no longer chooses the model")
        model = self._text("model") or kind.model
        entry = {"model": name, "targets": [f"{name}/{model}"], **self._settings(kind.defaults)}
        return self._patient(self._provider(kind, model), entry, policies)

    def _provider(self, kind: Kind, model: str) -> dict[str, Any]:
        made: dict[str, Any] = {"type": kind.vendor, "wire": kind.wire}
        key = self._text("key") or (kind.keyless or "")
        if key:
            made["api_key"] = key
        several = [one.strip() for one in self._text("endpoints").split(",") if one.strip()]
        own = self._text("endpoint") or kind.base.replace("{model}", model)
        if several and not kind.fixed:
            made["endpoints"] = [whole(one) for one in several]
            made["balance"] = BALANCE.get(self._text("loadbalancingpolicy").upper(), "round_robin")
        elif own and (kind.region or not kind.fixed):
            made["base_url"] = own.rstrip("/")
        headers = {header: value for name, header in kind.headers.items() if (value := self._text(name.lower()))}
        if headers:
            made["headers"] = headers
        if kind.versioned:
            paths = vendors.vendors()[kind.vendor].wires[kind.wire].paths
            made["paths"] = versioned(paths, self._text("apiversion"))
        if kind.region:
            self._signed(made)
        return made

    def _signed(self, made: dict[str, Any]) -> None:
        """What its calls are signed with."""
        said = {member: value for name, member in _SIGNED.items() if (value := self._text(name))}
        if said:
            made["aws"] = said
        if "region" not in said and "base_url" not in made:
            self._note("its region has to be known where it is served: set AWS_REGION there")

    def _patient(
        self, provider: dict[str, Any], entry: dict[str, Any], policies: Policies
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        if policies.timeout is not None:
            provider["timeouts"] = {"total": f"{policies.timeout:g}s"}
        if policies.attempts is not None:
            on = [int(one) for one in policies.statuses]
            entry["retries"] = {"attempts": policies.attempts, **({"on": [*on, "connect"]} if on else {})}
        if policies.trips is not None:
            self._note("the circuit breaker of its Resiliency is not carried over: every provider has one")
        return provider, entry

    def _settings(self, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
        made: dict[str, Any] = {}
        tokens = self._text("maxtokens")
        values = dict(defaults or {}) | ({"max_tokens": int(tokens)} if tokens.isdecimal() else {})
        if values:
            made["defaults"] = values
        kept = go_seconds(self._text("cachettl") or self._text("responsecachettl") or "0")
        if kept:
            made["cache"] = {"responses": "memory", "ttl": f"{kept:g}s"}
        return made

    def _text(self, name: str) -> str:
        one = self.given.get(name)
        return "" if one is None else self._value(one).strip()

    def _value(self, one: Property) -> str:
        if one.value is not None:
            return one.value.replace("${", "$${")
        if one.secret is not None:
            return f"${{{self._variable(*one.secret)}}}"
        return f"${{{one.variable}}}" if one.variable else ""

    def _variable(self, name: str, key: str) -> str:
        """The variable of a secret: that of a store of variables, else one that has to be set."""
        store = self.resource.store
        if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            made = self.home.prefix(store) + name
        else:
            made = _WORD.sub("_", f"{name}_{key}".upper()).strip("_")
        self._note(f"set {made} where it is served: the secret {name}")
        return made

    def _note(self, text: str) -> None:
        if (self.where, text) not in self.home.notes:
            self.home.notes.append((self.where, text))
