"""From a file, the environment and what was found on this machine to one Settings, or to every mistake in it."""

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath

from msgspec import Struct
from msgspec.structs import replace

from parley import vendors
from parley.config.build import Builder
from parley.config.document import Document
from parley.config.edge import hosts_of, limits_of, listeners_of, reject_pending, retention_of, store_of
from parley.config.environment import Discovered, echo, echo_registration, found
from parley.config.fitting import fitted
from parley.config.include import folder_of, included, piece, sought
from parley.config.local import LOCAL
from parley.config.models import Known
from parley.config.pairs import Pairs, pairs_of
from parley.config.pieces import Piece, entries_of, is_registration, piece_of, read_text
from parley.config.problem import Problem
from parley.config.providers import providers_of
from parley.config.report import Report
from parley.config.shape import File
from parley.config.variables import Scope
from parley.settings import Provider, Rejected, Settings


class Loaded(Struct, frozen=True):
    """What was read. With ``problems`` the settings are only what could still be made out: look, do not serve.

    ``rejected`` are mistakes of included files, which were left out: the rest can be served. ``absent`` tells of
    files that a model needs and that are not there: it is served, and its requests fail until they are.
    ``files`` are those that were read beside the configuration itself (included ones, ``file:`` references);
    ``sought`` are the patterns of included ones, each with the folder that it starts from.
    """

    settings: Settings
    problems: tuple[Problem, ...]
    files: tuple[str, ...] = ()
    rejected: tuple[Problem, ...] = ()
    absent: tuple[Problem, ...] = ()
    sought: tuple[tuple[str, str], ...] = ()


def load(
    path: str | FilePath | None, env: Mapping[str, str], *, discovered: Iterable[Discovered | Provider] = ()
) -> Loaded:
    """The configuration at ``path`` together with the environment: a file, a folder of registrations, or none
    (None). Never raises."""
    if path is None:
        return load_text("", env, discovered=discovered)
    file = FilePath(path)
    if file.is_dir():
        return _folder(file, env, discovered)
    text = read_text(file, str(path))
    if isinstance(text, str):
        return load_text(text, env, name=str(path), folder=file.parent, discovered=discovered)
    return _nothing(text, env, discovered)


def load_text(
    text: str,
    env: Mapping[str, str],
    *,
    name: str = "parley.yaml",
    folder: FilePath | None = None,
    discovered: Iterable[Discovered | Provider] = (),
) -> Loaded:
    """A configuration given as text; ``folder`` is where relative paths start (the current one)."""
    document = Document(text, name)
    scope = Scope(env, folder or FilePath())
    if not document.empty and is_registration(document):
        piece = piece_of(text, name, scope, main=True)
        return _loaded(File(), Report(Document("", name)), [piece], _Around(env, tuple(discovered)))
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
    loaded = _loaded(file, report, pieces, _Around(env, tuple(discovered)))
    return replace(loaded, sought=sought(file.include, scope.folder)) if file.include else loaded


class _Around(Struct, frozen=True):
    """What counts beside the file."""

    env: Mapping[str, str]
    discovered: tuple[Discovered | Provider, ...]


def _folder(folder: FilePath, env: Mapping[str, str], discovered: Iterable[Discovered | Provider]) -> Loaded:
    """The registrations of a folder's files."""
    try:
        files = folder_of(folder)
    except OSError as error:
        return _nothing(Problem(str(folder), 0, 0, f"cannot read it: {error.strerror}"), env, discovered)
    if not files:
        problem = Problem(str(folder), 0, 0, "there is no .yaml or .yml file in this folder", "name a configuration")
        return _nothing(problem, env, discovered)
    pieces = [piece(path, Scope(env, folder)) for path in files]
    report = Report(Document("", str(folder)))
    loaded = _loaded(File(), report, pieces, _Around(env, tuple(discovered)))
    return replace(loaded, sought=((str(folder), "."),))


def _nothing(problem: Problem, env: Mapping[str, str], discovered: Iterable[Discovered | Provider]) -> Loaded:
    """What there is where the file cannot be read."""
    main = Piece(main=True)
    main.extra.append(problem)
    return _loaded(File(), Report(Document("", problem.file)), [main], _Around(env, tuple(discovered)))


def _loaded(file: File, report: Report, pieces: list[Piece], around: _Around) -> Loaded:
    """Everything together, and every mistake where it belongs."""
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
    )


def _settings(file: File, report: Report, pieces: list[Piece], around: _Around) -> tuple[Settings, Pairs]:
    """The file wins over the environment, the environment over what was found."""
    reject_pending(file, report)
    providers = _providers(file, around, report)
    pairs = pairs_of(pieces, Known(providers, report.named, _reasons()), echo_registration())
    settings = Settings(
        listen=listeners_of(file, report),
        hosts=hosts_of(file, report),
        providers={**providers, **pairs.providers},
        registrations=pairs.registrations,
        offered=_offered(around.discovered, providers),
        limits=limits_of(file.limits, report),
        log_requests=file.log.requests,
        admin_key=(file.auth.admin_key or "").strip(),
        auth_required=file.auth.required,
        store=store_of(file, report),
        retention=retention_of(file, report),
    )
    return settings, pairs


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
