"""From a file, the environment and what was found on this machine to one Settings, or to every mistake in it."""

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec
from msgspec import Struct

from parley import vendors
from parley.config.build import Builder, unfilled
from parley.config.document import Document, Path
from parley.config.edge import hosts_of, limits_of, listeners_of, reject_pending
from parley.config.environment import Discovered, echo, echo_registration, found
from parley.config.models import Known, registrations_of
from parley.config.problem import Problem
from parley.config.providers import providers_of
from parley.config.report import Report
from parley.config.shape import File
from parley.config.variables import Scope
from parley.settings import Provider, Settings


class Loaded(Struct, frozen=True):
    """What was read. With ``problems`` the settings are only what could still be made out: look, do not serve.

    ``files`` are those that were read beside the configuration itself (``file:`` references).
    """

    settings: Settings
    problems: tuple[Problem, ...]
    files: tuple[str, ...] = ()


def load(
    path: str | FilePath | None, env: Mapping[str, str], *, discovered: Iterable[Discovered | Provider] = ()
) -> Loaded:
    """The configuration file at ``path`` (None: no file) together with the environment. Never raises."""
    if path is None:
        return load_text("", env, discovered=discovered)
    file = FilePath(path)
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        problem = Problem(str(path), 0, 0, f"cannot read it: {error.strerror or 'no such file'}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(str(path), line, 1, "not UTF-8 text", "save the file as UTF-8")
    except ValueError:
        problem = Problem(str(path), 0, 0, "not the name of a file")
    else:
        return load_text(text, env, name=str(path), folder=file.parent, discovered=discovered)
    return Loaded(_settings(File(), env, discovered, Report(Document("", str(path)))), (problem,))


def load_text(
    text: str,
    env: Mapping[str, str],
    *,
    name: str = "parley.yaml",
    folder: FilePath | None = None,
    discovered: Iterable[Discovered | Provider] = (),
) -> Loaded:
    """A configuration given as text; ``folder`` is where relative ``file:`` paths start (the current one)."""
    document = Document(text, name)
    builder = Builder(document, Scope(env, folder or FilePath()))
    file, report = _file(builder)
    settings = _settings(file, env, discovered, report)
    problems = dict.fromkeys((*document.problems, *report.problems))
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    outside = found(env, report.named or ())[1]
    return Loaded(settings, (*ordered, *outside), tuple(dict.fromkeys(builder.files)))


def _file(builder: Builder) -> tuple[File, Report]:
    """The file's values in their shape, and where its further mistakes go."""
    document = builder.document
    raw = builder.build()
    holes = unfilled(raw)
    if document.root is None or (raw is None and not holes):
        return File(), Report(document)
    if not holes:
        file = _fitting(raw)
        if file is not None:
            return file, Report(document, document.keys("providers"))
    return _salvaged(builder, raw, holes)


def _salvaged(builder: Builder, raw: Any, holes: list[Path]) -> tuple[File, Report]:
    """What is left of the file when everything wrong is taken out, so that the rest is checked as well."""
    document = builder.document
    named = document.keys("providers")
    wounded = _nodes(document, holes)
    document.prune(holes)
    raw = _again(builder) if holes else raw
    trimmed: set[int] = set()
    file = _fitting(raw)
    if file is None:
        from parley.config.explain import explain

        found = explain(raw, document)
        document.problems.extend(found.problems)
        wounded, trimmed = wounded | _nodes(document, found.broken), _nodes(document, found.unknown)
        document.prune([*found.broken, *found.unknown])
        file = _fitting(_again(builder)) or File()
    return file, Report(document, named, wounded, trimmed)


def _fitting(raw: Any) -> File | None:
    """The values in their shape, None where they do not fit."""
    try:
        return msgspec.convert(raw, File, strict=False)
    except msgspec.ValidationError:
        return None


def _again(builder: Builder) -> Any:
    """The values of what is left of the nodes; mistakes were told the first time."""
    document = builder.document
    told = len(document.problems)
    raw = Builder(document, builder.scope).build()
    del document.problems[told:]
    return {} if raw is None else raw


def _nodes(document: Document, paths: list[Path]) -> set[int]:
    """The nodes on the way to these paths, by identity."""
    return {node for path in paths for node in document.trail(path)[1:]}


def _settings(
    file: File, env: Mapping[str, str], discovered: Iterable[Discovered | Provider], report: Report
) -> Settings:
    """Everything together: the file wins over the environment, the environment over what was found."""
    reject_pending(file, report)
    local = tuple(discovered)
    providers = _providers(file, env, local, report)
    known = Known(providers.keys(), report.named, _reasons())
    builtin = echo_registration()
    registrations = {(builtin.endpoint, builtin.model): builtin} | registrations_of(file.models, known, report)
    return Settings(
        listen=listeners_of(file, report),
        hosts=hosts_of(file, report),
        providers=providers,
        registrations=registrations,
        offered=_offered(local, providers),
        limits=limits_of(file.limits, report),
        log_requests=file.log.requests,
        admin_key=(file.auth.admin_key or "").strip(),
    )


def _providers(
    file: File, env: Mapping[str, str], discovered: Iterable[Discovered | Provider], report: Report
) -> dict[str, Provider]:
    """Providers by name, the most wanted source last."""
    seen = [item.provider if isinstance(item, Discovered) else item for item in discovered]
    made = {provider.name: provider for provider in (*seen, *found(env)[0], echo())}
    return made | providers_of(file.providers, env, report)


def _offered(discovered: Iterable[Discovered | Provider], providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """Models that servers of this machine named, unless another provider took the server's name."""
    servers = (item for item in discovered if isinstance(item, Discovered))
    meant = (item for item in servers if providers.get(item.provider.name) is item.provider)
    return tuple(dict.fromkeys(f"{item.provider.name}/{model}" for item in meant for model in item.models))


def _reasons() -> dict[str, str]:
    """The way to a provider of each known vendor that is not configured."""
    return {row.name: _reason(row) for row in vendors.vendors().values()}


def _reason(row: vendors.Vendor) -> str:
    """The way to a provider of that row."""
    if not row.wires:
        return f"{row.title} is not available yet"
    variable = row.bases[0] if row.open else row.keys[0]
    return f"set {variable} in the environment, or add {row.name}: under providers:"
