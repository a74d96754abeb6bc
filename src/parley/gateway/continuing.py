"""A request of Dapr's shipped forms. It may name a conversation: what was said before is put in front of it, and what
it says is remembered. What it says of its answer alone is no model's business, nor the cache's: the answer is dressed
with it at the end. Large texts are scrubbed in slices, so that nobody else waits for them.

Source: conversation contract sections 4 and 5.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.gateway.cached import Replayed
from parley.gateway.ended import Outcome, Phase
from parley.gateway.job import Job
from parley.gateway.slices import Work
from parley.gateway.talking import TurnsJob
from parley.ports import Caller, Context, Request
from parley.wire.dapr import turns
from parley.wire.dapr.errors import NO_CONTEXT
from parley.wire.dapr.request import ALPHA1
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.gateway import Gateway

# As our own ids are: any other is only told back.
_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Texts of so many characters are scrubbed at once.
AT_ONCE: Final = 8 * 1024
_FLAG: Final = b'"scrubP'


def talking(gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> Job:
    """The job of a request whose form the body may decide."""
    name = inlet.wire.name
    if name == turns.TURNS or (name == ALPHA1 and turns.is_turns(request.body)):
        return TurnsJob(gateway, inlet, request, caller)
    return ContextJob(gateway, inlet, request, caller)


class ContextJob(Job):
    """A request that may name a conversation; where it names none it is a job like any other."""

    _continues = False
    _own = b""
    _named = ""
    _context: Context | None
    _dress: turns.Dress | None
    _rack: "Rack | None"
    _work: Work | None

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        super().__init__(gateway, inlet, request, caller)
        self._context = self._dress = self._work = self._rack = None

    def heard(self) -> None:
        """See Job."""
        if self.over:
            return
        name, members = self.inlet.wire.name, self.asked.members
        named = turns.context_of(name, members)
        self._named = named if _ID.fullmatch(named) is not None else ""
        try:
            self._dress = turns.dress_of(name, members)
            if self._dress is not None:
                self.rewritten(turns.undressed(name, members))
        except ParleyError as error:
            self._lost(error.failure)
            return
        body = self.request.body
        if len(body) > AT_ONCE and _FLAG in body:
            self._sift(body)
        else:
            self._seek()

    def admitted(self) -> None:
        """See Job."""
        if self._dress is not None and not self.over:
            rack = self._rack = Rack()
            self.through(lambda caller: Dressing(caller, rack))
        super().admitted()

    def replay(self, found: Replayed) -> None:
        """See Delivery."""
        if not self.over:
            self._put_on(found.body, lambda out: self._remember(out, lambda: self._replay(found, out)))

    # Before it goes on

    def _sift(self, body: bytes) -> None:
        """No model sees what is private."""
        asked: dict[str, Any] = json.decode(body)

        def sifted() -> None:
            if self.over:
                return
            try:
                self.rewritten(json.encode(asked))
            except ParleyError as error:
                self._lost(error.failure)
                return
            self._seek()

        self._clean(turns.private_of(self.inlet.wire.name, asked), sifted)

    def _seek(self) -> None:
        """The conversation that it names."""
        contexts = self.gateway.contexts
        if contexts is None or not self._named:
            self._begin()
            return
        self._own = self.request.body
        self._context = contexts.enter(self.owner, self.model, self._named, self._entered)

    def _entered(self, failure: Failure | None) -> None:
        if self.over:
            return
        try:
            if failure is None:
                self._recall()
            elif failure.detail != NO_CONTEXT:
                raise ParleyError(failure)
        except ParleyError as error:
            self._lost(error.failure)
            return
        self._begin()

    def _recall(self) -> None:
        context = self._context
        assert context is not None
        self._continues = True
        before = turns.recalled(context.turns)
        if sum(map(len, context.turns)) + len(self._own) > turns.LONGEST:
            raise ParleyError(turns.TOO_LONG)
        if before:
            self.rewritten(turns.continued(self.inlet.wire.name, self._own, before))

    # Before it is told

    def _answer(self, out: bytes) -> None:
        if self._dress is None and not self._continues:
            super()._answer(out)
        else:
            self._finished(out)

    def _finished(self, out: bytes) -> None:
        self._put_on(out, lambda worn: self._remember(worn, lambda: self._tell(out, worn)))

    def _put_on(self, out: bytes, then: Callable[[bytes], None]) -> None:
        """The answer as its caller is told it."""
        dress, name = self._dress, self.inlet.wire.name
        if dress is None:
            then(out)
            return
        value = turns.dressed(name, out, dress)
        if dress.scrub:
            self._clean(turns.texts_of(name, value), lambda: then(json.encode(value)))
        else:
            then(json.encode(value))

    def _remember(self, out: bytes, then: Callable[[], None]) -> None:
        """Nobody is told before it is written."""
        if self.over:
            return
        context, name = self._context, self.inlet.wire.name
        if context is None or not self._continues:
            then()
            return
        self._continues = False
        new = [*turns.said(name, self._own), turns.heard(name, out)]

        def written(failure: Failure | None) -> None:
            if self.over:
                return
            if failure is None:
                then()
            else:
                self._lost(failure)

        context.keep([turns.kept(turn) for turn in new], written)

    def _tell(self, out: bytes, worn: bytes) -> None:
        """The cache keeps what it was, the caller is told what it came to."""
        self._hang(worn)
        super()._answer(out)

    def _replay(self, found: Replayed, worn: bytes) -> None:
        self._hang(worn)
        super().replay(found)

    def _hang(self, worn: bytes) -> None:
        if self._rack is not None:
            self._rack.worn = worn

    def _clean(self, places: list[turns.Place], then: Callable[[], None]) -> None:
        """Take out what is private, beside all else where there is much of it."""
        from parley.pii.places import cleaned, cleaning, size_of

        if size_of(places) <= AT_ONCE:
            cleaned(places)
            then()
        else:
            self._work = self.gateway.slices.begin(cleaning(places), partial(self._cleaned, then))

    def _cleaned(self, then: Callable[[], None]) -> None:
        self._work = None
        then()

    # The end

    def _lost(self, failure: Failure) -> None:
        self._release()
        self._refuse(failure)

    def _end(self, outcome: Outcome, kind: str, phase: Phase) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.stop()
        context, self._context = self._context, None
        if context is not None:
            context.leave()
        if self._rack is not None and self._rack.worn:
            self.bytes_out = len(self._rack.worn)
        super()._end(outcome, kind, phase)


class Rack:
    """Where an answer hangs as its caller is told it, "" until then. Apart from the job, which must not come to hold
    itself."""

    __slots__ = ("worn",)

    def __init__(self) -> None:
        self.worn = b""


class Dressing:
    """A Caller that is told what hangs there. The cache stands before it, who keeps copies behind it."""

    __slots__ = ("_caller", "_rack")

    def __init__(self, caller: Caller, rack: Rack) -> None:
        self._caller = caller
        self._rack = rack

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer, or an error, which wears nothing."""
        self._caller.answer(status, head, (self._rack.worn or body) if status == 200 else body)

    def open(self, status: int, head: bytes) -> None:
        """A stream begins."""
        self._caller.open(status, head)

    def send(self, data: bytes) -> None:
        """More of it."""
        self._caller.send(data)

    def finish(self, *, close: bool = False) -> None:
        """It is over."""
        self._caller.finish(close=close)

    def cut(self) -> None:
        """It broke."""
        self._caller.cut()
