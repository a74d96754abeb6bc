"""``--env-file``: KEY=VALUE lines as shells and container tools write them.

Comments, blank lines, ``export``, single quotes (literal) and double quotes (backslash escapes, several
lines) are understood; nothing is expanded. Errors name line and column and never show a value.
"""

import re
from pathlib import Path
from typing import NoReturn

from parley.cli.exits import Code, stop
from parley.config.problem import Problem

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"(?:[^\n#]|(?<![ \t])#)*")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
HINT = "Lines look like KEY=VALUE or export KEY='some value'."
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\n": "", "\\": "\\", '"': '"', "$": "$", "`": "`"}


class UnfitError(Exception):
    """The file cannot be used; ``problem`` says why and where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read(path: Path) -> dict[str, str]:
    """The variables of one file, in order; ends the command with exit code 2 where it cannot be read."""
    try:
        return variables(path)
    except UnfitError as error:
        _stop(error.problem)


def parse(text: str, name: str) -> dict[str, str]:
    """The variables of ``text``, as ``read``. ``name`` is for messages."""
    try:
        return parsed(text, name)
    except UnfitError as error:
        _stop(error.problem)


def variables(path: Path) -> dict[str, str]:
    """The variables of one file, in order. Raises UnfitError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnfitError(Problem(str(path), 0, 0, error.strerror or "cannot be read")) from None
    except UnicodeDecodeError:
        raise UnfitError(Problem(str(path), 0, 0, "this is not UTF-8 text")) from None
    return parsed(text.replace("\r\n", "\n"), str(path))


def parsed(text: str, name: str) -> dict[str, str]:
    """The variables of ``text``; a name given twice has its last value. Raises UnfitError."""
    found: dict[str, str] = {}
    at = _skip(text, 0)
    while at < len(text):
        key = _NAME.match(text, at)
        if key is None:
            _wrong(text, at, name, "expected KEY=VALUE")
        value, end = _value(text, key.end(), name)
        rest = _REST.match(text, end)
        if rest is None:
            _wrong(text, end, name, "expected the end of the line after the closing quote")
        found[key[1]] = value
        at = _skip(text, rest.end())
    return found


def _skip(text: str, at: int) -> int:
    blank = _SPACE.match(text, at)
    return blank.end() if blank else at


def _value(text: str, at: int, name: str) -> tuple[str, int]:
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        bare = _BARE.match(text, at)
        assert bare is not None
        return bare[0].rstrip(), bare.end()
    quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if quoted is None:
        _wrong(text, at, name, f"this quote is never closed; expected {quote} at the end of the value")
    inside = quoted[1]
    return (inside if quote == "'" else _ESCAPE.sub(_unescape, inside)), quoted.end()


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[0])


def _wrong(text: str, at: int, name: str, expected: str) -> NoReturn:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    raise UnfitError(Problem(name, line, column, expected, HINT))


def _stop(problem: Problem) -> NoReturn:
    where = problem.where if problem.line else f"--env-file {problem.file}"
    stop(Code.USAGE, f"{where}: {problem.message}.", problem.hint)
