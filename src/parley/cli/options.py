"""Options that several commands share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

Command = Callable[..., Any]
FILE = click.Path(path_type=Path)


class Source(NamedTuple):
    """Where the settings come from, as asked for. ``config`` None: parley.yaml of this folder if there is one;
    ``components`` are folders of Dapr component files, ``store`` is used instead of the configuration's."""

    config: Path | None = None
    env_file: Path | None = None
    discover: bool = True
    components: tuple[Path, ...] = ()
    store: str | None = None


def source_options(command: Command) -> Command:
    """``--config``, ``--env-file`` and the hidden ``--no-discover``, handed over as one ``source``.

    With ``source_argument`` above it, the file may be given as the argument CONFIG instead.
    """

    @functools.wraps(command)
    def gathered(
        *, config: Path | None, env_file: Path | None, discover: bool, config_file: Path | None = None, **rest: Any
    ) -> Any:
        if config and config_file and config != config_file:
            raise click.UsageError(f"two configurations were given, {config_file} and --config {config}.")
        return command(source=Source(config_file or config, env_file, discover), **rest)

    for option in (
        click.option("--discover/--no-discover", default=True, hidden=True),
        click.option("--env-file", type=FILE, metavar="FILE", help="KEY=VALUE lines to add to the environment."),
        click.option(
            "--config", type=FILE, metavar="FILE", help="Configuration; default: ./parley.yaml if there is one."
        ),
    ):
        gathered = option(gathered)
    return gathered


source_argument = click.argument("config_file", metavar="[CONFIG]", required=False, type=FILE)


def _url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from parley.store.place import missing, place_of

    try:
        if value is not None:
            place_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", ctx, param) from None
    if lacks := missing(value):
        raise click.BadParameter(f"{lacks}.", ctx, param)
    return value


components_option = click.option(
    "--components",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder of Dapr component files; repeatable.",
)


store_option = click.option(
    "--store",
    metavar="URL",
    callback=_url,
    help="The store, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE; default: the configuration's.",
)
