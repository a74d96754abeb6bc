"""Limits that processes share, and what was spent of budgets: one row for each account. Functions over an open link.

A row is locked by the UPDATE that reads it, so that exchanges of several machines go one after the other.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import floor
from typing import Final

import msgspec

from parley.failure import Failure
from parley.keys import Holder
from parley.limits import Answer, Ask, State, exchange
from parley.store.ledger import HOUR
from parley.store.port import Link
from parley.store.store import Store
from parley.store.usage import Sums, sums

_TAKE: Final = "UPDATE limit_accounts SET version = version + 1 WHERE account = :account RETURNING state"
_OPEN: Final = (
    "INSERT INTO limit_accounts (account, version, state) VALUES (:account, 0, :state) ON CONFLICT (account) DO NOTHING"
)
_KEEP: Final = "UPDATE limit_accounts SET state = :state WHERE account = :account"
_EMPTY: Final = b""


def exchanges(link: Link, asks: Sequence[Ask]) -> list[Answer]:
    """The answers, one for one. Accounts are locked in one order everywhere."""
    now = clock(link)
    answers: dict[int, Answer] = {}
    for number in sorted(range(len(asks)), key=lambda each: asks[each].account):
        answers[number] = _exchanged(link, asks[number], now)
    return [answers[number] for number in range(len(asks))]


def _exchanged(link: Link, ask: Ask, now: float) -> Answer:
    row = link.one(_TAKE, account=ask.account)
    if row is None:
        link.run(_OPEN, account=ask.account, state=_EMPTY)
        row = link.one(_TAKE, account=ask.account)
    state, answer = exchange(_state(row.state), ask, now)
    link.run(_KEEP, account=ask.account, state=msgspec.json.encode(state))
    return answer


def clock(link: Link) -> float:
    """Seconds that pass alike for all who use the store: a server's own time; for a file, which only one machine
    uses, the time since that machine was started, which no change of its calendar moves."""
    now = link.one("SELECT CURRENT_TIMESTAMP AS now").now
    return now.timestamp() if isinstance(now, datetime) else time.monotonic()


def spent(link: Link, holders: Iterable[Holder], now: float) -> Mapping[str, int]:
    """Picodollars that keys have spent, by their ids: of their budget in this period, without a budget all that the
    ledger knows of. ``now`` in seconds since 1970."""
    rows = link.rows("SELECT account, state FROM limit_accounts WHERE account LIKE 'key:%:money:%'")
    found = {row.account: _state(row.state) for row in rows}
    known = sums(link, Sums(since=0.0, until=now + HOUR, by=("key",)))
    made = {str(one.of[0]): one.counts["cost"] for one in known}
    for holder in holders:
        limits = holder.limits
        if limits is None or limits.budget is None:
            continue
        state = found.get(f"key:{holder.id}:money:{limits.budget_period:g}")
        if state is not None:
            span = limits.budget_period
            period = floor((now - limits.since) / span) if span else 0
            made[holder.id] = state.used if state.epoch >= period else 0
    return made


def _state(text: bytes) -> State | None:
    return msgspec.json.decode(bytes(text), type=State) if text else None


class StoreCounters:
    """See parley.gateway.gate.Counters."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def exchange(self, asks: Sequence[Ask], then: Callable[[Sequence[Answer] | Failure], None]) -> None:
        """In one transaction."""
        self._store.change_then(lambda link: exchanges(link, asks), then)
