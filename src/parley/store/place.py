"""Where the store is: a file that nobody else can read, or a PostgreSQL server. Imports no database."""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from parley.settings import SERVED_STORE

PREFIX: Final = "sqlite:///"
MEMORY: Final = ":memory:"
SERVERS: Final = ("postgresql://", "postgres://")
EXPECTED: Final = "a store is written as sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
MISSING: Final = "a store on PostgreSQL needs psycopg, which is not installed; `pip install 'parley[postgres]'`"
_SECRET: Final = ("password", "sslpassword", "passfile", "sslkey", "oauth_client_secret")
_HIDDEN: Final = "***"


class Place:
    """Of one store. ``path`` is its file, None for one in memory and for a server; ``server`` its URL, "" for a file.
    ``folder``: the file's folder may be made. As text it holds no password."""

    def __init__(self, path: Path | None, server: str = "", *, folder: bool = False) -> None:
        self.path, self.server, self.folder = path, server, folder

    def __str__(self) -> str:
        if self.server:
            return self.covered(self.server)
        return MEMORY if self.path is None else str(self.path)

    __repr__ = __str__

    @property
    def shared(self) -> bool:
        """Whether others than the process that opens it ever see what is in it."""
        return bool(self.server) or self.path is not None

    @property
    def exists(self) -> bool:
        """Whether it may hold something already; an empty file, a device or a folder does not. Raises OSError."""
        if self.server:
            return True
        return self.path is not None and self.path.is_file() and self.path.stat().st_size > 0

    def covered(self, words: str) -> str:
        """The same words without the secrets of the URL, as they are written there and as they are meant."""
        for secret in self._secrets:
            words = words.replace(secret, _HIDDEN)
        return words

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        if not self.server:
            return ()
        parts = urlsplit(self.server)
        pairs: list[tuple[str, Any]] = [("password", parts.netloc.rpartition("@")[0].partition(":")[2])]
        pairs += parse_qsl(parts.query)
        pairs += [(name, value) for name, _, value in (pair.partition("=") for pair in parts.query.split("&"))]
        found = {text for name, value in pairs if name in _SECRET and value for text in (value, unquote(value))}
        return tuple(sorted(found, key=len, reverse=True))


def default_url() -> str:
    """The file under the user's data directory; nothing is created yet."""
    from platformdirs import user_data_path

    return f"{PREFIX}{user_data_path('parley', appauthor=False) / 'parley.db'}"


def place_of(url: str | None) -> Place:
    """What a store's URL names, for None the file under the user's data directory. Raises ValueError with what is
    expected, without the URL."""
    if url is None:
        return Place(path_of(default_url()), folder=True)
    if url.startswith(SERVERS):
        return Place(None, _server(url))
    return Place(path_of(url))


def path_of(url: str) -> Path | None:
    """The file that a ``sqlite:///FILE`` URL names; None for one in memory. Raises ValueError with what is expected."""
    if url in ("sqlite://", f"{PREFIX}{MEMORY}"):
        return None
    name = unquote(url.removeprefix(PREFIX))
    if not url.startswith(PREFIX) or not name or "?" in name or "\0" in name:
        raise ValueError(EXPECTED)
    return Path(name).absolute()


def missing(url: str | None) -> str:
    """What has to be installed before this store can be used, in words; "" for nothing."""
    from importlib.util import find_spec

    return MISSING if url is not None and url.startswith(SERVERS) and find_spec("psycopg") is None else ""


def prepared(path: Path, *, folder: bool) -> None:
    """Create the file for its owner only, and its folder where ``folder``. What exists stays as it is.

    SQLite gives its own files beside it the same permissions. Raises OSError.
    """
    if folder:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _server(url: str) -> str:
    """One way to write it. The database has to be named: a server's default is rarely what was meant."""
    if "\0" in url or not re.fullmatch(SERVED_STORE, url):
        raise ValueError(EXPECTED)
    return "postgresql://" + url.partition("://")[2]
