"""One call of another node at ours: the Caller of a job of our own gateway. Pure: times are passed in, frames go out by
a function. The other side: parley.nodes.calling.
"""

from collections.abc import Callable

from parley.failure import Failure
from parley.nodes import frames
from parley.nodes.calling import BEAT_SECONDS, SILENCE
from parley.nodes.frames import Asked, Channel
from parley.nodes.joining import Work
from parley.nodes.presence import UnreadableError
from parley.nodes.windows import CHUNK, WINDOW, Outflow


class Answering:
    """A call of another node at ours: it gathers the body, then it is the Caller of our own job for it.

    ``publish`` sends a frame there, ``start`` is given the whole body and begins the job, ``soon`` runs a function
    once this turn of the loop is over, ``ended`` is told once when the call is over.
    """

    __slots__ = (
        "_body",
        "_broken",
        "_channel",
        "_ended",
        "_finished",
        "_heard",
        "_job",
        "_lines",
        "_out",
        "_over",
        "_planned",
        "_publish",
        "_room_for",
        "_said",
        "_soon",
        "_start",
        "_started",
        "_stopped",
        "asked",
        "known",
    )

    def __init__(
        self,
        asked: Asked,
        channel: Channel,
        publish: Callable[[bytes], None],
        soon: Callable[[Callable[[], None]], object],
        ended: Callable[[], object],
    ) -> None:
        self.asked = asked
        # Lines of an answer's head that say nothing new to the node that asked.
        self.known = b""
        self._channel = channel
        self._publish = publish
        self._soon = soon
        self._ended = ended
        self._start: Callable[[bytes, Answering], Work] | None = None
        self._job: Work | None = None
        self._body = bytearray()
        self._out = Outflow(asked.window)
        self._lines = b""
        self._room_for = 0
        self._finished = self._over = self._planned = self._stopped = False
        self._broken: Failure | None = None
        self._started = self._said = self._heard = 0.0

    def begin(self, first: bytes, start: "Callable[[bytes, Answering], Work]", now: float) -> None:
        """The call has arrived with this part of its body."""
        self._started = self._said = self._heard = now
        self._start = start
        if len(first) >= self.asked.size:
            self._run(first)
            return
        self._body += first
        self._go_on()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over

    # The other node's side

    def heard(self, data: bytes, now: float) -> None:
        """A frame arrived."""
        if self._over:
            return
        try:
            kind, _, payload = self._channel.unwrap(data)
            self._heard = now
            self._take(kind & frames.KIND, payload)
        except UnreadableError:
            self.leave()

    def tick(self, now: float) -> None:
        """Look at the limits, and give a sign."""
        if self._over:
            return
        if now - self._heard >= SILENCE:
            self.leave()
        elif now - self._started >= self.asked.total:
            self.refuse(Failure("upstream_timeout", "", detail="stream_limit"))
        elif now - self._said >= BEAT_SECONDS:
            self._said = now
            if self._body_missing():
                self._room()
            else:
                self._say(frames.BEAT, b"")

    def refuse(self, failure: Failure) -> None:
        """No answer, or no more of it."""
        if not self._over:
            self._say(frames.FAIL, frames.broken(failure))
            self.leave()

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == frames.CREDIT:
            self._out.allow(frames.read_total(payload))
            self._plan()
        elif kind == frames.LEAVE:
            self.leave()
        elif kind == frames.BODY:
            self._more(payload)
        else:
            raise UnreadableError("no question")

    def _more(self, payload: bytes) -> None:
        if not self._body_missing():
            raise UnreadableError("a body that is whole")
        if frames.read_total(payload) != len(self._body):
            self.refuse(Failure("upstream_unreachable", "", detail="node_gap"))
            return
        self._body += payload[8:]
        if len(self._body) > self.asked.size:
            raise UnreadableError("more than was said")
        self._go_on()

    def _body_missing(self) -> bool:
        return self._start is not None

    def _go_on(self) -> None:
        if len(self._body) >= self.asked.size:
            body, self._body = bytes(self._body), bytearray()
            self._run(body)
        elif self._room_for - len(self._body) <= WINDOW // 2:
            self._room()

    def _room(self) -> None:
        self._room_for = len(self._body) + WINDOW
        self._say(frames.CREDIT, frames.counted(self._room_for))

    def _run(self, body: bytes) -> None:
        start, self._start = self._start, None
        assert start is not None
        job = start(body, self)
        if self._over and not self._finished:
            job.left()
        elif not self._over:
            self._job = job
            self._press()

    # Our own gateway's side

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer: there is nothing that it could be sent together with."""
        lines = self._heading(status, head)
        self._finished = True
        out = self._out
        if not (self._planned or self._over or out.waiting) and len(body) <= min(CHUNK, out.allowed):
            self._say(frames.ANSWER | frames.HEAD | frames.LAST, lines + body)
            self._done()
            return
        self._lines = lines
        self._out.add(body)
        if not self._planned:
            self.flush()

    def open(self, status: int, head: bytes) -> None:
        """A stream begins."""
        self._lines = self._heading(status, head)
        self._plan()

    def _heading(self, status: int, head: bytes) -> bytes:
        known = self.known
        place = head.find(known) if known and status == 200 else -1
        if place >= 0:
            head = head[:place] + head[place + len(known) :]
        return frames.heading(status, head)

    def send(self, data: bytes) -> None:
        """More of it."""
        self._out.add(data)
        self._press()
        self._plan()

    def finish(self, *, close: bool = False) -> None:
        """The stream is over; where it broke, its last piece was an error event."""
        self._finished = True
        if close:
            self._broken = Failure("upstream_incomplete", "")
        self._plan()

    def cut(self) -> None:
        """It broke without a word."""
        self._finished = True
        self._broken = Failure("upstream_closed", "")
        self._plan()

    def _press(self) -> None:
        """Keep the job from making more than is read."""
        stop = self._out.waiting > WINDOW
        if self._job is not None and stop != self._stopped and not self._finished:
            self._stopped = stop
            if stop:
                self._job.pause()
            else:
                self._job.resume()

    def _plan(self) -> None:
        if not self._planned and not self._over:
            self._planned = True
            self._soon(self.flush)

    def flush(self) -> None:
        """Send what may go."""
        self._planned = False
        out = self._out
        while not self._over and (self._lines or out.ready or (self._finished and not out.waiting)):
            lines, self._lines = self._lines, b""
            # The head is not counted: nobody can be kept waiting for one.
            data = lines + out.take(CHUNK)
            last = self._finished and not out.waiting
            flags = (frames.HEAD if lines else 0) | (frames.LAST if last and self._broken is None else 0)
            if data or flags:
                self._say(frames.ANSWER | flags, data)
            if last:
                self._done()
        self._press()

    def _done(self) -> None:
        if self._broken is not None:
            self._say(frames.FAIL, frames.broken(self._broken))
        self._over, self._job = True, None
        self._ended()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._over = True
        job, self._job = self._job, None
        self._start = None
        self._body = bytearray()
        self._ended()
        if job is not None:
            job.left()

    def _say(self, kind: int, payload: bytes) -> None:
        self._publish(self._channel.wrap(kind, payload))
