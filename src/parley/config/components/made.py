"""What comes of component files, as values. The package reads them only where there are any."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from parley.config.document import Path
from parley.config.problem import Problem
from parley.config.report import Report
from parley.config.shape import ModelEntry
from parley.settings import Component, Provider

# Where the members of an entry stand in a component's document.
PLACES: Final[Mapping[str, Path]] = {
    "": ("metadata", "name"),
    "model": ("metadata", "name"),
    "targets": ("spec",),
    "defaults": ("spec", "metadata"),
    "retries": ("spec", "type"),
    "cache": ("spec", "metadata"),
}
# What we are called where the environment gives no name.
_APP: Final = "parley"


def app_id(env: Mapping[str, str]) -> str:
    """The name that scopes and templates of components know us by."""
    return env.get("APP_ID", "").strip() or _APP


class Found(Struct, frozen=True):
    """One component as an entry of ``models``; ``report`` is where its mistakes go."""

    entry: ModelEntry
    report: Report


class Gathered(Struct, frozen=True):
    """Providers by name, entries, what is told of components to their callers, remarks that are no mistakes, where
    mistakes were written down, files that were read."""

    providers: dict[str, Provider] = {}
    found: tuple[Found, ...] = ()
    components: dict[str, Component] = {}
    notes: tuple[Problem, ...] = ()
    reports: tuple[Report, ...] = ()
    files: tuple[str, ...] = ()
