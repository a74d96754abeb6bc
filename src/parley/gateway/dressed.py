"""The caller of a request in an envelope: its answer goes back in kind, with the header lines of its dialect.

It knows its job until the answer is given, and no longer, so that neither keeps the other alive.
"""

from typing import TYPE_CHECKING, Final

from parley.ports import Caller

if TYPE_CHECKING:
    from parley.gateway.predict import PredictJob

_EVENTS: Final = b"content-type: text/event-stream\r\n"
_LINES: Final = b"content-type: application/x-ndjson\r\n"


class Dressed:
    """See the module; a Caller."""

    def __init__(self, caller: Caller, job: "PredictJob") -> None:
        self._caller = caller
        self._job: PredictJob | None = job

    def let_go(self) -> None:
        """The caller has left."""
        self._job = None

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer; one that tells of an error has its shape already."""
        job, self._job = self._job, None
        if job is not None:
            head += job.marks()
            body = job.whole(body) if status == 200 else body
        self._caller.answer(status, head, body)

    def open(self, status: int, head: bytes) -> None:
        """A stream begins."""
        job = self._job
        if job is not None:
            head += job.marks()
            if job.lines:
                head = head.replace(_EVENTS, _LINES, 1)
        self._caller.open(status, head)

    def send(self, data: bytes) -> None:
        """More of it."""
        job = self._job
        data = data if job is None else job.events(data)
        if data:
            self._caller.send(data)

    def finish(self, *, close: bool = False) -> None:
        """The stream is over."""
        self._job = None
        self._caller.finish(close=close)

    def cut(self) -> None:
        """It broke without a word."""
        self._job = None
        self._caller.cut()


def marked(named: bytes, seconds: float) -> bytes:
    """The header lines: the caller's own name of the request, where it gave one, and how long it took so far."""
    taken = b"z-server-time: %d\r\n" % int(seconds * 1000)
    return b"z-requestid: %b\r\n%b" % (named, taken) if named else taken
