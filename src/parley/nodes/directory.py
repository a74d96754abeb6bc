"""Everything that can be called by the name of a project and a model, as providers and registrations for routing.

One provider stands for one model of one kind wherever it is; its endpoints are the best places for it now, workers of
this machine and other nodes alike, so that breakers, load and retries are those of every provider. Pure.
Sources: computing node contract section 5.4, 12.3, 12.5; docs/decisions/0009.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import nsmallest
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from parley.nodes.facts import OPERATIONS, Facts, Offer, operation_of
from parley.nodes.names import Named, read
from parley.nodes.network import SCHEME, VIA, place
from parley.nodes.registry import Registry, Worker
from parley.relay import can
from parley.settings import NODE, Provider, Quirks, Registration, Settings, Target, Timeouts

# So many places of one model are looked at by a request; which ones these are follows the load.
PLACES: Final = 16
WIRE: Final = "worker"
# Pictures take their time, and nothing is heard before they are done.
_TIMEOUTS: Final = Timeouts(connect=5.0, first_byte=600.0, idle=300.0, total=600.0)
# Where a model is that is nowhere now.
NOWHERE: Final = (SCHEME,)
Pair = tuple[str, str]


class Spot(Struct, frozen=True):
    """One place of a model: where it is called, and how busy it is said to be. ``told`` is None where we count."""

    endpoint: str
    load: tuple[int, float]
    told: int | None = None


class Directory:
    """``id`` is this node's, ``project`` the name under which shared models of the configuration are offered.

    ``renew`` is told of a provider whose endpoints or loads have changed, ``forget`` that names may mean something
    else now; ``listeners`` that what this node offers has changed. ``busy`` counts requests for a configured model.
    """

    def __init__(self, id: str, project: str, registry: Registry) -> None:
        self.id = id
        self.project = project
        self.registry = registry
        self.version = ""
        self.since = 0.0
        self.addresses: tuple[str, ...] = ()
        self.key = ""
        self.renew: Callable[[Provider, Mapping[str, int]], None] = lambda provider, told: None
        self.forget: Callable[[], None] = lambda: None
        self.busy: Callable[[str], int] = lambda model: 0
        self.listeners: list[Callable[[], None]] = []
        self.latencies: dict[str, float] = {}
        self._settings = Settings()
        self._nodes: dict[str, Facts] = {}
        self._others: dict[Pair, dict[tuple[str, int, str], Offer]] = {}
        self._projects: dict[str, set[str]] = {}
        self._kinds: dict[Pair, set[int]] = {}
        self._providers: dict[str, Provider] = {}
        self._made: dict[Pair, dict[str, tuple[int, Named]]] = {}
        self._fixed: set[Pair] = set()
        self._marked: dict[tuple[str, str], None] | None = None

    # Settings

    def adopted(self, settings: Settings) -> Settings:
        """The same with our providers, and with targets that name models of nodes."""
        self._providers = dict(settings.providers)
        self._made, self._fixed = {}, set()
        registrations = {key: self._meant(one) for key, one in settings.registrations.items()}
        self._settings = replace(settings, providers=self._providers, registrations=registrations)
        self._marked = None
        return self._settings

    def _meant(self, registration: Registration) -> Registration:
        if all(target.provider != NODE for target in registration.targets):
            return registration
        targets = tuple(target for one in registration.targets for target in self._targets(one))
        return replace(registration, targets=targets)

    def _targets(self, target: Target) -> Iterable[Target]:
        named = read(f"{NODE}/{target.model}") if target.provider == NODE else None
        if named is None:
            return (target,)
        self._fixed.add((named.project, named.model))
        return (self._target(kind, named, target.weight) for kind in range(len(OPERATIONS)))

    # What routing asks

    def find(self, operation: str, name: str) -> Registration | None:
        """What answers for a name that is not configured."""
        named = read(name) or self._by_model(name)
        if named is None:
            return None
        if named.project == self.project and named.node in ("", self.id) and self._shared(named.model):
            return self._settings.find(operation, named.model)
        kinds = [kind for kind in range(len(OPERATIONS)) if self._exists(kind, named)]
        if not kinds:
            return None
        # What holds for the model, such as its limits, holds at every place of it.
        return Registration(model=named.plain.text, targets=tuple(self._target(kind, named) for kind in kinds))

    def plain(self, name: str) -> str:
        """The name of the same model wherever it is, for what is allowed by name."""
        named = read(name)
        return name if named is None else named.plain.text

    def names(self) -> list[str]:
        """Every model of every project, as it is asked for."""
        return sorted(Named(project, model).text for model, found in self._projects.items() for project in found)

    def _by_model(self, model: str) -> Named | None:
        """A model that only one project has."""
        found = self._projects.get(model, ())
        return Named(next(iter(found)), model) if len(found) == 1 else None

    def _target(self, kind: int, named: Named, weight: int = 1) -> Target:
        pair = (named.project, named.model)
        name = provider_name(kind, named)
        if name not in self._providers:
            self._made.setdefault(pair, {})[name] = (kind, named)
            self._renew(name, kind, named)
        return Target(name, named.model, weight)

    # Other nodes

    @property
    def nodes(self) -> Mapping[str, Facts]:
        """Those that were heard."""
        return self._nodes

    def heard(self, facts: Facts, latency: float | None = None) -> None:
        """Another node is there, or has changed; ``latency`` in seconds there and back."""
        if facts.node == self.id:
            return
        before = self._nodes.get(facts.node)
        self._nodes[facts.node] = facts
        if latency is not None:
            self.latencies[facts.node] = latency
        old = {} if before is None else _by_place(before)
        new = _by_place(facts)
        for key in old.keys() - new.keys():
            self._drop(facts.node, key)
        for key, offer in new.items():
            if offer.project != "" and offer.model != "" and old.get(key) != offer:
                self._others.setdefault((offer.project, offer.model), {})[(facts.node, offer.kind, offer.cid)] = offer
        changed = {key[:2] for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        self.changed(changed, own=False)

    def lost(self, node: str) -> None:
        """It is gone."""
        facts = self._nodes.pop(node, None)
        self.latencies.pop(node, None)
        if facts is not None:
            places = _by_place(facts)
            for key in places:
                self._drop(node, key)
            self.changed({key[:2] for key in places}, own=False)

    def _drop(self, node: str, key: tuple[str, str, int, str]) -> None:
        project, model, kind, cid = key
        places = self._others.get((project, model))
        if places is not None:
            places.pop((node, kind, cid), None)
            if not places:
                del self._others[(project, model)]

    # This node

    def own(self) -> Facts:
        """What this node offers now."""
        workers = (worker.offer() for worker in self.registry if worker.ok)
        return Facts(
            node=self.id,
            version=self.version,
            since=self.since,
            addresses=self.addresses,
            offers=(*workers, *self.shared()),
            key=self.key,
        )

    def shared(self) -> list[Offer]:
        """Models of the configuration that are marked so."""
        return [
            Offer(project=self.project, model=name, kind=OPERATIONS.index(operation), in_flight=self.busy(name))
            for operation, name in self._offered()
        ]

    def _offered(self) -> Mapping[tuple[str, str], None]:
        """Operations and names of the models that are marked so; found once for each configuration."""
        if self._marked is None:
            self._marked = {}
            for name in (name for (_, name), one in self._settings.registrations.items() if one.share):
                for operation in OPERATIONS:
                    found = self._settings.find(operation, name)
                    if found and any(can(self._providers.get(to.provider), operation) for to in found.targets):
                        self._marked[(operation, name)] = None
        return self._marked

    def here(self, operation: str, project: str, model: str, cid: str = "") -> str | None:
        """The name by which our own gateway is asked for what another node wants; None for what is not offered."""
        if operation not in OPERATIONS:
            return None
        if project == self.project:
            return model if (operation, model) in self._offered() else None
        named = Named(project, model, self.id, cid)
        return named.text if self._exists(OPERATIONS.index(operation), named) else None

    def _shared(self, model: str) -> bool:
        return any(name == model and one.share for (_, name), one in self._settings.registrations.items())

    # Changes

    def changed(self, pairs: Iterable[Pair], *, own: bool = True) -> None:
        """Places or loads of these models are others than before."""
        for pair in pairs:
            self._index(pair)
            for name, (kind, named) in tuple(self._made.get(pair, {}).items()):
                self._renew(name, kind, named)
        if own:
            self.touched()

    def touched(self) -> None:
        """What is offered may be something else now, or busier."""
        for listener in self.listeners:
            listener()

    def _index(self, pair: Pair) -> None:
        """Which kinds of such a model there are; names are forgotten where that has changed."""
        project, model = pair
        kinds = {kind for kind in range(len(OPERATIONS)) if self._exists(kind, Named(project, model))}
        if kinds == self._kinds.get(pair, set()):
            return
        if kinds:
            self._kinds[pair] = kinds
            self._projects.setdefault(model, set()).add(project)
        else:
            del self._kinds[pair]
            self._projects[model].discard(project)
            if not self._projects[model]:
                del self._projects[model]
        self._unmake(pair)
        self.forget()

    def _unmake(self, pair: Pair) -> None:
        """Providers that nothing configured needs are made again when asked for."""
        for name, (kind, named) in tuple(self._made.get(pair, {}).items()):
            if pair not in self._fixed and not self._exists(kind, named):
                del self._made[pair][name]
                self._providers.pop(name, None)

    def _renew(self, name: str, kind: int, named: Named) -> None:
        spots = self.spots(kind, named)
        endpoints = tuple(spot.endpoint for spot in spots) or NOWHERE
        told = {spot.endpoint: spot.told for spot in spots if spot.told is not None}
        before = self._providers.get(name)
        provider = before
        if provider is None or set(provider.endpoints) != set(endpoints):
            provider = self._providers[name] = _provider(name, kind, endpoints)
        if before is not None:
            self.renew(provider, told)

    # Places

    def spots(self, kind: int, named: Named) -> list[Spot]:
        """The best places of a model that are in rotation, the best first."""
        found = [*self._workers(kind, named), *self._elsewhere(kind, named)]
        return nsmallest(PLACES, found, key=lambda spot: spot.load)

    def _workers(self, kind: int, named: Named) -> Iterable[Spot]:
        if named.node in ("", self.id):
            for worker in self.registry.places(named.project, named.model):
                if worker.ok and _fits(worker, kind, named):
                    yield Spot(worker.endpoint, worker.load)

    def _elsewhere(self, kind: int, named: Named) -> Iterable[Spot]:
        """Of a node with several places the freest."""
        best: dict[str, Spot] = {}
        for (node, other, cid), offer in self._others.get((named.project, named.model), {}).items():
            if offer.ok and other == kind and named.node in ("", node) and named.cid in ("", cid):
                endpoint = place(node, operation_of(kind), named.project, named.model, named.cid and cid)
                latency = (offer.latency or 0.0) + self.latencies.get(node, 0.0)
                spot = Spot(endpoint, (offer.in_flight, latency), offer.in_flight)
                best[endpoint] = min(spot, best.get(endpoint, spot), key=lambda one: one.load)
        return best.values()

    def _exists(self, kind: int, named: Named) -> bool:
        """Whether there is a place for it, in rotation or not."""
        mine = named.node in ("", self.id)
        if mine and any(_fits(one, kind, named) for one in self.registry.places(named.project, named.model)):
            return True
        return any(
            other == kind and named.node in ("", node) and named.cid in ("", cid)
            for node, other, cid in self._others.get((named.project, named.model), {})
        )


def provider_name(kind: int, named: Named) -> str:
    """Of the provider that stands for it; what is before the first mark is shown."""
    project, _, model = Named(named.project, named.model).text.removeprefix(f"{NODE}/").partition("/")
    place = named.text.partition("#")[2]
    return f"{NODE}/{project}#{kind}/{model}" + (f"#{place}" if place else "")


def _provider(name: str, kind: int, endpoints: tuple[str, ...]) -> Provider:
    return Provider(
        name=name,
        type=NODE,
        wire=WIRE,
        endpoints=endpoints,
        paths={operation_of(kind): ""},
        auth="none",
        balance="idlest",
        timeouts=_TIMEOUTS,
        transport="node",
        extensions={"step": "step"},
        quirks=Quirks(options={"passes": VIA}),
    )


def _fits(worker: Worker, kind: int, named: Named) -> bool:
    entry = worker.entry
    return OPERATIONS.index(operation_of(entry.kind)) == kind and named.cid in ("", entry.cid)


def _by_place(facts: Facts) -> dict[tuple[str, str, int, str], Offer]:
    return {(offer.project, offer.model, offer.kind, offer.cid): offer for offer in facts.offers}
