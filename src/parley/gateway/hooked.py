"""Hooks as the gateway sees them: who may look at requests and answers, and change or refuse them."""

from typing import TYPE_CHECKING, Protocol

from parley.relay import Relay

if TYPE_CHECKING:
    from parley.gateway.job import Job


class Hooks(Protocol):
    """All that are configured."""

    def request(self, job: "Job") -> bool:
        """Whether the request waits: ``job.heard()`` or ``job.cut()`` follows. Raises ParleyError to refuse it."""


class Copies(Protocol):
    """Keeps what some callers say and are told."""

    def begin(self, job: "Job") -> None:
        """A request goes on, as the hooks have left it."""


class Hooked(Protocol):
    """What hooks hold of one request."""

    def carried(self, job: "Job", carrier: Relay) -> Relay:
        """What carries its answer instead."""

    def later(self, job: "Job") -> bool:
        """Whether its answer, now whole, waits: ``job.released()`` or ``job.cut()`` follows."""
