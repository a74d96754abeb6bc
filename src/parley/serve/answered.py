"""What hooks do with an answer: whole, piece by piece, or held back until they are done with it."""

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from parley.failure import ParleyError
from parley.gateway.job import Job
from parley.hooks.stream import HeldStream, StreamChange
from parley.hooks.view import AnswerView, Facts, Pieces, Refused, Text
from parley.hooks.whole import WholeChange
from parley.relay import Relay, Through
from parley.relay.hooked import Changed
from parley.serve.guests import FAILED, LATE, Guest, Threads

Held: TypeAlias = WholeChange | HeldStream
_EVENTS = b"text/event-stream"


class Answering:
    """The hooks that look at the answer of one request, see parley.gateway.hooked.Hooked."""

    def __init__(self, threads: Threads, facts: Facts, guests: tuple[Guest, ...]) -> None:
        self._threads, self._facts, self._guests = threads, facts, guests

    def carried(self, job: Job, carrier: Relay) -> Relay:
        """See Hooked. Sound and pictures have no texts."""
        if isinstance(carrier, Through):
            return carrier
        held = self._held(job)
        if held is None:
            change = StreamChange(lambda: _Row(self._guests, self._view(job)), lines=job.inlet.wire.lines)
            return Changed(carrier, _Guarded(job, change), _never)
        made: list[Changed] = []
        made.append(Changed(carrier, _Guarded(job, held), lambda: self._takes(job, held)))
        return made[0]

    def later(self, job: Job) -> bool:
        """See Hooked."""
        carrier = job.relay
        if not isinstance(carrier, Changed):
            return False
        carrier.finish()
        return carrier.waits

    def _held(self, job: Job) -> Held | None:
        """What holds the answer back until it is whole; None for a stream whose pieces can go on."""
        wire = job.inlet.wire

        def look(texts: list[Text]) -> None:
            self._look(self._view(job), texts)

        if not job.streams:
            return WholeChange(look)
        if wire.stream_type != _EVENTS and not wire.lines:
            return HeldStream(look, lines=None)
        piecewise = all(guest.has("pieces") and not guest.slow(0) for guest in self._guests)
        return None if piecewise else HeldStream(look, lines=wire.lines)

    def _view(self, job: Job) -> AnswerView:
        return AnswerView(self._facts, "" if job.route is None else job.route.way.target.name, [])

    def _look(self, view: AnswerView, texts: list[Text]) -> None:
        """All hooks, one after the other. Raises ParleyError for one that refuses, or fails and must not."""
        for guest in self._guests:
            before = [text.text for text in texts]
            try:
                _whole(guest, view, texts)
            except (Exception, SystemExit) as error:
                failure = guest.failed(error)
                if failure is not None:
                    raise ParleyError(failure) from None
                for text, said in zip(texts, before, strict=True):
                    text.text = said

    def _takes(self, job: Job, held: Held) -> bool:
        """Whether the answer, now whole, goes to a thread."""
        slow = [guest for guest in self._guests if guest.slow(held.size)]
        if not slow:
            return False

        def then(out: Any, error: BaseException | None) -> None:
            if job.over:
                return
            if error is None:
                job.released(out)
            elif isinstance(error, ParleyError):
                job.cut(error.failure)
            elif isinstance(error, TimeoutError) and all(guest.said.on_failure == "pass" for guest in slow):
                job.released(held.raw())
            else:
                job.cut(LATE if isinstance(error, TimeoutError) else FAILED)

        try:
            self._threads.do(held.close, max(guest.said.timeout for guest in slow), then)
        except ParleyError as error:
            job.cut(error.failure)
        return True


def _never() -> bool:
    return False


class _Guarded:
    """A change that ends the job where a hook refuses the answer."""

    def __init__(self, job: Job, change: StreamChange | Held) -> None:
        self._job, self._change = job, change

    def feed(self, data: bytes) -> bytes:
        """See Change."""
        return self._kept(lambda: self._change.feed(data))

    def close(self) -> bytes:
        """See Change."""
        return self._kept(self._change.close)

    def _kept(self, work: Callable[[], bytes]) -> bytes:
        if self._job.over:
            return b""
        try:
            return work()
        except ParleyError as error:
            self._job.cut(error.failure)
        except Exception as error:
            # Of the error only the type: its words may be the caller's.
            logging.getLogger("parley").error("an answer could not be changed: %s", type(error).__name__)
            self._job.cut(FAILED)
        return b""


class _Row:
    """One text of a stream through the pieces of all hooks."""

    def __init__(self, guests: tuple[Guest, ...], view: AnswerView) -> None:
        self._rows: list[tuple[Guest, Pieces]] = []
        for guest in guests:
            pieces = _asked(guest, lambda guest=guest: guest.hook.pieces(view), None)  # type: ignore[misc]
            if pieces is not None:
                self._rows.append((guest, pieces))

    def feed(self, text: str) -> str:
        """See Pieces."""
        for guest, pieces in self._rows:
            text = _asked(guest, lambda pieces=pieces, text=text: pieces.feed(text), text)  # type: ignore[misc]
        return text

    def close(self) -> str:
        """See Pieces. What one held back goes through those behind it."""
        rest = ""
        for guest, pieces in self._rows:
            rest = _asked(guest, lambda pieces=pieces, rest=rest: pieces.feed(rest) + pieces.close(), rest)  # type: ignore[misc]
        return rest


def _asked(guest: Guest, work: Callable[[], Any], otherwise: Any) -> Any:
    """What a hook makes; ``otherwise`` where it fails and may. Raises ParleyError."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        failure = guest.failed(error)
        if failure is not None:
            raise ParleyError(failure) from None
        return otherwise


def _whole(guest: Guest, view: AnswerView, texts: list[Text]) -> None:
    """One hook and an answer that is whole; one that knows only pieces gets each text as one."""
    view.texts = texts
    if guest.has("answer"):
        refusal = guest.hook.answer(view)
        if refusal is not None:
            raise Refused(refusal)
        return
    for text in texts:
        pieces = guest.hook.pieces(view)
        if pieces is not None:
            text.text = pieces.feed(text.text) + pieces.close()
