"""Files of registrations: entries as under ``models:``, or one registration per document."""

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

from msgspec import Struct

from parley.config.build import Builder
from parley.config.document import Document, Path, separately
from parley.config.fitting import fitted
from parley.config.problem import Problem
from parley.config.report import Report
from parley.config.shape import ModelEntry, ModelsFile, RegistrationFile, SettingsEntry
from parley.config.variables import Scope

LARGEST_FILE = 10 << 20


class Site:
    """Where an entry is written: mistakes below it are told by names of the entry's members.

    ``places`` are members that stand elsewhere than below ``path`` under their own name. Relative paths of the
    entry start from ``folder``.
    """

    def __init__(self, report: Report, path: Path, folder: FilePath, places: Mapping[str, Path] | None = None) -> None:
        self.report, self.folder = report, folder
        self._path, self._places = path, places or {}

    def add(self, path: Path, message: str, hint: str = "", key: bool = False) -> None:
        """A mistake below this entry."""
        self.report.add(self._place(path), message, hint, key)

    def later(self, path: Path, what: str, hint: str = "") -> None:
        """Something not available yet below this entry."""
        self.report.later(self._place(path), what, hint)

    def note(self, path: Path, message: str, hint: str = "") -> Problem:
        """A remark that is no mistake of the file."""
        return self.report.document.problem(self._place(path), message, hint)

    def line(self, path: Path) -> int:
        """The line of a member."""
        return self.report.line(self._place(path))

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.report.document.name

    def _place(self, path: Path) -> Path:
        """The member's path in the document."""
        first, rest = path[:1], path[1:]
        return (*self._path, *self._places.get(str(first[0]) if first else "", first), *rest)


class Entry(Struct, frozen=True):
    """One entry and where it is written."""

    value: ModelEntry
    site: Site


class Piece:
    """One file: its entries and mistakes. ``main`` files must be right, others are left out when they are not."""

    def __init__(self, main: bool = False) -> None:
        self.main = main
        self.entries: list[Entry] = []
        self.reports: list[Report] = []
        self.extra: list[Problem] = []
        # Of documents that were left out alone.
        self.broken: list[Problem] = []
        self.files: list[str] = []
        self.components: list[tuple[Document, FilePath]] = []

    @property
    def problems(self) -> list[Problem]:
        """Every mistake found so far, in the order of the text."""
        found = (problem for report in self.reports for problem in (*report.document.problems, *report.problems))
        return sorted(
            dict.fromkeys((*self.extra, *self.broken, *found)), key=lambda problem: (problem.line, problem.column)
        )

    @property
    def right(self) -> bool:
        """Whether there is no mistake but in what is not available yet, which leaves out only itself."""
        return not self.extra and not any(report.document.problems or report.problems for report in self._counted)

    @property
    def _counted(self) -> Iterator[Report]:
        """Reports of the documents that hold registrations."""
        return (report for report in self.reports if not is_component(report.document))


def read_text(path: FilePath, name: str) -> str | Problem:
    """The text of a file, or why it cannot be had."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            return Problem(name, 0, 0, "the file is larger than 10 MiB", "is it a configuration?")
        return data.decode("utf-8")
    except OSError as error:
        return Problem(name, 0, 0, f"cannot read it: {error.strerror or 'no such file'}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Problem(name, line, 1, "not UTF-8 text", "save the file as UTF-8")
    except ValueError:
        return Problem(name, 0, 0, "not the name of a file")


def is_component(document: Document) -> bool:
    """Whether a document is a component of Dapr."""
    return document.holds("apiVersion") or (document.holds("kind") and not document.holds("registration"))


def is_registration(document: Document) -> bool:
    """Whether a document is a registration or a component, not entries of a configuration."""
    return document.holds("registration") or is_component(document)


def piece_of(text: str, name: str, scope: Scope, main: bool = False) -> Piece:
    """The registrations of one file."""
    piece = Piece(main)
    for one in _documents(text, name, piece):
        if one.empty:
            continue
        if is_component(one):
            piece.components.append((one, scope.folder))
        elif is_registration(one):
            _registration(Builder(one, scope), scope.folder, piece)
        else:
            _models(Builder(one, scope), scope.folder, piece)
    return piece


def components_of(text: str, name: str, scope: Scope) -> Piece:
    """The components of one file of a folder that holds them; what else may stand there is somebody else's."""
    piece = Piece()
    for one in _documents(text, name, piece, shared=True):
        if not one.empty and is_component(one):
            piece.components.append((one, scope.folder))
    return piece


def _documents(text: str, name: str, piece: Piece, *, shared: bool = False) -> list[Document]:
    """The documents of a file. One that is not YAML leaves out only itself where the others are components, or where
    the file is ``shared`` with other programs."""
    document = Document(text, name)
    whole = [document, *document.more]
    if not document.problems:
        return whole
    apart = separately(text, name)
    good = [one for one in apart if not one.problems and not one.empty]
    if shared or (good and all(is_component(one) for one in good)):
        piece.broken += [problem for one in apart for problem in one.problems]
        return good
    piece.extra += document.problems
    document.problems.clear()
    return whole


def _registration(builder: Builder, folder: FilePath, piece: Piece) -> None:
    """One registration."""
    value, report = fitted(builder, RegistrationFile)
    piece.reports.append(report)
    piece.files += builder.files
    if value is None:
        return
    settings = "local_paths" if value.local_paths != SettingsEntry() else "local_settings"
    if settings == "local_paths" and value.local_settings != SettingsEntry():
        report.add(("local_paths",), "give local_settings or local_paths, not both", "keep local_settings", key=True)
    pair = value.registration
    entry = ModelEntry(
        model=pair.model,
        endpoint=pair.endpoint,
        settings=getattr(value, settings),
        defaults=value.request_defaults,
    )
    places: dict[str, Path] = {
        "": ("registration",),
        "model": ("registration", "model"),
        "endpoint": ("registration", "endpoint"),
        "settings": (settings,),
        "defaults": ("request_defaults",),
    }
    piece.entries.append(Entry(entry, Site(report, (), folder, places)))


def _models(builder: Builder, folder: FilePath, piece: Piece) -> None:
    """A list of entries."""
    value, report = fitted(builder, ModelsFile)
    piece.reports.append(report)
    piece.files += builder.files
    if value is not None:
        piece.entries += entries_of(value.models, report, folder)


def entries_of(models: list[ModelEntry], report: Report, folder: FilePath) -> Iterator[Entry]:
    """The entries below ``models`` of a document."""
    for index, entry in enumerate(models):
        yield Entry(entry, Site(report, ("models", index), folder))
