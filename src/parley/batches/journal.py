"""What a run on this machine has written so far: its output is its own journal, one whole line for each answer.

A line that was cut off by a crash is no answer: it is taken away before more is written behind it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct

from parley.batches.seen import Seen
from parley.batches.told import Spent, spent

FAILED: Final = ".failed.jsonl"
_PIECE: Final = 1024 * 1024


class _Response(Struct):
    status_code: int
    body: Raw


class _Answer(Struct):
    id: str
    custom_id: str
    response: _Response | None
    error: Raw


_NONE: Final = Raw(b"null")
_answer: Final = msgspec.json.Decoder(_Answer).decode


class ForeignError(Exception):
    """The file holds something else than lines of answers. Its message says where."""


def failed_path(path: Path) -> Path:
    """Where lines go that failed for good."""
    return path.with_name((path.name.removesuffix(path.suffix) if path.suffix else path.name) + FAILED)


class Journal:
    """One of the two files. ``read`` it before ``write``. Nothing is made before there is something to be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.spent = Spent()
        self._file: int | None = None

    def read(self, seen: Seen, *, mend: bool = True) -> None:
        """Note what is there already; an id that is there twice counts once. ``mend``: take a line away that was cut
        off. Raises ForeignError and OSError."""
        if not self.path.exists():
            return
        whole = 0
        for number, text in enumerate(_lines(self.path), 1):
            if text.endswith(b"\n"):
                whole += len(text)
                self._note(text, number, seen)
        if mend and whole < self.path.stat().st_size:
            os.truncate(self.path, whole)

    def _note(self, text: bytes, number: int, seen: Seen) -> None:
        if not text.strip():
            return
        try:
            found = _answer(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if found is None or (found.response is None and found.error == _NONE):
            raise ForeignError(f"line {number} of {self.path} is no answer of a batch")
        if seen.add(found.custom_id):
            self.count += 1
            if found.response is not None:
                self.spent = self.spent.plus(spent(bytes(found.response.body)))

    def write(self, line: bytes) -> None:
        """One more; it is in the file when this returns. Raises OSError."""
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        data = memoryview(line + b"\n")
        while data:
            data = data[os.write(self._file, data) :]
        self.count += 1

    def touch(self) -> None:
        """Make the file, or see that it can be written. Raises OSError."""
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        """All of it is on the disk."""
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb", _PIECE) as file:
        yield from file
