"""What processes that count together agree on. One State for each account, changed by ``exchange`` alone.

A process takes a lease of what is left and spends from it without asking. Of an account everything is in one of three
places: used, leased by a process, or free; their sum is the limit, unless answers cost more than was thought. What
processes tell are totals, not differences: an exchange that was done and whose answer got lost may be done again.

A process that is not heard of for TTL seconds has died: its places are free again; of requests, tokens and money it
may have used all that it had leased, so that counts as used. Should it come back it is made good to the last unit.
Leases are therefore no larger than what is needed in the next moment.
"""

from typing import Final

from msgspec import Struct, field

TTL: Final = 5.0
FORGOTTEN: Final = 86400.0
# Of what is free at most this part is leased ahead of need.
AHEAD: Final = 4


class Share(Struct):
    """What one process has: ``amount`` leased, of that ``held`` by requests under way when it was last heard of, until
    ``until``. ``counted`` of its total is among what is used. ``wants``: it needs so much and did not get it.
    ``booked``: what counts as used because it was not heard of in time."""

    amount: int = 0
    held: int = 0
    counted: int = 0
    wants: int = 0
    booked: int = 0
    until: float = 0.0


class State(Struct):
    """Of one account. ``epoch`` tells windows and periods apart: when a window opened, the number of a period."""

    epoch: float = 0.0
    used: int = 0
    shares: dict[str, Share] = field(default_factory=dict)


class Ask(Struct, frozen=True, kw_only=True):
    """What a process tells and asks for. ``epoch``: the one it speaks of, None where it knows none.

    ``total`` is what it has used in all, ``keep`` what it still leases, of that ``held`` by requests. It wants
    ``least`` more for requests that wait, in steps of ``step``, and ``ahead`` beyond that. ``leases``: others count
    here too.
    """

    account: str
    process: str
    measure: str
    limit: int
    span: float
    epoch: float | None
    total: int = 0
    keep: int = 0
    held: int = 0
    least: int = 0
    step: int = 1
    ahead: int = 0
    leases: bool = True


class Answer(Struct, frozen=True, kw_only=True):
    """``left``: seconds until the window closes, None where none is open. ``free`` is what nobody has; ``granted`` is
    leased beside what was kept. ``dry``: not even what idle leases hold would do. ``crowded``: somebody waits for it.
    """

    epoch: float
    left: float | None
    used: int
    free: int
    granted: int
    dry: bool
    crowded: bool


def exchange(known: State | None, ask: Ask, now: float) -> tuple[State, Answer]:
    """Do what is asked. ``now`` in seconds on one clock for all; a clock that began anew closes windows."""
    state = _current(known, ask, now)
    _expire(state, ask, now)
    same = ask.epoch is None or ask.epoch == state.epoch
    own = state.shares.setdefault(ask.process, Share())
    keep, held = (ask.keep, ask.held) if same else (0, 0)
    _count(state, own, ask.total if same else 0)
    free = ask.limit - state.used - keep - sum(share.amount for share in state.shares.values() if share is not own)
    working = sum(share.held for share in state.shares.values() if share is not own) + held
    granted = _granted(ask, free)
    short = granted < ask.least
    own.amount, own.held = keep + granted, held + min(granted, ask.least)
    own.wants, own.until = (ask.step if short else 0), now + TTL
    return state, Answer(
        epoch=state.epoch,
        left=state.epoch + ask.span - now if _windowed(ask) else None,
        used=state.used,
        free=free - granted,
        granted=granted,
        dry=short and ask.limit - state.used - working < ask.step,
        crowded=any(share.wants and share.until > now for share in state.shares.values() if share is not own),
    )


def _windowed(ask: Ask) -> bool:
    return ask.measure in ("requests", "tokens")


def _current(known: State | None, ask: Ask, now: float) -> State:
    """The state of the window or period that it is now."""
    if _windowed(ask):
        # Times that were taken before a row was locked may come a little late.
        if known is not None and known.epoch - TTL < now < known.epoch + ask.span:
            return known
        return State(epoch=now)
    number = ask.epoch or 0.0
    if known is None or number > known.epoch:
        return State(epoch=number)
    if number < known.epoch - 1:
        # Somebody's calendar was far ahead: what was used since then was used now.
        known.epoch = number
    return known


def _expire(state: State, ask: Ask, now: float) -> None:
    """What is leased by processes that have died."""
    for name, share in list(state.shares.items()):
        if share.until >= now or name == ask.process:
            continue
        if ask.measure != "parallel":
            state.used += share.amount
            share.booked += share.amount
        share.amount = share.held = share.wants = 0
        if share.until + FORGOTTEN < now:
            del state.shares[name]


def _count(state: State, own: Share, total: int) -> None:
    """A process says what it has used; what was booked in its absence is in there, or is still leased."""
    state.used += max(0, total - own.counted) - own.booked
    own.counted, own.booked = max(total, own.counted), 0


def _granted(ask: Ask, free: int) -> int:
    if not ask.leases or free <= 0:
        return 0
    if free >= ask.least:
        return ask.least + min(ask.ahead, (free - ask.least) // AHEAD)
    return free // ask.step * ask.step
