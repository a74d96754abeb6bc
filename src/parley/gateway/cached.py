"""Answers that were kept: what the gateway needs of a response cache. The cache itself is parley.cache."""

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from parley.gateway.job import Job


class Replayed(Struct, frozen=True, gc=False):
    """A kept answer as it goes out again. ``head`` and ``told`` are header lines (CRLF ended): those of the answer, and
    those that speak of where it comes from, attempts included. ``target`` is ``provider/model``."""

    head: bytes
    told: bytes
    body: bytes
    stream: bool
    target: str

    @property
    def provider(self) -> str:
        """The label of the provider that made it."""
        return self.target.partition("/")[0]


class Cache(Protocol):
    """Answers kept of earlier requests."""

    def find(self, job: "Job") -> bool:
        """Whether it has taken over: ``job.replay()`` was called, or that or ``job.proceed()`` follows."""

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz tells of places that cannot be used."""
