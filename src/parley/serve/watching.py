"""Which files a configuration came from, whether they are what they were, and word of when to look.

Word comes from the system and concerns folders, since editors replace files and Kubernetes moves links. It may be
missed or not be given at all (network file systems), so there is a look twice a second besides, and that is what
counts.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from msgspec import Struct

from parley.config.include import fixed_of, matches

LOOK_SECONDS: Final = 0.5
# Word of writes that follow one another is given once; how long that may be put off.
QUIET_MS: Final = 100
BUSY_MS: Final = 400
MOST_LINKS: Final = 40
Mark: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
Folders: TypeAlias = dict[str, tuple[int, ...]]


class Files(Struct, frozen=True):
    """``paths`` of files, and the patterns by which more are looked for, each with the folder that it starts from."""

    paths: tuple[str, ...] = ()
    sought: tuple[tuple[str, str], ...] = ()

    def __or__(self, other: "Files") -> "Files":
        """Both."""
        return Files(
            tuple(dict.fromkeys((*self.paths, *other.paths))), tuple(dict.fromkeys((*self.sought, *other.sought)))
        )

    def named(self) -> Iterator[str]:
        """The paths, and what the patterns find now."""
        yield from self.paths
        for folder, pattern in self.sought:
            with contextlib.suppress(OSError):
                found = matches(pattern, Path(folder))
                yield from () if isinstance(found, str) else map(str, found)


def look(files: Files) -> Mark:
    """What the files are now: two looks differ if anything was written, replaced, added, removed or made readable."""
    return tuple((path, _state(path)) for path in dict.fromkeys(files.named()))


def emptied(mark: Mark) -> bool:
    """Whether some file is there and empty, as one that is just being written."""
    return any(state[2:3] == (0,) for _, state in mark)


def look_back(files: Files, since: float) -> Mark:
    """What the files were at that time (seconds since 1970), or () where they have changed since then."""
    mark = look(files)
    return () if any(state and max(state[3:]) > since * 1e9 for _, state in mark) else mark


def folders_of(files: Files) -> Folders:
    """The folders in which a change may make one of the files another, and which folders they are now."""
    found: Folders = {}
    for path in files.named():
        for folder in _ways(Path(path)):
            _add(found, folder)
    for start, pattern in files.sought:
        fixed = fixed_of(Path(start) / Path(pattern).expanduser(), Path(start))
        for folder in _ways(fixed / "any"):
            _add(found, folder)
    return found


async def words(folders: Folders, troubled: Callable[[str], None]) -> AsyncGenerator[None, None]:
    """Something may have changed there; at least every LOOK_SECONDS. ``troubled`` hears why the system tells
    nothing, if so."""
    from watchfiles import awatch

    given: dict[str, Any] = {
        "watch_filter": None,
        "debounce": BUSY_MS,
        "step": QUIET_MS,
        "rust_timeout": int(LOOK_SECONDS * 1000),
        "yield_on_timeout": True,
        "recursive": False,
    }
    try:
        async with contextlib.aclosing(awatch(*folders, **given)) as told:
            async for _ in told:
                yield
    except (OSError, RuntimeError) as error:
        troubled(str(error))
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        yield


def _state(path: str) -> tuple[int, ...]:
    """Which file it is and as of when, () where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _ways(path: Path) -> Iterator[Path]:
    """The folder of a file, those of the links that lead to it, and those of the files behind them."""
    waiting = [Path(os.path.abspath(path))]
    seen: set[Path] = set()
    while waiting and len(seen) < MOST_LINKS:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        yield one.parent
        for part in (one, *one.parents):
            with contextlib.suppress(OSError, ValueError):
                target = part.parent / os.readlink(part)
                yield part.parent
                waiting.append(Path(os.path.normpath(target / one.relative_to(part))))


def _add(found: Folders, folder: Path) -> None:
    """The folder, or the nearest above it that is there."""
    for one in (folder, *folder.parents):
        state = _state(str(one))
        if state and one.is_dir():
            found[str(one)] = state[:2]
            return
