"""One message on its usual way: asked, answered well, sent, acked. No coroutine and no task is made for it.

Whatever is not usual (it came before, it is no request, the answer is an error, it cannot be sent, its time is over)
goes on in parley.serve.handling, from where it is.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from parley.serve.asker import HouseAsker, reply_of
from parley.serve.handling import LATE, Handling
from parley.serve.rpc.asking import Answered, lines_of
from parley.serve.tools import Tools
from parley.streams import envelope
from parley.streams.envelope import Asked, RefusedError
from parley.streams.port import REQUEST_ID, BrokerError, Posted, Pushed, Received

_GOOD: Final = 300


class Swift:
    """Of one delivery; a Caller of the gateway's. ``ended`` hears when it is over; with a Handling it is not, and that
    one is to be run in its place. ``identity`` is marked as in work already."""

    def __init__(self, tools: Tools, subscription: Pushed, message: Received, ended: "Ended") -> None:
        self._tools, self._subscription, self.message, self._ended = tools, subscription, message, ended
        self._identity = ""
        self._asked: Any = None
        self._job: Any = None
        self._early: Any = None
        self.until = 0.0
        self._status, self._head = 0, b""
        self._pieces: list[bytes] = []
        self._answered = self._over = False
        self._told = b""

    def start(self, posted: Posted, asker: HouseAsker, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it is on its way; if not it is one for a Handling from the beginning."""
        tools, message = self._tools, self.message
        try:
            asked = envelope.read(message.body, tools.largest, tools.stream.identity)
        except RefusedError:
            return False
        identity = asked.identity or (message.id if message.lasting else "")
        now = loop.time()
        if identity and tools.window.find(identity, now) is not None:
            return False
        self._identity, self._asked, self._posted, self._loop = identity, asked, posted, loop
        self.until = now + tools.stream.timeout
        self._begin(asker, asked)
        return True

    def _begin(self, asker: HouseAsker, asked: Asked) -> None:
        try:
            job = asker.begin(self.message, asked, self)
        except RefusedError:
            self._by_hand(None, b"")
            return
        self._job = job
        early, self._early = self._early, None
        if early is not None:
            self._heard(early)

    # What the gateway calls

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """See parley.ports.Caller."""
        answered = (status, head, body)
        if self._job is None:
            self._early = answered
        else:
            self._heard(answered)

    def open(self, status: int, head: bytes) -> None:
        """It comes in pieces all the same."""
        self._status, self._head = status, head

    def send(self, data: bytes) -> None:
        """One of them."""
        self._pieces.append(data)

    def finish(self, *, close: bool = False) -> None:
        """All are here."""
        self.answer(self._status, self._head, b"".join(self._pieces))

    def cut(self) -> None:
        """As many as there will be."""
        self.finish(close=True)

    # What follows

    def _heard(self, answered: tuple[int, bytes, bytes]) -> None:
        status, head, body = answered
        if self._answered or self._over:
            return
        self._answered = True
        good = status < _GOOD and bool(body) and envelope.is_json(body)
        if not good:
            reply = reply_of(Answered(status, lines_of(head), body), self._job)
            self._by_hand(reply, b"")
            return
        tools = self._tools
        now = self._loop.time()
        tools.flow.answered(status, now)
        told = self._told = envelope.told_of(status, body)
        if self._identity:
            tools.window.answered(self._identity, told, now)
        self._send(told)

    def _send(self, told: bytes) -> None:
        body = envelope.answer_of(self._asked.metadata, told)
        try:
            self._posted.post(body, {REQUEST_ID: self.message.id}, self._sent)
        except BrokerError:
            self._by_hand(None, told)

    def _sent(self, error: BrokerError | None) -> None:
        if self._over:
            return
        if error is not None:
            self._by_hand(None, self._told)
            return
        tools = self._tools
        tools.count("answered")
        if self._identity:
            tools.window.told(self._identity, self.message.id)
        try:
            self._subscription.done(self.message)
        except BrokerError as failure:
            tools.count("ack_failed")
            tools.say("message.ack_failed", message_id=self.message.id, reason=str(failure))
        self._close()
        self._free()
        self._ended(self, None)

    def late(self) -> None:
        """The request has taken too long. What was answered already is no concern of its deadline."""
        if self._answered or self._over:
            return
        self._answered = True
        if self._job is not None:
            self._job.left()
        self._tools.flow.answered(504, self._loop.time(), ours=True)
        self._by_hand(None, LATE)

    def _by_hand(self, reply: Any, told: bytes) -> None:
        """A Handling goes on from here."""
        self._close()
        handling = Handling(self._tools, self._subscription, self.message)
        handling.found(reply, told, self.until)
        self._ended(self, handling)

    def end(self) -> "Handling | None":
        """It is not waited for any more; the Handling that gives it back, None where it was over."""
        if self._over:
            return None
        job = self._job
        self._close()
        if job is not None:
            job.left()
        self._free()
        return Handling(self._tools, self._subscription, self.message)

    def _close(self) -> None:
        """What it holds holds it too: nothing is left for the garbage collector."""
        self._over = True
        self._job = None

    def _free(self) -> None:
        """Who waits for it goes on."""
        if self._identity and (self._tools.waits or not self._told):
            self._tools.release(self._identity)


Ended = Callable[[Swift, "Handling | None"], None]
