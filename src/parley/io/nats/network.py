"""Calls between nodes over NATS: the Upstream that other nodes are behind, and what answers them here.

BUCKET.call.NODE.KEY        the first message of a call; one process of the node takes it
BUCKET.to.NODE.KEY.TOKEN    further frames until it is known which one that was
BUCKET.in.LINK.q.TOKEN      frames for the process that answers
BUCKET.in.LINK.a.TOKEN      frames for the process that asked

KEY is the beginning of the node's public key: two that have one id by mistake do not take each other's calls.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from parley.failure import Failure, ParleyError
from parley.io.nats.keys import Identity
from parley.io.nats.link import Link, ended, is_local
from parley.io.nats.membership import Membership
from parley.io.nats.parts import Nothing, Place, Tokens, Unsent, Wire
from parley.nodes import frames
from parley.nodes.answering import Answering
from parley.nodes.asking import PATHS, renamed
from parley.nodes.calling import Calling
from parley.nodes.directory import Directory
from parley.nodes.frames import VERSION, Asked, Channel, Opening, Plain
from parley.nodes.joining import Joining, Peers, Work
from parley.nodes.network import VIA, placed
from parley.nodes.presence import UnreadableError, token_of
from parley.nodes.windows import window_for
from parley.ports import Call, Destination, Flight, Headers, Request, Sink

TICK: Final = 0.25
INLINE: Final = 256 * 1024
# A node that is there but does not listen, or our own connection that is lost: for so many seconds a call waits for
# it, and is tried every so many.
RETURNS: Final = 1.0
AGAIN: Final = 0.1
# What is left of a message for everything but the body.
_ROOM: Final = 32 * 1024
# Header lines of a call that mean something at the other node.
_CARRIED: Final = frozenset({b"content-type", b"accept", b"traceparent", b"tracestate", b"x-request-id", VIA.encode()})
_TARGETS: Final = {operation: path.encode() for operation, path in PATHS.items()}
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
        self._asking_at, self._answering_at = f"{self._in}.".encode(), f"{self._out}.".encode()
        self._calling: dict[bytes, Calling] = {}
        self._answering: dict[bytes, Answering] = {}
        self._tokens = Tokens()
        self._places: dict[Destination, Place] = {}
        self._flushes: list[Callable[[], None]] = []
        # Since when nobody listens where a node is called.
        self._away: dict[bytes, float] = {}
        # The last calls that were taken, and those before them.
        self._taken: set[str] = set()
        self._taken_before: set[str] = set()
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
        flight = self._tried(call, sink)
        if flight is not None:
            return flight
        unsent = Unsent(call, sink)
        self._loop.call_soon(self._unsent, unsent)
        return unsent

    def _tried(self, call: Call, sink: Sink) -> Calling | None:
        try:
            return None if self._closed or not self.link.connected else self._sent(call, sink)
        except (UnreadableError, ValueError):
            return None

    def _unsent(self, unsent: Unsent) -> None:
        """What could not be sent waits for a connection that was lost just now; else it has failed."""
        sink = unsent.sink
        if sink is None:
            return
        flight = self._tried(unsent.call, sink)
        if flight is not None:
            unsent.went(flight)
        elif self._closed or self.link.connected or self.link.missed(self._loop.time()) >= RETURNS:
            unsent.fail()
        else:
            self._loop.call_later(AGAIN, self._unsent, unsent)

    def _sent(self, call: Call, sink: Sink) -> Calling | None:
        place, link = self._place(call.to), self.link
        key = self.members.roster.key_of(place.node)
        if key is None:
            return None
        if key != place.key:
            place.key = key
            there = f"{token_of(place.node)}.{_short(key)}"
            place.call, place.to = f"{self._call}{there}".encode(), f"{self._to}{there}.".encode()
        token = self._tokens.next()
        called = token.encode()
        ephemeral, channel = self._channel(place.node, key, token)
        back = self._asking_at + called
        wire = Wire(link, place.to + called, back)
        ended = partial(self._calling.pop, called, None)
        flight = self._calling[called] = Calling(call, sink, channel, wire.publish, ended)
        flight.wire = wire
        wire.place = place
        size = sum([len(part) for part in call.body])
        operation, project, model, cid = place.model
        window = window_for(len(self._calling))
        asked = Asked(operation, project, model, cid, call.head, call.total, window, size, self._wall())
        inline = min(INLINE, link.largest - _ROOM - len(call.head))
        first = flight.begin(asked, max(0, inline), self._loop.time())
        opening = Opening(VERSION, token, self._directory.id, self._identity.public, ephemeral)
        wire.first = frames.opened(opening, first)
        link.publish(place.call, wire.first, back)
        self._begin_ticking()
        return flight

    def _channel(self, node: str, key: str, token: str) -> tuple[bytes, Channel]:
        """Of a call to that node: the key made for it, b"" where nothing is encrypted, and its channel."""
        if self.members.sealed or self.members.roster.sealed(node):
            return self._identity.asks(key, token)
        return b"", Plain()

    def _place(self, to: Destination) -> Place:
        known = self._places.get(to)
        if known is None:
            node, operation, project, model, cid = placed(to.origin, to.path)
            if len(self._places) >= _PLACES:
                self._places.clear()
            known = self._places[to] = Place(node, (operation, project, model, cid))
        return known

    def _answered(self, token: bytes, reply: bytes, data: bytes, status: bool) -> None:
        """A frame for a call of ours; as a status the word that nobody listens where something was said."""
        flight = self._calling.get(token)
        if flight is None:
            return
        wire: Wire = flight.wire
        if status:
            if not self._waits(wire, token):
                flight.nobody()
            return
        if reply:
            wire.subject = reply
        wire.first = b""
        if self._away:
            self._away.pop(wire.place.call, None)
        flight.heard(data, self._loop.time())

    def _waits(self, wire: Wire, token: bytes) -> bool:
        """Whether a call that nobody has heard is put to its node again: its connection may be made anew just now."""
        now = self._loop.time()
        since = self._away.setdefault(wire.place.call, now)
        if not wire.first or now - since >= RETURNS:
            if now - since > _OLDEST or len(self._away) > _PLACES:
                self._away.clear()
            return False
        self._loop.call_later(AGAIN, self._repeat, token)
        return True

    def _repeat(self, token: bytes) -> None:
        flight = self._calling.get(token)
        if flight is not None:
            wire: Wire = flight.wire
            if wire.first:
                self.link.publish(wire.place.call, wire.first, self._asking_at + token)

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
        wire = Wire(self.link, reply, self._answering_at + token)
        ended = partial(self._answering.pop, token, None)
        call = Answering(asked, channel, wire.publish, self._soon, ended)
        self._answering[token] = call
        self._begin_ticking()
        failure = self._refusal(opening, asked)
        if failure is None and len(first) < asked.size and self._name(asked) is None:
            failure = _NOT_OFFERED
        if failure is not None:
            call.refuse(failure)
            return
        call.begin(first, partial(self._asked, opening), self._loop.time())

    def _trusted(self, opening: Opening) -> Channel:
        """The channel of a call that we may take. Raises UnreadableError."""
        roster = self.members.roster
        token, key, ephemeral = opening.token, opening.key, opening.ephemeral
        known = roster.key_of(opening.node)
        if opening.version != VERSION or not roster.trusts(key) or (known is not None and known != key):
            raise UnreadableError("not for us")
        if not ephemeral and self.members.sealed:
            raise UnreadableError("not sealed")
        if not token.isalnum() or token in self._taken or token in self._taken_before:
            raise UnreadableError("a call that was taken already")
        return self._identity.answers(key, token, ephemeral) if ephemeral else Plain()

    def _refusal(self, opening: Opening, asked: Asked) -> Failure | None:
        self._taken.add(opening.token)
        if len(self._taken) >= _REMEMBERED:
            self._taken, self._taken_before = set(), self._taken
        if abs(self._wall() - asked.at) > _OLDEST:
            return Failure("upstream_unreachable", "", detail="node_clock")
        if self._leaving or self.members.clashed:
            return Failure("upstream_unreachable", "", detail="node_leaving")
        if asked.size > self._peers.largest:
            return Failure("body_too_large", "")
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
            return Nothing()
        lines, called = frames.parted(asked.head)
        headers: Headers = [(b"x-request-id", called)] if called else []
        kind = b""
        for pair in frames.pairs(lines):
            if pair[0] in _CARRIED:
                headers.append(pair)
                if pair[0] == b"content-type":
                    kind = pair[1]
        call.known = frames.identity(called) if called else b""
        try:
            body, members = renamed(body, kind, name)
        except ParleyError:
            call.refuse(Failure("upstream_error", "", detail="node_request"))
            return Nothing()
        headers.append((b"x-parley-node", opening.node.encode("ascii", "backslashreplace")))
        request = Request(headers, body, called.decode("latin-1") or opening.token, _TARGETS[asked.operation])
        request.members = members
        return self._peers.ask(request, call)

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

    def _soon(self, flush: Callable[[], None]) -> None:
        """Run it once this turn of the loop is over: all of them together, and what they say goes out at once."""
        if not self._flushes:
            self._loop.call_soon(self._flush)
        self._flushes.append(flush)

    def _flush(self) -> None:
        flushes, self._flushes = self._flushes, []
        try:
            while flushes:
                flushes.pop(0)()
        finally:
            # What one of them has raised is not the others' fault.
            for flush in flushes:
                self._soon(flush)
            self.link.flush()

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


def _short(key: str) -> str:
    return key[:16]
