"""The store's keys for commands: opened, asked, closed, its errors told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from parley.cli.exits import Code, stop
from parley.cli.options import Source

if TYPE_CHECKING:
    from parley.store import Link

BUSY_SECONDS = 5.0


def url_of(store: str | None, config: Path | None) -> str | None:
    """The store's URL: the option's, else the configuration's; None for the file in the user's data directory."""
    if store is not None:
        return store
    from parley.cli.source import find, usable

    return usable(find(Source(config, None, discover=False))).settings.store


def path_of(url: str | None) -> Path:
    """The file; ends with exit code 2 for a store that is in memory: nobody else would ever see it."""
    from parley.store import place

    path = place.path_of(url or place.default_url())
    if path is None:
        stop(Code.USAGE, "a store in memory ends with the process that made it.", "Name a file: sqlite:///parley.db")
    return path


@contextmanager
def linked(path: Path, *, folder: bool, writes: bool = True) -> Iterator["Link"]:
    """The store inside one transaction. Ends with exit code 1 where it is not available or refuses."""
    from parley.failure import ParleyError
    from parley.store import Away
    from parley.store.link import opened

    try:
        link = opened(path, BUSY_SECONDS, folder=folder)
        try:
            with link.transaction(writes=writes):
                yield link
        finally:
            link.close()
    except Away as away:
        stop(Code.FAILED, f"the store {path} is not available: {away}.")
    except ParleyError as error:
        stop(Code.FAILED, f"{error.failure.message}.")


def any_key(url: str | None) -> bool:
    """Whether there is a key in the store, or was one; nothing is created."""
    from parley.store import keys, place

    path = place.path_of(url or place.default_url())
    if path is None or not path.exists():
        return False
    with linked(path, folder=False, writes=False) as link:
        return bool(keys.listed(link))
