"""A request of Dapr's shipped forms that may name a conversation: what was said before is put in front of it, and what
it says is remembered. Source: conversation contract section 5.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from parley.failure import Failure, ParleyError
from parley.gateway.cached import Replayed
from parley.gateway.ended import Outcome, Phase
from parley.gateway.job import Job
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
    _context: Context | None

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        super().__init__(gateway, inlet, request, caller)
        self._context = None

    def heard(self) -> None:
        """See Job."""
        if self.over:
            return
        contexts = self.gateway.contexts
        named = turns.context_of(self.inlet.wire.name, self.asked.members)
        if contexts is None or not named or _ID.fullmatch(named) is None:
            self._begin()
            return
        self._own = self.request.body
        self._context = contexts.enter(self.owner, self.model, named, self._entered)

    def replay(self, found: Replayed) -> None:
        """See Delivery."""
        if self._continues and not self.over:
            self._keep(found.body, lambda: self._replay(found))
        else:
            super().replay(found)

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
        if before:
            self.rewritten(turns.continued(self.inlet.wire.name, self._own, before))

    def _answer(self, out: bytes) -> None:
        if self._continues:
            self._keep(out, lambda: self._tell(out))
        else:
            super()._answer(out)

    def _keep(self, out: bytes, then: Callable[[], None]) -> None:
        """Nobody is told before it is written."""
        context, name = self._context, self.inlet.wire.name
        assert context is not None
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

    def _tell(self, out: bytes) -> None:
        super()._answer(out)

    def _replay(self, found: Replayed) -> None:
        super().replay(found)

    def _lost(self, failure: Failure) -> None:
        self._release()
        self._refuse(failure)

    def _end(self, outcome: Outcome, kind: str, phase: Phase) -> None:
        context = self._context
        if context is not None:
            context.leave()
        super()._end(outcome, kind, phase)
