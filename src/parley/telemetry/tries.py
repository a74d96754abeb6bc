"""Watches the calls to providers: when each began, answered and ended, and how. Only where somebody wants to know."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from parley.failure import Failure
from parley.gateway.delivery import Delivery
from parley.ports import Call, Flight, Headers, Sink, Upstream

# A failure that the gateway saw in the answer, not the connection.
BROKEN: Final = "broken"


class Tried:
    """One try. Times are monotonic seconds, None where it did not come to that; ``kind`` says how it failed.

    ``span`` is for who traces it.
    """

    __slots__ = ("began", "first", "kind", "model", "over", "provider", "span", "status", "target")

    def __init__(self, job: Delivery, began: float) -> None:
        lane = job.lane
        self.provider = "" if lane is None else lane.provider.label
        self.target = "" if lane is None else lane.target.name
        self.model = "" if lane is None else lane.target.model
        self.began = began
        self.first: float | None = None
        self.over: float | None = None
        self.kind = ""
        self.status = 0
        self.span: object = None

    def end(self, now: float, kind: str = "") -> None:
        """It is over, unless it was before."""
        if self.over is None:
            self.over = now
            self.kind = kind or (str(self.status) if self.status >= 400 else "")


Begins: TypeAlias = Callable[[Delivery, Tried, Call], Call]


class Tries:
    """Of all jobs under way. ``begins`` may change a call before it is sent."""

    def __init__(self, now: Callable[[], float], begins: Begins | None = None) -> None:
        self.now = now
        self.begins = begins
        self._under: dict[Delivery, list[Tried]] = {}

    def send(self, upstream: Upstream, call: Call, sink: Sink) -> Flight:
        """Send it, and watch what becomes of it where it is a job's."""
        if not isinstance(sink, Delivery):
            return upstream.send(call, sink)
        known, now = self._under.setdefault(sink, []), self.now()
        if known:
            known[-1].end(now, BROKEN)
        tried = Tried(sink, now)
        known.append(tried)
        if self.begins is not None:
            call = self.begins(sink, tried, call)
        return upstream.send(call, Leg(sink, tried, self.now))

    def taken(self, job: Delivery, kind: str) -> list[Tried]:
        """Those of a job that has ended, each with its end; forgotten here."""
        found = self._under.pop(job, [])
        if found:
            found[-1].end(self.now(), kind)
        return found


class Leg:
    """The sink of a call that is watched."""

    def __init__(self, sink: Sink, tried: Tried, now: Callable[[], float]) -> None:
        self._sink = sink
        self._tried = tried
        self._now = now
        # Content goes straight to whom it is for.
        self.body = sink.body

    def head(self, status: int, headers: Headers) -> None:
        """The provider has begun to answer."""
        self._tried.first = self._now()
        self._tried.status = status
        self._sink.head(status, headers)

    def done(self) -> None:
        """The answer is whole."""
        self._tried.end(self._now())
        self._sink.done()

    def failed(self, failure: Failure) -> None:
        """It broke."""
        self._tried.end(self._now(), failure.log_kind)
        self._sink.failed(failure)


class Watched:
    """An Upstream whose calls are watched."""

    def __init__(self, upstream: Upstream, tries: Tries) -> None:
        self._upstream = upstream
        self._tries = tries

    def send(self, call: Call, sink: Sink) -> Flight:
        """See parley.ports.Upstream."""
        return self._tries.send(self._upstream, call, sink)

    def close(self) -> None:
        """See parley.ports.Upstream."""
        self._upstream.close()


class Seen(Mapping[str, Upstream]):
    """The transports of ``made``, those added later included, each watched."""

    def __init__(self, made: Mapping[str, Upstream], tries: Tries) -> None:
        self._made = made
        self._tries = tries

    def __getitem__(self, name: str) -> Upstream:
        return Watched(self._made[name], self._tries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
