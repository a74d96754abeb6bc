"""``include:``, from patterns to files."""

from collections.abc import Iterator, Mapping
from glob import escape, glob, has_magic
from pathlib import Path as FilePath

from parley.config.document import Path
from parley.config.pieces import Piece, components_of, piece_of, read_text
from parley.config.problem import Problem
from parley.config.report import Report
from parley.config.variables import Scope

SUFFIXES = (".yaml", ".yml")


def included(patterns: str | tuple[str, ...], scope: Scope, main: str, report: Report) -> list[Piece]:
    """The files that patterns name, each once and in the order of names; relative to the folder of ``main``.

    A pattern that leads nowhere makes a piece of its own, which has only that mistake.
    """
    taken = {_real(FilePath(main))}
    pieces: list[Piece] = []
    for index, pattern in enumerate((patterns,) if isinstance(patterns, str) else patterns):
        path: Path = ("include",) if isinstance(patterns, str) else ("include", index)
        if not pattern.strip() or "\0" in pattern:
            report.add(path, "the name of a file, a folder or a pattern is expected", "such as models/*.yaml")
            continue
        found = matches(pattern, scope.folder)
        if isinstance(found, str):
            pieces.append(_absent(report.document.problem(path, found, "paths start from the folder of this file")))
            continue
        for name in found:
            real = _real(name)
            if real not in taken:
                taken.add(real)
                pieces.append(piece(name, scope))
    return pieces


def folder_of(folder: FilePath) -> list[FilePath]:
    """The files of a folder, hidden ones and folders in it left out."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in files if not path.is_dir())


def piece(path: FilePath, scope: Scope) -> Piece:
    """One included file."""
    name = str(path)
    text = read_text(path, name)
    made = _absent(text) if isinstance(text, Problem) else piece_of(text, name, Scope(scope.env, path.parent))
    made.files.insert(0, name)
    return made


def component_folder(folder: FilePath, env: Mapping[str, str]) -> list[Piece]:
    """The component files of a folder as Dapr has them: those below it are not looked at."""
    try:
        files = folder_of(folder)
    except OSError as error:
        return [_absent(Problem(str(folder), 0, 0, f"cannot read it: {error.strerror}", "--components names a folder"))]
    pieces = []
    for path in files:
        text = read_text(path, str(path))
        made = _absent(text) if isinstance(text, Problem) else components_of(text, str(path), Scope(env, folder))
        made.files.append(str(path))
        pieces.append(made)
    return pieces


def sought(patterns: str | tuple[str, ...], folder: FilePath) -> tuple[tuple[str, str], ...]:
    """Where files may appear: each pattern with the folder that it starts from."""
    listed = (patterns,) if isinstance(patterns, str) else patterns
    return tuple((str(folder), pattern) for pattern in listed if pattern.strip() and "\0" not in pattern)


def matches(pattern: str, folder: FilePath) -> list[FilePath] | str:
    """The files of one pattern, or what is wrong with it."""
    path = folder / FilePath(pattern).expanduser()
    if not has_magic(pattern):
        if path.is_dir():
            return folder_of(path)
        return [path] if path.exists() else f'there is no file "{pattern}"'
    fixed = fixed_of(path, folder)
    if not fixed.is_dir():
        return f'there is no folder "{fixed}"'
    return sorted(_matching(path, folder))


def _matching(path: FilePath, folder: FilePath) -> Iterator[FilePath]:
    """What a pattern matches; the marks of patterns in the folder's own name stand for themselves."""
    inside = path.is_relative_to(folder)
    pattern = str(FilePath(escape(str(folder))) / path.relative_to(folder)) if inside else str(path)
    for name in glob(pattern, recursive=True):
        found = FilePath(name)
        if found.suffix.lower() in SUFFIXES and found.is_file():
            yield found


def fixed_of(path: FilePath, folder: FilePath) -> FilePath:
    """The part of a pattern before its first mark."""
    inside = path.is_relative_to(folder)
    parts = (path.relative_to(folder) if inside else path).parts
    first = next((index for index, part in enumerate(parts) if has_magic(part)), len(parts))
    return (folder if inside else FilePath()).joinpath(*parts[:first])


def _real(path: FilePath) -> str:
    """The file behind links, to read none twice."""
    try:
        return str(path.resolve())
    except (OSError, RuntimeError, ValueError):
        return str(path)


def _absent(problem: Problem) -> Piece:
    """A file that cannot be had."""
    piece = Piece()
    piece.extra.append(problem)
    return piece
