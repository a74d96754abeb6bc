"""One message on its usual way: asked, answered well, sent, acked. No coroutine and no task is made for it.

Whatever is not usual (it came before, it is no request, the answer is an error, it cannot be sent, its time is over)
goes on in parley.serve.handling, from where it is.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from parley.relay import VerbatimWhole
from parley.serve.asker import HouseAsker, reply_of
from parley.serve.handling import LATE, Handling
from parley.serve.rpc.asking import Answered, lines_of
from parley.serve.tools import Tools
from parley.streams import envelope
from parley.streams.envelope import Asked, RefusedError
from parley.streams.port import REQUEST_ID, BrokerError, Posted, Pushed, Received

_GOOD: Final = 300
_USUAL: Final = 200


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
        self._body, self._at = b"", 0.0

    def start(self, posted: Posted, asker: HouseAsker, loop: asyncio.AbstractEventLoop, now: float) -> bool:
        """Whether it is on its way; if not it is one for a Handling from the beginning."""
        tools, message = self._tools, self.message
        try:
            asked = envelope.read(message.body, tools.largest, tools.identity)
        except RefusedError:
            return False
        identity = asked.identity or (message.id if message.lasting else "")
        if identity and tools.window.find(identity, now) is not None:
            return False
        self._identity, self._asked, self._posted, self._loop = identity, asked, posted, loop
        self.until = now + tools.timeout
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
        good = status < _GOOD and bool(body) and (_read(self._job) or envelope.is_json(body))
        if not good:
            reply = reply_of(Answered(status, lines_of(head), body), self._job)
            self._by_hand(reply, b"")
            return
        tools = self._tools
        now = self._loop.time()
        tools.flow.answered(status, now)
        self._status, self._body, self._at = status, body, now
        if self._identity and not tools.own:
            tools.window.answered(self._identity, self._told(), now)
        self._send()

    def _told(self) -> bytes:
        """The part of its answer that is the same whoever asked."""
        return envelope.told_of(self._status, self._body)

    def _send(self) -> None:
        metadata = self._asked.metadata
        if self._status == _USUAL:
            text = envelope.good_of(metadata, self._body)
        else:
            text = envelope.answer_of(metadata, self._told())
        try:
            self._posted.post(text, {REQUEST_ID: self.message.id}, self._sent)
        except BrokerError:
            self._by_hand(None, self._told())

    def _sent(self, error: BrokerError | None) -> None:
        if self._over:
            return
        if error is not None:
            self._by_hand(None, self._told())
            return
        tools, identity = self._tools, self._identity
        tools.count("answered")
        if identity and tools.own:
            tools.window.ended(identity, self._at)
        elif identity:
            tools.window.told(identity, self.message.id)
        try:
            self._subscription.done(self.message)
        except BrokerError as failure:
            tools.count("ack_failed")
            tools.say("message.ack_failed", message_id=self.message.id, reason=str(failure))
        self._close()
        if identity and tools.waits:
            # Who waits for it goes on.
            tools.release(identity)
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
        if self._identity:
            self._tools.release(self._identity)
        return Handling(self._tools, self._subscription, self.message)

    def _close(self) -> None:
        """What it holds holds it too: nothing is left for the garbage collector."""
        self._over = True
        self._job = None


def _read(job: Any) -> bool:
    """Whether its answer passed as it came and was read as JSON, to its end, for what it used."""
    relay = job.relay
    return isinstance(relay, VerbatimWhole) and relay.usage is not None and job.hooked is None


Ended = Callable[[Swift, "Handling | None"], None]
