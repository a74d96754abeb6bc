"""The Upstream of local models: which engine is meant, what must be shaped, who has to make room for whom.

Every different Engine has at most one process: registrations with the same settings share it.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from parley.config.backends import weights_problem
from parley.failure import Failure, ParleyError
from parley.io.clock import LoopClock
from parley.io.local import memory
from parley.io.local.answers import Shaped
from parley.io.local.asking import Asked, asked, refuse_unmet
from parley.io.local.errors import Worded
from parley.io.local.flight import LocalFlight
from parley.io.local.process import Child, folder_for_sockets
from parley.io.local.prompts import as_prompt, for_chat
from parley.io.local.runner import DOWN, LOADING, READY, ROOM, STOPPING, Listener, Process, Runner
from parley.ports import Call, Clock, Destination, Flight, Sink, Upstream
from parley.settings import Engine, Provider

# Small models are there within it; for large ones it is better to be told than to wait with an open request.
PATIENCE: Final = 20.0
MISSING: Final = "the local engine is not installed; `pip install 'parley[local]'` installs it"
_REMEMBERED: Final = 1024
Render = Callable[[str], str]


class LocalUpstream:
    """See the module. ``pool`` carries the calls; ``write`` takes log lines.

    ``patience``: seconds that a request waits for a model to load before it is answered with ``model_loading``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        providers: Iterable[Provider],
        pool: Upstream,
        write: Callable[[bytes], None] = lambda line: None,
        patience: float = PATIENCE,
    ) -> None:
        self.clock: Clock = LoopClock(loop)
        self.patience = patience
        self._loop = loop
        self._pool = pool
        self._write = write
        # By address, which stands for the same engine always: also those that only older requests still mean.
        self._engines: dict[str, Engine] = {}
        self._wanted: frozenset[Engine] = frozenset()
        self._runners: dict[Engine, Runner] = {}
        self._sockets: dict[Engine, str] = {}
        self._prompts: dict[str, Render | None] = {}
        self._destinations: dict[tuple[Destination, str], Destination] = {}
        self._folder = ""
        self._closed = False
        self.adopt(providers)

    def adopt(self, providers: Iterable[Provider]) -> None:
        """Run the engines of these: what stays goes on, what is gone ends after its last request."""
        engines = {one.endpoints[0]: one.engine for one in providers if one.engine is not None}
        before, self._wanted = self._wanted, frozenset(engines.values())
        self._engines |= engines
        self._prompts.clear()
        for engine, runner in tuple(self._runners.items()):
            runner.retire(engine not in self._wanted)
        self._forget()
        for engine in dict.fromkeys(engines.values()):
            if engine.preload and engine not in before:
                self._loop.call_soon(self.runner(engine).begin)

    # Upstream

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call; the engine is started where it is not running."""
        engine = self._engines.get(call.to.origin)
        if engine is None or self._closed:
            return self._refused(call, sink, Failure("overloaded", "the gateway is shutting down"))
        try:
            wanted = self._asked(engine, call)
            sink = Worded(shaped(sink, wanted) if wanted.shaped else sink)
        except ParleyError as error:
            return self._refused(call, sink, error.failure)
        if wanted.unused:
            self.say("engine.unused_fields", engine, fields=wanted.unused)
        passed = Call(call.to, call.head, (wanted.body,), call.total, call.fresh)
        flight = LocalFlight(self.runner(engine), passed, sink, self._pool, self.clock, self._inside)
        flight.start(self.patience)
        return flight

    def close(self) -> None:
        """End every child, and wait until it has ended."""
        self._closed = True
        for runner in self._runners.values():
            runner.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def running(self) -> tuple[tuple[Engine, int], ...]:
        """The engines in memory, and about how many bytes each needs."""
        return tuple((engine, one.size) for engine, one in self._runners.items() if one.state == READY)

    # Machine

    def launch(self, engine: Engine, heard: Listener) -> Process:
        """Start a child."""
        if not self._folder:
            self._folder = folder_for_sockets()
        # The same name each time, as the pool remembers origins; its end tells the engine that it is a socket.
        name = self._sockets.setdefault(engine, f"{len(self._sockets)}.sock")
        socket = os.path.join(self._folder, name)
        return Child(self._loop, engine, socket, heard)

    def obstacle(self, runner: Runner) -> str | None:
        """Why it cannot be loaded; "" while others have to end first; None where nothing is in the way."""
        engine = runner.engine
        problem = weights_problem(engine.model)
        if problem is not None:
            return problem
        if find_spec("xllamacpp") is None:
            return MISSING
        try:
            size = runner.size = memory.needed(engine)
        except OSError as error:
            return f"one of its files cannot be read: {error.strerror or error}"
        if engine.memory is not None and size > engine.memory:
            allowed = memory.words(engine.memory)
            return f"it needs about {memory.words(size)} of memory, its settings allow {allowed}"
        return self._room(runner)

    def left(self) -> None:
        """Some child has ended: those that waited for room look again."""
        self._forget()
        for runner in tuple(self._runners.values()):
            if runner.state == ROOM:
                runner.begin()

    def progress(self, process: Process) -> dict[str, Any]:
        """How much of it is in memory by now."""
        size = memory.resident(process.pid)
        return {} if size is None else {"resident": size}

    def say(self, event: str, engine: Engine, **facts: Any) -> None:
        """Write a line to the log."""
        self._write(msgspec.json.encode({"event": event, "model": engine.model, **facts}))

    def runner(self, engine: Engine) -> Runner:
        """The one that runs this engine."""
        found = self._runners.get(engine)
        if found is None:
            found = self._runners[engine] = Runner(engine, self)
            found.retire(engine not in self._wanted)
        return found

    # Inside

    def _forget(self) -> None:
        """Let go of what is not wanted and has ended."""
        for engine in [engine for engine, runner in self._runners.items() if runner.over]:
            del self._runners[engine]

    def _room(self, runner: Runner) -> str | None:
        free = memory.available()
        if free is None:
            return None
        others = [one for one in self._runners.values() if one is not runner]
        free -= sum(one.size for one in others if one.state == LOADING)
        if runner.size <= free:
            return None
        if any(one.state == STOPPING for one in others):
            return ""
        idle = sorted((one for one in others if one.state == READY and not one.active), key=lambda one: one.used)
        if free + sum(one.size for one in idle) < runner.size:
            return f"it needs about {memory.words(runner.size)} of memory, {memory.words(max(free, 0))} are free"
        for one in idle:
            if free < runner.size:
                free += one.size
                one.unload()
        return ""

    def _asked(self, engine: Engine, call: Call) -> Asked:
        body = bytes(call.body[0] if len(call.body) == 1 else b"".join(call.body))
        path = bytes(call.to.path)
        refuse_unmet(body, path)
        plain = path.endswith(b"/completions") and not path.endswith(b"/chat/completions")
        prompt = self._prompt(engine.template) if plain and engine.template is not None else None
        return asked(body, prompt)

    def _prompt(self, path: str) -> Render | None:
        """What renders the prompts of completions; None where the template is for conversations only."""
        if path not in self._prompts:
            self._prompts[path] = renderer(path)
        return self._prompts[path]

    def _inside(self, call: Call, origin: str) -> Call:
        """The same call to a child."""
        to = self._destinations.get((call.to, origin))
        if to is None:
            if len(self._destinations) >= _REMEMBERED:
                self._destinations.clear()
            path = call.to.path if call.to.path.startswith(b"/v1/") else b"/v1" + call.to.path
            to = self._destinations[call.to, origin] = replace(call.to, origin=origin, path=path)
        return Call(to, call.head, call.body, call.total, call.fresh)

    def _refused(self, call: Call, sink: Sink, failure: Failure) -> Flight:
        refused = _Refused(sink)
        self._loop.call_soon(refused.tell, failure)
        return refused


class _Refused:
    """A flight that never took off."""

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink

    def tell(self, failure: Failure) -> None:
        """Unless it was cancelled meanwhile."""
        if self._sink is not None:
            self._sink.failed(failure)

    def cancel(self) -> None:
        """Say nothing."""
        self._sink = None

    def pause(self) -> None:
        """There is nothing to read."""

    def resume(self) -> None:
        """There is nothing to read."""


def shaped(sink: Sink, wanted: Asked) -> Sink:
    """The sink with the cutting before it that the request asks for. Raises ParleyError for a pattern that is none."""
    from parley.shaping import Shaper

    Shaper(wanted.cut, wanted.trim)
    return Shaped(sink, lambda: Shaper(wanted.cut, wanted.trim))


def renderer(path: str) -> Render | None:
    """What puts a prompt through the template file at ``path``. Raises ParleyError where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        message = "the template of the model on this machine cannot be read"
        raise ParleyError(Failure("upstream_error", message, status=503, detail=DOWN)) from None
    if for_chat(text):
        return None
    from parley.shaping import Template

    template = Template(text)
    return lambda prompt: as_prompt(template, prompt)
