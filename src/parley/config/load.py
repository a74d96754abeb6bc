"""From a file, the environment and what was found on this machine to one Settings, or to every mistake in it."""

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from parley import vendors
from parley.config.batched import batches_of
from parley.config.build import Builder
from parley.config.cached import caching_of
from parley.config.components.made import PLACES, Gathered, app_id
from parley.config.document import Document
from parley.config.edge import (
    INSTALL_GRPC,
    grpc_installed,
    grpc_of,
    hosts_of,
    limits_of,
    listeners_of,
    reject_pending,
    retention_of,
    store_of,
)
from parley.config.environment import Discovered, echo, echo_registration, found
from parley.config.fitting import fitted
from parley.config.hooks import hooks_of
from parley.config.include import component_folder, folder_of, included, piece, sought
from parley.config.local import LOCAL
from parley.config.models import Known
from parley.config.noding import node_of
from parley.config.pairs import Pairs, pairs_of
from parley.config.pieces import Entry, Piece, Site, entries_of, is_registration, piece_of, read_text
from parley.config.problem import Problem
from parley.config.providers import providers_of
from parley.config.quotas import admission_of, quotas_of
from parley.config.report import Report
from parley.config.shape import File
from parley.config.spending import ledger_of, prices_of
from parley.config.streamed import streams_of
from parley.config.telling import slow_of, telemetry_of
from parley.config.tokens import issuer_of
from parley.config.variables import Scope
from parley.settings import EVERY, Provider, Rejected, Settings

_UNHEARD: Final = Problem("", 0, 0, "components are served over HTTP alone; gRPC needs more packages", INSTALL_GRPC)


class Loaded(Struct, frozen=True):
    """What was read. With ``problems`` the settings are only what could still be made out: look, do not serve.

    ``rejected`` are mistakes of included files, which were left out: the rest can be served. ``absent`` tells of
    files that a model needs and that are not there: it is served, and its requests fail until they are.
    ``warned`` is what should be known although nothing is wrong.
    ``files`` are those that were read beside the configuration itself (included ones, ``file:`` references);
    ``sought`` are the patterns of included ones, each with the folder that it starts from.
    """

    settings: Settings
    problems: tuple[Problem, ...]
    files: tuple[str, ...] = ()
    rejected: tuple[Problem, ...] = ()
    absent: tuple[Problem, ...] = ()
    sought: tuple[tuple[str, str], ...] = ()
    warned: tuple[Problem, ...] = ()


def load(
    path: str | FilePath | None,
    env: Mapping[str, str],
    *,
    discovered: Iterable[Discovered | Provider] = (),
    components: Iterable[FilePath] = (),
) -> Loaded:
    """The configuration at ``path`` together with the environment: a file, a folder of registrations, or none
    (None); and the component files of some folders. Never raises."""
    around = _Around(env, tuple(discovered), tuple(dict.fromkeys(components)))
    loaded = _read(path, around)
    more = tuple((str(folder), ".") for folder in around.components)
    return replace(loaded, sought=(*loaded.sought, *more)) if more else loaded


def _read(path: str | FilePath | None, around: "_Around") -> Loaded:
    if path is None:
        return _text("", "parley.yaml", FilePath(), around)
    file = FilePath(path)
    if file.is_dir():
        return _folder(file, around)
    text = read_text(file, str(path))
    if isinstance(text, str):
        return _text(text, str(path), file.parent, around)
    return _nothing(text, around)


def load_text(
    text: str,
    env: Mapping[str, str],
    *,
    name: str = "parley.yaml",
    folder: FilePath | None = None,
    discovered: Iterable[Discovered | Provider] = (),
) -> Loaded:
    """A configuration given as text; ``folder`` is where relative paths start (the current one)."""
    return _text(text, name, folder or FilePath(), _Around(env, tuple(discovered)))


def _text(text: str, name: str, folder: FilePath, around: "_Around") -> Loaded:
    document = Document(text, name)
    around = replace(around, folder=folder)
    scope = Scope(around.env, folder)
    if not document.empty and is_registration(document):
        piece = piece_of(text, name, scope, main=True)
        return _loaded(File(), Report(Document("", name)), [piece], around)
    if document.more:
        message = "a second document begins here: one configuration is one document"
        hint = "remove the line ---; registrations, one per document, go into files under include:"
        document.problems.append(document.problem_at(document.more[0].begins, message, hint))
    builder = Builder(document, scope)
    value, report = fitted(builder, File)
    file = value or File()
    main = Piece(main=True)
    main.reports.append(report)
    main.entries += entries_of(file.models, report, scope.folder)
    main.files += builder.files
    pieces = [main, *included(file.include, scope, name, report)] if file.include else [main]
    loaded = _loaded(file, report, pieces, around)
    return replace(loaded, sought=sought(file.include, scope.folder)) if file.include else loaded


class _Around(Struct, frozen=True):
    """What counts beside the file."""

    env: Mapping[str, str]
    discovered: tuple[Discovered | Provider, ...]
    components: tuple[FilePath, ...] = ()
    folder: FilePath = FilePath()


def _folder(folder: FilePath, around: _Around) -> Loaded:
    """The registrations of a folder's files."""
    try:
        files = folder_of(folder)
    except OSError as error:
        return _nothing(Problem(str(folder), 0, 0, f"cannot read it: {error.strerror}"), around)
    if not files:
        problem = Problem(str(folder), 0, 0, "there is no .yaml or .yml file in this folder", "name a configuration")
        return _nothing(problem, around)
    pieces = [piece(path, Scope(around.env, folder)) for path in files]
    report = Report(Document("", str(folder)))
    loaded = _loaded(File(), report, pieces, around)
    return replace(loaded, sought=((str(folder), "."),))


def _nothing(problem: Problem, around: _Around) -> Loaded:
    """What there is where the file cannot be read."""
    main = Piece(main=True)
    main.extra.append(problem)
    return _loaded(File(), Report(Document("", problem.file)), [main], around)


def _loaded(file: File, report: Report, pieces: list[Piece], around: _Around) -> Loaded:
    """Everything together, and every mistake where it belongs."""
    pieces = [*pieces, *(piece for folder in around.components for piece in component_folder(folder, around.env))]
    settings, pairs = _settings(file, report, pieces, around)
    main = [problem for piece in pieces if piece.main for problem in piece.problems]
    others = [problem for piece in pieces if not piece.main for problem in piece.problems]
    rejected = (*others, *pairs.lost)
    outside = found(around.env, report.named or ())[1]
    if file.strict:
        main, rejected = [*main, *rejected], ()
    return Loaded(
        replace(settings, rejected=tuple(Rejected(one.message, one.file, one.line, one.column) for one in rejected)),
        (*main, *outside),
        tuple(dict.fromkeys(name for piece in pieces for name in piece.files)),
        rejected,
        pairs.absent,
        warned=pairs.warned,
    )


def _settings(file: File, report: Report, pieces: list[Piece], around: _Around) -> tuple[Settings, Pairs]:
    """The file wins over the environment, the environment over what was found."""
    reject_pending(file, report)
    made = _components(pieces, around.env)
    providers = {**_providers(file, around, report), **made.providers}
    pairs = pairs_of(pieces, Known(providers, report.named, _reasons()), echo_registration())
    cache, cache_size = caching_of(file.cache, report)
    silent = bool(made.components) and file.grpc is None and not grpc_installed()
    pairs = replace(pairs, absent=(*pairs.absent, *made.notes, *([_UNHEARD] if silent else [])))
    streams, warned = streams_of(file.streams, file.connections, around.env, report)
    pairs = replace(pairs, warned=warned)
    settings = Settings(
        components={name: one for name, one in made.components.items() if (EVERY, name) in pairs.registrations},
        listen=listeners_of(file, report),
        grpc=grpc_of(file, report, wanted=bool(made.components)),
        hosts=hosts_of(file, report),
        providers={**providers, **pairs.providers},
        registrations=pairs.registrations,
        offered=_offered(around.discovered, providers),
        limits=limits_of(file.limits, report),
        log_requests=file.log.requests,
        slow=slow_of(file, report),
        telemetry=telemetry_of(file, report),
        dapr_token=around.env.get("DAPR_API_TOKEN", "").strip(),
        dapr_app=app_id(around.env),
        admin_key=(file.auth.admin_key or "").strip(),
        auth_required=file.auth.required,
        store=store_of(file, report),
        retention=retention_of(file, report),
        cache=cache,
        cache_size=cache_size,
        hooks=hooks_of(file.hooks, report),
        jwt=issuer_of(file.auth.jwt, report),
        prices=prices_of(file, providers, report),
        ledger=ledger_of(file, report),
        quotas=quotas_of(file.quotas, report),
        admission=admission_of(file.admission, report),
        batches=batches_of(file.batches, report),
        connections=file.connections,
        streams=streams,
        node=node_of(file.node, file.addresses, report, around.folder),
    )
    return settings, pairs


def _components(pieces: list[Piece], env: Mapping[str, str]) -> Gathered:
    """What component files say; their registrations are entries of the piece that they stand in."""
    documents = [one for piece in pieces for one in piece.components]
    if not documents:
        return Gathered()
    from parley.config.components.gathered import gathered

    made = gathered(documents, env)
    pieces[0].files += made.files
    homes = {id(document): (piece, folder) for piece in pieces for document, folder in piece.components}
    for report in made.reports:
        homes[id(report.document)][0].reports.append(report)
    for one in made.found:
        piece, folder = homes[id(one.report.document)]
        piece.entries.append(Entry(one.entry, Site(one.report, (), folder, PLACES)))
    return made


def _providers(file: File, around: _Around, report: Report) -> dict[str, Provider]:
    """Providers by name, the most wanted source last."""
    seen = [item.provider if isinstance(item, Discovered) else item for item in around.discovered]
    made = {provider.name: provider for provider in (*seen, *found(around.env)[0], echo())}
    return made | providers_of(file.providers, around.env, report)


def _offered(discovered: Iterable[Discovered | Provider], providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """Models that servers of this machine named, unless another provider took the server's name."""
    servers = (item for item in discovered if isinstance(item, Discovered))
    meant = (item for item in servers if providers.get(item.provider.name) is item.provider)
    return tuple(dict.fromkeys(f"{item.provider.name}/{model}" for item in meant for model in item.models))


def _reasons() -> dict[str, str]:
    """The way to a provider of each known vendor that is not configured."""
    reasons = {row.name: _reason(row) for row in vendors.vendors().values()}
    reasons[LOCAL] = "a model of this machine is no target: name its weights with settings: {model: PATH}"
    return reasons


def _reason(row: vendors.Vendor) -> str:
    """The way to a provider of that row."""
    if not row.wires:
        return f"{row.title} is not available yet"
    variable = row.bases[0] if row.open else row.keys[0]
    return f"set {variable} in the environment, or add {row.name}: under providers:"
