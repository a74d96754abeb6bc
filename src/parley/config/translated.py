"""One model as LocalAI describes it, in our words.

Source: registrations contract 2.2 and 2.3.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from parley import extensions
from parley.config.backends import backend_problem
from parley.config.members import is_of_kind
from parley.settings import EVERY, EXTENSIONS
from parley.wire import PARAMETERS

# Their name -> ours.
SETTINGS = {
    "threads": "threads", "context_size": "context_size", "gpu_layers": "gpu_layers", "mmap": "mmap",
    "mmlock": "mlock", "embeddings": "embeddings",
}  # fmt: skip
FILES = {"mmproj": "mmproj"}
SWITCHES = ("mmap", "mlock", "embeddings")
WORDS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
PLAIN = (
    "temperature", "top_p", "n", "max_tokens", "echo", "frequency_penalty", "presence_penalty", "seed", "logprobs",
    "top_logprobs", "logit_bias", "language", "encoding_format",
)  # fmt: skip
# A value that stands for "not set".
UNSET_VALUES = {"max_tokens": 0, "seed": -1, "context_size": 0, "threads": 0, "batch": 0, "n": 0}
SHAPING = {"stopwords": "stopwords", "cutstrings": "cutstrings", "trimspace": "trimstrings", "grammar": "grammar"}
ROLES = ("system", "user", "assistant")
USECASES: Mapping[str, tuple[str, ...]] = {
    "chat": ("chat",), "completion": ("completions",), "llm": ("chat", "completions"), "embeddings": ("embeddings",),
    "vision": ("chat",),
}  # fmt: skip
PROXY = "cloud-proxy"
# The vendor that the wire is named after; any server that speaks it can be reached so.
DIALECT = PARAMETERS.partition("_")[0]
# They describe a model and do not change what it does here.
DESCRIPTIONS = (
    "description", "usage", "pinned", "known_input_modalities", "known_output_modalities", "download_files",
)  # fmt: skip
VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
REFERENCES = ("file:", "env.", "os.environ/")


class Model(Struct):
    """What became of one model: entries below ``models``, or ``alias``; ``notes`` tell what has no place."""

    name: str
    entries: list[dict[str, Any]]
    providers: dict[str, Any]
    notes: list[str]
    alias: str | None = None


def model_of(given: Mapping[str, Any], folder: FilePath) -> Model:
    """One model, its files beside it in ``folder``."""
    return _Reader(given, folder).read()


class _Reader:
    """Takes out of a model what is understood; the rest is told."""

    def __init__(self, given: Mapping[str, Any], folder: FilePath) -> None:
        self.left = {name: value for name, value in given.items() if value not in (None, "", [], {})}
        self.folder = folder
        parameters = self.left.pop("parameters", {})
        self.parameters = dict(parameters) if isinstance(parameters, dict) else {}
        self.model = Model(str(self.left.pop("name")).strip(), [], {}, [])
        self.operation = "chat"
        if not isinstance(parameters, dict):
            self._lost("parameters", "they are no mapping")

    def read(self) -> Model:
        """The model."""
        for name in DESCRIPTIONS:
            self.left.pop(name, None)
        if self._switch("disabled", self.left.pop("disabled", False)):
            self._note("left out: it is disabled")
            return self.model
        if "alias" in self.left:
            self.model.alias = str(self.left.pop("alias"))
        elif "proxy" in self.left:
            self._proxied()
        else:
            self._local()
        self._rest()
        return self.model

    def _proxied(self) -> None:
        """A model that another server answers."""
        proxy = self.left.pop("proxy")
        backend = self.left.pop("backend", PROXY)
        if backend != PROXY or not isinstance(proxy, dict) or not proxy.get("upstream_url"):
            self._note("left out: its proxy has no upstream_url, or its backend is not a proxy")
            self.left.clear()
            return
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.model.name).strip("-") or "upstream"
        provider = self._provider(dict(proxy))
        upstream = str(proxy.get("upstream_model") or self.parameters.pop("model", self.model.name))
        self.left.pop("known_usecases", None)
        self.model.providers[name] = provider
        entry = {"model": _text(self.model.name), "endpoint": "chat", "targets": [_text(f"{name}/{upstream}")]}
        self.model.entries.append({**entry, **self._defaults()})

    def _provider(self, proxy: dict[str, Any]) -> dict[str, Any]:
        """The provider behind a proxy."""
        made: dict[str, Any] = {
            "type": str(proxy.pop("provider", None) or DIALECT),
            **_address(str(proxy.pop("upstream_url"))),
        }
        variable, file = proxy.pop("api_key_env", None), proxy.pop("api_key_file", None)
        if variable is not None and not re.fullmatch(VARIABLE, str(variable)):
            self._lost("proxy.api_key_env", "it is no name of a variable")
            made["api_key"] = None
        elif variable:
            made["api_key"] = f"${{{variable}}}"
            self._note(f"set {variable} in the environment before serving")
        elif file:
            made["api_key"] = f"file:{self._path(str(file))}"
        else:
            made["api_key"] = None
        seconds = proxy.pop("request_timeout_seconds", None)
        if seconds:
            made["timeouts"] = {"total": seconds}
        limits = self.left.pop("limits", None)
        if isinstance(limits, dict) and limits.get("max_concurrent"):
            made["max_concurrency"] = limits["max_concurrent"]
        for name in ("mode", "upstream_model"):
            proxy.pop(name, None)
        for name in proxy:
            self._lost(f"proxy.{name}")
        return made

    def _local(self) -> None:
        """A model whose weights are here."""
        backend = str(self.left.pop("backend", "") or "")
        weights = self.parameters.pop("model", None)
        problem = backend_problem(backend) if backend else None
        if problem or not isinstance(weights, str) or not weights.strip():
            self._note(f"left out: {problem or 'it names no weights (parameters.model)'}")
            self.left.clear()
            return
        settings: dict[str, Any] = {"model": self._weights(weights)}
        if backend:
            settings["backend"] = backend
        settings |= self._settings()
        endpoint = self._endpoint(settings)
        if endpoint is None:
            return
        self._template()
        self.operation = endpoint or EVERY
        named = {"endpoint": endpoint} if endpoint else {}
        self.model.entries.append({"model": _text(self.model.name), **named, "settings": settings, **self._defaults()})

    def _weights(self, given: str) -> str:
        """The path of the weights."""
        if "://" not in given:
            return self._path(given)
        path = self._path(given.rpartition("/")[2])
        self._note(f"nothing is downloaded: get {given} and put it at {path}")
        return path

    def _settings(self) -> dict[str, Any]:
        """Settings of the engine under our names."""
        made: dict[str, Any] = {}
        given = {name: self.left.pop(name) for name in (*SETTINGS, *FILES) if name in self.left}
        batch = self.parameters.pop("batch", self.left.pop("batch", None))
        for name, value in {**given, **({"batch": batch} if batch else {})}.items():
            ours = SETTINGS.get(name, name)
            if name in FILES:
                made[ours] = self._path(str(value))
            elif _is_unset(name, value):
                continue
            elif ours in SWITCHES:
                made[ours] = self._switch(name, value)
            else:
                self._count(made, ours, value)
        return made | self._loras()

    def _count(self, made: dict[str, Any], name: str, value: Any) -> None:
        """A number of things; layers on the GPU may also be none or all."""
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
        if name == "gpu_layers" and (value == "all" or (number is not None and number < 0)):
            made[name] = "all"
        elif number is not None and (number > 0 or name == "gpu_layers"):
            made[name] = number
        else:
            self._lost(name, "its value is not understood")

    def _loras(self) -> dict[str, Any]:
        """Adapters with their scales."""
        one, scale = self.left.pop("lora_adapter", None), self.left.pop("lora_scale", None)
        paths = [*([one] if one else []), *_listed(self.left.pop("lora_adapters", None))]
        scales = [*([scale or 1.0] if one else []), *_listed(self.left.pop("lora_scales", None))]
        if not paths:
            return {}
        scales += [1.0] * (len(paths) - len(scales))
        return {
            "lora": [
                {"path": self._path(str(path)), "scale": value} for path, value in zip(paths, scales, strict=False)
            ]
        }

    def _endpoint(self, settings: dict[str, Any]) -> str | None:
        """The endpoint to register for, "" for every one; None where nothing of it is served."""
        given = [str(one).lower().removeprefix("flag_") for one in _listed(self.left.pop("known_usecases", None))]
        if not given:
            return ""
        wanted: dict[str, None] = {}
        for usecase in given:
            served = USECASES.get(usecase, ())
            wanted.update(dict.fromkeys(served))
            if not served or usecase == "llm":
                what = "edit (of llm)" if usecase == "llm" else usecase
                self._lost(f"the use {what}", "the local engine does not serve it")
        if not wanted:
            self._note("left out: nothing that it is used for is served by the local engine")
            self.left.clear()
            return None
        if len(wanted) == 1:
            return next(iter(wanted))
        if "embeddings" in wanted:
            settings["embeddings"] = True
        return ""

    def _template(self) -> None:
        """Templates in another language cannot be carried; the model's own one is what is used anyway."""
        template = self.left.pop("template", None)
        for name in template if isinstance(template, dict) else ():
            if name != "use_tokenizer_template" and template[name] not in (None, "", False):
                self._lost(
                    f"template.{name}", "Go templates are not read; the model's own is used, or settings.template"
                )

    def _defaults(self) -> dict[str, Any]:
        """Request members and the extension object."""
        members: dict[str, Any] = {}
        extension: dict[str, Any] = {}
        for name, value in self.parameters.items():
            if value is not None and not _is_unset(name, value):
                self._parameter(members, extension, name, value)
        for theirs, ours in SHAPING.items():
            if theirs in self.left:
                self._extension(extension, ours, self.left.pop(theirs))
        roles = self._roles()
        if roles:
            self._extension(extension, "roles", roles)
        if "reasoning_effort" in self.left:
            value = self.left.pop("reasoning_effort")
            self._put(members, "reasoning_effort", value, isinstance(value, str))
        if extension:
            members[EXTENSIONS] = extension
        return {"defaults": members} if members else {}

    def _parameter(self, members: dict[str, Any], extension: dict[str, Any], name: str, value: Any) -> None:
        """One of the parameters."""
        if name in PLAIN:
            self._put(members, name, value, is_of_kind(name, value))
        elif name in extensions.FIELDS:
            self._extension(extension, name, value)
        else:
            self._lost(f"parameters.{name}")

    def _extension(self, extension: dict[str, Any], name: str, value: Any) -> None:
        """One field of the extension object, where the endpoint has it."""
        if extensions.FIELDS[name].fits(self.operation):
            self._put(extension, name, value, extensions.problem_of(name, value) is None)
        else:
            self._lost(name, f"it does not belong to {self.operation}")

    def _roles(self) -> dict[str, Any]:
        """Words in front of messages, by role."""
        given = self.left.pop("roles", None)
        kept: dict[str, Any] = {}
        for role, value in given.items() if isinstance(given, dict) else ():
            if role in ROLES and isinstance(value, str):
                kept[role] = value
            else:
                self._lost(f"roles.{role}")
        return kept

    def _put(self, members: dict[str, Any], name: str, value: Any, fits: bool) -> None:
        """One member, where its value can be written down."""
        if not fits:
            self._lost(name, "its value is not understood")
        elif any(text.startswith(REFERENCES) for text in _listed(value) if isinstance(text, str)):
            self._lost(name, "it would be read as a reference to a file or a variable")
        else:
            members[name] = _written(value)

    def _rest(self) -> None:
        """What is left has no place here."""
        for name, value in self.left.items():
            if isinstance(value, dict):
                for inner in value:
                    self._lost(f"{name}.{inner}")
            elif value is not False:
                self._lost(name)

    def _switch(self, name: str, value: Any) -> bool:
        """A boolean, which may be written in the words of older YAML."""
        known = value if isinstance(value, bool) else WORDS.get(str(value).lower())
        if known is None:
            self._lost(name, "its value is not understood")
        return bool(known)

    def _path(self, given: str) -> str:
        """A path as seen from the current folder."""
        path = os.path.normpath(os.path.join(self.folder, os.path.expanduser(given)))
        return _text(f"./{path}" if path.startswith(REFERENCES) else path)

    def _lost(self, name: str, why: str = "") -> None:
        """Something that is not carried over."""
        self._note(f"{name} is not carried over" + (f": {why}" if why else ""))

    def _note(self, text: str) -> None:
        """Something to tell."""
        self.model.notes.append(text)


def _address(url: str) -> dict[str, Any]:
    """Base URL and path of a whole URL that requests are sent to."""
    parts = urlsplit(url)
    for end in ("/chat/completions", "/messages"):
        if parts.path.endswith(end) and not parts.query:
            return {"base_url": url.removesuffix(end)}
    folder, _, last = parts.path.rstrip("/").rpartition("/")
    if not last:
        return {"base_url": url}
    query = f"?{parts.query}" if parts.query else ""
    return {"base_url": f"{parts.scheme}://{parts.netloc}{folder}", "paths": {"chat": f"/{last}{query}"}}


def _is_unset(name: str, value: Any) -> bool:
    """Whether a value only says that nothing is set."""
    return not isinstance(value, bool) and name in UNSET_VALUES and bool(value == UNSET_VALUES[name])


def _listed(value: Any) -> list[Any]:
    """A list, also of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(text: str) -> str:
    """Text in which nothing is taken for a reference."""
    return text.replace("${", "$${")


def _written(value: Any) -> Any:
    """A value whose texts hold no references."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    return value
