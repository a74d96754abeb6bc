"""What is written in one turn of the loop leaves at its end, all of it one after the other.

To write wakes whoever reads. A reader that is woken by each of many writes by itself is asleep again before the next
one comes, and to wake it costs more than the write; of writes that follow each other at once, it finds the second
before it sleeps. Where a turn has a single write, nothing waits.
"""

import asyncio
import logging
from typing import Any, Final, TypeAlias

Message: TypeAlias = tuple[bytes | memoryview, ...]

# Nobody waits for more than so many others.
MOST: Final = 32
# What is larger leaves at once, and with it what came before: there the reader is the least of the cost.
LARGE: Final = 16 * 1024


class Cork:
    """Belongs to one loop. Whoever does anything else to a transport (close, half-close) flushes before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._soon = loop.call_soon
        self._out: list[tuple[Any, Message]] = []
        self._due = False

    def write(self, transport: Any, message: Message) -> None:
        """Have it written, in the order of these calls. What is for a transport that closes first is not."""
        out = self._out
        out.append((transport, message))
        if len(out) >= MOST or len(message[-1]) > LARGE:
            self.flush()
        elif not self._due:
            self._due = True
            self._soon(self._turn_ends)

    def flush(self) -> None:
        """Now."""
        out, self._out = self._out, []
        for transport, message in out:
            try:
                if transport.is_closing():
                    continue
                if len(message) == 1:
                    transport.write(message[0])
                else:
                    transport.writelines(message)
            except Exception:
                # The others are not to wait for ever because of one.
                logging.getLogger("parley").exception("an answer could not be written")
                transport.abort()

    def _turn_ends(self) -> None:
        self._due = False
        self.flush()
