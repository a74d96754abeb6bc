"""Reading the configuration again while serving: on a change of its files, on SIGHUP, or because somebody asked.

What comes of it is for whoever serves by it: parley.serve.reload in one process, parley.serve.workers for several.
"""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from parley.config.problem import Problem
from parley.serve.watching import Files, Folders, Mark, emptied, folders_of, look, words
from parley.settings import Settings

# Nothing is read before it has been the same for so long; an empty file is likely one that is just being written.
QUIET_SECONDS: Final = 0.05
EMPTY_SECONDS: Final = 0.4
MOST_LOOKS: Final = 16
MOST_READINGS: Final = 4
UNREAD: Final = Problem("", 0, 0, "the configuration could not be read", "the log says why")


def nothing() -> None:
    """Nothing else changes."""


class Reading(Struct, frozen=True, kw_only=True):
    """What was read. With ``problems`` it is not to be served.

    ``rejected`` are mistakes of included files, which were left out; ``notes`` tell of what else is amiss. ``taken``
    is called when it is served from now on.
    """

    settings: Settings = Settings()
    problems: tuple[Problem, ...] = ()
    rejected: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    files: Files = Files()
    taken: Callable[[], None] = nothing


class Source(Protocol):
    """Reads the configuration; called in a thread. ``files`` are those of the first time, ``first`` what they were
    then."""

    files: Files
    first: Mark

    def __call__(self) -> Reading:
        """Read it again."""


class Reloads(Protocol):
    """What the listener and its signals ask."""

    async def load(self, why: str) -> Reading:
        """Read, and take over what is right."""

    def ask(self, why: str) -> None:
        """Load soon, unless that is going to happen anyway."""

    async def watch(self) -> None:
        """Load whenever the files have changed, until cancelled."""


class Rereading:
    """Reads from ``source``; those who extend it say what comes of it. ``write`` takes log lines."""

    def __init__(self, source: Source, write: Callable[[bytes], None]) -> None:
        self._source = source
        self._write = write
        self._files = source.files
        self._mark = source.first
        self._one = asyncio.Lock()
        self._asked: set[asyncio.Task[Reading]] = set()
        self._trouble = ""
        self.pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def take(self, reading: Reading, why: str) -> Reading:
        """Serve by it where it is right; what came of it."""
        raise NotImplementedError

    async def load(self, why: str) -> Reading:
        """Read, and take over what is right. One at a time: who comes meanwhile waits and reads again."""
        async with self._one:
            return await self.take(await asyncio.to_thread(self._stable), why)

    def ask(self, why: str) -> None:
        """Load soon, unless that is going to happen anyway."""
        if len(self._asked) > 1:
            return
        task = asyncio.ensure_future(self.load(why))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def watch(self) -> None:
        """Load whenever the files have changed, until cancelled."""
        await asyncio.to_thread(importlib.import_module, "watchfiles")
        while True:
            folders = await self.check()
            async with contextlib.aclosing(words(folders, self._troubled)) as told:
                async for _ in told:
                    if await self.check() != folders:
                        break

    async def check(self) -> Folders:
        """Load if the files are not what they were and have come to rest; the folders in which to listen now."""
        mark, folders = await asyncio.to_thread(_seen, self._files)
        if mark != self._mark and await self._rested(mark) != self._mark:
            await self.load("changed")
            folders = await asyncio.to_thread(folders_of, self._files)
        return folders

    async def _rested(self, mark: Mark) -> Mark:
        """The files as they are once nobody writes them any more."""
        for _ in range(MOST_LOOKS):
            await self.pause(EMPTY_SECONDS if emptied(mark) else QUIET_SECONDS)
            before, mark = mark, await asyncio.to_thread(look, self._files)
            if mark == before:
                break
        return mark

    def _stable(self) -> Reading:
        """Read until nothing has changed meanwhile, files that turned up included. Runs in a thread."""
        files = self._files
        for _ in range(MOST_READINGS):
            mark = look(files)
            try:
                reading = self._source()
            except Exception:
                logging.getLogger("parley").exception("the configuration could not be read")
                reading = Reading(problems=(UNREAD,), files=files)
            # What cannot be read does not tell what it would include.
            known = files | reading.files if reading.problems else reading.files
            if known == files and look(files) == mark:
                break
            files = known
        self._files, self._mark = files, mark
        return reading

    def _troubled(self, reason: str) -> None:
        """The system tells nothing of changes; once is enough to say so."""
        if reason != self._trouble:
            self._trouble = reason
            say(self._write, "config.unwatched", message=f"files are looked at twice a second instead: {reason}")


def say(write: Callable[[bytes], None], event: str, **facts: Any) -> None:
    """One log line."""
    write(msgspec.json.encode({"event": event, **facts}))


def say_problems(write: Callable[[bytes], None], reading: Reading) -> None:
    """A log line for everything that is amiss."""
    for problem in (*reading.problems, *reading.rejected):
        say(write, "config.rejected", **told(problem))
    for problem in reading.notes:
        say(write, "config.note", **told(problem))


def told(problem: Problem) -> dict[str, Any]:
    """A problem as others read it, without the line it stands in."""
    return {name: value for name, value in msgspec.structs.asdict(problem).items() if name != "source"}


def told_of(reading: Reading) -> list[dict[str, Any]]:
    """Everything that is wrong, for who asked."""
    return [told(problem) for problem in (*reading.problems, *reading.rejected, *reading.notes)]


def _seen(files: Files) -> tuple[Mark, Folders]:
    return look(files), folders_of(files)
