"""Calls to workers of this node, and to other nodes: an Upstream over our own connections, without proxies.

A worker speaks OpenAI's format with a ``code`` and a ``message`` beside it; what it means by them becomes a failure
here, so that nobody behind has to know. Every call counts for the worker's load, pace and health.
Sources: computing node contract 2.5, 12.5 to 12.7.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from parley.failure import NODE_LOOP, Failure
from parley.io.ending import finished
from parley.io.pictures import Pictures, paths_in
from parley.nodes import Network, Worker
from parley.nodes.facts import TEXT
from parley.nodes.network import HOPS, LINKS, SCHEME, sent_on
from parley.ports import Call, Destination, Flight, Headers, Sink, Upstream
from parley.relay import MAX_ANSWER
from parley.wire.worker_code import coded_failure

REMEMBERED: Final = 4096
_GONE: Final = Failure("upstream_unreachable", "the model is not registered any more", detail="unregistered")
_ALONE: Final = Failure("upstream_unreachable", "this node is in no network", detail="no_network")
_LOOP: Final = Failure("upstream_unreachable", "the request came back to a node that has sent it on", detail=NODE_LOOP)
_LARGE: Final = Failure("upstream_bad_response", f"the answer is larger than {MAX_ANSWER} bytes", detail="too_large")
_NO_FILE: Final = Failure("upstream_bad_response", "the worker names a picture that cannot be read", detail="no_file")


class _Told(Struct):
    code: Any = None
    message: Any = None


_told: Final = msgspec.json.Decoder(_Told).decode
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


Called = Callable[[Worker, bool | None, float | None], None]


class Workers:
    """What calls need to know of workers. ``begun`` is told of a call, ``called`` how it ended: whether that was good
    (None: it says nothing) and the seconds to its first byte."""

    def __init__(self, find: Callable[[int], Worker | None], begun: Callable[[], None], called: Called) -> None:
        self.find = find
        self.begun = begun
        self.called = called


class NodeUpstream:
    """See the module. ``network`` is where other nodes are, None where there are none; ``name`` gives our id."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Upstream, workers: Workers, pictures: Pictures) -> None:
        self.loop = loop
        self.workers = workers
        self.pictures = pictures
        self.network: Network | None = None
        self.name: Callable[[], str] = lambda: ""
        self._pool = pool
        self._known: dict[Destination, tuple[Destination, int]] = {}

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call."""
        elsewhere = call.to.origin.startswith(SCHEME)
        head = sent_on(call.head, self.name(), HOPS if elsewhere else LINKS)
        if head is None:
            return self._refused(sink, _LOOP)
        if elsewhere:
            sent = Call(call.to, head, call.body, call.total, call.fresh)
            return self._refused(sink, _ALONE) if self.network is None else self.network.send(sent, sink)
        to, number = self._known.get(call.to) or self._destination(call.to)
        worker = self.workers.find(number)
        if worker is None:
            return self._refused(sink, _GONE)
        flight = WorkerCall(self, worker, sink)
        flight.begin(self._pool.send(Call(to, head, call.body, call.total, call.fresh), flight))
        return flight

    def close(self) -> None:
        """Close idle connections and refuse new calls."""
        self._pool.close()

    def _destination(self, to: Destination) -> tuple[Destination, int]:
        """Where it is sent, without the number that tells whose it is."""
        path, _, number = to.path.rpartition(b"#")
        plain = Destination(
            method=to.method,
            origin=to.origin,
            path=path,
            connect=to.connect,
            first_byte=to.first_byte,
            idle=to.idle,
            max_head=to.max_head,
        )
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[to] = found = (plain, int(number))
        return found

    def _refused(self, sink: Sink, failure: Failure) -> Flight:
        refused = _Refused(sink)
        self.loop.call_soon(refused.fail, failure)
        return refused


class WorkerCall:
    """One call, as the pool's Sink and as the gateway's Flight. An answer in JSON is held until it is whole: it may say
    that it is none."""

    __slots__ = ("_began", "_flight", "_head", "_held", "_over", "_owner", "_seconds", "_sink", "_task", "_worker")

    def __init__(self, owner: NodeUpstream, worker: Worker, sink: Sink) -> None:
        self._owner = owner
        self._worker = worker
        self._sink = sink
        self._began = owner.loop.time()
        self._seconds: float | None = None
        self._flight: Flight | None = None
        self._head: tuple[int, Headers] = (0, [])
        self._held: bytearray | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = False
        worker.in_flight += 1
        owner.workers.begun()

    def begin(self, flight: Flight) -> None:
        """It is under way."""
        self._flight = flight

    # The pool's Sink

    def head(self, status: int, headers: Headers) -> None:
        """The worker has begun to answer."""
        self._seconds = self._owner.loop.time() - self._began
        self._head = (status, headers)
        kind = next((value for name, value in headers if name == b"content-type"), b"").lower()
        if kind.startswith(b"application/json") or status >= 400:
            self._held = bytearray()
        else:
            self._sink.head(status, headers)

    def body(self, data: bytes) -> None:
        """More of it."""
        held = self._held
        if held is None:
            self._sink.body(data)
            return
        held += data
        if len(held) > MAX_ANSWER:
            self._stop()
            self._fail(_LARGE, good=False)

    def done(self) -> None:
        """It is whole."""
        if self._held is None:
            self._end(good=True)
            finished(self._sink)
            return
        body, status = bytes(self._held), self._head[0]
        if 200 < status < 300 and is_object(body):
            # What it says counts, not how: contract 2.5.
            status, self._head = 200, (200, self._head[1])
        failure = refusal(status, body)
        if failure is not None:
            self._fail(failure, good=status < 500)
        elif status == 200 and paths_in(body):
            self._task = self._owner.loop.create_task(self._with_pictures(body))
        else:
            self._pass(body)

    def failed(self, failure: Failure) -> None:
        """It broke; or it was whole, and whom it was handed on to could not take it."""
        if self._over:
            self._sink.failed(failure)
        else:
            self._fail(failure, good=False)

    # The gateway's Flight

    def cancel(self) -> None:
        """Stop it."""
        self._stop()
        self._end(good=None)

    def pause(self) -> None:
        """Read no more until resume."""
        if self._flight is not None and self._held is None:
            self._flight.pause()

    def resume(self) -> None:
        """Read on."""
        if self._flight is not None and self._held is None:
            self._flight.resume()

    async def _with_pictures(self, body: bytes) -> None:
        """Pictures that were named by where they are on this disk are put into the answer."""
        changed = await self._owner.pictures.filled(body, self._worker.entry.url)
        if self._over:
            return
        if changed is None:
            self._fail(_NO_FILE, good=False)
        else:
            self._pass(changed)

    def _pass(self, body: bytes) -> None:
        status, headers = self._head
        if status == 200 and self._worker.entry.kind == TEXT:
            body = completed(body, self._worker.calls)
        self._end(good=status < 500)
        self._sink.head(status, headers)
        self._sink.body(body)
        finished(self._sink)

    def _fail(self, failure: Failure, *, good: bool) -> None:
        if not self._over:
            self._end(good=good)
            self._sink.failed(failure)

    def _stop(self) -> None:
        if self._flight is not None:
            self._flight.cancel()
        if self._task is not None:
            self._task.cancel()

    def _end(self, *, good: bool | None) -> None:
        if not self._over:
            self._over = True
            self._worker.in_flight -= 1
            self._owner.workers.called(self._worker, good, self._seconds)


class _Refused:
    """A call that was not begun."""

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink

    def fail(self, failure: Failure) -> None:
        """Say so, unless nobody waits for it any more."""
        if self._sink is not None:
            self._sink.failed(failure)

    def cancel(self) -> None:
        """Say nothing."""
        self._sink = None

    def pause(self) -> None:
        """There is nothing to read."""

    def resume(self) -> None:
        """There is nothing to read."""


def refusal(status: int, body: bytes) -> Failure | None:
    """What a worker's answer means that has a code other than 0; None for any other answer."""
    try:
        told = _told(body)
    except _BROKEN:
        return None
    code = told.code
    if type(code) is not int or code == 0:
        return None
    return coded_failure(status, code, told.message if isinstance(told.message, str) else "")


def is_object(body: bytes) -> bool:
    """Whether it is an object in JSON."""
    try:
        _told(body)
    except _BROKEN:
        return False
    return True


def completed(body: bytes, number: int) -> bytes:
    """A worker's answer as the answer to a chat: without its frame, with an id and its kind where it gives none."""
    try:
        members = _members(body)
    except _BROKEN:
        return body
    if "choices" not in members:
        return body
    rest = {name: value for name, value in members.items() if name not in ("code", "message")}
    named = {"id": f"chatcmpl-worker-{number + 1}", "object": "chat.completion"}
    lacking = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in named.items() if name not in rest}
    return msgspec.json.encode({**lacking, **rest})


class Probes:
    """Asks servers whether they are there: GET on the origin, to which any answer in HTTP is a yes. Redirects are not
    followed and nothing that is answered is read."""

    def __init__(self, pool: Upstream, heard: Callable[[str, bool], None]) -> None:
        self._pool = pool
        self._heard = heard
        self._known: dict[str, Destination] = {}
        self._open: set[str] = set()

    def look(self, origins: list[str]) -> None:
        """Ask each that has answered the last time, or failed to."""
        for origin in set(self._known) - set(origins):
            del self._known[origin]
        for origin in origins:
            if origin not in self._open:
                self._ask(origin)

    def _ask(self, origin: str) -> None:
        to = self._known.get(origin)
        if to is None:
            to = self._known[origin] = Destination(
                method=b"GET", origin=origin, path=b"/", connect=3.0, first_byte=5.0, idle=5.0
            )
        self._open.add(origin)
        sink = _ProbeSink(self, origin)
        sink.flight = self._pool.send(Call(to, b"accept: */*\r\n", (), 10.0, fresh=True), sink)

    def ended(self, origin: str, good: bool) -> None:
        """What came of one."""
        self._open.discard(origin)
        self._heard(origin, good)


class _ProbeSink:
    def __init__(self, owner: Probes, origin: str) -> None:
        self._owner = owner
        self._origin = origin
        self._over = False
        self.flight: Flight | None = None

    def head(self, status: int, headers: Headers) -> None:
        self._told(True)
        if self.flight is not None:
            self.flight.cancel()

    def body(self, data: bytes) -> None:
        pass

    def done(self) -> None:
        self._told(True)

    def failed(self, failure: Failure) -> None:
        self._told(False)

    def _told(self, good: bool) -> None:
        if not self._over:
            self._over = True
            self._owner.ended(self._origin, good)
