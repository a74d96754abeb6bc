"""The entries of all files together: each pair {endpoint, model} once, defaults handed down, aliases followed."""

from collections.abc import Iterable, Iterator

from msgspec import UNSET, Struct
from msgspec.structs import replace

from parley.config.document import Path
from parley.config.local import Fixed, absent, engine_of, provider_of, unserved
from parley.config.members import merged, without_nulls
from parley.config.models import Draft, Key, Known, draft_of
from parley.config.pieces import Piece
from parley.config.problem import Problem, suggest
from parley.settings import EVERY, Engine, Provider, Registration, Retries, Target


class Pairs(Struct, frozen=True):
    """What was made of the entries. ``absent`` tells of files that a model needs and that are not there;
    ``lost`` of entries that cannot be served, maybe because an included file was left out; ``warned`` is what should
    be known although it is right."""

    registrations: dict[Key, Registration]
    providers: dict[str, Provider]
    absent: tuple[Problem, ...] = ()
    lost: tuple[Problem, ...] = ()
    warned: tuple[Problem, ...] = ()


def pairs_of(pieces: Iterable[Piece], known: Known, builtin: Registration) -> Pairs:
    """The registrations of these files. Files with a mistake in them are left out, but for main ones."""
    every = [(piece, [draft_of(entry, known) for entry in piece.entries]) for piece in pieces]
    kept = [(piece, drafts) for piece, drafts in every if piece.main or piece.right]
    _once(kept)
    while True:
        kept = [(piece, drafts) for piece, drafts in kept if piece.main or piece.right]
        told = [len(piece.problems) for piece, _ in kept]
        drafts = [draft for _, some in kept for draft in some]
        made = _Table(drafts, builtin, whole=len(kept) == len(every)).made()
        if all(piece.main or len(piece.problems) == before for (piece, _), before in zip(kept, told, strict=True)):
            return made


def _once(kept: list[tuple[Piece, list[Draft]]]) -> None:
    """Each pair once: of two in one file, and of two files, the second is the mistake."""
    first: dict[Key, Draft] = {}
    for piece, drafts in kept:
        mine: dict[Key, Draft] = {}
        for draft in drafts:
            other = mine.get(draft.key) or first.get(draft.key)
            if other is None:
                mine[draft.key] = draft
            else:
                _repeated(draft, other)
        if piece.main or piece.right:
            first.update(mine)


def _repeated(draft: Draft, other: Draft) -> None:
    """The same pair was registered before."""
    endpoint = "every endpoint" if draft.endpoint == EVERY else draft.endpoint
    here, there = draft.entry.site, other.entry.site
    lines = there.line(("model",)), here.line(("model",))
    if here.file == there.file:
        where = f"on lines {lines[0]} and {lines[1]}"
    else:
        where = f"in {there.file} on line {lines[0]} and in {here.file} on line {lines[1]}"
    message = f'"{draft.model}" for {endpoint} is registered twice, {where}'
    here.add(("model",), message, "keep one, or give them different endpoints")


class _Table:
    """Makes the registrations of entries, of which several may be of one model; ``whole``: no file was left out."""

    def __init__(self, drafts: list[Draft], builtin: Registration, whole: bool) -> None:
        self.builtin, self.whole = builtin, whole
        unique: dict[Key, Draft] = {}
        for draft in drafts:
            unique.setdefault(draft.key, draft)
        self.aliases = {key: draft for key, draft in unique.items() if draft.entry.value.alias is not None}
        self.own = {key: draft for key, draft in unique.items() if key not in self.aliases}
        self.registrations: dict[Key, Registration] = {}
        self.providers: dict[str, Provider] = {}
        self.absent: list[Problem] = []
        self.lost: list[Problem] = []

    def made(self) -> Pairs:
        """Everything."""
        # Entries for every endpoint come first: others may run on the same engine.
        for draft in sorted(self.own.values(), key=lambda draft: draft.endpoint != EVERY):
            self._register(draft)
        ordered = {key: self.registrations[key] for key in self.own if key in self.registrations}
        builtin = {(self.builtin.endpoint, self.builtin.model): self.builtin}
        ordered |= self._aliased(builtin | ordered)
        found = tuple(dict.fromkeys(self.absent))
        return Pairs(builtin | ordered, self.providers, found, tuple(self.lost))

    def _register(self, draft: Draft) -> None:
        """One entry, with what the model's entry for every endpoint hands down."""
        above = self.own.get((EVERY, draft.model)) if draft.endpoint != EVERY else None
        targets = self._targets(draft, above)
        if not targets:
            return
        values = (draft.entry.value, *([above.entry.value] if above else []))
        strategies = (one.strategy for one in values if one.strategy is not UNSET)
        unknown = (one.unknown_fields for one in values if one.unknown_fields is not UNSET)
        priorities = (one.priority for one in values if one.priority is not UNSET)
        choices = (one.choices for one in values if one.choices is not UNSET)
        retries = (one.retries for one in (draft, above) if one is not None and one.retries is not UNSET)
        fixed = draft.fixed.below(above.fixed) if above else draft.fixed
        self.registrations[draft.key] = Registration(
            model=draft.model,
            targets=targets,
            endpoint=draft.endpoint,
            strategy=next(strategies, "fallback"),
            settings={name: value for name, value in fixed.values.items() if value is not None},
            defaults=without_nulls(merged(above.defaults if above else {}, draft.defaults)),
            overrides=merged(above.overrides if above else {}, draft.overrides),
            retries=next(retries, Retries()),
            unknown_fields=next(unknown, "forward"),
            choices=next(choices, "refuse"),
            priority=next(priorities, "normal"),
            cache=draft.cache if above is None else draft.cache.over(above.cache),
            share=any(one.share for one in values),
        )

    def _targets(self, draft: Draft, above: Draft | None) -> tuple[Target, ...]:
        """Where requests go: the entry's own targets, its own weights, else what is handed down."""
        if draft.targets is not UNSET:
            self._meaningless(draft)
            return draft.targets
        fixed = draft.fixed.below(above.fixed) if above else draft.fixed
        if draft.fixed.weights or (fixed.weights and (above is None or above.targets is UNSET)):
            return self._local(draft, fixed)
        if above is not None and above.targets is not UNSET:
            self._meaningless(draft)
            return above.targets
        if draft.endpoint != EVERY or not self._is_handed_down(draft):
            hint = "add targets: [provider/model], or name weights with settings: {model: PATH}"
            self._unfit(draft, (), "no target is given", hint)
        return ()

    def _is_handed_down(self, draft: Draft) -> bool:
        """Whether an entry for every endpoint only gives defaults to others of its model."""
        return any(model == draft.model and endpoint != EVERY for endpoint, model in self.own)

    def _meaningless(self, draft: Draft) -> None:
        """Settings of an engine say nothing to a provider elsewhere."""
        for name, (site, path) in draft.fixed.places.items():
            if name == "model":
                message = "weights and targets are both given: which one answers?"
                hint = "keep one of them; weights may be registered under another name"
            else:
                message = f"{path[1]} is for weights on this machine, and the targets are elsewhere"
                hint = "remove it, or name the weights with model: PATH in place of targets"
            site.add(path, message, hint, key=True)

    def _local(self, draft: Draft, fixed: Fixed) -> tuple[Target, ...]:
        """The engine of this machine that answers."""
        problem = unserved(draft.endpoint)
        if problem:
            hint = "it serves chat, completions, responses and embeddings"
            draft.entry.site.add(("endpoint",), problem, hint)
            return ()
        engine = engine_of(fixed, draft.endpoint)
        shared = self._shared(draft, engine)
        self.absent += absent(fixed)
        provider = shared or provider_of(engine, draft.endpoint, draft.model)
        self.providers[provider.name] = provider
        return (Target(provider.name, draft.model),)

    def _shared(self, draft: Draft, engine: Engine) -> Provider | None:
        """The provider of the model's entry for every endpoint, where that is the same engine."""
        above = self.registrations.get((EVERY, draft.model))
        provider = self.providers.get(above.targets[0].provider) if above else None
        return provider if provider is not None and provider.engine == engine else None

    def _aliased(self, registered: dict[Key, Registration]) -> dict[Key, Registration]:
        """What aliases add: the registrations of another model under their own name."""
        made: dict[Key, Registration] = {}
        for draft in self.aliases.values():
            for registration in self._meant(draft, registered):
                key = (registration.endpoint, draft.model)
                if key not in registered:
                    made.setdefault(key, replace(registration, model=draft.model))
        return made

    def _meant(self, draft: Draft, registered: dict[Key, Registration]) -> Iterator[Registration]:
        """The registrations that an alias stands for."""
        name, site = str(draft.entry.value.alias), draft.entry.site
        found = {endpoint: one for (endpoint, model), one in registered.items() if model == name}
        if draft.endpoint == EVERY and found:
            yield from found.values()
        elif draft.endpoint in found or EVERY in found:
            yield replace(found.get(draft.endpoint) or found[EVERY], endpoint=draft.endpoint)
        elif name == draft.model:
            return
        elif any(model == name for _, model in self.aliases):
            site.add(("alias",), f'"{name}" is itself an alias', "name the model that it stands for")
        else:
            known = sorted({model for _, model in registered})
            what = f'"{name}" is not registered' + (f" for {draft.endpoint}" if found else "")
            hint = suggest(name, known, "name a model under models:, or give targets in place of alias")
            self._unfit(draft, ("alias",), what, hint)

    def _unfit(self, draft: Draft, path: Path, message: str, hint: str) -> None:
        """An entry that lacks another one: no mistake of its own where that may stand in a file that was left out."""
        site = draft.entry.site
        if self.whole:
            site.add(path, message, hint, key=not path)
        else:
            self.lost.append(site.note(path, f"{message}: a file that may register it was left out", hint))
