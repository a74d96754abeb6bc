"""What ``parley serve`` read at its start, read once more while it serves."""

import os
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from parley.cli.envfile import UnfitError, variables
from parley.cli.options import Source
from parley.cli.source import DEFAULT, Found
from parley.config import load
from parley.config.problem import Problem
from parley.serve.rereading import Reading
from parley.serve.watching import Files, look_back
from parley.settings import Settings

EMPTY: Final = Problem("", 1, 1, "the file is empty", "write it as a whole, or restart to serve without it")


class Again:
    """Called in any thread, never in two; changes nothing. ``env`` is the environment as it was before ``--env-file``
    was added, ``settled`` puts what the command line says on top or raises UnfitError, ``begun`` (seconds since 1970)
    is when everything was read first."""

    def __init__(
        self,
        source: Source,
        found: Found,
        env: Mapping[str, str],
        settled: Callable[[Settings], Settings],
        begun: float,
    ) -> None:
        self._source = source
        self._discovered = found.discovered
        self._env = dict(env)
        self._settled = settled
        self._path = found.path
        self._added = frozenset(os.environ).difference(env)
        self.files = self._files(found.files, found.sought)
        self.first = look_back(self.files, begun)

    def __call__(self) -> Reading:
        """Everything that would be served if the command were given now, servers of this machine as they were found."""
        try:
            return self._read()
        except UnfitError as error:
            problem = replace(error.problem, file=error.problem.file or self._main)
            return Reading(problems=(problem,), files=self.files)

    def _read(self) -> Reading:
        given = {} if self._source.env_file is None else variables(self._source.env_file)
        added = {name: value for name, value in given.items() if name not in self._env}
        # A file that was there does not make place for none: it is then one that cannot be read.
        path = self._path = self._path or (DEFAULT if DEFAULT.exists() else None)
        if path is not None and path.is_file() and not path.read_bytes().strip():
            # Whoever wants nothing configured can say so at a start; here it is a file that could not be written.
            return Reading(problems=(replace(EMPTY, file=self._main),), files=self.files)
        found, components = self._discovered, self._source.components
        loaded = load(path, {**added, **self._env}, discovered=found, components=components)
        self.files = self._files(loaded.files, loaded.sought)
        outside = tuple(one for one in loaded.problems if one.file == "environment")
        problems = tuple(one for one in loaded.problems if one not in outside)
        return Reading(
            settings=loaded.settings if problems else self._settled(loaded.settings),
            problems=problems,
            rejected=loaded.rejected,
            notes=(*outside, *loaded.absent),
            files=self.files,
            taken=lambda: self._take(added),
        )

    def _files(self, read: tuple[str, ...], sought: tuple[tuple[str, str], ...]) -> Files:
        own = (self._main,) if self._source.env_file is None else (self._main, str(self._source.env_file))
        return Files((*own, *read), sought)

    @property
    def _main(self) -> str:
        return str(self._path or self._source.config or DEFAULT)

    def _take(self, added: Mapping[str, str]) -> None:
        """The process's own environment follows: proxies and certificates are read there."""
        for name in self._added.difference(added):
            os.environ.pop(name, None)
        os.environ.update(added)
        self._added = frozenset(added)
