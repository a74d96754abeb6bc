"""We among the nodes of the network: what all say of themselves lies in one key-value bucket that everybody watches.

An entry that is not renewed is gone after the TTL, on the servers and here, whether or not anybody says so. Words that
delete an entry mean nothing: only its node can take it back, by a signed goodbye. Whatever fails is begun again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import nats.errors
import nats.js.errors
from nats.js.api import StorageType

from parley.io.nats.keys import Identity
from parley.io.nats.link import Link, ended
from parley.nodes import presence as said
from parley.nodes.directory import Directory
from parley.nodes.joining import DuplicateError, Joining, Peers
from parley.nodes.presence import Presence, UnreadableError, token_of
from parley.nodes.roster import Clash, Heard, Lost, News, Roster
from parley.nodes.telling import SETTLE, Telling

SWEEP: Final = 0.5
AGAIN: Final = 1.0
_TRIES: Final = 3
# RuntimeError: the loop's own word for a transport that was closed.
_ERRORS: Final = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError, RuntimeError)
# Our own words have to come back to us within so many heartbeats, or what we watch is not watched any more.
_ECHOES: Final = 3


class Membership:
    """``wall`` gives seconds since 1970, ``write`` takes the words of a problem that is new."""

    def __init__(
        self,
        link: Link,
        node: Joining,
        peers: Peers,
        directory: Directory,
        identity: Identity,
        wall: Callable[[], float],
    ) -> None:
        # Whether we take no calls in the clear.
        self.sealed = False
        self.problem = ""
        # Another node has our id, and it has been there for longer.
        self.clashed = False
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._link, self._node, self._peers = link, node, peers
        self._directory, self._identity, self._wall = directory, identity, wall
        self.roster = Roster(directory.id, peers.run, identity.public, node.ttl, node.trust, node.allow)
        self._telling = Telling(node.heartbeat)
        self._changed = asyncio.Event()
        self._restart = asyncio.Event()
        self._echo = self._last = 0.0
        self._rtt: float | None = None
        self._kv: Any = None
        self._listens = self._left = False
        self._key = f"{token_of(directory.id)}.{peers.slot}"
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        self.roster.since = directory.since
        directory.key = identity.public
        directory.listeners.append(self._changed.set)

    @property
    def among(self) -> bool:
        """Whether others can know of us."""
        return self._kv is not None

    def again(self) -> None:
        """There is a new connection."""
        self._restart.set()

    def card(self, *, leaves: bool = False) -> bytes:
        """What we say of ourselves, signed. Later words have later times."""
        self._last = max(self._wall(), self._last + 1e-6)
        facts = self._directory.own()
        presence = Presence(facts, self._peers.run, self._peers.slot, self._last, self._rtt, leaves, self.sealed)
        return said.packed(presence, self._identity.public, self._identity.sign)

    async def run(self) -> None:
        """For as long as we are a node."""
        while not self._left:
            self._restart.clear()
            try:
                await self._join()
                await self._until_restart()
            except DuplicateError as error:
                self.clashed = True
                self._failed(str(error), error)
                await asyncio.sleep(self._node.heartbeat)
            except Exception as error:
                # Whatever a connection that breaks makes of it (see _ERRORS): begin again.
                self._failed(f"the network keeps no facts: {type(error).__name__}", None)
                await asyncio.sleep(AGAIN)
            finally:
                self._kv = None

    async def leave(self) -> None:
        """Say goodbye, and nothing more."""
        self._left = True
        kv, self._kv = self._kv, None
        if kv is not None and self._link.connected:
            with contextlib.suppress(*_ERRORS):
                async with asyncio.timeout(2):
                    await kv.put(self._key, self.card(leaves=True))

    def end(self) -> None:
        """Believe nothing any more."""
        self._sweeper.cancel()

    def _failed(self, problem: str, error: Exception | None) -> None:
        self.problem = problem
        if error is not None and not self.first.done():
            self.first.set_exception(error)

    # Joining

    async def _join(self) -> None:
        kv = await self._bucket()
        for _ in range(_TRIES):
            revision = await self._unique(kv)
            await self._listen()
            try:
                await self._measure()
                await kv.update(self._key, self.card(), last=revision)
                break
            except nats.js.errors.KeyWrongLastSequenceError:
                # Somebody else was faster: perhaps another node with our id.
                continue
        else:
            raise DuplicateError(self._directory.id)
        self._kv, self.problem, self.clashed = kv, "", False
        self._telling.told(self._directory.own(), self._loop.time())
        if not self.first.done():
            self.first.set_result(None)

    async def _bucket(self) -> Any:
        context = self._link.client.jetstream(timeout=3)
        try:
            return await context.key_value(self._node.bucket)
        except nats.js.errors.BucketNotFoundError:
            return await context.create_key_value(
                bucket=self._node.bucket,
                description="What nodes say of themselves",
                ttl=self._node.ttl,
                replicas=self._node.replicas,
                storage=StorageType.MEMORY,
            )

    async def _unique(self, kv: Any) -> int:
        """The revision of our entry, 0 for none. Raises DuplicateError where it is of another node that is alive."""
        first = f"{token_of(self._directory.id)}.0"
        revision = await self._judged(kv, self._key)
        if first != self._key:
            await self._judged(kv, first)
        return revision

    async def _judged(self, kv: Any, key: str) -> int:
        try:
            entry = await kv.get(key)
        except nats.js.errors.KeyNotFoundError as error:
            return int(error.entry.revision) if error.entry is not None else 0
        with contextlib.suppress(UnreadableError):
            presence, _ = said.read(entry.value, self._identity.verified)
            if presence.run != self._peers.run and not presence.leaves and await self._answers():
                raise DuplicateError(self._directory.id)
        return int(entry.revision)

    async def _answers(self) -> bool:
        """Whether somebody with our id is alive who is not us."""
        subject = f"{self._node.bucket}.ping.{token_of(self._directory.id)}"
        for _ in range(_TRIES):
            try:
                answer = await self._link.client.request(subject, self._peers.run.encode(), timeout=1)
                presence, key = said.read(answer.data, self._identity.verified)
            except nats.errors.NoRespondersError:
                return False
            except (TimeoutError, UnreadableError):
                continue
            return presence.run != self._peers.run and self.roster.trusts(key)
        return False

    async def _listen(self) -> None:
        """Only now: while we ask whether somebody else is there, nobody must answer for us."""
        if not self._listens:
            self._listens = True
            await self._link.subscribe(f"{self._node.bucket}.ping", token_of(self._directory.id), self._pinged)

    def _pinged(self, last: bytes, reply: bytes, data: bytes, status: bool) -> None:
        """Somebody asks whether we are alive."""
        if self.among and reply and data != self._peers.run.encode():
            self._link.publish(reply, self.card())

    # Being there

    async def _until_restart(self) -> None:
        watcher = await self._kv.watchall()
        self._echo = self._loop.time()
        tasks = [self._loop.create_task(part) for part in (self._watch(watcher), self._speak(), self._waiting())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(tasks)
            with contextlib.suppress(*_ERRORS):
                await watcher.stop()

    async def _waiting(self) -> None:
        await self._restart.wait()

    async def _watch(self, watcher: Any) -> None:
        async for entry in watcher:
            if entry is not None and entry.value:
                self._heard(entry.key, entry.value)

    def _heard(self, key: str, value: bytes) -> None:
        try:
            presence, signer = said.read(value, self._identity.verified)
        except UnreadableError:
            return
        if key != f"{token_of(presence.facts.node)}.{presence.slot}":
            return
        if presence.facts.node == self._directory.id and presence.run == self._peers.run:
            self._echo = self._loop.time()
        self._apply(self.roster.heard(presence, signer, self._loop.time()))

    def _apply(self, news: News) -> None:
        if isinstance(news, Heard):
            self._directory.heard(news.facts, news.latency)
        elif isinstance(news, Lost):
            self._directory.lost(news.node)
        elif isinstance(news, Clash):
            self._clashed(news)

    def _clashed(self, clash: Clash) -> None:
        if clash.yields:
            self._telling.again(self._loop.time())
            self._changed.set()
        else:
            # It has been there for longer; whether it still is, is asked when we join again.
            self._kv, self.clashed = None, True
            self.problem = str(DuplicateError(self._directory.id))
            self._restart.set()

    async def _speak(self) -> None:
        while True:
            now = self._loop.time()
            if now - self._echo > _ECHOES * self._node.heartbeat:
                raise TimeoutError
            facts = self._directory.own()
            due = self._telling.changed(facts, now)
            if due > now:
                await self._pause(due - now)
                continue
            self._changed.clear()
            await self._measure()
            if self._left:
                return
            await self._kv.put(self._key, self.card())
            self._telling.told(facts, self._loop.time())

    async def _pause(self, seconds: float) -> None:
        """Until something has changed, but at least long enough for changes to come together."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
                await asyncio.sleep(SETTLE)
        self._changed.clear()

    async def _measure(self) -> None:
        self._rtt = self.roster.rtt = await self._link.rtt()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        for news in self.roster.expired(self._loop.time()):
            self._apply(news)
