"""Processes that share an account never take more than it holds, whatever dies and whatever gets lost."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from limits.world import World
from parley.limits import Rule, exchange
from parley.limits.bank import TTL

MONEY = Rule("key", "k", "money", 1000)
PLACES = Rule("key", "k", "parallel", 10)


def busy(world: World, random: Random, requests: int, *, cost: int, over: float = 0.0, crashes: float = 0.0) -> None:
    """Requests at any process at any time, some of which cost more than was thought."""
    for _ in range(requests):
        process = random.choice(world.processes)
        reserved = random.randint(1, cost)
        used = reserved + random.randint(0, cost) if random.random() < over else random.randint(0, reserved)
        process.offer(reserved, used)
        world.run(random.expovariate(20))
        while world.working and random.random() < 0.7:
            work = random.choice(world.working)
            work.process.end(work)
        if random.random() < crashes:
            world.restart(random.randrange(len(world.processes)))
        world.lost = random.random() < 0.1 * bool(crashes)
        world.away = random.random() < 0.1 * bool(crashes)


def finish(world: World) -> None:
    """All is over, and everybody can be heard."""
    world.lost = world.away = False
    world.run(1.0)
    for process in world.processes:
        process.waiting.clear()
    for work in list(world.working):
        work.process.end(work)
    world.run(4 * TTL)
    assert world.working == []
    # What the dead had leased is looked at by whoever comes next.
    world.processes[0].meter.wanted = 1
    asked = world.processes[0].meter.ask(world.now)
    world.state, _ = exchange(world.state, replace(asked, least=0, ahead=0), world.now)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_money_is_never_spent_twice(seed: int, processes: int) -> None:
    world, random = World(MONEY, processes), Random(seed)
    busy(world, random, 120, cost=60, crashes=0.05)
    assert world.total <= MONEY.limit
    finish(world)
    assert world.total <= MONEY.limit
    assert world.state is not None
    # Nothing is leased any more, and all that was spent is counted.
    assert all(share.amount == share.held == 0 for share in world.state.shares.values())
    assert world.total <= world.state.used <= MONEY.limit


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_without_deaths_it_is_exact(seed: int, processes: int) -> None:
    world, random = World(MONEY, processes), Random(seed)
    busy(world, random, 60, cost=20)
    finish(world)
    assert world.state is not None
    assert world.state.used == world.total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_it_is_overspent_only_by_what_requests_cost_more_than_was_thought(seed: int, processes: int) -> None:
    world, random = World(MONEY, processes), Random(seed)
    spent_beyond = 0
    for _ in range(100):
        reserved = random.randint(1, 30)
        before = world.total
        random.choice(world.processes).offer(reserved, reserved + 5)
        world.run(random.expovariate(20))
        if world.total > before:
            assert before + reserved <= MONEY.limit + spent_beyond
        while world.working and random.random() < 0.8:
            work = world.working[0]
            spent_beyond += work.used - work.reserved
            work.process.end(work)
    finish(world)
    assert world.state is not None
    assert world.state.used == world.total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_places_are_never_taken_twice_and_come_back_after_a_death(seed: int, processes: int) -> None:
    world, random = World(PLACES, processes), Random(seed)
    for _ in range(150):
        random.choice(world.processes).offer(1, 0)
        world.run(random.expovariate(20))
        while world.working and random.random() < 0.4:
            work = random.choice(world.working)
            work.process.end(work)
        if random.random() < 0.03:
            world.restart(random.randrange(processes))
    assert 0 < world.most <= PLACES.limit
    for process in world.processes:
        process.waiting.clear()
    finish(world)
    for _ in range(PLACES.limit):
        world.processes[0].offer(1, 0)
        world.run(0.1)
    assert sum(work.alive for work in world.working) == PLACES.limit


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from(["requests", "tokens"]))
def test_a_window_holds_no_more_than_it_should(seed: int, processes: int, measure: str) -> None:
    rule = Rule("all", "", measure, 50, 60.0)  # type: ignore[arg-type]
    world, random = World(rule, processes), Random(seed)
    opened = world.now
    let_in: dict[float, int] = {}
    for _ in range(200):
        before = world.total
        need = random.randint(1, 5) if measure == "tokens" else 1
        process = random.choice(world.processes)
        process.offer(need, need)
        world.run(random.expovariate(5))
        process.waiting.clear()
        epoch = world.state.epoch if world.state else opened
        let_in[epoch] = let_in.get(epoch, 0) + world.total - before
        for work in list(world.working):
            work.process.end(work)
    assert max(let_in.values()) <= rule.limit + 5
    assert world.state is not None
    assert world.state.used <= rule.limit


@pytest.mark.parametrize("processes", [1, 3, 8])
def test_all_of_it_can_be_spent(processes: int) -> None:
    """Requests for as much as there is, at once: none is refused that others would have had room for."""
    world = World(Rule("key", "k", "money", 100), processes)
    for number in range(200):
        world.processes[number % processes].offer(10, 10)
    world.run(2.0)
    assert world.total == 100
    assert all(not process.waiting for process in world.processes)


def test_what_is_idle_in_one_process_goes_to_another_that_asks() -> None:
    world = World(Rule("key", "k", "money", 1000), 2)
    first, second = world.processes
    for _ in range(20):
        first.offer(10, 10)
        world.run(0.05)
        for work in list(world.working):
            first.end(work)
    assert first.meter.lease > 0
    for _ in range(80):
        second.offer(10, 10)
    world.run(1.0)
    assert world.total == 1000


def test_a_process_that_was_away_for_long_is_made_good() -> None:
    world = World(MONEY, 2)
    first, second = world.processes
    first.offer(100, 30)
    world.run(1.0)
    world.processes.remove(first)
    world.run(2 * TTL)
    second.offer(1, 1)
    world.run(1.0)
    assert world.state is not None
    assert world.state.used >= 100
    world.processes.append(first)
    for work in list(world.working):
        work.process.end(work)
    world.run(2 * TTL)
    assert world.state.used == 31


def test_a_lost_answer_is_not_counted_twice() -> None:
    world = World(MONEY, 1)
    process = world.processes[0]
    process.offer(10, 7)
    world.run(1.0)
    world.lost = True
    process.end(world.working[0])
    world.run(1.0)
    assert world.state is not None
    assert world.state.used == 7
    world.lost = False
    world.run(2 * TTL)
    assert world.state.used == 7
    assert process.meter.quiet


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_what_fits_is_let_in_soon_wherever_it_comes(seed: int, processes: int) -> None:
    world, random = World(MONEY, processes), Random(seed)
    busy(world, random, 40, cost=20)
    world.run(1.0)
    for process in world.processes:
        process.waiting.clear()
    for work in list(world.working):
        work.process.end(work)
    # Some have a little left of what they were leased, less than the next request needs.
    world.run(random.uniform(0, 2))
    need = (MONEY.limit - world.total) * 2 // 3
    process = random.choice(world.processes)
    process.offer(need, need)
    world.run(1.0)
    assert process.waiting == []
    assert [work.reserved for work in world.working] == [need]
