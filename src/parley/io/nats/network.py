"""Calls between nodes over NATS: the Upstream that other nodes are behind, and what answers them here.

BUCKET.call.NODE.KEY        the first message of a call; one process of the node takes it
BUCKET.to.NODE.KEY.TOKEN    further frames until it is known which one that was
BUCKET.in.LINK.q.TOKEN      frames for the process that answers
BUCKET.in.LINK.a.TOKEN      frames for the process that asked

KEY is the beginning of the node's public key: two that have one id by mistake do not take each other's calls.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from parley.failure import Failure, ParleyError
from parley.io.nats.keys import Identity
from parley.io.nats.link import Link, ended, is_local
from parley.io.nats.membership import Membership
from parley.nodes import frames
from parley.nodes.answering import Answering
from parley.nodes.asking import PATHS, renamed
from parley.nodes.calling import NOBODY, Calling
from parley.nodes.directory import Directory
from parley.nodes.frames import VERSION, Asked, Channel, Opening, Plain
from parley.nodes.joining import Joining, Peers, Work
from parley.nodes.network import VIA, placed
from parley.nodes.presence import UnreadableError, token_of
from parley.nodes.windows import window_for
from parley.ports import Call, Destination, Flight, Headers, Request, Sink

TICK: Final = 0.25
# Bytes of the name of a call.
TOKEN: Final = 12
INLINE: Final = 256 * 1024
# What is left of a message for everything but the body.
_ROOM: Final = 32 * 1024
# Header lines of a call that mean something at the other node.
_CARRIED: Final = frozenset({b"content-type", b"accept", b"traceparent", b"tracestate", b"x-request-id", VIA.encode()})
# Calls that were taken once are not taken again.
_REMEMBERED: Final = 65_536
_OLDEST: Final = 600.0
# Destinations that were read already.
_PLACES: Final = 4096
_NOT_OFFERED: Final = Failure("upstream_unreachable", "", detail="not_offered")
_SHUTTING: Final = Failure("overloaded", "the gateway is shutting down")


class NatsNetwork:
    """See parley.nodes.network.Network. ``write`` takes log lines, ``wall`` gives seconds since 1970."""

    def __init__(
        self,
        node: Joining,
        directory: Directory,
        peers: Peers,
        write: Callable[[bytes], None],
        wall: Callable[[], float],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._node, self._directory, self._peers = node, directory, peers
        self._write, self._wall = write, wall
        self._identity = Identity(peers.secret, node.bucket.encode())
        sealed = node.encrypt == "on" or (node.encrypt == "auto" and not is_local(node.network))
        self.link = Link(node, directory.id, self._up, self._say)
        self.members = Membership(self.link, node, peers, directory, self._identity, wall)
        self.members.sealed = sealed or bool(node.trust)
        bucket, here = node.bucket, secrets.token_hex(8)
        # What subjects begin with: of calls, of what follows them, of frames for us who asked or who answer.
        self._call, self._to = f"{bucket}.call.", f"{bucket}.to."
        self._in = f"{bucket}.in.{here}.a"
        self._out = f"{bucket}.in.{here}.q"
        self._calling: dict[bytes, Calling] = {}
        self._answering: dict[bytes, Answering] = {}
        self._tokens = Tokens()
        self._addresses: dict[str, tuple[str, str]] = {}
        self._places: dict[Destination, tuple[str, str, str, str, str]] = {}
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._said = ""
        self._leaving = self._closed = False

    # Coming and going

    async def start(self, patience: float) -> None:
        """Join; where the servers cannot be reached within ``patience`` seconds, go on trying. Raises
        DuplicateError."""
        task = self._loop.create_task(self._run())
        self._tasks.append(task)
        await asyncio.wait([task, self.members.first], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if self.members.first.done():
            self.members.first.result()
        elif task.done():
            task.result()

    async def _run(self) -> None:
        await self.link.open()
        node, key = token_of(self._directory.id), _short(self._identity.public)
        await self.link.subscribe(self._in, "*", self._answered)
        await self.link.subscribe(self._out, "*", self._continued)
        await self.link.subscribe(f"{self._to}{node}.{key}", "*", self._continued)
        await self.link.subscribe(f"{self._call}{node}", key, self._called, "node")
        await self.members.run()

    def close(self) -> None:
        """Refuse new calls."""
        self._leaving = self._closed = True

    async def withdraw(self) -> None:
        """See Network."""
        self._leaving = True
        await self.members.leave()

    async def close_down(self) -> None:
        """Leave the network; what is under way is given up."""
        self._closed = True
        await self.withdraw()
        self.members.end()
        for asking in tuple(self._calling.values()):
            asking.break_off(_SHUTTING)
        for answering in tuple(self._answering.values()):
            answering.refuse(Failure("upstream_closed", ""))
        await ended(self._tasks)
        await self.link.close()
        if self._timer is not None:
            self._timer.cancel()

    def problems(self) -> list[dict[str, Any]]:
        """See Network."""
        if self.members.clashed or (self.link.connected and self.members.problem):
            return [{"kind": "network", "message": self.members.problem}]
        if not self.link.connected:
            return [{"kind": "network", "message": f"other nodes cannot be reached: {self._said or 'no connection'}"}]
        return []

    def _up(self) -> None:
        told = {"event": "network.connected", "node": self._directory.id, "key": self._identity.public}
        self._write(msgspec.json.encode(told))
        self._said = ""
        self.members.again()

    def _say(self, reason: str) -> None:
        """Once for each new reason."""
        if reason != self._said:
            self._said = reason
            self._write(msgspec.json.encode({"event": "network.error", "message": reason}))

    # Calling

    def send(self, call: Call, sink: Sink) -> Flight:
        """See Network."""
        try:
            flight = None if self._closed or not self.link.connected else self._sent(call, sink)
        except (UnreadableError, ValueError):
            flight = None
        if flight is not None:
            return flight
        nobody = _Unsent(sink)
        self._loop.call_soon(nobody.fail)
        return nobody

    def _sent(self, call: Call, sink: Sink) -> Calling | None:
        node, operation, project, model, cid = self._place(call.to)
        key = self.members.roster.key_of(node)
        if key is None:
            return None
        token, there = self._tokens.next(), self._address(node, key)
        sealed = self.members.sealed or self.members.roster.sealed(node)
        ephemeral, channel = self._identity.asks(key, token) if sealed else (b"", Plain())
        back = f"{self._in}.{token}".encode()
        wire = _Wire(self.link.publish, f"{self._to}{there}.{token}".encode(), back)
        called = token.encode()
        ended = partial(self._calling.pop, called, None)
        flight = self._calling[called] = Calling(call, sink, channel, wire.publish, ended)
        flight.wire = wire
        size = sum(len(part) for part in call.body)
        window = window_for(len(self._calling))
        asked = Asked(operation, project, model, cid, call.head, call.total, window, size, self._wall())
        inline = min(INLINE, self.link.largest - _ROOM - len(call.head))
        first = flight.begin(asked, max(0, inline), self._loop.time())
        opening = Opening(VERSION, token, self._directory.id, self._identity.public, ephemeral)
        self.link.publish(f"{self._call}{there}".encode(), frames.opened(opening, first), back)
        self._begin_ticking()
        return flight

    def _address(self, node: str, key: str) -> str:
        known = self._addresses.get(key)
        if known is None or known[0] != node:
            if len(self._addresses) >= _PLACES:
                self._addresses.clear()
            known = self._addresses[key] = (node, f"{token_of(node)}.{_short(key)}")
        return known[1]

    def _place(self, to: Destination) -> tuple[str, str, str, str, str]:
        known = self._places.get(to)
        if known is None:
            known = placed(to.origin, to.path)
            if len(self._places) >= _PLACES:
                self._places.clear()
            self._places[to] = known
        return known

    def _answered(self, token: bytes, reply: bytes, data: bytes, status: bool) -> None:
        """A frame for a call of ours; as a status the word that nobody listens where something was said."""
        flight = self._calling.get(token)
        if flight is None:
            return
        if status:
            flight.nobody()
            return
        if reply:
            flight.wire.subject = reply
        flight.heard(data, self._loop.time())

    # Answering

    def _called(self, last: bytes, reply: bytes, data: bytes, status: bool) -> None:
        """A call of another node."""
        if not reply:
            return
        try:
            opening, rest = frames.read_opening(data)
            channel = self._trusted(opening)
            asked, first = frames.read_ask(channel.unwrap(rest)[2])
        except (UnreadableError, ValueError):
            self.link.publish(reply, frames.REFUSAL)
            return
        token = opening.token.encode()
        wire = _Wire(self.link.publish, reply, self._out.encode() + b"." + token)
        ended = partial(self._answering.pop, token, None)
        call = Answering(asked, channel, wire.publish, self._loop.call_soon, ended)
        self._answering[token] = call
        self._begin_ticking()
        failure = self._refusal(opening, asked)
        if failure is not None:
            call.refuse(failure)
            return
        call.begin(first, partial(self._asked, opening), self._loop.time())

    def _trusted(self, opening: Opening) -> Channel:
        """The channel of a call that we may take. Raises UnreadableError."""
        roster = self.members.roster
        known = roster.key_of(opening.node)
        bare = not opening.ephemeral
        if opening.version != VERSION or not roster.trusts(opening.key) or known not in (None, opening.key):
            raise UnreadableError("not for us")
        if bare and self.members.sealed:
            raise UnreadableError("not sealed")
        if not opening.token.isalnum() or opening.token in self._taken:
            raise UnreadableError("a call that was taken already")
        channel = Plain() if bare else self._identity.answers(opening.key, opening.token, opening.ephemeral)
        return channel

    def _refusal(self, opening: Opening, asked: Asked) -> Failure | None:
        self._taken[opening.token] = None
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)
        if abs(self._wall() - asked.at) > _OLDEST:
            return Failure("upstream_unreachable", "", detail="node_clock")
        if self._leaving or self.members.clashed:
            return Failure("upstream_unreachable", "", detail="node_leaving")
        if asked.size > self._peers.largest:
            return Failure("body_too_large", "")
        if self._name(asked) is None:
            return _NOT_OFFERED
        return None

    def _name(self, asked: Asked) -> str | None:
        if asked.operation not in PATHS:
            return None
        return self._directory.here(asked.operation, asked.project, asked.model, asked.cid)

    def _asked(self, opening: Opening, body: bytes, call: Answering) -> Work:
        """Put the request to our own gateway."""
        asked = call.asked
        # It may have been taken back while the body came.
        name = self._name(asked)
        if name is None:
            call.refuse(_NOT_OFFERED)
            return _Nothing()
        headers = _headers(asked.head)
        found = dict(headers)
        try:
            body = renamed(body, found.get(b"content-type", b""), name)
        except ParleyError:
            call.refuse(Failure("upstream_error", "", detail="node_request"))
            return _Nothing()
        headers.append((b"x-parley-node", opening.node.encode("ascii", "backslashreplace")))
        name = found.get(b"x-request-id", b"").decode("latin-1") or opening.token
        return self._peers.ask(Request(headers, body, name, PATHS[asked.operation].encode()), call)

    def _continued(self, token: bytes, reply: bytes, data: bytes, status: bool) -> None:
        """A further frame of a call of another node."""
        call = self._answering.get(token)
        if call is None:
            return
        if status:
            call.leave()
        else:
            call.heard(data, self._loop.time())

    # Time

    def _begin_ticking(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        calls: list[Calling | Answering] = [*self._calling.values(), *self._answering.values()]
        for call in calls:
            call.tick(now)
        busy = self._calling or self._answering
        self._timer = self._loop.call_later(TICK, self._tick) if busy else None


class Tokens:
    """Names of calls that nobody can guess: drawn many at a time, since each question to the system costs."""

    def __init__(self) -> None:
        self._drawn = b""
        self._place = 0

    def next(self) -> str:
        """The next one."""
        if self._place >= len(self._drawn):
            self._drawn, self._place = secrets.token_bytes(256 * TOKEN), 0
        self._place += TOKEN
        return self._drawn[self._place - TOKEN : self._place].hex()


class _Wire:
    """Where the frames of one call go. ``back`` is where it is answered; there the server says that nobody listens."""

    __slots__ = ("_back", "_publish", "subject")

    def __init__(self, publish: Callable[[bytes, bytes, bytes], None], subject: bytes, back: bytes) -> None:
        self.subject = subject
        self._publish = publish
        self._back = back

    def publish(self, data: bytes) -> None:
        """Say it."""
        self._publish(self.subject, data, self._back)


class _Unsent:
    """A call that could not be sent."""

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink

    def fail(self) -> None:
        """Its only news."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.failed(NOBODY)

    def cancel(self) -> None:
        """Nobody waits."""
        self._sink = None

    def pause(self) -> None:
        """There is nothing to hold back."""

    def resume(self) -> None:
        """As ``pause``."""


class _Nothing:
    """The work of a call that was refused."""

    def left(self) -> None:
        """There is none."""

    def pause(self) -> None:
        """There is none."""

    def resume(self) -> None:
        """There is none."""


def _short(key: str) -> str:
    return key[:16]


def _headers(head: bytes) -> Headers:
    pairs = (line.partition(b":") for line in head.split(b"\r\n") if line)
    lines = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
    return [(name, value) for name, value in lines if name in _CARRIED]
