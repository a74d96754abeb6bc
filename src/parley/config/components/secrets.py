"""Stores of secrets that components name: the environment, and a JSON file. Source: conversation contract 3.2."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from parley.config.components.resource import Resource, is_true

LARGEST: Final = 1 << 20
_REFUSED: Final = ("APP_API_TOKEN",)
_OWN: Final = "DAPR_"


class Secrets(Protocol):
    """One store."""

    def get(self, name: str, key: str) -> str:
        """The secret, "" where there is none."""


class EnvironmentSecrets:
    """``secretstores.local.env``: variables, perhaps with a prefix; those of the sidecar itself are not told."""

    def __init__(self, env: Mapping[str, str], prefix: str = "") -> None:
        self._env, self._prefix = env, prefix

    def get(self, name: str, key: str) -> str:
        """See Secrets."""
        asked = self._prefix + name
        return "" if hidden(asked) else self._env.get(asked, "")


class FileSecrets:
    """``secretstores.local.file``: a JSON object. Nested names are joined, or with ``multiValued`` kept as keys."""

    def __init__(self, values: Mapping[str, Any], separator: str, multiple: bool) -> None:
        self._multiple = multiple
        self._flat = dict(_flat(values, separator, ""))
        self._values = values
        self._separator = separator

    def get(self, name: str, key: str) -> str:
        """See Secrets."""
        if self._multiple and isinstance(self._values.get(name), dict):
            return dict(_flat(self._values[name], self._separator, "")).get(key, "")
        return self._flat.get(name, "")


def hidden(name: str) -> bool:
    """Whether a variable is the sidecar's own and never given away."""
    return name.upper() in _REFUSED or name.upper().startswith(_OWN)


def secrets_of(resource: Resource, env: Mapping[str, str], folder: Path, files: list[str]) -> Secrets | None:
    """The store that a component describes; None where it is of a type we do not know, or wrong."""
    given = {one.name.lower(): one.value or "" for one in resource.properties}
    if resource.kind == "secretstores.local.env":
        return EnvironmentSecrets(env, given.get("prefix", ""))
    if resource.kind != "secretstores.local.file":
        return None
    name = given.get("secretsfile", "")
    if not name:
        resource.add(("spec", "metadata"), "secretstores.local.file needs secretsFile", "name a JSON file", key=True)
        return None
    path = folder / Path(name).expanduser()
    files.append(str(path))
    values = _read(path)
    if isinstance(values, str):
        resource.add(("spec", "metadata"), f"secretsFile: {values}", "a JSON object of names and values")
        return None
    return FileSecrets(values, given.get("nestedseparator") or ":", is_true(given.get("multivalued", "")))


def _read(path: Path) -> dict[str, Any] | str:
    """The values of a file, or why it cannot be had. What stands in it never appears in the answer."""
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        return f"cannot read {path}: {getattr(error, 'strerror', None) or 'not a file'}"
    if len(data) > LARGEST:
        return f"{path} is larger than 1 MiB"
    try:
        values = json.loads(data)
    except ValueError:
        return f"{path} is not valid JSON"
    return values if isinstance(values, dict) else f"{path} does not hold a JSON object"


def _flat(values: Mapping[str, Any], separator: str, before: str) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    for name, value in values.items():
        full = f"{before}{separator}{name}" if before else name
        if isinstance(value, dict):
            made += _flat(value, separator, full)
        elif isinstance(value, list):
            made += _flat({str(index): one for index, one in enumerate(value)}, separator, full)
        else:
            made.append((full, value if isinstance(value, str) else json.dumps(value)))
    return made
