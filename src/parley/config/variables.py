"""References in string values: ${VAR}, ${VAR:-default}, os.environ/VAR, env.VAR and file:PATH.

``$${`` stands for a literal ``${``. What a variable or file holds is not looked at again for references.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

BRACED = re.compile(r"\$(\$\{)|\$\{([^}]*)\}?")
INNER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
WHOLE = re.compile(r"(?:os\.environ/|env\.)([A-Za-z_][A-Za-z0-9_]*)")
ONE = re.compile(r"\$\{[^}]*\}|os\.environ/\w+|env\.\w+|file:.+")
LARGEST_FILE = 1 << 20


class UnfilledError(Exception):
    """A reference that cannot be followed; ``offset`` is where it begins in the string."""

    def __init__(self, message: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.message, self.hint, self.offset = message, hint, offset


class Scope(Struct, frozen=True):
    """Where references look: the environment, and the folder that relative paths start from."""

    env: Mapping[str, str]
    folder: Path


def mentions(text: str) -> bool:
    """Whether the text may hold a reference: a cheap first look."""
    return "${" in text or text.startswith(("os.environ/", "env.", "file:"))


def is_reference(text: str) -> bool:
    """Whether the text is nothing but one reference."""
    return ONE.fullmatch(text) is not None


def fill(text: str, scope: Scope, files: list[str]) -> str:
    """The text with its references followed; files read are added to ``files``. Raises UnfilledError."""
    whole = WHOLE.fullmatch(text)
    if whole is not None:
        return _variable(whole[1], scope, 0)
    if text.startswith("file:"):
        return _file(_braced(text[5:], scope), scope, files)
    return _braced(text, scope)


def _braced(text: str, scope: Scope) -> str:
    """Every ``${...}`` replaced."""
    return BRACED.sub(lambda found: "${" if found[1] else _one(found, scope), text)


def _one(found: re.Match[str], scope: Scope) -> str:
    """What one ``${...}`` stands for. As in a shell, a default replaces a missing and an empty variable."""
    inner = INNER.fullmatch(found[2])
    if inner is None or not found[0].endswith("}"):
        raise UnfilledError(
            "not a reference to a variable", 'write ${NAME} or ${NAME:-default}; "$${" for a plain "${"', found.start()
        )
    name, default = inner[1], inner[2]
    if default is not None:
        return scope.env.get(name) or default
    return _variable(name, scope, found.start())


def _variable(name: str, scope: Scope, offset: int) -> str:
    """A variable that must exist."""
    value = scope.env.get(name)
    if value is None:
        raise UnfilledError(
            f"environment variable {name} is not set", f"set {name}, or write ${{{name}:-default}}", offset
        )
    return value


def _file(name: str, scope: Scope, files: list[str]) -> str:
    """A file's text without the line end that editors leave behind."""
    path = scope.folder / Path(name).expanduser()
    files.append(str(path))
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UnfilledError(
            f"cannot read {path}: {error.strerror}", "file: takes a path relative to the configuration file"
        ) from None
    except UnicodeDecodeError:
        raise UnfilledError(f"{path} is not UTF-8 text") from None
    except ValueError:
        raise UnfilledError("not the name of a file") from None
    if len(data) > LARGEST_FILE:
        raise UnfilledError(f"{path} is larger than 1 MiB")
    return text.rstrip("\r\n")
