"""One call of ours at another node: a Flight for the gateway. Pure: times are passed in, frames go out by a function.

Each side that hears nothing of the other for SILENCE seconds takes it for dead; each side that has nothing to say gives
a sign every BEAT seconds. The other side: parley.nodes.answering.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from parley.failure import Failure
from parley.nodes import frames
from parley.nodes.frames import Asked, Channel
from parley.nodes.presence import UnreadableError
from parley.nodes.verdict import heeding
from parley.nodes.windows import Inflow, Outflow
from parley.ports import Call, Sink

BEAT_SECONDS: Final = 5.0
SILENCE: Final = 15.0
GONE: Final = Failure("upstream_closed", "the node is not heard any more", detail="node_silent")
LOST: Final = Failure("upstream_incomplete", "a part of the node's answer was lost", detail="node_gap")
BAD: Final = Failure("upstream_bad_response", "the node answered with something unreadable", detail="node_frame")
REFUSED: Final = Failure("upstream_unreachable", "the node takes no calls of ours", detail="node_refused")
UNHANDLED: Final = Failure("internal", "the gateway failed to handle the node's answer")
NOBODY: Final = Failure("upstream_unreachable", "the node is not there", detail="node_unreachable")


class Calling:
    """A call of ours at another node. ``publish`` sends a frame there; ``ended`` is told once when it is over."""

    __slots__ = (
        "_body",
        "_call",
        "_channel",
        "_ended",
        "_head",
        "_heard_at",
        "_in",
        "_last",
        "_next",
        "_paused",
        "_publish",
        "_said",
        "_sink",
        "_started",
        "wire",
    )

    def __init__(
        self,
        call: Call,
        sink: Sink,
        channel: Channel,
        publish: Callable[[bytes], None],
        ended: Callable[[], object],
    ) -> None:
        # Of the one that sends its frames.
        self.wire: Any = None
        self._call = call
        self._sink: Sink | None = sink
        self._channel = channel
        self._publish = publish
        self._ended = ended
        self._body = Outflow(0)
        self._in = Inflow(0)
        self._head = self._paused = False
        self._last = False
        self._next = 0
        self._started = self._said = self._heard_at = 0.0

    def begin(self, asked: Asked, inline: int, now: float) -> bytes:
        """Its first frame, with at most ``inline`` bytes of the body in it."""
        self._started = self._said = self._heard_at = now
        self._in.open(asked.window)
        body = self._call.body
        if asked.size <= inline:
            return self._channel.wrap(frames.ASK, frames.ask(asked, b"".join(body)))
        for part in body:
            self._body.add(part)
        self._body.allow(inline)
        return self._channel.wrap(frames.ASK, frames.ask(asked, self._body.take(inline)))

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._sink is None

    # The gateway's side

    def cancel(self) -> None:
        """Nobody waits any more: the other node is told."""
        if self._sink is not None:
            self._say(frames.LEAVE, b"")
            self._end()

    def pause(self) -> None:
        """Hold back what arrives."""
        self._paused = True

    def resume(self) -> None:
        """Go on; what was held back goes to the sink."""
        self._paused = False
        self._drain(self._heard_at)

    # The other node's side

    def heard(self, data: bytes, now: float) -> None:
        """A frame arrived."""
        if self._sink is None:
            return
        if data == frames.REFUSAL and not self._next:
            self.break_off(REFUSED)
            return
        sink = self._sink
        try:
            kind, seq, payload = self._channel.unwrap(data)
            if seq != self._next:
                self.break_off(LOST)
                return
            self._next += 1
            self._heard_at = now
            self._take(kind, payload, now)
        except UnreadableError:
            self.break_off(BAD)
        except Exception as error:
            self._unhandled(sink, error)

    def _unhandled(self, sink: Sink, error: Exception) -> None:
        """The gateway raised at what it was told: that is our own fault, and it must hear of it."""
        logging.getLogger("parley").error("an answer could not be handled", exc_info=error)
        if self._sink is not None:
            self.break_off(UNHANDLED)
        else:
            sink.failed(UNHANDLED)

    def tick(self, now: float) -> None:
        """Look at the limits, and give a sign."""
        sink, to = self._sink, self._call.to
        if sink is None:
            return
        failure = None
        if now - self._heard_at >= SILENCE:
            failure = GONE
        elif not self._head and now - self._started >= to.first_byte:
            message = "the provider did not answer in time"
            failure = Failure("upstream_timeout", message, detail="first_byte_timeout")
        elif now - self._started >= self._call.total:
            failure = Failure("upstream_timeout", "the time for this request is over", detail="stream_limit")
        if failure is not None:
            self.break_off(failure)
        elif now - self._said >= BEAT_SECONDS:
            self._credit(now)

    def nobody(self) -> None:
        """There is no such node, or not any more."""
        self.break_off(GONE if self._next else NOBODY)

    def break_off(self, failure: Failure) -> None:
        """End it with a failure; the other node is told that nobody waits."""
        sink = self._sink
        if sink is not None:
            self._say(frames.LEAVE, b"")
            self._end()
            sink.failed(failure)

    def _take(self, flagged: int, payload: bytes, now: float) -> None:
        kind = flagged & frames.KIND
        if kind == frames.ANSWER:
            self._answered(flagged, payload, now)
        elif kind == frames.CREDIT:
            self._body.allow(frames.read_total(payload))
            self._upload()
        elif kind == frames.FAIL:
            self._failed(frames.read_broken(payload))
        elif kind != frames.BEAT:
            raise UnreadableError("no answer")

    def _answered(self, kind: int, payload: bytes, now: float) -> None:
        sink = self._sink
        assert sink is not None
        if kind & frames.HEAD:
            if self._head:
                raise UnreadableError("a second head")
            self._head = True
            status, headers, payload = frames.read_head(payload)
            if status >= 400:
                sink = self._sink = heeding(sink, headers)
            sink.head(status, headers)
        elif not self._head:
            raise UnreadableError("no head")
        self._last = self._last or bool(kind & frames.LAST)
        if payload:
            self._came(payload)
        self._drain(now)

    def _came(self, payload: bytes) -> None:
        into, sink = self._in, self._sink
        straight = sink is not None and not self._paused and not into.held
        if straight:
            into.passed(len(payload))
        else:
            into.came(payload)
        if into.overrun:
            raise UnreadableError("more than there was room for")
        if straight and sink is not None:
            sink.body(payload)

    def _failed(self, failure: Failure) -> None:
        sink = self._sink
        assert sink is not None
        # What was held back came first.
        self._paused = False
        self._drain(self._heard_at)
        if self._sink is not None:
            self._end()
            sink.failed(failure)

    def _drain(self, now: float) -> None:
        """Hand on what has arrived, as far as it is wanted; the sink may pause or leave at any time."""
        held = self._in.held
        while held and not self._paused and self._sink is not None:
            data = held.popleft()
            self._in.took(len(data))
            self._sink.body(data)
        sink = self._sink
        if sink is None:
            return
        if self._last and not held:
            self._end()
            sink.done()
        elif not self._last and self._in.owes:
            self._credit(now)

    def _upload(self) -> None:
        while self._body.ready:
            place = frames.counted(self._body.sent)
            self._say(frames.BODY, place + self._body.take())

    def _credit(self, now: float) -> None:
        self._said = now
        self._say(frames.CREDIT, frames.counted(self._in.told()))

    def _say(self, kind: int, payload: bytes) -> None:
        self._publish(self._channel.wrap(kind, payload))

    def _end(self) -> None:
        self._sink = None
        self._in.held.clear()
        self._ended()
