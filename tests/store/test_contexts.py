"""Conversations that are continued by one request at a time: histories of many requests by chance, over gateways that
share one store, with those who leave, those who fail, and those that die."""

import heapq
import os
import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fixtures.postgres import Postgres
from parley.failure import Failure
from parley.store import contexts
from parley.store.contexts import Hold, Named
from parley.store.holding import HELD_SECONDS, MISSING, PATIENCE_SECONDS, Contexts, Held
from parley.store.link import linked, opened
from parley.store.place import place_of
from parley.store.port import Link

HISTORIES = int(os.environ.get("PARLEY_HISTORIES", "300"))
RETENTION = 1000.0


@pytest.fixture
def link() -> Iterator[Link]:
    made = opened(None, 1.0, folder=False)
    yield made
    made.close()


class World:
    """Virtual time, and one store for all gateways: what is asked of it is done after a while, in the order of each
    gateway's own queue."""

    def __init__(self, link: Link, seed: int) -> None:
        self.rand = random.Random(seed)
        self.now = 1000.0
        self.link = link
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.ids = count()

    def later(self, seconds: float, call: Callable[[], None]) -> "Timer":
        timer = Timer(call)
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), timer))
        return timer

    def run(self, until: float = float("inf")) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, call = heapq.heappop(self._heap)
            call()

    def new_id(self) -> str:
        return f"id-{next(self.ids)}"


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self._call = None

    def __call__(self) -> None:
        if self._call is not None:
            self._call()


class Shop:
    """One gateway's way to the store. ``dead``: nothing of it is heard any more."""

    exists = True

    def __init__(self, world: World) -> None:
        self.world, self.dead = world, False
        self._free = 0.0
        self.contexts = Contexts(self, self.later, lambda: RETENTION, world.new_id)

    def wall(self) -> float:
        return self.world.now

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        return self.world.later(seconds, lambda: None if self.dead else call())

    def change_then(self, work: Callable[[Link], Any], then: Callable[[Any], None]) -> None:
        world = self.world
        self._free = max(self._free, world.now) + world.rand.uniform(0.0001, 0.01)

        def done() -> None:
            if self.dead:
                return
            with world.link.transaction(writes=True):
                outcome = work(world.link)
            world.later(world.rand.uniform(0, 0.005), lambda: None if self.dead else then(outcome))

        world.later(self._free - world.now, done)


class Request:
    """One request: waits for its turn, takes its time, then writes, fails or leaves."""

    def __init__(self, world: World, shop: Shop, id: str, label: str, book: dict[str, list[str]]) -> None:
        self.world, self.shop, self.id, self.label, self.book = world, shop, id, label, book
        self.outcome: Any = None
        self.seen: list[str] | None = None
        self.at = 0.0
        self.wish = world.rand.choice(["write", "write", "write", "fail", "leave"])
        self.held: Held = shop.contexts.enter("o", "m", id, self.entered)
        if self.wish == "leave":
            shop.later(world.rand.uniform(0, 2), self.leave)

    def entered(self, failure: Failure | None) -> None:
        if failure is not None:
            self.outcome = failure
            return
        assert self.outcome is None
        self.at = self.world.now
        self.seen = [turn.decode() for turn in self.held.turns]
        # What it sees is all that was written, and nothing is being written.
        assert self.seen == self.book[self.id]
        self.shop.later(self.world.rand.uniform(0, 1.5), self.end)

    def end(self) -> None:
        if self.outcome is not None:
            return
        if self.wish == "fail":
            self.outcome = "failed"
            self.held.leave()
            return
        mine = [f"{self.label}-{number}" for number in range(self.world.rand.randint(1, 3))]
        self.outcome = "writing"

        def written(failure: Failure | None) -> None:
            assert failure is None
            self.outcome = "written"

        # Nobody else can see it before it is written: the book is kept where the store is.
        self.held.keep([turn.encode() for turn in mine], written)
        self.book[self.id] = [*self.book[self.id], *mine]

    def leave(self) -> None:
        if self.outcome is None:
            self.outcome = "left"
            self.held.leave()


def stored(link: Link, id: str) -> list[str]:
    with link.transaction(writes=False):
        rows = link.rows("SELECT body FROM context_turns WHERE context = :id ORDER BY number", id=id)
        return [bytes(row[0]).decode() for row in rows]


def history(link: Link, seed: int) -> None:
    world = World(link, seed)
    shops = [Shop(world) for _ in range(world.rand.randint(1, 3))]
    names = [f"c-{seed}-{number}" for number in range(world.rand.randint(1, 2))]
    book: dict[str, list[str]] = {name: ["start"] for name in names}
    hold = Hold("setup", world.now, world.now + 1, 0)
    with link.transaction(writes=True):
        for name in names:
            contexts.begin(link, Named("o", "m", name), hold)
            assert contexts.finish(link, Named("o", "m", name), hold, [b"start"])
    requests: list[Request] = []

    def begin() -> None:
        shop, name = world.rand.choice(shops), world.rand.choice(names)
        requests.append(Request(world, shop, name, f"r{len(requests)}", book))

    for _ in range(world.rand.randint(2, 9)):
        world.later(world.rand.uniform(0, 3), begin)
    world.run()
    assert all(one.outcome in ("written", "failed", "left") for one in requests), [one.outcome for one in requests]
    for name in names:
        assert stored(link, name) == book[name]
    assert all(not shop.contexts._lines for shop in shops)


@pytest.mark.parametrize("part", range(3))
def test_requests_continue_one_after_the_other(link: Link, part: int) -> None:
    for seed in range(part * HISTORIES // 3, (part + 1) * HISTORIES // 3):
        history(link, seed)


def test_what_a_dead_gateway_held_is_free_after_a_while(link: Link) -> None:
    world = World(link, 1)
    one, other = Shop(world), Shop(world)
    book = {"c": ["start"]}
    hold = Hold("setup", world.now, world.now + 1, 0)
    with link.transaction(writes=True):
        contexts.begin(link, Named("o", "m", "c"), hold)
        contexts.finish(link, Named("o", "m", "c"), hold, [b"start"])
    heard: list[Any] = []
    one.contexts.enter("o", "m", "c", heard.append)
    world.run(world.now + 1)
    assert heard == [None]
    one.dead, begun = True, world.now
    second = Request(world, other, "c", "second", book)
    second.wish = "write"
    world.run()
    assert second.outcome == "written"
    assert HELD_SECONDS - 2 < second.at - begun < HELD_SECONDS + 1


def test_a_hold_lasts_as_long_as_its_request(link: Link) -> None:
    world = World(link, 2)
    one, other = Shop(world), Shop(world)
    heard: list[Any] = []
    held = one.contexts.enter("o", "m", "", lambda failure: heard.append(("one", failure)))
    world.run(world.now + 1)
    other.contexts.enter("o", "m", held.id, lambda failure: heard.append(("other", failure)))
    world.run(world.now + 200)
    assert heard == [("one", None)]
    held.keep([b"x"], lambda failure: heard.append(("kept", failure)))
    world.run(world.now + 1)
    assert heard[1:] == [("kept", None), ("other", None)]


def test_nobody_waits_for_ever(link: Link) -> None:
    world = World(link, 3)
    one, other = Shop(world), Shop(world)
    heard: list[Any] = []
    held = one.contexts.enter("o", "m", "", heard.append)
    world.run(world.now + 1)
    other.contexts.enter("o", "m", held.id, heard.append)
    world.run(world.now + PATIENCE_SECONDS + 2)
    assert heard[0] is None
    assert heard[1].kind == "overloaded"


def test_a_new_one_that_came_to_nothing_is_not_there(link: Link) -> None:
    world = World(link, 4)
    shop = Shop(world)
    heard: list[Any] = []
    held = shop.contexts.enter("o", "m", "", heard.append)
    world.run(world.now + 1)
    held.leave()
    world.run(world.now + 1)
    shop.contexts.enter("o", "m", held.id, heard.append)
    world.run(world.now + 1)
    assert heard == [None, MISSING]


@pytest.mark.parametrize(("owner", "place", "later"), [("x", "m", 0), ("o", "x", 0), ("o", "m", RETENTION + 1)])
def test_those_of_others_and_those_forgotten_are_not_there(link: Link, owner: str, place: str, later: float) -> None:
    world = World(link, 5)
    shop = Shop(world)
    heard: list[Any] = []
    held = shop.contexts.enter("o", "m", "", heard.append)
    world.run(world.now + 1)
    held.keep([b"x"], heard.append)
    world.run(world.now + 1)
    world.now += later
    shop.contexts.enter(owner, place, held.id, heard.append)
    world.run(world.now + 1)
    assert heard == [None, None, MISSING]


def test_who_lost_its_hold_writes_nothing(link: Link) -> None:
    world = World(link, 6)
    shop = Shop(world)
    heard: list[Any] = []
    held = shop.contexts.enter("o", "m", "", heard.append)
    world.run(world.now + 1)
    with link.transaction(writes=True):
        link.run("UPDATE contexts SET holder = 'other', until = 1e12 WHERE id = :id", id=held.id)
    held.keep([b"mine"], heard.append)
    world.run(world.now + 1)
    assert heard[1].kind == "overloaded"
    assert stored(link, held.id) == []


def test_too_old_ones_are_swept(link: Link) -> None:
    with link.transaction(writes=True):
        for number in range(3):
            named, hold = Named("o", "m", str(number)), Hold("h", float(number), 9, 0)
            contexts.begin(link, named, hold)
            contexts.finish(link, named, hold, [b"t"])
        assert contexts.sweep(link, 2.0)
    with link.transaction(writes=False):
        assert [row[0] for row in link.rows("SELECT context FROM context_turns")] == ["2"]


def test_a_file_that_is_not_there_is_not_made_for_a_look(tmp_path: Path) -> None:
    class Nothing:
        exists = False

        def wall(self) -> float:
            return 0.0

        def change_then(self, work: Any, then: Any) -> None:
            raise AssertionError("asked")

    heard: list[Any] = []
    made = Contexts(Nothing(), lambda seconds, call: Timer(call), lambda: 1.0)
    made.enter("", "m", "6b2f", heard.append).leave()
    assert heard == [MISSING]


@pytest.fixture
def servers(postgres: Postgres) -> Iterator[list[Link]]:
    place = place_of(postgres.url(postgres.fresh()))
    made = [linked(place, 5.0) for _ in range(2)]
    yield made
    for one in made:
        one.close()


def test_a_server_is_as_good_as_a_file(servers: list[Link]) -> None:
    one, other = servers
    named, mine, theirs = Named("o", "m", "c"), Hold("a", 10, 40, 0), Hold("b", 11, 41, 0)

    def do(link: Link, work: Callable[..., Any], *args: Any) -> Any:
        with link.transaction(writes=True):
            return work(link, named, *args)

    assert do(one, contexts.begin, mine) == []
    assert do(other, contexts.take, theirs) == "busy"
    assert do(one, contexts.renew, mine)
    assert do(one, contexts.finish, mine, [b"1", b"2"])
    assert do(other, contexts.take, theirs) == [b"1", b"2"]
    assert not do(one, contexts.finish, mine, [b"3"])
    do(other, contexts.let_go, theirs)
    # Who died lets go by and by.
    assert do(one, contexts.take, mine) == [b"1", b"2"]
    assert do(other, contexts.take, Hold("b", 41, 71, 0)) == [b"1", b"2"]
    with one.transaction(writes=True):
        assert contexts.sweep(one, 100.0)
    assert do(other, contexts.take, Hold("c", 200, 230, 0)) == "missing"
