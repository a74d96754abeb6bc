"""The entries of the file, each by itself: what it says, checked, as far as it can be read."""

from collections.abc import Mapping, Set

from msgspec import UNSET, Struct, UnsetType

from parley.config.cached import own_caching
from parley.config.document import Path
from parley.config.local import Fixed, fixed_of
from parley.config.members import members_of
from parley.config.pieces import Entry
from parley.config.problem import listed, suggest
from parley.config.shape import ModelEntry, SettingsEntry, TargetEntry
from parley.operations import OPERATIONS
from parley.operations import operation_of as named_operation
from parley.settings import EVERY, NODE, Caching, Provider, Retries, Target

Key = tuple[str, str]

BESIDE_ALIAS = (
    "targets", "settings", "local_settings", "defaults", "overrides", "strategy", "retries", "unknown_fields",
    "choices", "priority", "cache",
)  # fmt: skip


class Known(Struct, frozen=True):
    """Providers a target may name. ``written`` are those the file speaks of, readable or not (None: cannot be
    told); ``reasons`` say what a known vendor lacks that is not among ``providers``."""

    providers: Mapping[str, Provider]
    written: Set[str] | None
    reasons: Mapping[str, str]


class Draft(Struct, frozen=True, kw_only=True):
    """One entry, read. UNSET is what it leaves to the model's entry for every endpoint."""

    entry: Entry
    endpoint: str
    targets: tuple[Target, ...] | UnsetType
    retries: Retries | UnsetType
    fixed: Fixed
    defaults: Mapping[str, object]
    overrides: Mapping[str, object]
    cache: Caching

    @property
    def model(self) -> str:
        """What the caller asks for."""
        return self.entry.value.model

    @property
    def key(self) -> Key:
        """The pair."""
        return self.endpoint, self.model


def operation_of(name: str) -> str | None:
    """The operation meant by its name, its operationId (any case of the first letter) or ``*``; else None."""
    return EVERY if name == EVERY else named_operation(name)


def draft_of(entry: Entry, known: Known) -> Draft:
    """What an entry says; mistakes go to its site."""
    return _Reader(entry, known).read()


class _Reader:
    """Reads one entry."""

    def __init__(self, entry: Entry, known: Known) -> None:
        self.entry, self.value, self.site, self.known = entry, entry.value, entry.site, known

    def read(self) -> Draft:
        """The entry, as far as it can be read."""
        model = self.value.model
        if not model or model != model.strip() or not model.isprintable():
            self.site.add(("model",), "a model's name is not empty, and has no spaces around it", "rename it")
        self._alias()
        endpoint = self._endpoint()
        operation = endpoint if endpoint in OPERATIONS else EVERY
        return Draft(
            entry=self.entry,
            endpoint=endpoint,
            targets=self._targets(endpoint),
            retries=self._retries(),
            fixed=self._fixed(),
            defaults=members_of(self.site, "defaults", self.value.defaults, operation),
            overrides=members_of(self.site, "overrides", self.value.overrides, operation),
            cache=own_caching(self.value.cache, self.site),
        )

    def _alias(self) -> None:
        """An alias is a name and nothing else."""
        if self.value.alias is None:
            return
        plain = ModelEntry(model="")
        for name in BESIDE_ALIAS:
            if getattr(self.value, name) != getattr(plain, name):
                hint = "set it where the model itself is registered, or register this name with targets"
                self.site.add((name,), f"an alias has no {name} of its own", hint, key=True)
        if self.value.alias == self.value.model:
            self.site.add(("alias",), "an alias of itself", "name another registered model")

    def _endpoint(self) -> str:
        """The operation registered for."""
        name = self.value.endpoint
        if name is None:
            return EVERY
        operation = operation_of(name)
        if operation is None:
            ids = [one.id for one in OPERATIONS.values()]
            near = suggest(name, [*OPERATIONS, *ids], f"known: {listed(OPERATIONS)}")
            self.site.add(("endpoint",), f'unknown endpoint "{name}"', near)
        return operation or name

    def _fixed(self) -> Fixed:
        """Settings, under either name."""
        name = "local_settings" if self.value.local_settings != SettingsEntry() else "settings"
        if name == "local_settings" and self.value.settings != SettingsEntry():
            self.site.add(("local_settings",), "give settings or local_settings, not both", "keep settings", key=True)
        return fixed_of(getattr(self.value, name), self.site, name)

    def _targets(self, endpoint: str) -> tuple[Target, ...] | UnsetType:
        """The targets, in order."""
        given = self.value.targets
        if given is UNSET:
            return UNSET
        if not given and self.value.alias is None:
            self.site.add(("targets",), "no target is given", "add targets: [provider/model]", key=True)
        made = [self._target(("targets", index), item, endpoint) for index, item in enumerate(given)]
        return tuple(target for target in made if target is not None)

    def _target(self, path: Path, item: str | TargetEntry, endpoint: str) -> Target | None:
        """One target; None where it names nothing."""
        text, place = (item, path) if isinstance(item, str) else (item.to, (*path, "to"))
        weight = 1 if isinstance(item, str) else item.weight
        if weight < 1:
            self.site.add((*path, "weight"), "a weight is above 0", "remove the target to take it out of use")
        provider, slash, model = text.partition("/")
        if not (provider and slash and model) or any(letter.isspace() for letter in text):
            hint = "the provider is what stands before the first slash"
            self.site.add(place, f'"{text}" is not a target: expected provider/model', hint)
            return None
        if provider == NODE and provider not in self.known.providers:
            self._at_nodes(place, model)
        elif provider in self.known.providers:
            self._offered(place, provider, endpoint)
        else:
            self._provider(place, provider)
        return Target(provider, model, weight)

    def _at_nodes(self, place: Path, model: str) -> None:
        """A model of nodes: whether it is there shows only later."""
        project, slash, name = model.partition("/")
        if not (project and slash and name):
            self.site.add(place, "a model of nodes has a project", "write node/PROJECT/MODEL")

    def _offered(self, place: Path, name: str, endpoint: str) -> None:
        """Whether a provider can answer the operation at all."""
        operation, paths = OPERATIONS.get(endpoint), self.known.providers[name].paths
        if operation is None or any(carrier in paths for carrier in operation.carriers):
            return
        offers = [one for one in OPERATIONS if one in paths]
        has = f"it offers {', '.join(offers)}; " if offers else ""
        hint = f"{has}where it does offer {endpoint}, say so with paths: {{{endpoint}: {operation.path}}}"
        self.site.add(place, f'provider "{name}" does not offer {endpoint}', hint)

    def _provider(self, place: Path, name: str) -> None:
        """What is wrong with a target's provider that is not there; a broken one was told already."""
        written = self.known.written
        if written is None or name in written:
            return
        reason = self.known.reasons.get(name)
        if reason is not None:
            self.site.add(place, f'provider "{name}" is not configured', reason)
            return
        names = self.known.providers
        otherwise = f"add it under providers:; known here: {listed(sorted(names))}"
        near = suggest(name, {*names, *self.known.reasons}, otherwise)
        self.site.add(place, f'unknown provider "{name}"', near)

    def _retries(self) -> Retries | UnsetType:
        """How often, and on what."""
        entry = self.value.retries
        if entry is UNSET:
            return UNSET
        if entry.attempts < 1:
            self.site.add(("retries", "attempts"), "attempts is at least 1 (no retry)", "write 1")
        for index, value in enumerate(entry.on):
            if not _is_retried(str(value)):
                hint = "a status from 400 to 599, 5xx or connect"
                self.site.add(("retries", "on", index), f'cannot retry on "{value}"', hint)
        return Retries(entry.attempts, frozenset(str(value) for value in entry.on))


def _is_retried(word: str) -> bool:
    """Whether a word names something to retry on."""
    return word in ("5xx", "connect") or (word.isascii() and word.isdigit() and 400 <= int(word[:9]) <= 599)
