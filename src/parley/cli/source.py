"""Settings for a command: the file, the environment, and the model servers of this machine.

The environment that --env-file extends is the process's own, so that proxies and certificates set there count too.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from parley import vendors
from parley.cli.envfile import read
from parley.cli.exits import Code, stop
from parley.cli.options import Source
from parley.config import Discovered, Problem, environment, load
from parley.config import render as rendered
from parley.config.environment import echo_registration
from parley.settings import Registration, Settings

DEFAULT = Path("parley.yaml")
SHOWN = 6


class Found(Struct, frozen=True, kw_only=True):
    """What was found. With ``broken`` the settings are only what could still be made out.

    ``rejected`` are mistakes of included files, which were left out; ``absent`` tells of files that models need and
    that are not there, ``warned`` of what should be known although it is right. ``files`` were read beside ``path``,
    and more are looked for by the patterns of ``sought``;
    ``discovered`` are the servers of this machine. ``origins`` says in words where each provider comes from;
    ``offered`` which models a local server named.
    """

    settings: Settings
    problems: tuple[Problem, ...] = ()
    rejected: tuple[Problem, ...] = ()
    absent: tuple[Problem, ...] = ()
    warned: tuple[Problem, ...] = ()
    path: Path | None = None
    origins: Mapping[str, str] = {}
    offered: Mapping[str, tuple[str, ...]] = {}
    files: tuple[str, ...] = ()
    sought: tuple[tuple[str, str], ...] = ()
    discovered: tuple[Discovered, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether the file has a problem. One in the environment only leaves its own provider out."""
        return any(problem.file != "environment" for problem in self.problems)

    @property
    def told(self) -> tuple[Problem, ...]:
        """Everything that is wrong, whether it stops the start or not."""
        return (*self.problems, *self.rejected, *self.absent)

    @property
    def models(self) -> list[Registration]:
        """The registrations of the file: all but the built-in one."""
        built_in = echo_registration()
        return [one for one in self.settings.registrations.values() if one != built_in]


def find(source: Source) -> Found:
    """Everything that serves under these options. Local servers are looked for only where there is no file."""
    if source.env_file is not None:
        os.environ.update({name: value for name, value in read(source.env_file).items() if name not in os.environ})
    path = source.config or (DEFAULT if DEFAULT.exists() else None)
    local = _local() if path is None and source.discover else ()
    loaded = load(path, os.environ, discovered=local, components=source.components)
    offered = {
        one.provider.name: one.models for one in local if loaded.settings.providers[one.provider.name] is one.provider
    }
    return Found(
        settings=loaded.settings if source.store is None else replace(loaded.settings, store=source.store),
        problems=loaded.problems,
        rejected=loaded.rejected,
        absent=loaded.absent,
        warned=loaded.warned,
        path=path,
        origins=_origins(loaded.settings, path, offered),
        offered=offered,
        files=loaded.files,
        sought=loaded.sought,
        discovered=local,
    )


def usable(found: Found) -> Found:
    """``found``, its problems told on stderr; ends with exit code 2 where the file is wrong.

    Included files that are wrong are left out, and models whose files are missing are there all the same.
    """
    for problem in (*found.told, *found.warned):
        click.echo(render(problem, err=True), err=True)
    if found.broken:
        count = sum(problem.file != "environment" for problem in found.problems)
        stop(Code.USAGE, f"{found.path} has {count} problem{'s' * (count > 1)}; nothing was started.")
    if found.rejected:
        files = dict.fromkeys(problem.file for problem in found.rejected)
        click.echo(f"Left out, whole or in part, because of these problems: {some(list(files))}.", err=True)
    return found


def settings_for(source: Source, model: str) -> Settings:
    """Settings to ask ``model`` once; this machine is searched only where nothing else knows the name."""
    found = usable(find(source._replace(discover=False)))
    if source.discover and found.path is None and found.settings.find("chat", model) is None:
        found = find(source._replace(env_file=None))
    return found.settings


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def render(problem: Problem, err: bool = False) -> str:
    """The problem for people, coloured where the stream is a terminal and the user has not said no."""
    stream = sys.stderr if err else sys.stdout
    context = click.get_current_context(silent=True)
    plain = context is not None and context.color is False
    return rendered(problem, color=stream.isatty() and not plain)


def _local() -> tuple[Discovered, ...]:
    from parley.config.discover import discover

    return tuple(discover())


def _origins(settings: Settings, path: Path | None, offered: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    given = {one.name: one for one in environment(os.environ)}
    words = {}
    for name, provider in settings.providers.items():
        if provider.transport == "local":
            continue
        if provider.name != provider.label:
            component = settings.components.get(provider.label)
            words[f"{provider.label} (Dapr)"] = "component" if component is None else component.type
            continue
        if provider.transport == "echo":
            words[name] = "built in, needs no account"
        elif provider == given.get(name):
            words[name] = f"{_variables(name)} in the environment"
        elif name in offered:
            words[name] = f"on this machine, {provider.endpoints[0]}: {some(offered[name]) or 'no models yet'}"
        else:
            words[name] = str(path)
    return words


def _variables(vendor: str) -> str:
    """The names, never the values, of the variables that made this provider."""
    row = vendors.vendors()[vendor]
    made = (next((name for name in names if os.environ.get(name, "").strip()), "") for names in (row.keys, row.bases))
    return " and ".join(name for name in made if name)
