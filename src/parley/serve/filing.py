"""Files of callers: where their content is, how it comes in and goes out.

Beside a SQLite file it is a folder, in a PostgreSQL store (and one in memory) it is in the store itself, in parts; or
it is wherever the configuration says.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from parley.batches.form import FormFlow
from parley.failure import Failure, ParleyError, invalid
from parley.io.filing import SPOOLED, FileShelf, Folder, read
from parley.multipart import Part
from parley.store import Store, files
from parley.store.files import Kept

PART: Final = 1024 * 1024
PIECE: Final = 256 * 1024
SWEPT: Final = 100
AWAY: Final = Failure("overloaded", "the place where files are kept is not available", detail="files", retry_after=1.0)
S3: Final = "s3://"


class Spool:
    """A file of this machine that is being written. It is gone once it is closed, unless it was put away before."""

    def __init__(self, folder: Path | None) -> None:
        number, name = tempfile.mkstemp(SPOOLED, "file-", folder)
        self.path = Path(name)
        self._file = os.fdopen(number, "wb", PIECE)
        self.size = 0

    def write(self, data: bytes) -> None:
        """More of it."""
        self.size += len(data)
        self._file.write(data)

    def flush(self) -> None:
        """All of it can be read now."""
        self._file.flush()

    def close(self) -> None:
        """It is not needed any more."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Upload:
    """A form that comes in piece by piece; what is wrong with it is told once it is over. ``filing`` None: nobody may
    send one here, and nothing is kept of it."""

    def __init__(self, filing: "Filing | None", content_type: bytes) -> None:
        self.spool: Spool | None = None
        self._failure: Failure | None = None
        self._filing = filing
        self._flow: FormFlow | None = None
        if filing is not None:
            self._tried(lambda: self._open(content_type))

    def feed(self, data: bytes) -> None:
        """More of it."""
        flow = self._flow
        if flow is not None:
            self._tried(lambda: flow.feed(data))

    def ended(self) -> tuple[dict[str, str], Part, Spool]:
        """Its fields, its file's head, and what is in it. Raises ParleyError."""
        if self._failure is None and self._flow is not None and self.spool is not None:
            part = self._flow.close()
            self.spool.flush()
            return self._flow.fields, part, self.spool
        raise ParleyError(self._failure or AWAY)

    def close(self) -> None:
        """Leave nothing behind."""
        spool, self.spool = self.spool, None
        self._flow = None
        if spool is not None:
            spool.close()

    def _open(self, content_type: bytes) -> None:
        assert self._filing is not None
        self.spool = self._filing.spool()
        self._flow = FormFlow(content_type, self.spool.write)

    def _tried(self, work: Any) -> None:
        try:
            work()
        except ParleyError as error:
            self._failure = error.failure
            self.close()
        except OSError:
            self._failure = AWAY
            self.close()


class Parts:
    """A FileShelf in the store itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, id: str, path: Path) -> None:
        """See FileShelf."""
        number = 0
        while body := await asyncio.to_thread(read, path, number * PART, PART):
            await self._store.change(lambda link, number=number, body=body: files.put_part(link, id, number, body))  # type: ignore[misc]
            number += 1

    async def read(self, id: str, place: int, size: int) -> bytes:
        """See FileShelf."""
        first, last = place // PART, (place + size - 1) // PART
        found = await self._store.ask(lambda link: files.parts(link, id, first, last))
        start = place - first * PART
        return b"".join(found)[start : start + size]

    async def remove(self, id: str) -> None:
        """Its parts go with its row."""

    def spool(self) -> Path | None:
        """See FileShelf."""
        return None


class Filing:
    """Of one gateway. ``place`` is the configuration's, "" for beside the store. Raises ParleyError where the place is
    not available."""

    def __init__(self, store: Store, place: str = "") -> None:
        self._store = store
        self._shelf = shelf_for(store, place)

    def spool(self) -> Spool:
        """A new file to be written. Raises OSError."""
        return Spool(self._shelf.spool())

    def new(self, prefix: str) -> tuple[str, int]:
        """An id and a place in lists."""
        return f"{prefix}{secrets.token_hex(16)}", int(self._store.wall() * 1e6)

    async def keep(self, kept: Kept, spool: Spool) -> Kept:
        """A new file of a caller's."""
        await self.put(kept.id, spool)
        try:
            await self._store.change(lambda link: files.add(link, kept))
        except ParleyError:
            await self.drop(kept.id)
            raise
        return kept

    async def put(self, id: str, spool: Spool) -> None:
        """Its content alone."""
        spool.flush()
        try:
            await self._shelf.put(id, spool.path)
        except OSError:
            raise ParleyError(AWAY) from None

    async def read(self, id: str, place: int, size: int) -> bytes:
        """Some of its content."""
        try:
            return await self._shelf.read(id, place, size)
        except FileNotFoundError:
            raise ParleyError(Failure("internal", f"the content of the file {id!r} is lost", detail="files")) from None
        except OSError:
            raise ParleyError(AWAY) from None

    async def pieces(self, id: str, size: int) -> AsyncIterator[bytes]:
        """All of it. Raises where it turns out to be shorter."""
        place = 0
        while place < size:
            piece = await self.read(id, place, min(PIECE, size - place))
            if not piece:
                raise ParleyError(Failure("internal", f"the file {id!r} is cut short", detail="files"))
            yield piece
            place += len(piece)

    async def drop(self, id: str) -> None:
        """Its content; the row is gone already. What cannot be removed now is nobody's loss."""
        try:
            await self._shelf.remove(id)
        except OSError:
            return

    async def tidy(self) -> None:
        """Remove what has expired."""
        now = self._store.wall()
        if isinstance(self._shelf, Folder):
            await asyncio.to_thread(self._shelf.sweep, now)
        while names := await self._store.ask(lambda link: files.expired(link, now, SWEPT)):
            for name in names:
                await self._forget(name)
            if len(names) < SWEPT:
                break

    async def _forget(self, name: str) -> None:
        """A file that nobody sees any more; what it has in the store goes in some steps, so that requests go first."""
        while not await self._store.change(lambda link: files.part_with(link, name)):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await self._store.change(lambda link: files.forget(link, name))
        await self.drop(name)


def shelf_for(store: Store, place: str) -> FileShelf:
    """What the configuration names, or what goes with the store."""
    if place.startswith(S3):
        from parley.io.filing_s3 import Bucket

        return Bucket(place)
    if place:
        return Folder(Path(place))
    path = store.place.path
    return Parts(store) if path is None else Folder(path.with_name(f"{path.name}-files"))


def expiry(text: str | None, created: int) -> int | None:
    """When a file expires, from ``expires_after`` as JSON text. Raises ``invalid_request``."""
    if text is None:
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("Invalid type for 'expires_after': expected an object.", "expires_after") from None
    seconds = kept_for(found, "expires_after")
    return None if seconds is None else created + seconds


def kept_for(found: Any, name: str) -> int | None:
    """Seconds from {"anchor": "created_at", "seconds": N}; None for null. Raises ``invalid_request``."""
    if found is None:
        return None
    if not isinstance(found, dict) or found.get("anchor") != "created_at":
        raise invalid(f"Invalid value for '{name}.anchor': expected 'created_at'.", f"{name}.anchor")
    seconds = found.get("seconds")
    if isinstance(seconds, str) and seconds.isdecimal():
        seconds = int(seconds)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 3600 <= seconds <= 2592000:
        message = f"Invalid value for '{name}.seconds': expected an integer from 3600 to 2592000."
        raise invalid(message, f"{name}.seconds")
    return seconds
