"""Where the file is, and that nobody else can read it."""

import os
from pathlib import Path
from urllib.parse import unquote

PREFIX = "sqlite:///"
MEMORY = ":memory:"


def default_url() -> str:
    """The file under the user's data directory; nothing is created yet."""
    from platformdirs import user_data_path

    return f"{PREFIX}{user_data_path('parley', appauthor=False) / 'parley.db'}"


def path_of(url: str) -> Path | None:
    """The file that a ``sqlite:///FILE`` URL names; None for one in memory. Raises ValueError with what is expected."""
    if url in ("sqlite://", f"{PREFIX}{MEMORY}"):
        return None
    name = unquote(url.removeprefix(PREFIX))
    if not url.startswith(PREFIX) or not name or "?" in name or "\0" in name:
        raise ValueError("a store is written as sqlite:///FILE")
    return Path(name).absolute()


def prepared(path: Path, *, folder: bool) -> None:
    """Create the file for its owner only, and its folder where ``folder``. What exists stays as it is.

    SQLite gives its own files beside it the same permissions. Raises OSError.
    """
    if folder:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
