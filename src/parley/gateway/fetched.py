"""Fetching what a request names by address, where its target takes such things as data only and the operator allows it.

Source: product contract section 4 (addresses), section 6 (7); fault contract P11.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from parley.failure import Failure
from parley.plan import Try
from parley.relay.inlined import kind_of, written
from parley.settings import UNFIT

if TYPE_CHECKING:
    from parley.gateway.job import Job

# Bytes of everything that is fetched for one request.
LARGEST: Final = 32 * 1024 * 1024


class Fetch:
    """The addresses of one request, one after another; the job's Flight meanwhile."""

    def __init__(self, job: "Job", step: Try, failure: Failure) -> None:
        self._job = job
        self._try = step
        self._because = failure
        there = job.found or {}
        self._left = [wanted for wanted in failure.urls if wanted[0] not in there]
        self._room = min(LARGEST, job.gateway.settings.limits.upload)
        self._stop: Callable[[], None] | None = None

    def begin(self) -> bool:
        """Ask for the first; whether there is one that may be asked for."""
        job = self._job
        if not self._left or job.gateway.fetcher is None or not job.gateway.settings.node.fetch:
            return False
        self._next()
        return True

    def cancel(self) -> None:
        """See parley.ports.Flight."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def pause(self) -> None:
        """Nothing comes to the caller from here."""

    def resume(self) -> None:
        """Nothing comes to the caller from here."""

    def _next(self) -> None:
        fetcher = self._job.gateway.fetcher
        assert fetcher is not None
        self._stop = fetcher.fetch(self._left[0][0], self._room, self._heard)

    def _heard(self, found: bytes | Failure) -> None:
        self._stop = None
        url, meant, stated = self._left.pop(0)
        if isinstance(found, Failure):
            self._end(replace(found, param=self._because.param, detail=UNFIT))
            return
        kind = kind_of(found, meant, stated)
        if kind is None:
            message = f"{self._because.param}: what is at the address is not what the request says"
            self._end(Failure("invalid_request", message, param=self._because.param, detail=UNFIT))
            return
        self._room -= len(found)
        self._job.found = {**(self._job.found or {}), url: (kind, written(found))}
        if self._left:
            self._next()
        else:
            self._end(None)

    def _end(self, failure: Failure | None) -> None:
        self._job.fetched(self._try, failure)
