"""Requests for which nobody waits at a socket: those of messages and batches. They are asked as any other, by a key or
by the operator himself, and stand behind what people wait for.
"""

from collections.abc import Callable

from msgspec.structs import replace

from parley.failure import ParleyError
from parley.gateway.delivery import Delivery
from parley.gateway.keyring import Entry
from parley.keys import Holder, KeyLimits
from parley.ports import Request
from parley.serve.house import House
from parley.serve.rpc.asking import Answered, AwaitedCaller

LOW = "low"
# What may be remembered of keys that stand behind others.
_MOST = 4096


class Behind:
    """Keys with the lowest priority where they say none. ``name`` is what the operator's own requests are called."""

    def __init__(self, name: str) -> None:
        limits = KeyLimits(priority=LOW)
        self._operator = Entry(Holder(id=f"stream:{name}", name=name, kind="operator", limits=limits))
        self._made: dict[Entry, Entry] = {}

    def of(self, entry: Entry | None) -> Entry:
        """That key; the operator's own for None."""
        if entry is None:
            return self._operator
        made = self._made.get(entry)
        if made is None:
            if len(self._made) >= _MOST:
                self._made.clear()
            holder, said = entry.holder, entry.holder.limits or KeyLimits()
            limits = replace(said, priority=said.priority or LOW)
            made = self._made[entry] = Entry(replace(holder, limits=limits))
        return made


async def asked(
    house: House, request: Request, entry: Entry | None, begun: Callable[[Delivery], None] | None = None
) -> tuple[Answered, Delivery]:
    """The whole answer, and the job that made it; ``entry`` None: the request shows its key itself, as over HTTP.
    Cancelled, it leaves as a caller does. Raises LookupError where nothing is at its path."""
    path, _, query = request.target.partition(b"?")
    inlet = house.inlets.find(path, query)
    if inlet is None:
        raise LookupError(path)
    caller = AwaitedCaller(house.loop)
    job = caller.job = house.gateway.begin(inlet, request, caller, entry)
    if begun is not None:
        begun(job)
    try:
        answer = await caller.opened
        if answer.body or not job.streams:
            return answer, job
        pieces = [piece async for piece in caller.pieces()]
        return Answered(answer.status, answer.headers, b"".join(pieces)), job
    finally:
        job.left()


def entry_for(house: House, request: Request, dialect: str) -> Entry | None:
    """Whose key a request shows; None where it shows none that may be used."""
    try:
        return house.gateway.keyring.enter(request.headers, request.target, dialect, request.source)
    except ParleyError:
        return None
