"""What is in files of callers, in a folder of this machine. The folder is made when the first one comes."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

SPOOLED: Final = ".part"
# What was left behind by a process that ended in the middle of an upload.
ABANDONED_SECONDS: Final = 86400.0


class FileShelf(Protocol):
    """Where the content of files is. What is put is there for every gateway on the same store, whole or not at all.

    Methods raise OSError where the place is not available.
    """

    async def put(self, id: str, path: Path) -> None:
        """Keep what is in a file of this machine, which may be moved; in place of what is there."""

    async def read(self, id: str, place: int, size: int) -> bytes:
        """Some of it; fewer bytes only at its end."""

    async def remove(self, id: str) -> None:
        """Forget it; it may be gone already."""

    def spool(self) -> Path | None:
        """A folder for what is still coming in, None for the system's own."""


class Folder:
    """Files under their ids, for their owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, id: str, path: Path) -> None:
        """See FileShelf."""
        await asyncio.to_thread(self._put, id, path)

    async def read(self, id: str, place: int, size: int) -> bytes:
        """See FileShelf."""
        return await asyncio.to_thread(read, self._folder / id, place, size)

    async def remove(self, id: str) -> None:
        """See FileShelf."""
        await asyncio.to_thread((self._folder / id).unlink, missing_ok=True)

    def spool(self) -> Path | None:
        """See FileShelf."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder

    def sweep(self, now: float) -> None:
        """Remove what nobody will ever end."""
        with suppress(OSError):
            for path in self._folder.glob(f"*{SPOOLED}"):
                if path.stat().st_mtime < now - ABANDONED_SECONDS:
                    path.unlink(missing_ok=True)

    def _put(self, id: str, path: Path) -> None:
        self.spool()
        with path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(path, self._folder / id)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: Path, place: int, size: int) -> bytes:
    """Some of a file."""
    with path.open("rb") as file:
        file.seek(place)
        return file.read(size)
