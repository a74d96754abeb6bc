"""The gate where others count too: leases, waiting for the bank, a bank that is away."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.gated import Prices, all_of, holder
from gateway.parts import Ear, Stage
from parley.failure import Failure
from parley.gateway.gate import AWAY, BEAT_SECONDS, MOST_WAITING, WAIT_SECONDS, Gate
from parley.gateway.job import Job
from parley.gateway.toll import Meters
from parley.limits import PICO, Answer, Ask, Quota, Quotas, State, exchange


class Bank:
    """Answers when it is told to. ``others`` plays another process."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.states: dict[str, State] = {}
        self.questions: list[tuple[Sequence[Ask], Callable[[Any], None]]] = []
        self.asked: list[Sequence[Ask]] = []
        self.away = False

    def exchange(self, asks: Sequence[Ask], then: Callable[[Sequence[Answer] | Failure], None]) -> None:
        self.asked.append(asks)
        self.questions.append((asks, then))

    def answer(self) -> None:
        while self.questions:
            asks, then = self.questions.pop(0)
            then(AWAY if self.away else [self.one(ask) for ask in asks])

    def one(self, ask: Ask) -> Answer:
        self.states[ask.account], answer = exchange(self.states.get(ask.account), ask, self.clock.now())
        return answer

    def other(self, account: str, limit: int, *, total: int = 0, keep: int = 0, span: float = 0.0) -> Answer:
        measure = account.split(":")[2]
        epoch = 0.0 if measure in ("money", "parallel") else None
        return self.one(
            Ask(
                account=account,
                process="other",
                measure=measure,
                limit=limit,
                span=span,
                epoch=epoch,
                total=total,
                keep=keep,
                held=keep,
            )
        )


class Shared(Stage):
    """A stage with a gate that shares its counters."""

    def __init__(self, quotas: Quotas, *, leases: bool = True, **more: Any) -> None:
        holders = more.pop("holders", ())
        super().__init__(quotas=quotas, **more)
        self.wall = 1_700_000_000.0
        self.gateway.wall = lambda: self.wall
        self.gateway.tariffs = Prices()
        if holders:
            self.gateway.keyring.fill({one.id.encode(): one for one in holders}, exist=True)
        self.bank = Bank(self.clock)
        self.gate = self.gateway.gate = Gate(self.gateway, Meters("me", told=True, leases=leases), self.bank)

    def answered(self, **members: Any) -> tuple[Job, Ear]:
        """A request that waits for the bank only once."""
        made = self.ask(**members)
        self.bank.answer()
        return made

    def shed(self) -> dict[str, int]:
        return {key[1]: count for key, count in self.counts.items() if key[0] == "parley_shed_total"}

    def rest(self, seconds: float = 3.0) -> None:
        """Time passes, and the bank answers."""
        for _ in range(int(seconds / 0.05)):
            self.clock.advance(0.05)
            self.bank.answer()


def test_the_first_request_waits_for_a_lease_and_later_ones_find_it() -> None:
    stage = Shared(all_of(requests=((100, 60.0),)))
    _, ear = stage.ask()
    assert (ear.heard, len(stage.sent)) == ([], 0)
    stage.bank.answer()
    assert len(stage.sent) == 1
    stage.clock.advance(BEAT_SECONDS)
    stage.bank.answer()
    before = len(stage.bank.asked)
    _, ear = stage.ask()
    assert (len(stage.sent), len(stage.bank.asked)) == (2, before)
    stage.sent[1].whole()
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"98"


def test_a_caller_that_leaves_while_waiting_has_taken_nothing() -> None:
    stage = Shared(all_of(requests=((1, 60.0),)))
    job, _ = stage.ask()
    job.left()
    stage.bank.answer()
    stage.rest()
    assert stage.sent == []
    stage.answered()
    assert len(stage.sent) == 1


def test_what_another_has_used_is_not_there_any_more() -> None:
    stage = Shared(all_of(budget=1100 * PICO))
    stage.bank.other("all::money:0", 1100 * PICO, total=1000 * PICO)
    _, ear = stage.answered()
    assert ear.error["code"] == "budget_exceeded"
    assert "$100 left" in ear.error["message"]
    # The bank has just said so: the next one is not made to wait.
    asked = len(stage.bank.asked)
    assert stage.ask()[1].status == 429
    assert len(stage.bank.asked) == asked


def test_what_another_holds_idle_is_waited_for() -> None:
    stage = Shared(all_of(requests=((10, 60.0),)))
    stage.bank.one(
        Ask(
            account="all::requests:60",
            process="other",
            measure="requests",
            limit=10,
            span=60.0,
            epoch=None,
            least=10,
            step=1,
        )
    )
    state = stage.bank.states["all::requests:60"]
    state.shares["other"].held = 0
    _, ear = stage.answered()
    assert (ear.heard, stage.gate.waiting) == ([], 1)
    # It gives back what it does not need.
    state.shares["other"].amount = 0
    stage.rest(0.2)
    assert len(stage.sent) == 1


def test_who_waited_in_vain_is_refused_like_any_other() -> None:
    stage = Shared(all_of(requests=((10, 60.0),)))
    stage.bank.one(
        Ask(
            account="all::requests:60",
            process="other",
            measure="requests",
            limit=10,
            span=60.0,
            epoch=None,
            least=10,
            step=1,
        )
    )
    stage.bank.states["all::requests:60"].shares["other"].held = 0
    _, ear = stage.answered()
    stage.rest(WAIT_SECONDS + 0.1)
    assert (ear.status, ear.error["code"]) == (429, "rate_limited")
    assert 55 <= int(ear.lines[b"retry-after"]) <= 60
    assert stage.shed() == {"rate": 1}


def test_a_retry_is_never_told_to_come_early() -> None:
    stage = Shared(all_of(requests=((1, 60.0),)))
    stage.answered()
    stage.clock.advance(7)
    stage.bank.answer()
    _, ear = stage.answered()
    wait = int(ear.lines[b"retry-after"])
    stage.rest(wait - 1.1)
    assert stage.answered()[1].status == 429
    stage.rest(1.2)
    stage.answered()
    assert len(stage.sent) == 2


def test_no_more_wait_than_can_be_kept() -> None:
    stage = Shared(all_of(requests=((10**6, 60.0),)))
    for _ in range(MOST_WAITING):
        stage.ask()
    _, ear = stage.ask()
    assert (ear.status, ear.error["code"]) == (503, "overloaded")
    stage.bank.answer()
    assert len(stage.sent) == MOST_WAITING


def test_leases_go_back_when_nothing_is_under_way() -> None:
    stage = Shared(all_of(parallel=5))
    for _ in range(3):
        stage.answered()
    assert len(stage.sent) == 3
    for sent in stage.sent:
        sent.whole()
    stage.rest(8.0)
    assert {share.amount for share in stage.bank.states["all::parallel:0"].shares.values()} == {0}
    asked = len(stage.bank.asked)
    stage.rest(2.0)
    assert len(stage.bank.asked) == asked


def test_closing_tells_everything() -> None:
    stage = Shared(all_of(budget=5000 * PICO))
    stage.answered()
    stage.sent[0].whole()
    closed: list[bool] = []
    stage.gate.close(lambda: closed.append(True))
    stage.bank.answer()
    assert closed == [True]
    state = stage.bank.states["all::money:0"]
    assert state.used == 5 * PICO
    stage.rest(1.0)


def test_closing_gives_back_what_was_leased_ahead() -> None:
    stage = Shared(all_of(budget=50_000 * PICO))
    for _ in range(5):
        stage.answered()
        stage.rest(0.3)
    for sent in stage.sent:
        sent.whole()
    assert next(iter(stage.gate._meters.all())).lease > 0
    stage.gate.close(lambda: None)
    stage.bank.answer()
    assert {share.amount for share in stage.bank.states["all::money:0"].shares.values()} == {0}
    assert stage.bank.states["all::money:0"].used == 5 * 5 * PICO


def test_nobody_but_a_request_opens_a_window() -> None:
    stage = Shared(all_of(requests=((100, 60.0),)))
    stage.answered()
    stage.sent[0].whole()
    opened = stage.bank.states["all::requests:60"].epoch
    for _ in range(7):
        stage.clock.advance(10)
        stage.bank.answer()
    assert stage.bank.states["all::requests:60"].epoch == opened
    _, ear = stage.answered()
    stage.sent[1].whole()
    assert ear.lines[b"x-ratelimit-reset-requests"] == b"1m0s"


@pytest.mark.parametrize("leases", [True, False])
def test_a_bank_that_is_away_is_gone_on_without(leases: bool) -> None:
    stage = Shared(all_of(budget=3300 * PICO), leases=leases)
    stage.answered(max_tokens=1000)
    stage.bank.away = True
    stage.sent[0].whole()
    for _ in range(5):
        stage.answered(max_tokens=1000)
    # Three more fit into what was known to be left; nobody is let in beyond that.
    assert len(stage.sent) == 1 + 3
    stage.bank.away = False
    for sent in stage.sent[1:]:
        sent.whole()
    stage.rest(12.0)
    assert stage.bank.states["all::money:0"].used == 4 * 5 * PICO
    assert stage.shed() == {"budget": 2}


def test_a_bank_that_was_never_reached_leaves_the_whole_limit_to_each() -> None:
    stage = Shared(all_of(requests=((2, 60.0),)))
    stage.bank.away = True
    for _ in range(3):
        stage.answered()
    assert len(stage.sent) == 2
    stage.rest(61.0)
    stage.answered()
    assert len(stage.sent) == 3


@pytest.mark.parametrize(("away", "status"), [("open", None), ("closed", 503)])
def test_a_bank_that_does_not_answer_is_waited_for_no_longer_than_said(away: str, status: int | None) -> None:
    stage = Shared(Quotas(all=Quota(requests=((2, 60.0),)), away=away))
    _, ear = stage.ask()
    stage.clock.advance(WAIT_SECONDS - 0.01)
    assert (stage.sent, ear.heard, stage.gate.away) == ([], [], False)
    stage.clock.advance(0.02)
    assert (len(stage.sent), stage.gate.away) == (int(status is None), True)
    assert status is None or ear.status == status
    # Nobody else is made to wait while it is silent, and nobody is let in beyond the limit.
    later = [stage.ask()[1] for _ in range(2)]
    assert len(stage.sent) == (2 if status is None else 0)
    assert later[1].status == (429 if status is None else 503)
    for sent in stage.sent:
        sent.whole()
    stage.rest(2.0)
    assert stage.gate.away is False
    assert stage.bank.states["all::requests:60"].used == len(stage.sent)


def test_closed_means_that_nothing_passes_beyond_the_lease() -> None:
    stage = Shared(Quotas(all=Quota(budget=3300 * PICO), away="closed"), leases=False)
    stage.answered()
    stage = Shared(Quotas(all=Quota(budget=3300 * PICO), away="closed"))
    stage.bank.away = True
    _, ear = stage.answered()
    assert (ear.status, ear.error["code"]) == (503, "overloaded")
    assert ear.lines[b"retry-after"] == b"1"
    assert stage.ask()[1].status == 503
    assert stage.shed() == {"overload": 2}
    stage.bank.away = False
    stage.rest(2.0)
    stage.answered()
    assert len(stage.sent) == 1


def test_a_bank_that_is_away_stops_no_key_without_limits() -> None:
    quotas = Quotas(models={"one": Quota(requests=((1, 60.0),))}, away="closed")
    stage = Shared(quotas, holders=(holder("free"),))
    stage.gateway.keyring.closed = False
    stage.bank.away = True
    stage.ask("claude")
    assert len(stage.sent) == 1
    assert stage.bank.asked == []


def test_in_one_process_only_money_is_told() -> None:
    stage = Shared(Quotas(all=Quota(requests=((5, 60.0),), budget=5000 * PICO)), leases=False)
    stage.answered()
    stage.sent[0].whole()
    stage.rest(1.0)
    assert list(stage.bank.states) == ["all::money:0"]
    assert stage.bank.states["all::money:0"].used == 5 * PICO
    # Known: nobody waits for the bank any more.
    stage.ask()
    assert len(stage.sent) == 2


def test_a_restart_finds_what_was_spent() -> None:
    first = Shared(all_of(budget=1100 * PICO), leases=False)
    first.answered()
    first.sent[0].whole(
        b'{"id":"c","model":"m","choices":[{"message":{}}],"usage":{"prompt_tokens":1000,"completion_tokens":50}}'
    )
    first.rest(1.0)
    second = Shared(all_of(budget=1100 * PICO), leases=False)
    second.bank.states = first.bank.states
    assert second.answered()[1].error["code"] == "budget_exceeded"
    assert second.sent == []


def test_periods_are_the_same_for_all() -> None:
    stage = Shared(all_of(budget=1100 * PICO, period=86400.0))
    stage.answered()
    assert stage.answered()[1].status == 429
    stage.wall += 86400
    stage.rest(0.5)
    stage.answered()
    assert len(stage.sent) == 2
