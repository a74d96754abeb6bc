"""What Python's own loggers say where nobody else listens: ours of faults, libraries' of trouble."""

import asyncio
import logging
from collections.abc import Callable

import msgspec


class LastResort(logging.Handler):
    """Makes lines of our log of it, until ``close``, in the place of plain text on stderr. Loggers that a library keeps
    quiet stay so. ``write`` is called on the loop's thread, whoever says it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, write: Callable[[bytes], None]) -> None:
        super().__init__(logging.WARNING)
        self._loop, self._write = loop, write
        self._before = logging.lastResort
        logging.lastResort = self

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler. A record that cannot be put into words is no reason to fail."""
        try:
            line = msgspec.json.encode(_facts(record))
            # A loop that is closed takes no more.
            self._loop.call_soon_threadsafe(self._write, line)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Hear nothing more."""
        if logging.lastResort is self:
            logging.lastResort = self._before
        super().close()


def _facts(record: logging.LogRecord) -> dict[str, str]:
    facts = {
        "event": "log",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if record.exc_info:
        facts["traceback"] = logging.Formatter().formatException(record.exc_info)
    return facts
