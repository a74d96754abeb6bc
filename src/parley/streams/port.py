"""What a broker must be able to do. One behaviour, whichever broker it is: tests/io/brokers holds all of them to it.

All methods are coroutines of the loop's own thread. Whatever goes wrong with a broker is a BrokerError, whose words
hold no password; nothing else may be raised.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

# The attribute of an answer that names its request. Source: messaging contract section 1.
REQUEST_ID: Final = "request_message_id"
NEVER: Final = float("inf")
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class BrokerError(Exception):
    """The broker could not do it, now; ``fatal``: it never will as it is configured; ``denied``: it does not know us,
    or does not let us."""

    def __init__(self, message: str, *, fatal: bool = False, denied: bool = False) -> None:
        super().__init__(message)
        self.fatal, self.denied = fatal, denied


class TooLargeError(BrokerError):
    """The broker does not take messages of that size."""


class Received:
    """One delivery of a message. ``id`` is fit for logs; ``lasting``: it is the same when the message comes again.

    ``deliveries`` counts from 1, 0 where the broker does not say. ``at`` is when it was published, in seconds since
    1970, None where that is not known. ``handle`` is the broker's own.
    """

    # No Struct: one is made of each message, and read a dozen times.
    __slots__ = ("at", "attributes", "body", "deliveries", "handle", "id", "lasting")

    def __init__(
        self,
        *,
        id: str,
        body: bytes,
        deliveries: int = 0,
        at: float | None = None,
        attributes: Mapping[str, str] = NOTHING,
        handle: Any = None,
    ) -> None:
        self.id = id
        self.body = body
        self.lasting = True
        self.deliveries = deliveries
        self.at = at
        self.attributes = attributes
        self.handle = handle


# Takes a message that came. Hears that an answer was confirmed (None), or why it was not.
Added: TypeAlias = Callable[[Received], None]
Sent: TypeAlias = Callable[["BrokerError | None"], None]


class Subscription(Protocol):
    """Where requests come from. ``lease`` seconds after a delivery the message is delivered again unless it was acked
    or extended (NEVER: not by itself). ``nacks``: a message can be given back."""

    lease: float
    nacks: bool

    async def receive(self, count: int) -> Sequence[Received]:
        """Up to so many; waits for the first, perhaps a while in vain (nothing). Raises BrokerError, after which the
        subscription is closed and opened again."""

    async def ack(self, message: Received) -> None:
        """It is done with, for ever. Raises BrokerError."""

    async def nack(self, message: Received, delay: float) -> None:
        """Deliver it again, not before so many seconds if the broker knows how. Raises BrokerError."""

    async def extend(self, messages: Sequence[Received]) -> None:
        """The lease of each begins anew. Raises BrokerError."""

    async def backlog(self) -> int | None:
        """How many messages wait; None where the broker does not say. Raises BrokerError."""

    async def close(self) -> None:
        """Let go of it; what is not acked is delivered again some time. Raises nothing."""


class Pushed(Subscription, Protocol):
    """It can also hand its messages over by itself, without a coroutine for each. ``receive`` is not used then."""

    def push(self, take: Added, lost: Callable[[BrokerError], None]) -> None:
        """From now on messages go to ``take``; ``lost``: it has to be closed and opened again."""

    def want(self, count: int) -> None:
        """So many more may come in all. What is on its way already comes all the same."""

    def done(self, message: Received) -> None:
        """Acks it. Raises BrokerError."""

    async def rest(self) -> None:
        """Nothing more is wanted, and what was asked for and has not come goes to others. Raises BrokerError."""


class Topic(Protocol):
    """Where answers go. After a failure it recovers by itself: the next send may succeed."""

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """Returns once the broker has confirmed that it has it. ``order``: messages with the same text stay in order.
        Raises TooLargeError or BrokerError."""

    async def close(self) -> None:
        """Let go of it. Raises nothing."""


class Posted(Topic, Protocol):
    """One that can also confirm without a coroutine."""

    def post(self, body: bytes, attributes: Mapping[str, str], sent: Sent) -> None:
        """As ``send``; ``sent`` hears how it ended, later. Raises what ``send`` raises for what is known at once."""
