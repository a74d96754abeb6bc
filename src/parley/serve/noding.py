"""This gateway as a node: what is registered here, kept in the store and looked after, and how it is called.

Registrations are in memory; the store is written first, so that what was confirmed survives. Processes that share the
store read again what another one has changed. Sources: computing node contract section 12; docs/nodes.md.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import asdict

from parley import __version__
from parley.failure import ParleyError
from parley.gateway.job import Job
from parley.gateway.keyring import Entry as Known
from parley.io.fetching import Allowed, Fetching
from parley.io.nodes import NodeUpstream, Probes, Workers
from parley.io.opening import Opener
from parley.io.pictures import Pictures
from parley.io.pool import Pool
from parley.keys import Holder
from parley.nodes import Directory, Registry, Worker
from parley.nodes.address import Ip, Trusted
from parley.nodes.registry import Entry
from parley.ports import Caller, Request, Upstream
from parley.settings import Node
from parley.store import nodes as kept

if TYPE_CHECKING:
    from parley.nodes.joining import Joining
    from parley.serve.house import House

LOOK_SECONDS: Final = 1.0
TRANSPORT: Final = "node"
# Other nodes whose names are kept ready.
ASKERS: Final = 4096
NODE_HEADER: Final = b"x-parley-node"
Key = tuple[str, str, str]


class Noding:
    """One per house. ``made`` are the gateway's transports, ``write`` takes log lines; ``run`` is what all processes of
    one start have in common."""

    def __init__(self, house: "House", made: dict[str, Upstream], write: Callable[[bytes], None], run: str) -> None:
        self._house = house
        self._write = write
        self._run = run
        self._settings = house.gateway.settings.node
        self._version = -1
        self._secret = b""
        self._place = self._settings.id or socket.gethostname()
        self._timer: asyncio.TimerHandle | None = None
        self._changing = asyncio.Lock()
        self._askers: dict[str, Known] = {}
        self._tariffs = house.gateway.tariffs
        self._goodbye: asyncio.Task[None] | None = None
        self._asking = self._closed = False
        self._stored = False
        self.registry = Registry()
        name = self._settings.id or f"{socket.gethostname()}-{sha256(run.encode()).hexdigest()[:8]}"
        self.directory = Directory(name, self._settings.project, self.registry)
        self.directory.version, self.directory.since = f"parley/{__version__}", house.gateway.wall()
        self.directory.busy = self._busy
        loop = house.loop
        pool = Pool(loop, Opener(loop, {}))
        workers = Workers(self.registry.numbered, self._begun, self._called)
        pictures = Pictures(loop, self._settings.pictures)
        self.upstream = made[TRANSPORT] = NodeUpstream(loop, pool, workers, pictures)
        self.upstream.name = lambda: self.directory.id
        self._probes = Probes(pool, self._probed)
        self._probe_at = 0.0
        self._fetching = house.gateway.fetcher = Fetching(loop, Allowed(self._settings.fetch))
        self.trusted = self._trusted()

    async def first(self) -> None:
        """Read what was registered before, then go on by itself."""
        store, place = self._house.store, self._place
        if store is not None and self._there():
            try:
                self._is(await store.ask(lambda link: kept.there(link, place)))
                self._heard(await store.ask(lambda link: kept.changed(link, place, -1)))
            except ParleyError:
                # It is away: /readyz says so. Once it is back it is read.
                self._stored = True
        self._house.gateway.join(self.directory)
        self._later()

    async def join(self, slot: int) -> None:
        """Join the network that is configured, if any. ``slot`` is which process of its start this is. Raises
        ValueError where another node has our id."""
        settings = self._settings
        if not settings.network:
            return
        from parley.io.nats import joined
        from parley.nodes.joining import Peers

        await self.known()
        secret = self._secret or secrets.token_bytes(32)
        peers = Peers(secret=secret, run=self._run, slot=slot, ask=self.ask, largest=self._house.limits.upload)
        self.upstream.network = await joined(_joining(settings), self.directory, peers, self._write)

    def drain(self) -> None:
        """Be chosen by no other node any more; what is under way, ours and theirs, goes on."""
        if self.upstream.network is not None and self._goodbye is None:
            self._goodbye = self._house.loop.create_task(self.upstream.network.withdraw())

    async def leave(self) -> None:
        """Leave the network."""
        network, self.upstream.network = self.upstream.network, None
        if self._goodbye is not None:
            await self._goodbye
        if network is not None:
            await network.close_down()

    def ask(self, request: Request, caller: Caller) -> Job:
        """Put another node's request to our own gateway; the network has verified who asks. Raises LookupError for a
        path that is none."""
        house = self._house
        path, _, query = request.target.partition(b"?")
        inlet = house.inlets.find(path, query)
        if inlet is None:
            raise LookupError(path)
        node = next((value.decode("latin-1") for name, value in request.headers if name == NODE_HEADER), "")
        return house.gateway.begin(inlet, request, caller, self._asker(node))

    def _asker(self, node: str) -> Known:
        """Another node as the holder of a key. What the gate remembers of it holds for these prices only."""
        tariffs = self._house.gateway.tariffs
        if tariffs is not self._tariffs:
            self._askers.clear()
            self._tariffs = tariffs
        known = self._askers.get(node)
        if known is None:
            if len(self._askers) >= ASKERS:
                self._askers.clear()
            known = self._askers[node] = Known(Holder(id=f"node:{node}", name=node, kind="node"))
            known.peer = True
        return known

    def adopt(self) -> None:
        """The configuration has changed. The id and the network stay what they are, see parley.serve.reload."""
        self._settings = settings = self._house.gateway.settings.node
        self.directory.project = settings.project
        self._askers.clear()
        self._fetching.allowed = Allowed(settings.fetch)
        self.upstream.pictures = Pictures(self._house.loop, settings.pictures)
        self.trusted = self._trusted()
        self.directory.touched()

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz tells."""
        network = self.upstream.network
        return [] if network is None else network.problems()

    @property
    def secret(self) -> bytes:
        """32 bytes that only this node has; none before it is ``known``."""
        return self._secret

    # Changes

    async def change(self, entries: Iterable[Entry], gone: Iterable[Key] = ()) -> None:
        """Register these and forget those. Raises ParleyError where it cannot be kept; nothing has changed then."""
        put, removed = list(entries), list(gone)
        store = self._house.store
        async with self._changing:
            if store is not None:
                await self.known()
                place = self._place
                version = await store.change(lambda link: kept.put(link, place, put, removed))
                # Somebody else has changed something in between: read all of it.
                self._version = version if version == self._version + 1 else -1
            self._take(put, removed)
        await self._spread()
        self._say("node.changed", registered=len(put), removed=len(removed), models=len(self.registry))

    async def _spread(self) -> None:
        """Whoever is answered that it is registered is known to all processes of this gateway."""
        crew = self._house.crew
        if crew is not None and self._stored:
            # One that does not answer reads it at its next look.
            with contextlib.suppress(TimeoutError, ConnectionError, RuntimeError):
                await crew.registered()

    async def read(self) -> None:
        """Read what another process has registered. Raises ParleyError."""
        store, place = self._house.store, self._place
        if store is None:
            return
        if not self._stored:
            self._is(await store.ask(lambda link: kept.there(link, place)))
        version = self._version
        self._heard(await store.ask(lambda link: kept.changed(link, place, version)))

    async def known(self) -> None:
        """From now on this node has one id and one secret for good. Raises ParleyError where that cannot be kept."""
        store = self._house.store
        if store is None or self._secret:
            return
        place, name, secret = self._place, self.directory.id, secrets.token_bytes(32)
        self._is(await store.change(lambda link: kept.known(link, place, name, secret)))

    def _is(self, found: kept.Self | None) -> None:
        if found is not None:
            self.directory.id, self._secret, self._stored = found.id, found.secret, True
            # A fresh one has nothing registered; of any other all is to be read.
            self._version = -1 if found.version else 0

    def _found(self, outcome: Any) -> None:
        self._asking = False
        if isinstance(outcome, kept.Self) and not self._stored:
            self._is(outcome)

    def _heard(self, outcome: Any) -> None:
        self._asking = False
        if isinstance(outcome, kept.Table):
            self._version = outcome.version
            there = {entry.key for entry in outcome.entries}
            self._take(outcome.entries, [worker.entry.key for worker in self.registry if worker.entry.key not in there])

    def _take(self, entries: Iterable[Entry], gone: Iterable[Key]) -> None:
        changed = self.registry.remove(gone)
        for entry in entries:
            changed |= self.registry.put(entry)
        self.directory.changed(changed)

    # Looks

    def _later(self) -> None:
        if not self._closed:
            self._timer = self._house.loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._later()
        self._expire()
        now = self._house.loop.time()
        if len(self.registry) and now >= self._probe_at:
            self._probe_at = now + self._settings.probe
            self._probes.look(self.registry.origins())
        store, place, version = self._house.store, self._place, self._version
        if store is None or self._asking or not (self._stored or self._there()):
            return
        self._asking = True
        if self._stored:
            store.ask_then(lambda link: kept.changed(link, place, version), self._heard)
        else:
            # Another process may have been the first that had something to keep.
            store.ask_then(lambda link: kept.there(link, place), self._found)

    def _expire(self) -> None:
        gone = self.registry.expired(self._house.gateway.wall())
        if not gone:
            return
        self._take((), gone)
        self._say("node.expired", models=len(gone))
        store, place = self._house.store, self._place
        if store is not None and self._stored:
            store.change_then(lambda link: kept.put(link, place, (), gone), lambda outcome: None)

    def _there(self) -> bool:
        store = self._house.store
        try:
            return store is not None and store.exists
        except OSError:
            return True

    # Health

    def _probed(self, origin: str, good: bool) -> None:
        changed = self.registry.probed(origin, good=good)
        if changed:
            self._rotated(changed)

    def _begun(self) -> None:
        self.directory.touched()

    def _called(self, worker: Worker, good: bool | None, seconds: float | None) -> None:
        if good is not None and self.registry.called(worker, good=good, seconds=seconds if good else None):
            self._rotated({(worker.entry.project, worker.entry.model)})
        else:
            self._begun()

    def _rotated(self, pairs: set[tuple[str, str]]) -> None:
        self.directory.changed(pairs)
        for project, model in sorted(pairs):
            ready = sum(worker.ok for worker in self.registry.places(project, model))
            self._say("node.rotation", project=project, model=model, ready=ready)

    def _busy(self, model: str) -> int:
        """Requests at work for a configured model."""
        return sum(1 for job in self._house.gateway.jobs if job.model == model)

    # What may be registered

    def admits(self, project: str, holder: Holder | None) -> bool:
        """Whether the operator lets the holder of a key, or nobody in particular, register a project."""
        lists = self._lists(project)
        if not lists or (holder is not None and holder.kind == "admin"):
            return True
        return holder is not None and any(holder.name in names or holder.id in names for names in lists)

    def listed(self, project: str) -> bool:
        """Whether the operator says which keys a project is for."""
        return bool(self._lists(project))

    def _lists(self, project: str) -> list[tuple[str, ...]]:
        return [names for pattern, names in self._settings.projects.items() if fnmatchcase(project, pattern)]

    def _trusted(self) -> Trusted:
        listeners = [_host_port(address) for address in self._house.gateway.settings.listen]
        return Trusted(self._settings.addresses, bound, listeners)

    def _say(self, event: str, **facts: Any) -> None:
        self._write(msgspec.json.encode({"event": event, **facts}))


def _joining(settings: Node) -> "Joining":
    """What the network needs of the settings."""
    from parley.nodes.joining import Joining, Tls

    wanted = {name: getattr(settings, name) for name in Joining.__struct_fields__ if name != "tls"}
    tls = None if settings.tls is None else Tls(**asdict(settings.tls))
    return Joining(tls=tls, **wanted)


def bound(address: Ip) -> bool:
    """Whether an address is one of this machine's own."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
