"""What is done with one message, step by step: values in, a step out. Pure: time and chance are given.

Sources: messaging contract sections 4 and 8; fault contract P1 to P8.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from parley.streams.backoff import Tries, growing, jittered, retryable
from parley.streams.port import Received
from parley.streams.setup import Stream

# What came of messages, as metrics call it.
Outcome: TypeAlias = Literal[
    "answered", "rejected", "redelivered", "duplicate", "extended", "retried", "nacked", "publish_failed",
    "ack_failed", "dead_letter", "left",
]  # fmt: skip
REASON: Final = "dead_letter_reason"
# The answer that could not be sent, beside it.
ANSWER: Final = "dead_letter_answer"
UNSENT: Final = "the answer could not be sent"


class Again(Struct, frozen=True):
    """The same once more, after so many seconds."""

    seconds: float


class Give(Struct, frozen=True):
    """Back to the broker, which delivers it again after so many seconds."""

    seconds: float


class Leave(Struct, frozen=True):
    """Neither acked nor given back: who knows no giving back delivers it again by itself."""


class Bury(Struct, frozen=True):
    """To the dead letters."""

    reason: str


class Tell(Struct, frozen=True):
    """The answer goes out."""


Step: TypeAlias = Again | Give | Leave | Bury | Tell


class Course:
    """Of one delivery. ``nacks``: the broker takes messages back; ``until`` is the deadline of the request."""

    __slots__ = ("_message", "_nacks", "_stream", "_tries", "sends", "until")

    def __init__(self, stream: Stream, message: Received, now: float, *, nacks: bool) -> None:
        self._stream, self._message, self._nacks = stream, message, nacks
        self.until = now + stream.timeout
        self._tries = Tries(stream.attempts, self.until)
        self.sends = 0

    @property
    def poisoned(self) -> bool:
        """Whether it came so often that it is not tried any more."""
        return self._message.deliveries > self._stream.deliveries

    def tried(
        self, status: int, headers: Mapping[bytes, bytes], now: float, rand: Callable[[], float]
    ) -> Again | Give | Tell:
        """A try was answered."""
        pause = self._tries.next(status, headers, now, rand)
        if pause is not None:
            return Again(pause)
        came = max(1, self._message.deliveries)
        if self._nacks and came <= self._stream.redeliveries and retryable(status):
            return self._given(rand)
        return Tell()

    def unsent(self, now: float, rand: Callable[[], float], *, buried: bool = False) -> Again | Give | Bury:
        """The answer could not be sent, or, if it is to be ``buried``, not even the dead letter. What came too often,
        and what cannot be given back and was tried as long as a request may take, goes to the dead letters then; where
        there are none it is tried for ever."""
        self.sends += 1
        if self._nacks:
            bury = self.poisoned and self._stream.dead_letter and not buried
            return Bury(UNSENT) if bury else self._given(rand)
        if now >= self.until and self._stream.dead_letter:
            return Bury(UNSENT)
        return Again(0.1 + jittered(self.sends, rand))

    def _given(self, rand: Callable[[], float]) -> Give:
        came = max(1, self._message.deliveries)
        return Give(growing(came, rand, self._stream.first_pause, self._stream.longest_pause))

    def stopped(self) -> Give | Leave:
        """We are told to end, and it is not answered."""
        return Give(0.0) if self._nacks else Leave()
