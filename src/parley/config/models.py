"""The ``models:`` part: entries of the file to registrations, keyed {endpoint, model}."""

from collections.abc import Iterable, Mapping, Set

from msgspec import UNSET, Struct

from parley.config.document import Path
from parley.config.problem import listed, suggest
from parley.config.report import Report
from parley.config.shape import ModelEntry, TargetEntry
from parley.settings import EVERY, Registration, Retries, Target

# Operation -> its operationId in the OpenAPI document; product contract section 2.
OPERATION_IDS = {
    "chat": "createChatCompletion",
    "completions": "createCompletion",
    "responses": "createResponse",
    "embeddings": "createEmbedding",
    "image_generation": "createImage",
    "image_edit": "createImageEdit",
    "image_variation": "createImageVariation",
    "speech": "createSpeech",
    "transcription": "createTranscription",
    "translation": "createTranslation",
    "moderation": "createModeration",
    "rerank": "createRerank",
}
AVAILABLE = frozenset({"chat", EVERY})
NOT_SETTABLE = {
    "model": "name the model in targets",
    "messages": "they belong to the request",
    "stream": "it belongs to the request",
}

Key = tuple[str, str]


class Known(Struct, frozen=True):
    """Providers a target may name. ``written`` are those the file speaks of, readable or not (None: cannot be
    told); ``reasons`` say what a known vendor lacks that is not among ``names``."""

    names: Set[str]
    written: Set[str] | None
    reasons: Mapping[str, str]


def operation_of(name: str) -> str | None:
    """The operation meant by its name, its operationId (any case of the first letter) or ``*``; else None."""
    if name == EVERY or name in OPERATION_IDS:
        return name
    lowered = name[:1].lower() + name[1:]
    return next((operation for operation, known in OPERATION_IDS.items() if known == lowered), None)


def registrations_of(entries: Iterable[ModelEntry], known: Known, report: Report) -> dict[Key, Registration]:
    """The registrations of the file; of two with the same key the first is kept."""
    made: dict[Key, Registration] = {}
    first: dict[Key, Path] = {}
    for index, entry in enumerate(entries):
        reader = _Reader(entry, ("models", index), known, report)
        registration = reader.read()
        key = (registration.endpoint, registration.model)
        if key in made:
            reader.repeated(key, report.line(first[key]))
            continue
        made[key], first[key] = registration, ("models", index)
    return made


class _Reader:
    """Reads one entry."""

    def __init__(self, entry: ModelEntry, path: Path, known: Known, report: Report) -> None:
        self.entry, self.path, self.known, self.report = entry, path, known, report

    def read(self) -> Registration:
        """The registration, as far as it can be read."""
        entry = self.entry
        if not entry.model or entry.model != entry.model.strip() or not entry.model.isprintable():
            self._add(("model",), "a model's name is not empty, and has no spaces around it", "rename it")
        self._pending()
        for name in ("defaults", "overrides"):
            self._members(name)
        return Registration(
            model=entry.model,
            targets=self._targets(),
            endpoint=self._endpoint(),
            strategy=entry.strategy,
            defaults=entry.defaults,
            overrides=entry.overrides,
            retries=self._retries(),
            unknown_fields=entry.unknown_fields,
        )

    def repeated(self, key: Key, line: int) -> None:
        """The same pair was registered before."""
        endpoint = "every endpoint" if key[0] == EVERY else key[0]
        here = self.report.line((*self.path, "model"))
        message = f'"{key[1]}" for {endpoint} is registered twice, on lines {line} and {here}'
        self._add(("model",), message, "keep one, or give them different endpoints")

    def _pending(self) -> None:
        """What later versions will know."""
        entry = self.entry
        for name in ("settings", "local_settings"):
            if getattr(entry, name):
                self._later(
                    (name,),
                    f"{name} for a local engine",
                    "serve the weights with a model server and name it in targets",
                )
        if entry.share:
            self._later(("share",), "sharing a model with the network of nodes")
        if entry.cache.responses != "off":
            self._later(("cache", "responses"), "caching of answers", "write off")

    def _endpoint(self) -> str:
        """The operation registered for."""
        name = self.entry.endpoint
        if name is None:
            return EVERY
        operation = operation_of(name)
        if operation is None:
            near = suggest(name, [*OPERATION_IDS, *OPERATION_IDS.values()], f"known: {listed(OPERATION_IDS)}")
            self._add(("endpoint",), f'unknown endpoint "{name}"', near)
        elif operation not in AVAILABLE:
            self._later(("endpoint",), f"endpoint {operation}", "only chat is served; leave endpoint out or write chat")
        return operation or name

    def _targets(self) -> tuple[Target, ...]:
        """The targets, in order."""
        given = self.entry.targets
        if given is UNSET or not given:
            if not (self.entry.settings or self.entry.local_settings):
                self._add(
                    ("targets",) if given is not UNSET else (),
                    "no target is given",
                    "add targets: [provider/model]",
                    key=True,
                )
            return ()
        made = [self._target(("targets", index), item) for index, item in enumerate(given)]
        return tuple(target for target in made if target is not None)

    def _target(self, path: Path, item: str | TargetEntry) -> Target | None:
        """One target; None where it names nothing."""
        text, place = (item, path) if isinstance(item, str) else (item.to, (*path, "to"))
        weight = 1 if isinstance(item, str) else item.weight
        if weight < 1:
            self._add((*path, "weight"), "a weight is above 0", "remove the target to take it out of use")
        provider, slash, model = text.partition("/")
        if not (provider and slash and model) or any(letter.isspace() for letter in text):
            self._add(
                place,
                f'"{text}" is not a target: expected provider/model',
                "the provider is what stands before the first slash",
            )
            return None
        self._provider(place, provider)
        return Target(provider, model, weight)

    def _provider(self, place: Path, name: str) -> None:
        """Whether a target's provider exists."""
        written = self.known.written
        if name in self.known.names or written is None or name in written:
            return
        reason = self.known.reasons.get(name)
        if reason is not None:
            self._add(place, f'provider "{name}" is not configured', reason)
            return
        near = suggest(
            name,
            {*self.known.names, *self.known.reasons},
            f"add it under providers:; known here: {listed(sorted(self.known.names))}",
        )
        self._add(place, f'unknown provider "{name}"', near)

    def _members(self, name: str) -> None:
        """``defaults`` and ``overrides`` edit a request; they may not make it another one."""
        for member in getattr(self.entry, name):
            if member in NOT_SETTABLE:
                self._add((name, member), f"{name} must not set {member}", NOT_SETTABLE[member], key=True)

    def _retries(self) -> Retries:
        """How often, and on what."""
        entry = self.entry.retries
        if entry.attempts < 1:
            self._add(("retries", "attempts"), "attempts is at least 1 (no retry)", "write 1")
        for index, value in enumerate(entry.on):
            word = str(value)
            if word not in ("5xx", "connect") and not (
                word.isascii() and word.isdigit() and 400 <= int(word[:9]) <= 599
            ):
                self._add(
                    ("retries", "on", index), f'cannot retry on "{word}"', "a status from 400 to 599, 5xx or connect"
                )
        return Retries(entry.attempts, frozenset(str(value) for value in entry.on))

    def _later(self, path: Path, what: str, hint: str = "") -> None:
        """Something not available yet below this entry."""
        self.report.later((*self.path, *path), what, hint)

    def _add(self, path: Path, message: str, hint: str = "", key: bool = False) -> None:
        """A mistake below this entry."""
        self.report.add((*self.path, *path), message, hint, key)
