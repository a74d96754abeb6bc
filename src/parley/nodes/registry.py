"""Workers that were registered at this node: what is known of each, and whether requests go there.

Pure: times are passed in, ``now`` in seconds since 1970. Sources: computing node contract section 3, 12.5 to 12.7.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from parley.nodes.address import origin_of
from parley.nodes.facts import TEXT, Offer

BAD_PROBES: Final = 3
BAD_CALLS: Final = 5
GOOD_PROBES: Final = 2
NOT_EXISTED: Final = "not existed"
_NEWEST: Final = 0.3


class Entry(Struct, frozen=True, kw_only=True):
    """A registration as it was made and is kept. ``api`` as it was given, ``url`` as it is called; ``ttl`` in seconds
    (None: it holds until it is taken back), ``heard`` when it was made or last confirmed, ``since`` when it was made;
    ``by`` is the id of the key that made it, "" for none."""

    project: str
    model: str
    cid: str = ""
    kind: int = TEXT
    api: str
    url: str
    ttl: float | None = None
    since: float
    heard: float
    by: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells registrations apart."""
        return self.project, self.model, self.cid

    def ended(self, now: float) -> bool:
        """Whether its time is over."""
        return self.ttl is not None and now >= self.heard + self.ttl


class Worker:
    """A registered model. ``number`` tells it apart for as long as it is called at the same address; ``ok``: it is in
    rotation; ``latency`` is a moving average of seconds to the first byte, None where nobody has called."""

    __slots__ = ("bad_calls", "bad_probes", "calls", "entry", "good_probes", "in_flight", "latency", "number", "ok")

    def __init__(self, entry: Entry, number: int) -> None:
        self.entry = entry
        self.number = number
        self.in_flight = self.calls = 0
        self.bad_calls = self.bad_probes = self.good_probes = 0
        self.latency: float | None = None
        self.ok = True

    @property
    def endpoint(self) -> str:
        """Where it is called; the number behind the mark tells models at one address apart and is not sent."""
        return f"{self.entry.url}#{self.number}"

    @property
    def load(self) -> tuple[int, float]:
        """What the choice goes by: fewest in flight, then the fastest."""
        return self.in_flight, self.latency or 0.0

    def offer(self) -> Offer:
        """What is said of it to others. Its address is not."""
        entry = self.entry
        return Offer(
            project=entry.project,
            model=entry.model,
            kind=entry.kind,
            cid=entry.cid,
            in_flight=self.in_flight,
            latency=self.latency,
            ok=self.ok,
        )

    def fails(self) -> bool:
        """Take it out of rotation; whether that is news."""
        was, self.ok, self.good_probes = self.ok, False, 0
        return was


class Registry:
    """Everything that was registered here. Methods that change what may be called give the models that changed."""

    def __init__(self) -> None:
        self._workers: dict[tuple[str, str, str], Worker] = {}
        self._numbered: dict[int, Worker] = {}
        self._places: dict[tuple[str, str], list[Worker]] = {}
        self._numbers = 0

    def __iter__(self) -> Iterator[Worker]:
        return iter(tuple(self._workers.values()))

    def __len__(self) -> int:
        return len(self._workers)

    def find(self, key: tuple[str, str, str]) -> Worker | None:
        """One of them."""
        return self._workers.get(key)

    def places(self, project: str, model: str) -> list[Worker]:
        """Every worker of a model."""
        return self._places.get((project, model), [])

    def numbered(self, number: int) -> Worker | None:
        """The same by its number, None once it is gone."""
        return self._numbered.get(number)

    def entries(self) -> list[Entry]:
        """What is kept."""
        return [worker.entry for worker in self._workers.values()]

    def origins(self) -> list[str]:
        """Every server that workers are on, once: where probes go."""
        return list(dict.fromkeys(origin_of(worker.entry.url) for worker in self._workers.values()))

    # Registrations

    def put(self, entry: Entry) -> set[tuple[str, str]]:
        """A new one, or a change. Counters survive where the address stays what it was."""
        before = self._workers.get(entry.key)
        changed = {(entry.project, entry.model)}
        if before is not None and before.entry.url == entry.url and before.entry.kind == entry.kind:
            before.entry = entry
            return changed
        if before is not None:
            self._forget(before)
        self._numbers += 1
        worker = self._workers[entry.key] = self._numbered[self._numbers] = Worker(entry, self._numbers)
        self._places.setdefault((entry.project, entry.model), []).append(worker)
        return changed

    def remove(self, keys: Iterable[tuple[str, str, str]]) -> set[tuple[str, str]]:
        """Forget them."""
        gone = [worker for key in keys if (worker := self._workers.pop(key, None)) is not None]
        for worker in gone:
            self._forget(worker)
        return {(worker.entry.project, worker.entry.model) for worker in gone}

    def _forget(self, worker: Worker) -> None:
        pair = (worker.entry.project, worker.entry.model)
        del self._numbered[worker.number]
        self._places[pair].remove(worker)
        if not self._places[pair]:
            del self._places[pair]

    def of(self, project: str) -> list[Worker]:
        """The models of a project."""
        return [worker for worker in self._workers.values() if worker.entry.project == project]

    def expired(self, now: float) -> list[tuple[str, str, str]]:
        """Those whose time is over."""
        return [key for key, worker in self._workers.items() if worker.entry.ended(now)]

    # Health

    def probed(self, origin: str, *, good: bool) -> set[tuple[str, str]]:
        """The server at that origin answered a probe, or did not."""
        here = [worker for worker in self._workers.values() if origin_of(worker.entry.url) == origin]
        return {(worker.entry.project, worker.entry.model) for worker in here if _probed(worker, good=good)}

    def called(self, worker: Worker, *, good: bool, seconds: float | None = None) -> bool:
        """A call to it has answered or failed by its fault; whether its place in the rotation has changed."""
        worker.calls += 1
        if seconds is not None:
            known = worker.latency
            worker.latency = seconds if known is None else known + _NEWEST * (seconds - known)
        worker.bad_calls = 0 if good else worker.bad_calls + 1
        return worker.bad_calls >= BAD_CALLS and worker.fails()


def _probed(worker: Worker, *, good: bool) -> bool:
    worker.bad_probes = 0 if good else worker.bad_probes + 1
    if not good:
        return worker.bad_probes >= BAD_PROBES and worker.fails()
    worker.good_probes += 1
    if worker.ok or worker.good_probes < GOOD_PROBES:
        return False
    worker.ok, worker.bad_calls = True, 0
    return True
