"""The configuration, read again while serving: on a change of its files, on SIGHUP, or because somebody asked.

What is right is taken over between two turns of the loop; requests under way end on what they began with. What is
wrong changes nothing and is said in the log, in /readyz and in the metrics until something right was read.
"""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from parley.config.problem import Problem
from parley.gateway.metrics import REJECTED
from parley.io import upstreams
from parley.ports import Upstream
from parley.serve.house import House
from parley.serve.watching import Files, Folders, Mark, emptied, folders_of, look, words
from parley.settings import Settings

# Nothing is read before it has been the same for so long; an empty file is likely one that is just being written.
QUIET_SECONDS: Final = 0.05
EMPTY_SECONDS: Final = 0.4
MOST_LOOKS: Final = 16
MOST_READINGS: Final = 4
# What is set up once: sockets, and the file of what is kept.
FIXED: Final = ("listen", "store")
_UNREAD: Final = Problem("", 0, 0, "the configuration could not be read", "the log says why")


def _nothing() -> None:
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
    taken: Callable[[], None] = _nothing


class Source(Protocol):
    """Reads the configuration; called in a thread. ``files`` are those of the first time, ``first`` what they were
    then."""

    files: Files
    first: Mark

    def __call__(self) -> Reading:
        """Read it again."""


class Reload:
    """One per house. ``made`` are its gateway's transports, added to in place; ``write`` takes log lines."""

    def __init__(self, house: House, made: dict[str, Upstream], source: Source, write: Callable[[bytes], None]) -> None:
        self._house = house
        self._made = made
        self._source = source
        self._write = write
        self._files = source.files
        self._mark = source.first
        self._one = asyncio.Lock()
        self._asked: set[asyncio.Task[Reading]] = set()
        self._trouble = ""
        self.pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def load(self, why: str) -> Reading:
        """Read, and take over what is right. One at a time: who comes meanwhile waits and reads again."""
        async with self._one:
            reading = await asyncio.to_thread(self._stable)
            if not self._house.draining:
                reading = self._tried(reading, why)
            return reading

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
                reading = Reading(problems=(_UNREAD,), files=files)
            # What cannot be read does not tell what it would include.
            known = files | reading.files if reading.problems else reading.files
            if known == files and look(files) == mark:
                break
            files = known
        self._files, self._mark = files, mark
        return reading

    def _tried(self, reading: Reading, why: str) -> Reading:
        """A fault of ours shall end neither the watch nor what is served."""
        try:
            self._judge(reading, why)
        except Exception:
            logging.getLogger("parley").exception("the configuration could not be taken over")
            reading = Reading(problems=(_UNREAD,))
            self._judge(reading, why)
        return reading

    def _judge(self, reading: Reading, why: str) -> None:
        for problem in (*reading.problems, *reading.rejected):
            self._say("config.rejected", **_told(problem))
        for problem in reading.notes:
            self._say("config.note", **_told(problem))
        if reading.problems:
            self._house.gateway.metrics.count(REJECTED)
            waiting = [notice for notice in self._house.notices if notice["kind"] != "config"]
            self._house.notices = [*map(_notice, reading.problems), *waiting]
        else:
            self._adopt(reading, why)

    def _adopt(self, reading: Reading, why: str) -> None:
        house = self._house
        gateway, before = house.gateway, house.gateway.settings
        settings = settled(before, reading.settings)
        upstreams.extend(self._made, settings, house.loop, self._write)
        reading.taken()
        gateway.adopt(settings, self._made)
        upstreams.adopt(self._made, settings)
        house.adopt()
        fixed = [name for name in FIXED if getattr(reading.settings, name) != getattr(settings, name)]
        house.notices = [{"kind": "restart", "message": f"{name} has changed; it takes a restart"} for name in fixed]
        for notice in house.notices:
            self._say("config.restart", message=notice["message"])
        models = len(settings.registrations)
        self._say("config.loaded", why=why, providers=len(settings.providers), models=models)

    def _troubled(self, reason: str) -> None:
        """The system tells nothing of changes; once is enough to say so."""
        if reason != self._trouble:
            self._trouble = reason
            self._say("config.unwatched", message=f"files are looked at twice a second instead: {reason}")

    def _say(self, event: str, **facts: Any) -> None:
        self._write(msgspec.json.encode({"event": event, **facts}))


def settled(before: Settings, wanted: Settings) -> Settings:
    """What is wanted, as far as it can be without a restart. Providers and registrations that are equal stay the same
    object, so that nothing about them is new."""
    kept = {name: getattr(before, name) for name in FIXED}
    providers = {
        name: one if one != (known := before.providers.get(name)) or known is None else known
        for name, one in wanted.providers.items()
    }
    registrations = {
        pair: one if one != (model := before.registrations.get(pair)) or model is None else model
        for pair, one in wanted.registrations.items()
    }
    return replace(wanted, providers=providers, registrations=registrations, **kept)


def told_of(reading: Reading) -> list[dict[str, Any]]:
    """Everything that is wrong, for who asked."""
    return [_told(problem) for problem in (*reading.problems, *reading.rejected, *reading.notes)]


def _seen(files: Files) -> tuple[Mark, Folders]:
    return look(files), folders_of(files)


def _told(problem: Problem) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(problem).items() if name != "source"}


def _notice(problem: Problem) -> dict[str, Any]:
    return {"kind": "config", **{name: value for name, value in _told(problem).items() if name != "hint"}}
