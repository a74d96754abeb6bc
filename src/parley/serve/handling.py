"""One message of a stream: asked, answered, acked. What is decided is decided by parley.streams; here it is done.

Sources: messaging contract sections 4 and 8; fault contract P1 to P8.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from msgspec import Raw, Struct

from parley.serve.rpc.asking import Answered
from parley.serve.tools import Tools
from parley.streams import envelope
from parley.streams.backoff import pause_of
from parley.streams.course import ANSWER, REASON, UNSENT, Again, Bury, Course, Give, Leave, Step, Tell
from parley.streams.envelope import Asked, RefusedError
from parley.streams.port import REQUEST_ID, BrokerError, Received, Subscription, TooLargeError, Topic
from parley.streams.window import Known

_NOT_SENT: Final = "the answer is larger than the broker takes"
_NULL: Final = Raw(b"null")
_SMALLEST: Final = envelope.told_of(502, envelope.error_of(_NOT_SENT, "upstream_bad_response"))
_WORN: Final = "this message was delivered too often without an answer, and is not tried again"
LATE: Final = envelope.told_of(
    504, envelope.error_of("the request was not answered within its time", "upstream_timeout")
)


class Reply(Struct, frozen=True):
    """What came of asking. ``ours``: it is the gateway itself that says no."""

    answer: Answered
    ours: bool = False


class Asker(Protocol):
    """Asks the gateway."""

    async def ask(self, message: Received, asked: Asked) -> Reply:
        """The answer to it. Raises RefusedError where it is no request that can be asked."""


class Handling:
    """Of one delivery."""

    def __init__(self, tools: Tools, subscription: Subscription, message: Received) -> None:
        self._tools, self._subscription, self._message = tools, subscription, message
        self._course = Course(tools.stream, message, tools.now(), nacks=subscription.nacks)
        self._metadata = _NULL
        self._order = self._identity = ""
        self._reply: Reply | None = None
        self._told = b""
        self._begun = self._given_back = False

    def found(self, reply: Reply | None, told: bytes, until: float) -> None:
        """It was begun elsewhere and is marked as in work: that is the answer of its first try, or what is to be sent
        (b"" for nothing), and the deadline."""
        self._reply, self._told, self._begun, self._course.until = reply, told, True, until

    def give_back(self) -> None:
        """It was begun elsewhere and is not waited for: to run is to give it back."""
        self._given_back = True

    @property
    def message(self) -> Received:
        """What it is about."""
        return self._message

    async def run(self) -> None:
        """From the delivery to its end. Raises nothing but what cancels it, and then has given the message back."""
        if self._given_back:
            return await self._end(self._course.stopped())
        try:
            if self._message.deliveries > 1:
                self._tools.count("redelivered")
            request = self._read()
            if self._begun:
                await self._going_on(request)
                return
            async with _line(self._tools.lines, self._order):
                await self._identified(request)
        except asyncio.CancelledError:
            await self._end(self._course.stopped())
            raise

    def _read(self) -> Asked | RefusedError:
        tools, message = self._tools, self._message
        stream = tools.stream
        try:
            asked = envelope.read(message.body, tools.largest, stream.identity, stream.order)
        except RefusedError as error:
            self._metadata = error.metadata
            found: Asked | RefusedError = error
            identity = ""
        else:
            self._metadata, self._order = asked.metadata, asked.order
            found, identity = asked, asked.identity
        self._identity = identity or (message.id if message.lasting else "")
        return found

    async def _going_on(self, request: Asked | RefusedError) -> None:
        try:
            if self._told:
                await self._send_first(self._told)
            else:
                await self._fresh(request)
        finally:
            if self._identity:
                self._tools.release(self._identity)

    async def _identified(self, request: Asked | RefusedError) -> None:
        """Unless it is known already."""
        tools, identity = self._tools, self._identity
        if not identity:
            return await self._fresh(request)
        while (known := tools.window.find(identity, tools.now())) is not None:
            if known.goes_on():
                # This one ends as that one does.
                ended = asyncio.get_running_loop().create_future()
                tools.waits.setdefault(identity, []).append(ended)
                await ended
            elif known.kept or known.had(self._message.id):
                try:
                    return await self._known(known)
                finally:
                    tools.release(identity)
            else:
                tools.window.drop(identity)
        try:
            told = await self._recalled()
            if told is not None:
                tools.count("duplicate")
                tools.window.answered(identity, told, tools.now())
                await self._send(told)
            else:
                await self._fresh(request)
        finally:
            tools.release(identity)

    async def _recalled(self) -> bytes | None:
        """The answer that another process has given, or this one in another life. Where the broker says that it comes
        for the first time, only a name of the caller's own can be known."""
        recall, first = self._tools.recall, self._message.deliveries == 1 and not self._tools.stream.identity
        return None if recall is None or first else await recall.find(self._identity)

    async def _known(self, known: Known) -> None:
        """It was answered before: not again to the same message, from what is remembered to another."""
        self._tools.count("duplicate")
        if known.had(self._message.id):
            return await self._end(Tell())
        assert known.answer is not None
        known.idle = False
        await self._send(known.answer)

    async def _fresh(self, request: Asked | RefusedError) -> None:
        tools, message = self._tools, self._message
        if self._course.poisoned:
            if tools.buried is not None:
                return await self._bury(Bury(f"delivered {message.deliveries} times"))
            request = RefusedError(_WORN, 500, "internal", self._metadata)
        if isinstance(request, RefusedError):
            told: bytes | Step = self._refused(request)
        else:
            told = await self._asked(request)
        if not isinstance(told, bytes):
            return await self._end(told)
        await self._send_first(told)

    async def _send_first(self, told: bytes) -> None:
        if self._identity:
            self._tools.window.answered(self._identity, told, self._tools.now())
            if self._tools.recall is not None:
                await self._tools.recall.keep(self._identity, told)
        await self._send(told)

    def _refused(self, error: RefusedError) -> bytes:
        self._tools.count("rejected")
        self._tools.flow.answered(error.status, self._tools.now(), ours=True)
        return envelope.told_of(error.status, envelope.error_of(str(error), error.code))

    async def _asked(self, request: Asked) -> bytes | Step:
        """The answer, after as many tries as may be, or what to do without one."""
        tools, course = self._tools, self._course
        while True:
            try:
                reply = await self._replied(request)
            except TimeoutError:
                tools.flow.answered(504, tools.now(), ours=True)
                return LATE
            except RefusedError as error:
                return self._refused(error)
            answer = reply.answer
            now, headers = tools.now(), answer.headers
            tools.flow.answered(answer.status, now, pause_of(headers), ours=reply.ours)
            if tools.stopping.is_set() and answer.status == 503:
                return course.stopped()
            step = course.tried(answer.status, headers, now, tools.rand)
            if isinstance(step, Tell):
                kind = headers.get(b"content-type", b"").decode("latin-1")
                return envelope.told_of(*envelope.body_of(answer.status, kind, answer.body))
            if isinstance(step, Give):
                return step
            tools.count("retried")
            if not await tools.sleep(step.seconds):
                return course.stopped()

    async def _replied(self, request: Asked) -> Reply:
        """What it was answered already, or what it is answered now. Raises TimeoutError and RefusedError."""
        reply, self._reply = self._reply, None
        if reply is not None:
            return reply
        tools = self._tools
        async with asyncio.timeout(max(0.0, self._course.until - tools.now())):
            return await tools.asker.ask(self._message, request)

    async def _send(self, told: bytes) -> None:
        """Until the broker has the answer, or somebody else cares."""
        tools, message = self._tools, self._message
        self._told = told
        attributes = {REQUEST_ID: message.id}
        while True:
            try:
                await tools.topic.send(envelope.answer_of(self._metadata, told), attributes, self._order)
                break
            except TooLargeError:
                if not self._shrunk(told):
                    return await self._bury(Bury(_NOT_SENT))
                told = _SMALLEST
                continue
            except BrokerError as error:
                step = self._unsent(error)
            if not isinstance(step, Again):
                return await self._end(step)
            if not await tools.sleep(step.seconds):
                return await self._end(self._course.stopped())
        tools.count("answered")
        if self._identity:
            tools.window.told(self._identity, message.id)
        await self._end(Tell())

    def _shrunk(self, told: bytes) -> bool:
        """Whether less can be said than that."""
        if told == _SMALLEST and self._metadata == _NULL:
            return False
        if told == _SMALLEST:
            # What came with the request was itself nearly all that the broker takes.
            self._metadata = _NULL
        return True

    def _unsent(self, error: BrokerError, *, buried: bool = False) -> Again | Give | Bury:
        tools = self._tools
        tools.count("publish_failed")
        tools.flow.failed()
        tools.say("message.publish_failed", message_id=self._message.id, reason=str(error))
        return self._course.unsent(tools.now(), tools.rand, buried=buried)

    async def _bury(self, step: Bury) -> None:
        tools, message = self._tools, self._message
        if tools.buried is None:
            return await self._end(self._course.stopped())
        attributes = {REQUEST_ID: message.id, REASON: step.reason}
        if step.reason == UNSENT:
            attributes[ANSWER] = "{" + self._told.decode()
        while (error := await self._refused_burial(tools.buried, attributes)) is not None:
            if isinstance(error, TooLargeError):
                # It came from a broker; where the other one cannot take it, at least what it was can be told.
                tools.say("message.unburied", message_id=message.id, reason=str(error))
                return await self._end(Give(60.0) if self._subscription.nacks else Leave())
            again = self._unsent(error, buried=True)
            if isinstance(again, Give):
                return await self._end(again)
            if not await tools.sleep(again.seconds if isinstance(again, Again) else 1.0):
                return await self._end(self._course.stopped())
        tools.count("dead_letter")
        tools.say("message.dead_letter", message_id=message.id, reason=step.reason)
        await self._end(Tell())

    async def _refused_burial(self, buried: Topic, attributes: dict[str, str]) -> BrokerError | None:
        """Why it is not among the dead letters. The answer goes along where they take it."""
        try:
            await buried.send(self._message.body, attributes, self._order)
            return None
        except BrokerError as error:
            if attributes.pop(ANSWER, None) is None:
                return error
        return await self._refused_burial(buried, attributes)

    async def _end(self, step: Step) -> None:
        """The last word to the broker."""
        tools, message = self._tools, self._message
        if isinstance(step, Bury):
            return await self._bury(step)
        if isinstance(step, Leave):
            tools.count("left")
            return
        doing: Coroutine[Any, Any, None]
        if isinstance(step, Give):
            tools.count("nacked")
            doing = self._subscription.nack(message, step.seconds)
        else:
            doing = self._subscription.ack(message)
        try:
            await doing
        except BrokerError as error:
            # It comes again, and is known then.
            tools.count("ack_failed")
            tools.say("message.ack_failed", message_id=message.id, reason=str(error))


@contextlib.asynccontextmanager
async def _line(lines: dict[str, "asyncio.Future[None]"], key: str) -> Any:
    """One after the other for each key; "" has no line."""
    if not key:
        yield
        return
    before, mine = lines.get(key), asyncio.get_running_loop().create_future()
    lines[key] = mine
    try:
        if before is not None:
            await asyncio.wait([before])
        yield
    finally:
        mine.set_result(None)
        if lines.get(key) is mine:
            del lines[key]
