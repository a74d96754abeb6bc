"""Keeps what named keys say and are told, where the configuration asks for it. See docs/ledger.md.

Nothing is read or scrubbed on the loop: that is the work of the store's thread.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from secrets import token_bytes
from typing import Final

from parley.gateway import Gateway
from parley.gateway.job import Job
from parley.keys import Holder
from parley.ports import Caller
from parley.settings import Bodies
from parley.store import Store, bodies
from parley.store.port import Link

REMEMBERED: Final = 4096
# Of a larger body not even the beginning is read.
LARGEST: Final = 8 * 1024 * 1024


class CopyMaker:
    """See parley.gateway.hooked.Copies."""

    def __init__(self, gateway: Gateway, store: Store, wanted: Bodies) -> None:
        self._gateway, self._store, self._wanted = gateway, store, wanted
        self._known: dict[str, bool] = {}

    def begin(self, job: Job) -> None:
        """See Copies. Files and sound are not kept."""
        key = job.key
        if key is None or job.inlet.form or job.inlet.counts or not self._meant(key.holder):
            return
        job.through(lambda caller: _Copying(caller, self, job))

    def keep(self, job: Job, answer: bytes, *, stream: bool) -> None:
        """Hand over what was said on both sides."""
        assert job.key is not None
        request, wanted, now = job.request.body, self._wanted, self._gateway.wall()
        told = {"request_id": job.request.id, "key": job.key.holder.id, "at": now, "ends": now + wanted.keep}
        name, wire = token_bytes(16), job.inlet.wire

        def work(link: Link) -> None:
            from parley.ledger.bodies import kept, object_of

            said = object_of(wire, answer) if stream else answer
            scrub = _scrubber() if wanted.scrub else None
            asked, short = kept(request, wanted.size, scrub)
            made, cut = kept(said, wanted.size, scrub)
            bodies.keep(link, name, {**told, "request": asked, "answer": made, "cut": short or cut})

        self._store.leave(work, len(request) + len(answer), (bodies.name(job.request.id),))

    def _meant(self, holder: Holder) -> bool:
        known = self._known.get(holder.id)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            names = (holder.id, holder.name)
            known = any(fnmatchcase(name, pattern) for name in names for pattern in self._wanted.keys)
            self._known[holder.id] = known
        return known


class _Copying:
    """A Caller that takes note of what the caller behind it is sent."""

    def __init__(self, caller: Caller, maker: CopyMaker, job: Job) -> None:
        self._caller, self._maker, self._job = caller, maker, job
        self._pieces: list[bytes] = []
        self._size = 0

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """See parley.ports.Caller."""
        self._caller.answer(status, head, body)
        self._maker.keep(self._job, body if len(body) <= LARGEST else b"", stream=False)

    def open(self, status: int, head: bytes) -> None:
        """See parley.ports.Caller."""
        self._caller.open(status, head)

    def send(self, data: bytes) -> None:
        """See parley.ports.Caller."""
        self._caller.send(data)
        self._size += len(data)
        if self._size <= LARGEST:
            self._pieces.append(data)

    def finish(self, *, close: bool = False) -> None:
        """See parley.ports.Caller."""
        self._caller.finish(close=close)
        self._kept()

    def cut(self) -> None:
        """See parley.ports.Caller."""
        self._caller.cut()
        self._kept()

    def _kept(self) -> None:
        self._maker.keep(self._job, b"".join(self._pieces), stream=True)


def _scrubber() -> Callable[[str], str]:
    from parley.pii import scrubbed

    return scrubbed
