"""Fixed settings of models that run on this machine, and the provider that each of them becomes."""

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path as FilePath
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from parley.config.amounts import duration, size
from parley.config.document import Path
from parley.config.pieces import Site
from parley.config.problem import Problem
from parley.config.shape import LoraEntry, SettingsEntry
from parley.operations import OPERATIONS
from parley.settings import EVERY, Engine, Provider, Timeouts

LOCAL = "local"
# Written name -> the engine's own.
SYNONYMS = {"mmlock": "mlock", "keep_alive": "idle"}
FILES = ("model", "mmproj", "template", "lora")
TEMPLATE_ENDS = ("", ".tmpl", ".jinja")
ALL_LAYERS = 999
COUNTS = ("threads", "context_size", "batch", "parallel")
TEXT_PATHS = {"chat": "/chat/completions", "completions": "/completions", "models": "/models"}
EMBEDDING_PATHS = {"embeddings": "/embeddings", "models": "/models"}
# The first token of a long prompt takes minutes on a processor without help.
TIMEOUTS = Timeouts(first_byte=600.0, idle=120.0)


class Fixed(Struct, frozen=True):
    """Settings by the engine's names, files as absolute paths; None removes what the model's entry for every
    endpoint says. ``places`` are where each was written."""

    values: Mapping[str, Any] = {}
    places: Mapping[str, tuple[Site, Path]] = {}

    def below(self, other: "Fixed") -> "Fixed":
        """These settings on top of others, by presence."""
        return Fixed({**other.values, **self.values}, {**other.places, **self.places})

    @property
    def weights(self) -> bool:
        """Whether they name a model."""
        return self.values.get("model") is not None


def fixed_of(entry: SettingsEntry, site: Site, field: str) -> Fixed:
    """The settings that an entry gives; mistakes in them go to its site."""
    values: dict[str, Any] = {}
    places: dict[str, tuple[Site, Path]] = {}
    for written in entry.__struct_fields__:
        value = getattr(entry, written)
        if value is UNSET:
            continue
        name = SYNONYMS.get(written, written)
        if name in values:
            site.add((field, written), f"{written} is another name for {name}, and both are given", f"keep {name}")
        places[name] = (site, (field, written))
        values[name] = None if value is None else _read(name, value, places[name])
    return Fixed(values, places)


def engine_of(fixed: Fixed, endpoint: str) -> Engine:
    """The engine that these settings describe, for one endpoint or every one."""
    given = {name: value for name, value in fixed.values.items() if value is not None}
    if endpoint == "embeddings":
        given["embeddings"] = True
    return Engine(**given)


def provider_of(engine: Engine, endpoint: str, model: str) -> Provider:
    """The provider that stands for one engine; its address is never connected to."""
    from parley.config.backends import OFFERED

    return Provider(
        name=f"{LOCAL}#{endpoint}/{model}",
        type=LOCAL,
        wire="openai_chat",
        transport="local",
        endpoints=(f"local://{_sign(engine)}",),
        paths=_paths(engine, endpoint),
        auth="none",
        timeouts=TIMEOUTS,
        extensions=OFFERED,
        engine=engine,
    )


def unserved(endpoint: str) -> str:
    """What is wrong with an endpoint that the engine does not know; "" where it does."""
    operation = OPERATIONS.get(endpoint)
    offers = {**TEXT_PATHS, **EMBEDDING_PATHS}
    if endpoint == EVERY or operation is None or any(carrier in offers for carrier in operation.carriers):
        return ""
    return f"the local engine does not serve {endpoint}"


def absent(fixed: Fixed) -> list[Problem]:
    """Files that are named and not there (yet), or cannot be what they should be."""
    problems = []
    for name in FILES:
        value = fixed.values.get(name) or ()
        for path in [value] if isinstance(value, str) else [one for one, _ in value]:
            fault = _fault(name, path)
            if fault is not None:
                site, place = fixed.places[name]
                hint = "put it there, or mend the path; requests fail until then"
                problems.append(site.note(place, f"{path}: {fault}", hint))
    return problems


def _fault(name: str, path: str) -> str | None:
    """What is wrong with a file."""
    if name != "template":
        from parley.config.backends import weights_problem

        return weights_problem(path)
    return None if os.path.isfile(path) else "there is no such file, nor with .tmpl or .jinja behind its name"


def _sign(engine: Engine) -> str:
    """The same for the same engine and for no other, however often the configuration is read."""
    return sha256(msgspec.json.encode(engine)).hexdigest()[:16]


def _paths(engine: Engine, endpoint: str) -> dict[str, str]:
    """What the engine offers."""
    if endpoint == "embeddings":
        return EMBEDDING_PATHS
    return {**TEXT_PATHS, **EMBEDDING_PATHS} if engine.embeddings else TEXT_PATHS


def _read(name: str, value: Any, place: tuple[Site, Path]) -> Any:
    """One setting as the engine takes it; where it is wrong None, but no weights are not meant by wrong ones."""
    read = READERS.get(name)
    if read is None:
        return value
    site, path = place
    try:
        return read(value, site.folder)
    except ValueError as error:
        site.add(path, str(error))
        return "" if name == "model" else None


def _file(value: str, folder: FilePath) -> str:
    """An absolute path."""
    if not value.strip() or "\0" in value:
        raise ValueError("the path of a file is expected")
    if "://" in value:
        raise ValueError("a file on this machine is expected: nothing is downloaded")
    return os.path.normpath(os.path.join(os.path.abspath(folder), os.path.expanduser(value)))


def _template(value: str, folder: FilePath) -> str:
    """The template's path, whose ending may be left out."""
    path = _file(value, folder)
    return next((path + end for end in TEMPLATE_ENDS if os.path.isfile(path + end)), path)


def _loras(value: Any, folder: FilePath) -> tuple[tuple[str, float], ...]:
    """Adapters as pairs of path and scale."""
    listed = value if isinstance(value, list) else [value]
    return tuple(
        (_file(one.path, folder), one.scale) if isinstance(one, LoraEntry) else (_file(one, folder), 1.0)
        for one in listed
    )


def _count(value: int, _: FilePath) -> int:
    """A number of things."""
    if value < 1:
        raise ValueError("must be at least 1")
    return value


def _layers(value: int | str, _: FilePath) -> int:
    """Layers on the GPU."""
    if value == "all":
        return ALL_LAYERS
    text = str(value).strip()
    if not (text.isascii() and text.isdigit()):
        raise ValueError("expected a number of layers from 0, or all")
    return int(text)


def _backend(value: str, _: FilePath) -> str:
    """The engine's name."""
    from parley.config.backends import backend_problem

    problem = backend_problem(value)
    if problem:
        raise ValueError(problem)
    return value


READERS: Mapping[str, Callable[[Any, FilePath], Any]] = {
    "model": _file,
    "mmproj": _file,
    "template": _template,
    "lora": _loras,
    "gpu_layers": _layers,
    "backend": _backend,
    "idle": lambda value, _: duration(value),
    "start_time": lambda value, _: duration(value),
    "memory": lambda value, _: size(value),
    **dict.fromkeys(COUNTS, _count),
}
