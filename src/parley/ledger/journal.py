"""Files that rows are appended to as soon as a request has ended, until they are in the store.

A process that is killed leaves its files; who lives on finds that nobody holds them and goes on where the store says
that they ended. A file is named by chance and used once, so that the store can tell how far it was read.

A file is frames: the length of what follows and its checksum, four bytes each, little-endian, then one row, which is a
MessagePack array. A frame is whole or, at the end of a file, was never finished.
"""

import errno
import fcntl
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from struct import Struct as Layout
from typing import Final
from zlib import crc32

import msgspec

from parley.store.ledger import Row, Values

MAGIC: Final = b"parley-rows 1\n"
SUFFIX: Final = ".rows"
DAMAGED: Final = ".damaged"
HIDDEN: Final = ".new"
# A new file is begun behind so much.
MAX_FILE: Final = 4 * 1024 * 1024
# So much is read, and written into the store, in one piece.
PIECE: Final = 64 * 1024
# Rows that are written into the store at once without being read from their file, and those that are kept for that.
MOST_FRESH: Final = 1000
MAX_FRESH: Final = 8192
_HEAD: Final = Layout("<II")
_head: Final = _HEAD.pack
_AT: Final = Row.__struct_fields__.index("at")
_MS: Final = Row.__struct_fields__.index("ms")
_row: Final = msgspec.msgpack.Decoder(Row).decode


class Damaged(Exception):  # noqa: N818 - it is what the file is
    """A file cannot be read any further, and not because it is unfinished."""


class Fresh:
    """Rows of a file that are still in memory: their places, their values, and where they end."""

    __slots__ = ("end", "places", "rows")

    def __init__(self, places: list[int], rows: list[Values], end: int) -> None:
        self.places, self.rows, self.end = places, rows, end


class File:
    """One file, held by this process alone. ``size`` is how much of it is whole, ``applied`` how much of that is in the
    store; None: the store has to be asked. ``broken``: nothing more can be written to it."""

    def __init__(self, path: Path, descriptor: int, size: int, applied: int | None) -> None:
        self.path, self.size, self.applied = path, size, applied
        self.broken = False
        self._descriptor = descriptor
        self._mark = bytes.fromhex(path.name.partition(".")[0])[:5]
        # Without a gap, up to where they end.
        self._fresh = Fresh([], [], 0)

    @property
    def name(self) -> str:
        """What the store knows it by."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def waiting(self) -> int:
        """Bytes that are not in the store yet."""
        return self.size - (self.applied or 0)

    def append(self, frame: bytes) -> None:
        """All of it or nothing. Raises OSError."""
        try:
            written = os.write(self._descriptor, frame)
        except OSError:
            self._cut()
            raise
        if written != len(frame):
            self._cut()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += written

    def sync(self) -> None:
        """Onto the disk itself: what a power failure leaves. Raises OSError."""
        os.fdatasync(self._descriptor)

    def rows(self, begin: int) -> tuple[int, list[tuple[bytes, Row]]]:
        """Some rows from there on, each with its id, and where they end. Raises Damaged and OSError."""
        data = os.pread(self._descriptor, min(PIECE, self.size - begin), begin)
        if len(data) >= _HEAD.size:
            # One frame may be longer than a piece.
            whole = _HEAD.size + _HEAD.unpack_from(data)[0]
            if len(data) < whole:
                data = os.pread(self._descriptor, min(whole, self.size - begin), begin)
        found: list[tuple[bytes, Row]] = []
        end = 0
        for place, body in _frames(data):
            found.append(self._identified(begin + place, body))
            end = place + _HEAD.size + len(body)
        if not end:
            raise Damaged(self.path.name)
        return begin + end, found

    def keep(self, row: Values, size: int) -> None:
        """Remember the row that was just written in so many bytes: it need not be read again."""
        fresh, place = self._fresh, self.size - size
        if fresh.end != place or len(fresh.places) >= MAX_FRESH:
            fresh = self._fresh = Fresh([], [], place)
        fresh.places.append(place)
        fresh.rows.append(row)
        fresh.end = self.size

    def fresh(self) -> Fresh | None:
        """Some rows from where the store is; None where they have to be read."""
        fresh = self._fresh
        if not fresh.places or fresh.places[0] != self.applied:
            return None
        end = fresh.places[MOST_FRESH] if len(fresh.places) > MOST_FRESH else fresh.end
        return Fresh(fresh.places[:MOST_FRESH], fresh.rows[:MOST_FRESH], end)

    def reach(self, end: int) -> None:
        """So much is in the store."""
        self.applied = end
        fresh = self._fresh
        known = bisect_left(fresh.places, end)
        del fresh.places[:known], fresh.rows[:known]

    def ids(self, fresh: Fresh) -> list[bytes]:
        """Those of rows. They sort by the time of the end; the rest of them is the row's place."""
        mark = self._mark
        return [
            max(0, int(row[_AT] * 1000 + row[_MS])).to_bytes(6) + mark + place.to_bytes(5)
            for place, row in zip(fresh.places, fresh.rows, strict=True)
        ]

    def remove(self) -> None:
        """Everything is in the store."""
        self.path.unlink(missing_ok=True)
        self.close()

    def set_aside(self) -> None:
        """Keep it for whoever wants to look into it."""
        self.path.replace(self.path.with_suffix(DAMAGED))
        self.close()

    def close(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)

    def _cut(self) -> None:
        """What was written by half must not stand before what follows."""
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self.broken = True
            raise

    def _identified(self, place: int, body: bytes) -> tuple[bytes, Row]:
        """With its id, see ids."""
        try:
            row = _row(body)
        except msgspec.MsgspecError:
            raise Damaged(self.path.name) from None
        at = max(0, int(row.at * 1000 + row.ms))
        return at.to_bytes(6) + self._mark + place.to_bytes(5), row


class Journal:
    """The files in one folder, which is made for its owner only. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.active: File | None = None

    def append(self, frames: bytes) -> File:
        """Write frames down; the file they are in."""
        active = self.active
        if active is None or active.broken or active.size >= MAX_FILE:
            active = self.active = self._begun()
        active.append(frames)
        return active

    def left(self) -> list[File]:
        """Files that nobody holds any more, the oldest first. They are held from now on."""
        if not self.folder.is_dir():
            return []
        paths = sorted(self.folder.glob(f"*{SUFFIX}"), key=_age)
        return [file for path in paths if (file := _held(path)) is not None]

    def _begun(self) -> File:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Under its own name only once it is held: nobody shall take it for a file that was left.
        path = self.folder / f"{token_hex(8)}{SUFFIX}"
        hidden = path.with_suffix(HIDDEN)
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file = File(path, descriptor, 0, 0)
            file.append(MAGIC)
            hidden.rename(path)
        except OSError:
            os.close(descriptor)
            hidden.unlink(missing_ok=True)
            raise
        file.applied = len(MAGIC)
        return file


def frame(row: bytes) -> bytes:
    """A row in MessagePack as it stands in a file."""
    return _head(len(row), crc32(row)) + row


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each begins, and what is in it; as far as they are whole."""
    place = 0
    while place + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, place)
        body = data[place + _HEAD.size : place + _HEAD.size + length]
        if not length or len(body) < length or crc32(body) != check:
            return
        yield place, body
        place += _HEAD.size + length


def _held(path: Path) -> File | None:
    """A file of a process that has ended, as far as it is whole; None where it is held or gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.fstat(descriptor).st_size
        if os.fstat(descriptor).st_nlink == 0:
            raise BlockingIOError
    except BlockingIOError:
        os.close(descriptor)
        return None
    return File(path, descriptor, size, None)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
