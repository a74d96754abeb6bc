"""The use case in order: decode, admit, plan, attempt, relay, record. No sockets: only ports.

One Gateway per event loop; each request is a Job (parley.gateway.job).
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from parley.failure import Failure, ParleyError
from parley.gateway.accounting import answerer, cost_of, ended, named, used
from parley.gateway.admission import able, unknown_model
from parley.gateway.cached import Cache
from parley.gateway.delivery import Delivery
from parley.gateway.ended import Gate, Observer, Outcome, Phase, Tariffs
from parley.gateway.fan import FanJob, fans
from parley.gateway.hooked import Copies, Hooks
from parley.gateway.job import Job
from parley.gateway.keyring import Entry, Keyring, forbidden_model
from parley.gateway.measures import Measures
from parley.gateway.metrics import REJECTED, REQUESTS, Metrics
from parley.gateway.personal import personal
from parley.gateway.record import line, refused_line
from parley.gateway.responses import ResponsesJob
from parley.gateway.route import Served
from parley.gateway.slices import Slices
from parley.gateway.tally import tally_for
from parley.ir import Usage
from parley.keys import OPERATOR, holds_key
from parley.nodes import Directory
from parley.plan import Fleet
from parley.ports import Caller, Clock, Configs, Contexts, Fetcher, Memory, Request, Timer, Upstream
from parley.relay import Seals
from parley.settings import Settings
from parley.wire.inlets import COUNT, Inlet

# What callers may invent (provider/model names) is remembered only up to this many.
REMEMBERED: Final = 1024
HEARTBEAT_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.5
_HEARTBEAT: Final = b": heartbeat\n\n"
_BYTE: Final = tuple(f"{number:02x}" for number in range(256))


class Gateway:
    """Everything requests share. ``write`` takes finished log lines; ``rand`` gives floats in [0, 1)."""

    def __init__(
        self,
        settings: Settings,
        upstreams: Mapping[str, Upstream],
        clock: Clock,
        *,
        rand: Callable[[], float],
        wall: Callable[[], float],
        write: Callable[[bytes], None],
    ) -> None:
        self.settings = settings
        self.upstreams = upstreams
        self.clock = clock
        self.now: Callable[[], float] = clock.now
        self.rand = rand
        self.wall = wall
        self.loaded = wall()
        self.metrics = Metrics()
        self.keyring = Keyring(wall)
        self.fleet = Fleet()
        self.jobs: set[Delivery] = set()
        self.memory: Memory | None = None
        self.contexts: Contexts | None = None
        # Configs that callers have stored.
        self.configs: Configs | None = None
        # Nobody pays for those that are not there.
        self.gate: Gate | None = None
        self.tariffs: Tariffs | None = None
        self.observers: tuple[Observer, ...] = ()
        self.measures: Measures | None = None
        self.cache: Cache | None = None
        self.seals: Seals | None = Seals(clock.now)
        self.hooks: Hooks | None = None
        self.copies: Copies | None = None
        # Somebody keeps books: what a stream used is asked for also where its caller does not.
        self.billed = False
        self.nodes: Directory | None = None
        self.fetcher: Fetcher | None = None
        self.slices = Slices(clock)
        self.fans = fans(settings)
        self.when_idle: Callable[[], None] | None = None
        self._write = write
        self._served: dict[str, dict[str, Served]] = {}
        self._prefix = f"req_{int(rand() * 2**48):012x}"
        self._ids = 0
        self._block = ""
        self._beat: Timer | None = None
        self._count_rejected()

    def adopt(self, settings: Settings, upstreams: Mapping[str, Upstream]) -> None:
        """Serve by these from the next request on. Requests under way end on what they began with, so ``upstreams``
        has all that was there before."""
        if self.nodes is not None:
            settings = self.nodes.adopted(settings)
        self.settings = settings
        self.upstreams = upstreams
        self.loaded = self.wall()
        self._served = {}
        self.fans = fans(settings)
        self.keyring.configure(settings)
        self.fleet.retain(settings.providers, settings.registrations.values())
        self._count_rejected()

    def join(self, nodes: Directory) -> None:
        """Models of nodes can be asked for from now on."""
        nodes.renew, nodes.forget = self.fleet.renew, self._forget
        self.settings = nodes.adopted(self.settings)
        self.nodes = nodes
        self.fleet.retain(self.settings.providers, self.settings.registrations.values())
        self._forget()

    def _forget(self) -> None:
        """Names may mean something else now."""
        self._served = {}

    def _count_rejected(self) -> None:
        """Included files that were left out."""
        for _ in {one.file for one in self.settings.rejected}:
            self.metrics.count(REJECTED)

    def begin(self, inlet: Inlet, request: Request, caller: Caller, known: Entry | None = None) -> Job:
        """Start a request. The answer comes through ``caller``, perhaps before this returns. Whoever is ``known`` by
        other means than a key shows none."""
        job = self._remembering(inlet, request, caller) if inlet.remembers else Job(self, inlet, request, caller)
        if self.fans and inlet.wire.several and not (inlet.counts or inlet.form or inlet.envelope):
            job = FanJob(self, inlet, request, caller)
        if known is not None:
            job.key, job.owner = known, "" if known.holder.kind == OPERATOR else known.holder.id
        elif self.keyring.closed or self.keyring.guarded == inlet.dialect:
            try:
                key = job.key = self.keyring.admit(inlet, request)
            except ParleyError as error:
                if error.failure.kind == "forbidden":
                    # It is good, but not for this: whose it is stands in the books.
                    job.key = self.keyring.holder(request.headers, request.target)
                job.cut(error.failure)
                return job
            job.owner = key.holder.id
        return self.start(job)

    def _remembering(self, inlet: Inlet, request: Request, caller: Caller) -> Job:
        if inlet.stateful:
            return ResponsesJob(self, inlet, request, caller)
        if inlet.form:
            from parley.gateway.edits import EditJob

            return EditJob(self, inlet, request, caller)
        if inlet.envelope:
            from parley.gateway.predict import PredictJob

            return PredictJob(self, inlet, request, caller)
        from parley.gateway.continuing import talking

        return talking(self, inlet, request, caller)

    def start(self, job: Job) -> Job:
        """Run a job that was made."""
        self.jobs.add(job)
        if self._beat is None:
            self._beat = self.clock.later(_LOOK_SECONDS, self._heartbeat)
        try:
            job.run()
        except Exception:
            # Whatever it was, the caller must not wait for an answer that nobody gives.
            logging.getLogger("parley").exception("a request could not be handled")
            job.cut(Failure("internal", "the gateway failed to handle the request"))
        return job

    def request_id(self, given: bytes | None) -> str:
        """The caller's id where it is fit for a header and a log, else a new one: a key that came by mistake is not."""
        if given is not None and 0 < len(given) <= 128 and given.isascii() and given.decode().isprintable():
            said = given.decode()
            if not holds_key(said):
                return said
        self._ids += 1
        if not self._block or not self._ids & 255:
            self._block = f"{self._prefix}{self._ids >> 8:06x}"
        return self._block + _BYTE[self._ids & 255]

    def find(self, operation: str, model: str) -> Served | None:
        """What answers requests of that operation for that name."""
        remembered = self._served.get(operation)
        served = None if remembered is None else remembered.get(model)
        return served or self._found(operation, model)

    def served(self, operation: str, model: str, key: Entry | None) -> Served:
        """The same for whoever showed that key. Raises ``forbidden`` or ``model_not_found``."""
        if key is not None and not key.asks(model) and not (self.nodes and key.asks(self.nodes.plain(model))):
            raise forbidden_model(model)
        served = self.find(operation, model)
        if served is None:
            raise unknown_model(self.settings, operation, model, None if key is None else key.holder)
        return served if key is None else personal(served, key, operation)

    def _found(self, operation: str, model: str) -> Served | None:
        asked = "chat" if operation == COUNT else operation
        registration = self.settings.find(asked, model)
        if registration is None and self.nodes is not None:
            registration = self.nodes.find(asked, model)
        usable = None if registration is None else able(registration, self.settings.providers, asked)
        if usable is None:
            return None
        remembered = self._served.setdefault(operation, {})
        if len(remembered) >= REMEMBERED:
            remembered.clear()
        served = remembered[model] = Served(usable, self.upstreams)
        return served

    def ended(self, job: Delivery, outcome: Outcome, kind: str, phase: Phase) -> None:
        """Every job ends here, once."""
        route = job.route
        if outcome != "ok" or route is None or job.replayed is not None:
            self._ended_otherwise(job, outcome, kind, phase)
            return
        tally = route.tally
        if tally is None:
            tally = route.tally = tally_for(self, job)
        tally.requests.value += 1
        self.closed(job, outcome, kind, phase)
        series = tally.series
        if series is None and self.gate is None and not self.observers:
            return
        usage, took = used(job, outcome), job.last_sent - job.started
        cost = cost_of(job, usage)
        if series is not None:
            series.add(took, job.tried_at - job.started, job.opened, usage, cost)
        if self.gate is not None or self.observers:
            self._tell(job, usage, cost, took, (outcome, kind, phase))

    def _ended_otherwise(self, job: Delivery, outcome: Outcome, kind: str, phase: Phase) -> None:
        """Failed, left, or answered by nobody whom it was sent to."""
        self.metrics.count(REQUESTS, job.inlet.dialect, outcome, kind)
        if outcome == "client_abort":
            self.metrics.count("parley_client_aborts_total", phase)
        self.closed(job, outcome, kind, phase)
        usage, took = used(job, outcome), self.now() - job.started
        cost = cost_of(job, usage)
        by = answerer(job)
        if self.measures is not None and by:
            series = self.measures.series(job.inlet.operation, by, named(job), kind)
            if job.replayed is not None:
                series.replayed(took)
            else:
                series.add(took, job.tried_at - job.started, job.opened, usage, cost)
        self._tell(job, usage, cost, took, (outcome, kind, phase))

    def closed(self, job: Delivery, outcome: Outcome, kind: str, phase: Phase) -> None:
        """The same for one whose parts were jobs of their own: they were counted."""
        self.jobs.discard(job)
        if self.when_idle is not None and not self.jobs:
            self.when_idle()
        if self.settings.log_requests:
            self._write(line(job, outcome, kind, phase))

    def _tell(
        self, job: Delivery, usage: Usage, cost: int | None, took: float, how: tuple[Outcome, str, Phase]
    ) -> None:
        if self.gate is not None and job.ticket is not None:
            self.gate.leave(job, usage, cost)
        if self.observers:
            facts = ended(job, usage, cost, took, how)
            for observer in self.observers:
                observer.ended(job, facts)

    def turned_away(self, dialect: str, request_id: str, reason: str, status: int) -> None:
        """A request for a hot path that was refused at the door never becomes a job; it has its line all the same."""
        self.metrics.count(REQUESTS, dialect, "error", reason)
        if self.settings.log_requests:
            self._write(refused_line(dialect, request_id, reason, status))

    def stale(self, origin: str) -> None:
        """A kept connection had gone; the call was sent again."""
        for provider in self.settings.providers.values():
            if any(endpoint.startswith(origin) for endpoint in provider.endpoints):
                self.metrics.count("parley_retries_total", provider.name, "stale")
                return

    def _heartbeat(self) -> None:
        """Comments keep quiet streams alive through proxies (fault contract M4)."""
        now = self.now()
        for job in tuple(self.jobs):
            job.heartbeat(now, HEARTBEAT_SECONDS, _HEARTBEAT)
        self._beat = self.clock.later(_LOOK_SECONDS, self._heartbeat) if self.jobs else None
