"""Everything that component files say, for the rest of the configuration to take. See the package.

Source: conversation contract section 3.2.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from parley.config.components.doubts import doubts
from parley.config.components.kinds import PREFIX, Component, component_of
from parley.config.components.made import Found, Gathered, app_id
from parley.config.components.properties import Properties, Surroundings
from parley.config.components.resiliency import Policies, Resiliency
from parley.config.components.resource import Resource, is_ours, resource_of, value_of
from parley.config.components.secrets import Secrets, secrets_of
from parley.config.document import Document
from parley.config.problem import Problem
from parley.config.report import Report
from parley.config.shape import ModelEntry, RetriesEntry
from parley.settings import Component as Told
from parley.settings import Provider


def gathered(documents: list[tuple[Document, Path]], env: Mapping[str, str]) -> Gathered:
    """Read component documents, each with the folder that its paths start from."""
    return _Gatherer(env).gather(documents)


class _Gatherer:
    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.app = app_id(env)
        self.namespace = env.get("NAMESPACE", "").strip()
        self.files: list[str] = []
        self.notes: list[Problem] = []
        self.reports: list[Report] = []
        self.stores: dict[str, Secrets] = {}
        self.policies: list[Resiliency] = []
        self.resources: dict[str, Resource] = {}
        # Whatever they are, and whoever they are for.
        self.names: set[str] = set()

    def gather(self, documents: list[tuple[Document, Path]]) -> Gathered:
        """Stores of secrets and policies first: components name them wherever they stand."""
        for document, folder in documents:
            self._sort(document, folder)
        around = Surroundings(self.env, self.app, self.namespace or "default", self.stores)
        providers: dict[str, Provider] = {}
        found: list[Found] = []
        loaded: dict[str, Told] = {}
        for resource in self.resources.values():
            made = self._component(resource, around)
            if made is None:
                continue
            policies = self._policies_of(resource.name)
            providers[made.provider.name] = _patient(made.provider, policies)
            found.append(Found(_entry(resource.name, made, policies), resource.report))
            loaded[resource.name] = Told(resource.name, resource.kind, resource.version)
        for one in self.policies:
            self.notes += doubts(one, self.names)
        return Gathered(
            providers, tuple(found), loaded, tuple(self.notes), tuple(self.reports), tuple(dict.fromkeys(self.files))
        )

    def _sort(self, document: Document, folder: Path) -> None:
        value, report = value_of(document)
        self.reports.append(report)
        if is_ours(value, "Resiliency"):
            policies = Resiliency(value, report)
            if not policies.scopes or self.app in policies.scopes:
                self.policies.append(policies)
        elif is_ours(value, "Component"):
            self._resource(value, report, folder)

    def _resource(self, value: Any, report: Report, folder: Path) -> None:
        resource = resource_of(value, report)
        self.names.add("" if resource is None else resource.name)
        if resource is None or report.problems or not self._is_for_us(resource):
            return
        if resource.kind.startswith("secretstores."):
            store = secrets_of(resource, self.env, folder, self.files)
            if store is not None:
                self.stores[resource.name] = store
        elif resource.kind.startswith(PREFIX):
            other = self.resources.get(resource.name)
            if other is None:
                self.resources[resource.name] = resource
            else:
                where = f"the other one is in {other.report.document.name} on line {other.report.line(('metadata',))}"
                message = f'there are two components named "{resource.name}"'
                report.add(("metadata", "name"), message, f"rename one of them; {where}")

    def _is_for_us(self, resource: Resource) -> bool:
        """Whether its scopes and its namespace let us load it."""
        if resource.scopes and self.app not in resource.scopes:
            return False
        return not (self.namespace and resource.namespace and resource.namespace != self.namespace)

    def _component(self, resource: Resource, around: Surroundings) -> Component | None:
        told = len(resource.report.problems)
        properties = Properties(resource, around)
        made = component_of(properties, self.env) if len(resource.report.problems) == told else None
        self.notes += properties.notes
        if resource.ignores_errors and len(resource.report.problems) > told:
            # Its author said that it may be missing.
            self.notes += resource.report.problems[told:]
            del resource.report.problems[told:]
            return None
        return made

    def _policies_of(self, name: str) -> Policies:
        named = next((one for one in self.policies if name in one.names), None)
        chosen = named or next(iter(self.policies), None)
        return Policies() if chosen is None else chosen.of(name)


def _patient(provider: Provider, policies: Policies) -> Provider:
    provider = replace(provider, trips=policies.trips, rests=policies.rests)
    if policies.timeout is None:
        return provider
    limits = provider.timeouts
    most = policies.timeout
    timeouts = replace(limits, total=most, first_byte=min(limits.first_byte, most), connect=min(limits.connect, most))
    return replace(provider, timeouts=timeouts)


def _entry(name: str, made: Component, policies: Policies) -> ModelEntry:
    entry = ModelEntry(
        model=name, targets=[f"{made.provider.name}/{made.model}"], defaults=dict(made.defaults), cache=made.cache
    )
    if policies.attempts is None:
        return entry
    usual = RetriesEntry()
    on: tuple[int | str, ...] = (*policies.statuses, "connect") if policies.statuses else usual.on
    return replace(entry, retries=RetriesEntry(attempts=policies.attempts, on=on))
