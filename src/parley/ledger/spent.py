"""What a process that was killed had spent, and had told nobody: budgets hear of it from its journal.

What is spent of a budget is told to the store within a second. A process that is killed while the store is away takes
what it had not told with it; but each request stands in its journal. Whoever takes the journal over puts the
budgets right in the transaction that writes its rows: their cost is added, up to all that the ledger knows of in the
period. So nothing counts twice of what had been told.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from math import floor
from typing import Final

import msgspec

from parley.gateway.toll import rules_for
from parley.keys import Holder
from parley.limits import Quotas, Rule, State
from parley.store import keys
from parley.store.ledger import HOUR, Row
from parley.store.port import Link
from parley.store.usage import Sums, sums

_OPEN: Final = (
    "INSERT INTO limit_accounts (account, version, state) VALUES (:account, 0, :state) ON CONFLICT (account) DO NOTHING"
)
_TAKE: Final = "UPDATE limit_accounts SET version = version + 1 WHERE account = :account RETURNING state"
_KEEP: Final = "UPDATE limit_accounts SET state = :state WHERE account = :account"


def spent_again(link: Link, rows: Iterable[Row], quotas: Quotas, now: float) -> int:
    """Rows that were just written count in the budgets whose periods are open; how many budgets were changed.

    ``now`` in seconds since 1970.
    """
    paid = [row for row in rows if row.cost and not row.replayed]
    if not paid:
        return 0
    holders = {holder.id: holder for holder in keys.table(link).holders.values()}
    made: dict[Rule, int] = {}
    for row in paid:
        for rule in _rules(row, quotas, holders.get(row.key)):
            if _period(rule, row.at) == _period(rule, now):
                made[rule] = made.get(rule, 0) + (row.cost or 0)
    # Accounts are locked in one order everywhere.
    return sum(_raised(link, rule, made[rule], now) for rule in sorted(made, key=_account))


def _account(rule: Rule) -> str:
    return rule.account


def _rules(row: Row, quotas: Quotas, holder: Holder | None) -> Iterator[Rule]:
    names = tuple(name for name in (row.model, row.target) if name)
    return (rule for rule in rules_for(quotas, holder, names) if rule.measure == "money")


def _period(rule: Rule, at: float) -> int:
    return floor((at - rule.since) / rule.span) if rule.span else 0


def _raised(link: Link, rule: Rule, cost: int, now: float) -> bool:
    row = link.one(_TAKE, account=rule.account)
    if row is None:
        link.run(_OPEN, account=rule.account, state=b"")
        row = link.one(_TAKE, account=rule.account)
    period = float(_period(rule, now))
    known = msgspec.json.decode(bytes(row.state), type=State) if row.state else State(epoch=period)
    state = known if known.epoch >= period else State(epoch=period)
    before = state.used
    if state.epoch == period:
        state.used = max(before, min(before + cost, _known(link, rule, now)))
    link.run(_KEEP, account=rule.account, state=msgspec.json.encode(state))
    return state.used != before


def _known(link: Link, rule: Rule, now: float) -> int:
    """What the ledger knows of: all that the rule counts in its period, to the hour in which it began."""
    begun = rule.since + _period(rule, now) * rule.span if rule.span else 0.0
    by: tuple[str, ...] = ()
    only: dict[str, str] = {}
    if rule.scope == "key":
        only = {"key": rule.who}
    elif rule.scope == "tag":
        name, _, value = rule.who.partition("=")
        only = {f"tag:{name}": value}
    elif rule.scope == "model":
        by = ("model", "target")
    total = 0
    for one in sums(link, Sums(since=begun, until=now + HOUR, by=by, only=only)):
        if not by or any(fnmatchcase(str(name), rule.who) for name in one.of if name):
            total += one.counts["cost"]
    return total
