"""The response cache as the gateway sees it: a request is answered by what was kept, or what it gets is kept.

What is kept is what the caller was really sent: the cache stands between the job and its caller only for that one
answer, and nothing else of the gateway knows of it. See docs/cache.md.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from parley.cache.answer import Answer, is_entire, own_lines, read, stored
from parley.cache.key import fingerprint, key_of, storable
from parley.cache.shelf import Found, Shelf
from parley.failure import Failure
from parley.gateway import Gateway, heads
from parley.gateway.cached import Replayed
from parley.gateway.job import Job
from parley.gateway.metrics import CACHE
from parley.ports import Caller, Headers
from parley.settings import Registration
from parley.wire import Reply, Wire

# The largest answer that is kept.
MOST: Final = 8 * 1024 * 1024
REMEMBERED: Final = 1024
_MISS: Final = b"x-parley-cache: miss\r\n"
_EVENTS: Final = b"content-type: text/event-stream"
_NO_REPLY: Final = Reply(model="", id="", created=0)


class Plan(Struct, frozen=True, eq=False):
    """How answers of one registration are kept: where, for how many seconds, up to how many bytes each."""

    shelf: Shelf
    ttl: float
    most: int = MOST


class ResponseCache:
    """``plan_of`` says whether and how a registration's answers are kept. Made anew whenever the settings change; of
    requests that began before that nothing is kept, as nobody can tell by what settings they are answered."""

    def __init__(
        self, gateway: Gateway, plan_of: Callable[[Registration], Plan | None], shelves: Iterable[Shelf]
    ) -> None:
        self._gateway = gateway
        self._plan_of = plan_of
        self._shelves = tuple(shelves)
        self._since = gateway.now()
        self._known: dict[int, tuple[Registration, Plan | None, bytes]] = {}

    def find(self, job: Job) -> bool:
        """See parley.gateway.cached.Cache."""
        plan, configured = self._planned(job.registration)
        if plan is None or job.started < self._since or not storable(job) or _unasked(job):
            return False
        wanted = directives(job.request.headers)
        if "no-store" in wanted:
            return False
        look = _Look(self, job, plan, key_of(job, configured))
        look.oldest = min(plan.ttl, _seconds(wanted.get("max-age")))
        if "no-cache" in wanted:
            look.heard(None)
        else:
            plan.shelf.get(look.key, look.heard)
        look.asynchronous = True
        return not look.heard_nothing

    def problems(self) -> list[dict[str, Any]]:
        """See parley.gateway.cached.Cache."""
        found = (shelf.problem() for shelf in self._shelves)
        return [{"kind": "cache", "message": problem} for problem in found if problem is not None]

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._gateway.wall()

    def count(self, result: str) -> None:
        """One more of ``hit``, ``miss`` or ``failed``."""
        self._gateway.metrics.count(CACHE, result)

    def _planned(self, registration: Registration) -> tuple[Plan | None, bytes]:
        known = self._known.get(id(registration))
        if known is None:
            plan = self._plan_of(registration)
            made = b"" if plan is None else fingerprint(registration, self._gateway.settings.providers)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            # It stays alive here, so that its id is no other's.
            known = self._known[id(registration)] = (registration, plan, made)
        return known[1], known[2]


class _Look:
    """One question of a job. ``heard_nothing``: it was answered at once, and there was nothing."""

    def __init__(self, cache: ResponseCache, job: Job, plan: Plan, key: bytes) -> None:
        self._cache, self._job, self._plan = cache, job, plan
        self.key = key
        self.oldest = plan.ttl
        self.asynchronous = self.heard_nothing = False

    def heard(self, found: Found) -> None:
        """Answer with what was kept, or keep what will be answered."""
        job, cache = self._job, self._cache
        if job.over:
            return
        answer = read(found) if isinstance(found, bytes) else None
        age = 0.0 if answer is None else max(0.0, cache.wall() - answer.created)
        if answer is not None and age < self.oldest:
            cache.count("hit")
            job.replay(_replayed(answer, age))
            return
        cache.count("failed" if isinstance(found, Failure) else "miss")
        # Apart from the job, which must not come to hold itself.
        keeper = _Keeper(cache, self._plan, self.key, job.inlet.wire)
        job.through(lambda caller: Keeping(caller, keeper.keep, keeper.plan.most))
        if self.asynchronous:
            job.proceed()
        else:
            self.heard_nothing = True


class _Keeper:
    """What is kept of one answer, and where."""

    def __init__(self, cache: ResponseCache, plan: Plan, key: bytes, wire: Wire) -> None:
        self._cache, self.plan, self._key, self._wire = cache, plan, key, wire

    def keep(self, head: bytes, body: bytes, stream: bool) -> None:
        """The caller has the whole of a good answer."""
        lines, target = own_lines(head)
        wire = self._wire
        # A stream of another type is none of its wire's events (sound).
        raw = stream and b"content-type: %b\r\n" % wire.stream_type not in lines
        if target and (raw or is_entire(wire, body, stream=stream)):
            kept = stored(Answer(self._cache.wall(), target, stream, lines, body))
            self.plan.shelf.put(self._key, kept, self.plan.ttl, _nobody)


class Keeping:
    """A Caller that takes note of what the caller behind it is sent, up to ``most`` bytes. ``keep`` hears header lines,
    body and whether it was a stream, of an answer that ended well."""

    def __init__(self, caller: Caller, keep: Callable[[bytes, bytes, bool], None], most: int) -> None:
        self._caller = caller
        self._keep = keep
        self._most = most
        self._head = b""
        self._pieces: list[bytes] | None = []
        self._size = 0
        self._events = False

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """See parley.ports.Caller."""
        self._caller.answer(status, head + _MISS, body)
        if status == 200 and len(body) <= self._most:
            self._keep(head, body, False)

    def open(self, status: int, head: bytes) -> None:
        """See parley.ports.Caller."""
        self._head = head
        self._events = head.startswith(_EVENTS)
        self._caller.open(status, head + _MISS)

    def send(self, data: bytes) -> None:
        """See parley.ports.Caller."""
        self._caller.send(data)
        # A comment on a quiet stream is none of the answer.
        if self._pieces is None or (self._events and data.startswith(b":") and data.find(b"\n") == len(data) - 2):
            return
        self._size += len(data)
        if self._size > self._most:
            self._pieces = None
        else:
            self._pieces.append(data)

    def finish(self, *, close: bool = False) -> None:
        """See parley.ports.Caller. An error event is followed by the end of the connection."""
        self._caller.finish(close=close)
        pieces, self._pieces = self._pieces, None
        if pieces is not None and not close:
            self._keep(self._head, b"".join(pieces), True)

    def cut(self) -> None:
        """See parley.ports.Caller."""
        self._pieces = None
        self._caller.cut()


def directives(headers: Headers) -> dict[str, str]:
    """What a request's Cache-Control says, names in lower case (RFC 9111 section 5.2.1)."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name == b"cache-control":
            for part in value.decode("latin-1").split(","):
                directive, _, argument = part.partition("=")
                found[directive.strip().lower()] = argument.strip().strip('"')
    return found


def _seconds(argument: str | None) -> float:
    """Of max-age; what is no number asks for nothing older than now."""
    if argument is None:
        return float("inf")
    return float(argument) if argument.isascii() and argument.isdigit() and len(argument) < 10 else 0.0


def _replayed(answer: Answer, age: float) -> Replayed:
    told = b"%b0\r\nx-parley-cache: hit\r\nage: %d\r\n" % (heads.answering(answer.target), int(age))
    return Replayed(answer.head, told, answer.body, answer.stream, answer.target)


def _unasked(job: Job) -> bool:
    """Whether it asks nothing of a model, and so is there for what it does."""
    unasked: Callable[[Mapping[str, Any], Any], bytes | None] | None = job.inlet.wire.unasked
    return unasked is not None and unasked(job.asked.members, _NO_REPLY) is not None


def _nobody(failure: Failure | None) -> None:
    """What could not be kept is not missed."""
