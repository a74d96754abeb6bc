"""The store for commands: found, looked at, opened, closed, its errors told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from parley.cli.exits import Code, stop
from parley.cli.options import Source

if TYPE_CHECKING:
    from parley.store import Link
    from parley.store.place import Place

BUSY_SECONDS = 5.0
RECOVER = "`parley store recover`, or `parley serve --recover`, saves what can be read and keeps the damaged file."


def url_of(store: str | None, config: Path | None) -> str | None:
    """The store's URL: the option's, else the configuration's; None for the file in the user's data directory."""
    if store is not None:
        return store
    from parley.cli.source import find, usable

    return usable(find(Source(config, None, discover=False))).settings.store


def place_of(url: str | None) -> "Place":
    """Where it is; ends with exit code 2 for a store that is in memory: nobody else would ever see it."""
    from parley.store import place

    found = place.place_of(url)
    if not found.shared:
        stop(Code.USAGE, "a store in memory ends with the process that made it.", "Name a file: sqlite:///parley.db")
    return found


def there(place: "Place") -> bool:
    """Whether there is a store; nothing is created."""
    return place.path is None or place.path.exists()


@contextmanager
def linked(place: "Place", *, writes: bool = True) -> Iterator["Link"]:
    """The store inside one transaction. Ends with exit code 1 where it is not available or refuses."""
    from parley.failure import ParleyError
    from parley.store import Away
    from parley.store.link import linked as opened

    try:
        link = opened(place, BUSY_SECONDS)
        try:
            with link.transaction(writes=writes):
                yield link
        finally:
            link.close()
    except Away as away:
        stop(Code.FAILED, f"the store {place} is not available: {away}.")
    except ParleyError as error:
        stop(Code.FAILED, f"{error.failure.message}.")


def any_key(url: str | None) -> bool:
    """Whether there is a key in the store, or was one; nothing is created."""
    from parley.store import keys, place

    found = place.place_of(url)
    if not found.shared or not there(found):
        return False
    with linked(found, writes=False) as link:
        return bool(keys.listed(link))


def sound(url: str | None, *, recover: bool) -> None:
    """Look at the file before anybody is served from it. Ends with exit code 1 where it is damaged, unless it is to be
    recovered: then what could be read is told on stderr. A server looks after itself."""
    from parley.store import place

    found = place.place_of(url)
    if found.server and recover:
        stop(Code.USAGE, "--recover is for a store in a file; PostgreSQL recovers by itself.")
    if found.path is None or not found.path.is_file():
        return
    from parley.store.damage import LOOK_SECONDS, damage_of

    damage = damage_of(found.path, LOOK_SECONDS)
    if damage is None:
        return
    _say_corrupt(found.path, damage)
    if not recover:
        stop(Code.FAILED, f"the store {found} is damaged: {damage}.", RECOVER)
    recovered(found.path)


def recovered(path: Path) -> None:
    """Put what can be read of a damaged file in its place, and tell what that was. Ends with exit code 1 where nothing
    can be read."""
    import click

    from parley.store.damage import Unreadable
    from parley.store.recovery import recover

    try:
        done = recover(path)
    except Unreadable as error:
        stop(Code.FAILED, f"nothing of {path} could be saved: {error}.", "Restore a copy, or move the file away.")
    rows = ", ".join(f"{name} {count}" for name, count in done.rows.items() if count)
    click.echo(f"Saved from the damaged store: {rows or 'no rows'}.", err=True)
    if done.broken:
        click.echo(f"Not everything could be read of: {', '.join(done.broken)}.", err=True)
    click.echo(f"The damaged file is kept as {done.aside}.", err=True)


def _say_corrupt(path: Path, damage: str) -> None:
    import json

    import click

    click.echo(json.dumps({"event": "store.corrupt", "file": str(path), "problem": damage}), err=True)
