"""stdout of this process, whose refusals are told apart from every other error of the system."""

import io
import os
import sys


class UnwrittenError(Exception):
    """stdout does not take what is written to it: a full disk, or closed by whoever started us."""


class _File(io.FileIO):
    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UnwrittenError(error.strerror or str(error)) from error


def watch() -> None:
    """Put a stdout in place that raises UnwrittenError; one that was closed refuses every write."""
    given = sys.stdout
    number = given.fileno() if given else os.open(os.devnull, os.O_RDONLY)
    raw = _File(number, "w", closefd=False)
    encoding, errors = (given.encoding, given.errors) if given else ("utf-8", None)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=raw.isatty())


def discard() -> None:
    """Let go of what was not taken: Python writes it again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
