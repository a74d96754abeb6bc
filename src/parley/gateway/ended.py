"""How one request ended, for whoever counts, bills or tells of it. Made only where somebody listens."""

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from msgspec import Struct

from parley.ir import Usage
from parley.keys import Holder
from parley.settings import Provider

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery
    from parley.gateway.job import Job

Phase: TypeAlias = Literal["pre", "mid", "done"]
Outcome: TypeAlias = Literal["ok", "error", "client_abort"]


class Ended(Struct, frozen=True, gc=False):
    """``at`` is when it began, in seconds since 1970; ``cost`` is in picodollars, None where it is not known.

    ``provider`` is its label and ``target`` ``provider/model``, both "" where no try was made. ``usage`` is what the
    provider counted, else our estimate; nothing where no provider answered.
    """

    request_id: str
    at: float
    key: Holder | None
    dialect: str
    operation: str
    model: str
    provider: str
    target: str
    status: int
    outcome: Outcome
    kind: str
    phase: Phase
    attempts: int
    ms: float
    ttfb_ms: float | None
    usage: Usage
    cost: int | None
    stream: bool
    bytes_out: int
    cached: bool = False


class Tariff(Protocol):
    """What one model costs. Source: parley.prices."""

    def cost(self, usage: Usage) -> int | None:
        """Of an answer, in picodollars; None where it has a part whose price is not known."""

    def estimate(self, input_tokens: int, output_tokens: int) -> int:
        """Of what may come, in picodollars."""

    @property
    def flat(self) -> tuple[int, int, int] | None:
        """What an estimate is made of: picodollars for a token of the input, for one of the output, and for the
        request; None where that depends on how many there are."""


class Tariffs(Protocol):
    """Prices by model."""

    def of(self, provider: Provider, model: str) -> Tariff | None:
        """None where the price is not known."""


class Observer(Protocol):
    """Hears of every request that has ended. Called on the loop's thread; it must not take long."""

    def ended(self, job: "Delivery", ended: Ended) -> None:
        """That one has."""


class Ticket(Protocol):
    """What the gate remembers of a request."""

    @property
    def lines(self) -> bytes:
        """Header lines (CRLF ended) that its answer carries."""


class Gate(Protocol):
    """Limits and budgets."""

    def enter(self, job: "Job") -> bool:
        """Whether it may go on at once; else ``job.admitted()`` or ``job.cut()`` follows. Raises ParleyError."""

    def leave(self, job: "Delivery", usage: Usage, cost: int | None) -> None:
        """It is over, and this is what it came to. Called once for every job that has a ticket."""
