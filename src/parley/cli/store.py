"""``parley store``: is the file sound, and saving what can be read of one that is not."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.exits import Code, stop
from parley.cli.options import FILE, store_option

if TYPE_CHECKING:
    from parley.store.place import Place


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--config`` and ``--store``; the command gets the store's ``path``."""

    @functools.wraps(command)
    def placed(*, store: str | None, config: Path | None, **rest: Any) -> Any:
        from parley.cli.keystore import place_of, url_of

        return command(path=_file(place_of(url_of(store, config))), **rest)

    for option in (
        store_option,
        click.option("--config", type=FILE, metavar="FILE", help="Where the store is named; default: ./parley.yaml."),
    ):
        placed = option(placed)
    return placed


@click.group()
def store() -> None:
    """The file that outlives requests: responses, conversations, keys.

    Only for SQLite files; a PostgreSQL server has its own tools.
    """


@store.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_where
def check(path: Path, as_json: bool) -> None:
    """Look at every page of the file; exit code 1 where it is damaged."""
    from parley.cli.keystore import RECOVER
    from parley.store.damage import damage_of

    damage = damage_of(path, None)
    if as_json:
        click.echo(json.dumps({"store": str(path), "sound": damage is None, "problem": damage}))
    if damage is not None:
        stop(Code.FAILED, f"the store {path} is damaged: {damage}.", RECOVER)
    if not as_json:
        click.echo(f"{path} is sound.", err=True)


@store.command()
@click.option("--force", is_flag=True, help="Also where no damage is seen.")
@_where
def recover(path: Path, force: bool) -> None:
    """Put what can be read of a damaged file in its place, and keep the damaged one beside it.

    Stop every gateway that uses it before.
    """
    from parley.cli.keystore import recovered
    from parley.store.damage import damage_of

    if not force and damage_of(path, None) is None:
        click.echo(f"{path} is sound: nothing was changed.", err=True)
        return
    recovered(path)


def _file(place: "Place") -> Path:
    if place.path is None:
        stop(Code.USAGE, f"{place} is not a file: the server has its own tools.")
    if not place.path.is_file():
        stop(Code.FAILED, f"there is no store at {place}.")
    return place.path
