"""Configurations of other programs, read into one of ours: LocalAI's model files, Dapr's components, LiteLLM's.

Nothing is left out in silence: what has no place here is told in a note. Source: registrations contract, part 2.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from msgspec import Struct

from parley.config.build import Builder, scalar
from parley.config.components.importing import Components
from parley.config.document import Document
from parley.config.environment import ECHO
from parley.config.load import load_text
from parley.config.pieces import is_component
from parley.config.problem import Problem
from parley.config.proxy_list import Config
from parley.config.translated import Model, model_of

LISTS = ("model_list", "router_settings")
OURS = ("registration", "models", "providers")


class Note(Struct, frozen=True):
    """Something that could not be carried over: where it stood, and why."""

    where: str
    text: str


class Imported(Struct, frozen=True):
    """``config`` is plain data of a configuration file. With ``problems`` it is only a part of what was asked for."""

    config: Mapping[str, Any]
    notes: tuple[Note, ...]
    problems: tuple[Problem, ...] = ()


def imported(files: Iterable[tuple[str, str]]) -> Imported:
    """One configuration out of files, each its name and its text. Paths in it are as seen from the current folder."""
    reader = _Reader()
    for name, text in files:
        reader.file(name, text)
    return reader.result()


class _Reader:
    """Collects the models of all files."""

    def __init__(self) -> None:
        self.models: dict[str, tuple[str, Model]] = {}
        self.notes: list[Note] = []
        self.problems: list[Problem] = []
        self.components = Components()
        self.others: list[Config] = []

    def file(self, name: str, text: str) -> None:
        """The models of one file: one per document, or a list."""
        document = Document(text, name)
        self.problems += document.problems
        for one in (document, *document.more):
            if not one.empty:
                one.problems.clear()
                self._document(one)

    def _document(self, document: Document) -> None:
        """The models of one document."""
        foreign = _foreign(document)
        if foreign:
            self.problems.append(document.problem((), *foreign))
            return
        if is_component(document):
            self.components.add(document)
            return
        value = Builder(document, None).build()
        self.problems += document.problems
        if isinstance(value, dict) and any(document.holds(name) for name in LISTS):
            self.others.append(Config(document.name, value))
            return
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and isinstance(item.get("name"), str) and item["name"].strip():
                self._model(document.name, item)
            else:
                hint = "a model of LocalAI has a name: at the top of its file"
                self.problems.append(document.problem((), "not a configuration that can be imported", hint))

    def _model(self, file: str, item: dict[str, Any]) -> None:
        """One model."""
        model = model_of(item, FilePath(file).parent)
        where = f"{file}: {model.name}"
        self.notes += [Note(where, text) for text in model.notes]
        fault = _fault(model)
        if fault:
            self.notes.append(Note(where, f"left out: {fault}"))
        elif model.name in self.models:
            other = self.models[model.name][0]
            self.notes.append(Note(where, f"left out: {other} has a model of the same name"))
        elif model.entries or model.alias is not None:
            self.models[model.name] = (file, model)

    def result(self) -> Imported:
        """Everything together."""
        entries: list[Mapping[str, Any]] = []
        providers: dict[str, Any] = {}
        for file, model in self.models.values():
            if model.alias is None:
                entries += model.entries
                providers |= model.providers
            elif self._is_there(model.alias):
                entries.append({"model": model.name, "alias": model.alias})
            else:
                self.notes.append(Note(f"{file}: {model.name}", f'left out: an alias of "{model.alias}", not imported'))
        rest = self._theirs(providers, entries)
        config = {"providers": providers} if providers else {}
        return Imported({**rest, **config, "models": entries}, tuple(self.notes), tuple(self.problems))

    def _theirs(self, providers: dict[str, Any], entries: list[Mapping[str, Any]]) -> dict[str, Any]:
        """What other programs' files add; the rest of a configuration."""
        rest: dict[str, Any] = {}
        more, components = self.components.written()
        found = [(more, components, self.components.notes)]
        for other in self.others:
            found.append((other.providers, other.entries, other.notes))
            rest |= other.rest
        for added, listed, notes in found:
            self.notes += [Note(where, text) for where, text in notes]
            names = _apart(added, providers)
            providers |= {names[name]: value for name, value in added.items()}
            taken = {str(entry["model"]) for entry in entries}
            for entry in listed:
                if entry["model"] in taken:
                    self.notes.append(Note(str(entry["model"]), "left out: there is a model of the same name"))
                else:
                    entries.append(_renamed(entry, names))
        return rest

    def _is_there(self, name: str) -> bool:
        """Whether an alias leads to a model that is no alias itself."""
        return name in self.models and self.models[name][1].alias is None


def _apart(added: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, str]:
    """Names of providers that are not taken."""
    names: dict[str, str] = {}
    for name in added:
        made, count = name, 1
        while made in taken or made in names.values():
            count += 1
            made = f"{name}-{count}"
        names[name] = made
    return names


def _renamed(entry: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """The entry with the providers of its targets as they are called now."""

    def named(target: str) -> str:
        provider, _, model = target.partition("/")
        return f"{names.get(provider, provider)}/{model}"

    if "targets" not in entry:
        return entry
    targets = [{**one, "to": named(one["to"])} if isinstance(one, dict) else named(one) for one in entry["targets"]]
    return {**entry, "targets": targets}


def written(config: Mapping[str, Any]) -> str:
    """Plain data of a configuration as YAML that is read the same by rules old and new."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what is a number or a boolean in YAML 1.2 as well, and writes nothing as an alias."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if scalar(text) == text else "'")

    Dumper.add_representer(str, represent)
    return str(yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000))


def _fault(model: Model) -> str:
    """What our own check says against a model; its keys may still be missing where it is imported."""
    providers = {name: {**given, "api_key": None} for name, given in model.providers.items()}
    entries = model.entries or [{"model": model.name, "targets": [f"{ECHO}/{ECHO}"]}]
    found = load_text(written({"providers": providers, "models": entries}), {}).problems
    return "; ".join(problem.message for problem in found)


def _foreign(document: Document) -> tuple[str, str] | None:
    """Message and hint for a document of our own."""
    if not document.holds("name") and any(document.holds(name) for name in OURS):
        return "this is a configuration of Parley already", "name it under include:, or serve it as it is"
    return None
