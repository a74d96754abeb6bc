"""Budgets hear from its journal what a process had spent that was killed before it told them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.test_ledger import ENDED
from parley.keys import Holder, KeyLimits, digest_of
from parley.ledger.rows import packed, row_of
from parley.ledger.spent import spent_again
from parley.limits import Ask, Quota, Quotas, State
from parley.store import Link, keys, ledger
from parley.store.counters import exchanges
from parley.store.keys import Key
from parley.store.ledger import Row, Span
from parley.store.link import opened

NOW = ENDED.at
DAY = 86400.0
QUOTAS = Quotas(
    all=Quota(budget=1000),
    tags={"team=*": Quota(budget=1000, period=DAY)},
    models={"openai/*": Quota(budget=1000)},
)
ACCOUNTS = ("key:key_a:money:3600", "tag:team=blue:money:86400", "model:openai/*:money:0", "all::money:0")


@pytest.fixture
def link(tmp_path: Path) -> Any:
    made = opened(tmp_path / "parley.db", 1.0, folder=False)
    holder = Holder(
        id="key_a",
        name="alice",
        tags={"team": "blue"},
        limits=KeyLimits(budget=1000, budget_period=3600.0, since=NOW - 5400),
    )
    with made.transaction(writes=True):
        keys.create(made, Key(holder=holder, created=NOW - 5400), digest_of(b"x"))
    yield made
    made.close()


def row(number: int, cost: int | None, **changes: Any) -> Row:
    return msgspec.msgpack.decode(
        packed(row_of(msgspec.structs.replace(ENDED, request_id=f"r{number}", cost=cost, **changes))), type=Row
    )


def written(link: Link, begin: int, *rows: Row) -> None:
    """As a ledger that lives writes them."""
    named = [((begin + place).to_bytes(16), one) for place, one in enumerate(rows)]
    ledger.write(link, Span("j", begin, begin + len(rows)), named)


def told(link: Link, used: int) -> None:
    """As a process that lives tells it."""
    for account in ACCOUNTS:
        span = float(account.rpartition(":")[2])
        epoch = {3600.0: 1.0, DAY: NOW // DAY}.get(span, 0.0)
        asked = Ask(
            account=account, process="p", measure="money", limit=1000, span=span, epoch=epoch, total=used, leases=False
        )
        exchanges(link, [asked])


def used(link: Link) -> dict[str, int]:
    with link.transaction(writes=False):
        rows = link.rows("SELECT account, state FROM limit_accounts WHERE account LIKE '%money%'")
    return {one.account: msgspec.json.decode(bytes(one.state), type=State).used for one in rows}


def test_what_nobody_was_told_counts_and_what_was_told_not_twice(link: Link) -> None:
    with link.transaction(writes=True):
        written(link, 0, row(1, 100))
        told(link, 130)
        # Of these the first was told; whoever was killed had written down neither.
        left = [row(2, 30), row(3, 7)]
        written(link, 1, *left)
        assert spent_again(link, left, QUOTAS, NOW + 60) == len(ACCOUNTS)
    assert used(link) == dict.fromkeys(ACCOUNTS, 137)
    with link.transaction(writes=True):
        # It is there already.
        assert spent_again(link, left, QUOTAS, NOW + 60) == 0
    assert used(link) == dict.fromkeys(ACCOUNTS, 137)


def test_budgets_that_nobody_had_told_anything_of_are_opened(link: Link) -> None:
    with link.transaction(writes=True):
        left = [row(1, 5), row(2, None), row(3, 6)]
        written(link, 0, *left)
        spent_again(link, left, QUOTAS, NOW + 60)
    assert used(link) == dict.fromkeys(ACCOUNTS, 11)


def test_what_was_spent_in_a_period_that_is_over_does_not_count_in_the_next(link: Link) -> None:
    with link.transaction(writes=True):
        told(link, 50)
        left = [row(1, 5)]
        written(link, 0, *left)
        spent_again(link, left, QUOTAS, NOW + 2 * DAY)
    found = used(link)
    assert (found[ACCOUNTS[0]], found[ACCOUNTS[1]]) == (50, 50)


def test_a_budget_never_counts_more_than_these_rows_cost(link: Link) -> None:
    with link.transaction(writes=True):
        # What was spent before there was a budget.
        written(link, 0, row(1, 500))
        told(link, 20)
        left = [row(2, 3)]
        written(link, 1, *left)
        spent_again(link, left, QUOTAS, NOW + 60)
    assert used(link) == dict.fromkeys(ACCOUNTS, 23)


def test_without_budgets_nothing_is_looked_at(link: Link) -> None:
    with link.transaction(writes=True):
        assert spent_again(link, [row(1, None)], QUOTAS, NOW) == 0
        assert spent_again(link, [row(1, 5, key=None)], Quotas(), NOW) == 0
    assert used(link) == {}
