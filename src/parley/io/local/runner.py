"""One engine kept as its settings say: started on first use, unloaded when idle, restarted after a crash.

No process and no clock of its own: both come from outside, so that its life can be played through in a test.

    cold -> loading -> ready -> stopping -> cold      unloaded for idleness, or to make room for another
    cold -> making room -> loading                    others that are idle go first
    loading -> cold                                   refused with the reason, until it may be tried again
    ready -> fading -> resting -> loading             it crashed

One that the configuration no longer names is retired: it ends after its last request.
"""

from typing import Any, Final, Protocol

from msgspec.structs import replace

from parley.failure import Failure
from parley.ports import Clock, Timer
from parley.settings import Engine

COLD: Final = "cold"
ROOM: Final = "making room"
LOADING: Final = "loading"
READY: Final = "ready"
STOPPING: Final = "stopping"
FADING: Final = "fading"
RESTING: Final = "resting"

STEADY_SECONDS: Final = 60.0  # what has served so long did not crash for the reason it crashed before
FIRST_REST: Final = 0.5
LONGEST_REST: Final = 60.0
FIRST_REFUSAL: Final = 5.0
LONGEST_REFUSAL: Final = 300.0
PROGRESS_SECONDS: Final = 5.0
USUAL_WAIT: Final = 5.0
LONGEST_WAIT: Final = 60.0
DOWN: Final = "engine_down"


class Process(Protocol):
    """A running child."""

    origin: str
    pid: int

    @property
    def status(self) -> int | None:
        """Exit code, minus a signal, or None."""

    def stop(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it now; nothing is heard of it any more."""

    def words(self) -> str:
        """Why it ended."""


class Listener(Protocol):
    """Who is told what becomes of a child."""

    def ready(self) -> None:
        """It serves."""

    def fading(self) -> None:
        """It has closed its pipes, so it is about to be gone. May be told twice."""

    def ended(self) -> None:
        """It is gone. Told once."""


class Waiter(Protocol):
    """A request that needs the engine."""

    def go(self, origin: str) -> None:
        """It serves there."""

    def refuse(self, failure: Failure) -> None:
        """It will not serve."""


class Machine(Protocol):
    """What runners share."""

    clock: Clock

    def launch(self, engine: Engine, heard: "Listener") -> Process:
        """Start a child. Raises OSError."""

    def obstacle(self, runner: "Runner") -> str | None:
        """Why it cannot be loaded, "" where others have to end first (``begin`` is called again), None: go on."""

    def left(self) -> None:
        """Some child has ended."""

    def progress(self, process: Process) -> dict[str, Any]:
        """What can be told of a child that is loading."""

    def say(self, event: str, engine: Engine, **facts: Any) -> None:
        """Write a line to the log."""


class Runner:
    """See the module. ``active`` requests are with it; ``size`` is what it needs of memory, once that was estimated."""

    def __init__(self, engine: Engine, machine: Machine) -> None:
        self.engine = engine
        self.state = COLD
        self.active = 0
        self.size = 0
        self.used = machine.clock.now()
        self._machine = machine
        self._clock = machine.clock
        self._process: Process | None = None
        self._waiting: list[Waiter] = []
        self._since = self._took = self._until = 0.0
        self._crashes = self._refusals = 0
        self._failure: Failure | None = None
        self._closed = self._retired = False
        # One timer each: what a state waits for, and the next word on progress.
        self._timer: Timer | None = None
        self._teller: Timer | None = None

    # Requests

    def take(self, waiter: Waiter) -> None:
        """Let it go to the engine, now or as soon as it serves; it says ``leave`` when it is over."""
        self.active += 1
        if self.state == READY:
            self._cancel()
            assert self._process is not None
            waiter.go(self._process.origin)
            return
        self._waiting.append(waiter)
        if self.state == COLD:
            self.begin()

    def leave(self, waiter: Waiter) -> None:
        """It is over, or waits no longer."""
        self.active -= 1
        self.used = self._clock.now()
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        if not self.active:
            self._idle()

    def wait(self) -> float:
        """Seconds after which to ask again: what the last load took less what this one has."""
        left = self._took - (self._clock.now() - self._since) if self.state == LOADING and self._took else USUAL_WAIT
        return min(max(left, 1.0), LONGEST_WAIT)

    # Life

    def begin(self) -> None:
        """Load it, unless it lately could not be loaded or others must make room first."""
        if self._closed or self.state not in (COLD, ROOM):
            return
        self._cancel()
        left = self._until - self._clock.now()
        if self._failure is not None and left > 0:
            self._refuse(replace(self._failure, retry_after=left))
            return
        obstacle = self._machine.obstacle(self)
        if obstacle == "":
            self.state = ROOM
            return
        if obstacle is not None:
            self._could_not(obstacle)
            return
        self._launch()

    @property
    def over(self) -> bool:
        """Whether it is retired and nothing of it is left."""
        return self._retired and self.state == COLD and not self.active

    def retire(self, retired: bool) -> None:
        """Whether it shall end after the last of its requests, or stay after all."""
        self._retired = retired
        if retired and not self.active:
            self._idle()

    def unload(self) -> None:
        """Let its memory go; the next request loads it again."""
        if self.state in (READY, LOADING) and self._process is not None:
            self._cancel()
            self.state = STOPPING
            self._machine.say("engine.unload", self.engine, pid=self._process.pid)
            self._process.stop()

    def close(self) -> None:
        """End it for good and wait for that."""
        self._closed = True
        self._cancel()
        process, self._process = self._process, None
        self.state = COLD
        self._waiting.clear()
        if process is not None:
            process.kill()
            self._machine.say("engine.stop", self.engine, pid=process.pid)

    # The child's side

    def ready(self) -> None:
        """It serves: all who wait may go."""
        process = self._process
        if self.state != LOADING or process is None:
            return
        self._cancel()
        now = self._clock.now()
        self._took = now - self._since
        self._since = now
        self._failure = None
        self._refusals = 0
        self.state = READY
        self._machine.say("engine.ready", self.engine, pid=process.pid, seconds=round(self._took, 3))
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.go(process.origin)
        if not self.active:
            self._idle()

    def fading(self) -> None:
        """Send it no more."""
        if self.state == READY:
            self._cancel()
            self.state = FADING

    def ended(self) -> None:
        """It is gone: because it was to, because it could not load, or by itself."""
        process, self._process = self._process, None
        state, self.state = self.state, COLD
        self._cancel()
        assert process is not None
        if state == LOADING:
            self._could_not(process.words())
        elif state in (READY, FADING):
            self._crashed(process)
        self._machine.left()
        if self._waiting:
            self.begin()

    # Inside

    def _launch(self) -> None:
        self.state = LOADING
        self._since = self._clock.now()
        try:
            self._process = self._machine.launch(self.engine, self)
        except OSError as error:
            self._could_not(f"its process could not be started: {error.strerror or error}")
            return
        self._machine.say("engine.load", self.engine, pid=self._process.pid, bytes=self.size)
        self._timer = self._clock.later(self.engine.start_time, self._too_slow)
        self._teller = self._clock.later(PROGRESS_SECONDS, self._tell)

    def _too_slow(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
        self._could_not(f"it was not ready within {self.engine.start_time:g} s")
        self._machine.left()

    def _could_not(self, why: str) -> None:
        """It cannot be loaded now: tell those who wait, and let nobody try again too soon."""
        self._cancel()
        self.state = COLD
        rest = _rest(self._refusals, FIRST_REFUSAL, LONGEST_REFUSAL)
        self._refusals += 1
        self._until = self._clock.now() + rest
        message = f"the model on this machine could not be loaded: {why}"
        self._failure = Failure("upstream_error", message, status=503, detail=DOWN, retry_after=rest)
        self._machine.say("engine.failed", self.engine, reason=why, again_in=rest)
        self._refuse(self._failure)

    def _crashed(self, process: Process) -> None:
        if self._clock.now() - self._since >= STEADY_SECONDS:
            self._crashes = 0
        rest = _rest(self._crashes, FIRST_REST, LONGEST_REST)
        self._crashes += 1
        self._machine.say("engine.crash", self.engine, status=process.status, reason=process.words(), again_in=rest)
        self.state = RESTING
        if self._retired and not self.active:
            self._idle()
            return
        self._timer = self._clock.later(rest, self._again)

    def _again(self) -> None:
        self.state = COLD
        self.begin()

    def _idle(self) -> None:
        """Nobody needs it now."""
        if self._retired:
            if self.state in (ROOM, RESTING):
                self._cancel()
                self.state = COLD
            self.unload()
        elif self.state == READY:
            self._rest_when_idle()

    def _rest_when_idle(self) -> None:
        self.used = self._clock.now()
        self._cancel()
        if self.engine.idle is not None:
            self._timer = self._clock.later(self.engine.idle, self.unload)

    def _tell(self) -> None:
        process = self._process
        if self.state == LOADING and process is not None:
            seconds = round(self._clock.now() - self._since, 1)
            facts = self._machine.progress(process)
            self._machine.say("engine.loading", self.engine, seconds=seconds, bytes=self.size, **facts)
            self._teller = self._clock.later(PROGRESS_SECONDS, self._tell)

    def _refuse(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.refuse(failure)

    def _cancel(self) -> None:
        for timer in (self._timer, self._teller):
            if timer is not None:
                timer.cancel()
        self._timer = self._teller = None


def _rest(failures: int, first: float, longest: float) -> float:
    """Seconds to stay away after so many failures in a row before the newest."""
    return float(min(longest, first * 2.0 ** min(failures, 20)))
