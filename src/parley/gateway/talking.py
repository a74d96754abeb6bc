"""A request whose inputs are turns of a conversation that goes on: each is asked of the model by a job of its own, with
all that came before. What was said is recalled first and remembered afterwards, and nobody else continues the same
conversation meanwhile.

Source: conversation contract section 5.
"""

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.framing import SseReader
from parley.gateway import heads
from parley.gateway.answering import told
from parley.gateway.delivery import LEFT
from parley.gateway.ended import Outcome, Phase
from parley.gateway.job import Job
from parley.ir import Usage
from parley.ports import Caller, Context, Request
from parley.relay import Asis
from parley.wire import PARAMETERS
from parley.wire.dapr import turns
from parley.wire.inlets import Inlet, placed_model

if TYPE_CHECKING:
    from parley.gateway import Gateway

_EVENTS: Final = b"text/event-stream"
_DONE: Final = b"data: [DONE]\n\n"
_NO_STORE: Final = Failure("not_implemented", "conversations need a store, and there is none here")
_BROKEN: Final = Failure("upstream_incomplete", "the answer broke off")
_NOT_THEIRS: Final = frozenset({b"idempotency-key", b"accept"})


class TurnsJob(Job):
    """A request with an answer for each input. What its jobs cost and use is theirs; only what never came to one is
    counted here."""

    _events = False
    _begun = 0
    _size = 0
    _context: Context | None
    _child: "TurnJob | None"
    _wanted: turns.Asked | None
    _turns: list[turns.Turn]
    _outputs: list[turns.Part]
    _used: Usage

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        super().__init__(gateway, inlet, request, caller)
        self._context = self._child = self._wanted = None
        self._turns = []
        self._outputs = []
        self._used = Usage()

    def run(self) -> None:
        """Read it, and wait until it is its turn."""
        contexts = self.gateway.contexts
        try:
            self.model = placed_model(self.request.target)
            asked = turns.read(self.request.body)
            self._served = self.gateway.served(self.inlet.operation, self.model, self.key)
            self._wanted = turns.judged(asked)
            if contexts is None:
                raise ParleyError(_NO_STORE)
        except ParleyError as error:
            self._refuse(error.failure)
            return
        accepted = [value for name, value in self.request.headers if name == b"accept"]
        self._events = any(_EVENTS in value.lower() for value in accepted)
        self._context = contexts.enter(self.owner, self.model, asked.context, self._entered)

    def left(self) -> None:
        """See Delivery."""
        if self.over:
            return
        self._release()
        self.status = LEFT
        self._end("client_abort", "client_abort", "mid" if self.committed else "pre")

    def cut(self, failure: Failure) -> None:
        """See Delivery."""
        if not self.over:
            self._broke(failure)

    def pause(self) -> None:
        """See Delivery."""
        self._paused = True
        if self._child is not None:
            self._child.pause()

    def resume(self) -> None:
        """See Delivery."""
        self._paused = False
        if self._child is not None:
            self._child.resume()

    # What its jobs say

    def note(self, child: "TurnJob") -> None:
        """What answers, and what its limits have left, for the lines that tell of it. The ticket stays the child's."""
        self.route, self.course, self.message = child.route, child.course, child.message
        self.replayed, self.ticket = child.replayed, child.ticket

    def spoke(self, text: str) -> None:
        """More of the answer to the input of now."""
        if self.over or not text:
            return
        self._size += len(text)
        if self._size > turns.LONGEST:
            self._broke(turns.TOO_LONG)
        elif self._events:
            self._say({"result": text})

    def answered(self) -> None:
        """The answer to one input is whole."""
        child, self._child = self._child, None
        if self.over or child is None:
            return
        self.note(child)
        usage = child.relay.usage if child.relay is not None else None
        if usage is not None:
            self._used = Usage(self._used.input + usage.input, self._used.output + usage.output)
        part = self._outputs[-1]
        self._turns.append(part.turn())
        if self._size > turns.LONGEST:
            self._broke(turns.TOO_LONG)
            return
        assert self._wanted is not None
        if len(self._outputs) == len(self._wanted.inputs):
            self._remember()
            return
        if self._events:
            self._say({"parameters": part.parameters()})
        # Not from here: answers that were kept come at once, and there may be many.
        self._timer = self.gateway.clock.later(0.0, self._next)

    def failed_by(self, failure: Failure) -> None:
        """One was not answered, and so is the whole request."""
        self._child = None
        if not self.over:
            self._broke(failure)

    # Inside

    def _entered(self, failure: Failure | None) -> None:
        if self.over:
            return
        if failure is not None:
            self._broke(failure)
            return
        assert self._context is not None
        assert self._wanted is not None
        self._turns = turns.recalled(self._context.turns)
        self._begun = len(self._turns)
        self._size = sum([len(turn.text) for turn in self._turns]) + sum(map(len, self._wanted.inputs))
        if self._size > turns.LONGEST:
            self._broke(turns.TOO_LONG)
            return
        self._next()

    def _next(self) -> None:
        """Ask for the answer to the next input."""
        self._timer = None
        if self.over:
            return
        assert self._wanted is not None
        place = len(self._outputs)
        self._turns.append(turns.Turn("user", self._wanted.inputs[place]))
        self._outputs.append(turns.Part())
        body = turns.request_of(self._wanted, self.model, self._turns, streams=self._events)
        asked = self.request
        headers = [pair for pair in asked.headers if pair[0] not in _NOT_THEIRS]
        request = Request(headers, body, f"{asked.id}.{place + 1}", b"", asked.source)
        spoken = self.inlet.family.within(self.inlet.dialect, self.inlet.operation, PARAMETERS)
        child = self._child = TurnJob(self.gateway, spoken, request, Ear(self, self._outputs[-1]))
        child.key, child.owner = self.key, self.owner
        if self._paused:
            child.pause()
        self.gateway.start(child)

    def _say(self, entry: dict[str, object]) -> None:
        """One event, the first behind the head."""
        context = self._context
        assert context is not None
        if not self.committed:
            self.committed = True
            self._caller.open(200, self.inlet.stream_head + told(self))
        self.last_sent = self.gateway.now()
        event = turns.event(context.id, len(self._outputs) - 1, entry)
        self.bytes_out += len(event)
        self._caller.send(event)

    def _remember(self) -> None:
        """Nobody is told that it is whole before it is written."""
        assert self._context is not None
        new = self._turns[self._begun :]
        self._context.keep([turns.kept(turn) for turn in new], self._written)

    def _written(self, failure: Failure | None) -> None:
        if self.over:
            return
        if failure is not None:
            self._broke(failure)
            return
        if self._events:
            self._say({"parameters": self._outputs[-1].parameters()})
            self.over = True
            self._caller.send(_DONE)
            # Who is told that it is over may go on with it at once.
            self._end("ok", "", "done")
            self._caller.finish()
        else:
            self._whole()

    def _whole(self) -> None:
        assert self._context is not None
        entries = [turns.output("".join(one.text), one.parameters()) for one in self._outputs]
        body = turns.answer(self._context.id, entries)
        self.over = True
        self.last_sent = self.gateway.now()
        self.bytes_out = len(body)
        lines = heads.JSON_TYPE + told(self)
        self._end("ok", "", "done")
        self._caller.answer(200, lines, body)

    def _broke(self, failure: Failure) -> None:
        self._release()
        if not self.committed:
            self._refuse(failure)
            return
        self._caller.send(turns.failed(replace(failure, model=self.model)))
        self._caller.finish(close=True)
        self._end("error", failure.log_kind, "mid")

    def _release(self) -> None:
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        child, self._child = self._child, None
        if child is not None:
            child.left()
            child.unheard()

    def _end(self, outcome: Outcome, kind: str, phase: Phase) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.leave()
        if self._outputs:
            used = self.relay = Asis()
            used.usage = self._used
            self.gateway.closed(self, outcome, kind, phase)
        else:
            self.gateway.ended(self, outcome, kind, phase)


class TurnJob(Job):
    """The job of one turn."""

    failure: Failure | None

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, ear: "Ear") -> None:
        super().__init__(gateway, inlet, request, ear)
        self.failure = None
        self._ear = ear
        ear.job = self

    def unheard(self) -> None:
        """Whoever listened does not any more: nothing refers to it."""
        self._ear.job = None

    def _refuse(self, failure: Failure) -> None:
        self.failure = failure
        super()._refuse(failure)

    def _error_event(self, failure: Failure) -> None:
        self.failure = failure
        super()._error_event(failure)


class Ear:
    """The Caller of one turn's job."""

    __slots__ = ("_part", "_reader", "_whole", "job")

    def __init__(self, whole: TurnsJob, part: turns.Part) -> None:
        self._whole = whole
        self._part = part
        self._reader = SseReader()
        self.job: TurnJob | None = None

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """The whole answer, or an error."""
        if status != 200:
            self._failed()
            return
        self._whole.spoke(self._part.whole(body))
        self._answered()

    def open(self, status: int, head: bytes) -> None:
        """A stream begins."""
        if self.job is not None:
            self._whole.note(self.job)

    def send(self, data: bytes) -> None:
        """More of it. What came together goes on together."""
        texts = [self._part.event(frame.data) for frame in self._reader.feed(data) if not frame.event]
        self._whole.spoke("".join(texts))

    def finish(self, *, close: bool = False) -> None:
        """It is whole, or broke."""
        if close:
            self._failed()
        else:
            self._answered()

    def cut(self) -> None:
        """It broke."""
        self._failed()

    def _answered(self) -> None:
        self.job = None
        self._whole.answered()

    def _failed(self) -> None:
        job, self.job = self.job, None
        failure = None if job is None else job.failure
        if job is not None:
            self._whole.note(job)
        self._whole.failed_by(failure or _BROKEN)
