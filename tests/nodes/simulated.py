"""A network of many nodes in simulated time: what they say, who hears it when, and what is believed meanwhile.

Nodes speak by the real rules (parley.nodes.telling), observers believe by the real rules (parley.nodes.roster and
parley.nodes.directory); only the servers between them are played: they deliver every word to everybody after a while.
All nodes speak; a sample of them is also watched while they listen, for each listens by itself.

    python tests/nodes/simulated.py [--nodes 1000] [--models 20] [--seconds 600] [--write]
"""

import argparse
import random
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct

from parley.nodes.directory import Directory
from parley.nodes.facts import Facts, Offer
from parley.nodes.names import Named
from parley.nodes.presence import Presence, packed
from parley.nodes.registry import Registry
from parley.nodes.roster import Heard, Lost, Roster
from parley.nodes.telling import Telling

TTL, HEARTBEAT, SWEEP = 45.0, 15.0, 0.5
DOCS = Path(__file__).resolve().parents[2] / "docs" / "nodes-at-scale.md"


class Result(Struct):
    """``settled``: seconds until every observer knew of a change, by its kind; ``stale``: the longest that anybody kept
    a route to a node that was gone; ``puts`` words said in all, ``beats`` of these because it was time."""

    nodes: int
    models: int
    seconds: float
    observers: int
    settled: dict[str, list[float]]
    stale: float
    wrong: int
    puts: int
    beats: int
    changes: int
    size: int


class World:
    """Time, and what is to happen in it."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.rand = random.Random(seed)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Do it then."""
        heappush(self._queue, (moment, next(self._numbers), act))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, act = heappop(self._queue)
            act()
        self.now = until


class Network:
    """The servers, and all nodes."""

    def __init__(self, world: World, observers: int) -> None:
        self.world = world
        self.observers = [Observer(self, f"observer{number}") for number in range(observers)]
        self.puts = self.beats = self.changes = self.size = 0
        self.open: list[Change] = []
        self.settled: dict[str, list[float]] = {}

    def put(self, presence: Presence, key: str) -> None:
        """A word for everybody."""
        self.puts += 1
        self.size = self.size or len(packed(presence, key * 5, lambda data: bytes(64)))
        for observer in self.observers:
            delay = self.world.rand.uniform(0.001, 0.05)
            self.world.at(self.world.now + delay, lambda observer=observer: observer.hear(presence, key))  # type: ignore[misc]

    def changed(self, kind: str, node: "Node") -> None:
        """Something has happened that everybody should know."""
        self.changes += 1
        self.open = [change for change in self.open if change.node is not node]
        self.open.append(Change(kind, node, self.world.now, len(self.observers)))

    def look(self, observer: "Observer", name: str) -> None:
        """What an observer believes of a node has changed."""
        for change in self.open:
            if change.node.name == name and observer not in change.known and observer.agrees(change.node):
                change.known.append(observer)
                if len(change.known) == change.needed:
                    self.settled.setdefault(change.kind, []).append(self.world.now - change.at)
                    self.open.remove(change)
                return


class Change:
    def __init__(self, kind: str, node: "Node", at: float, needed: int) -> None:
        self.kind, self.node, self.at, self.needed = kind, node, at, needed
        self.known: list[Observer] = []


class Node:
    """One that speaks."""

    def __init__(self, network: Network, number: int, models: int) -> None:
        self.network, self.world = network, network.world
        self.name, self.key = f"node{number}", f"key of node {number:06d}"
        self.models = [f"model{(number + step * 37) % 400}" for step in range(models)]
        self.alive = False
        self.died = 0.0
        self.runs = 0
        self.load = 0
        self.telling = Telling(HEARTBEAT)
        self._wake = 0.0

    def facts(self) -> Facts:
        offers = tuple(Offer(project="p", model=model, in_flight=self.load) for model in self.models)
        return Facts(node=self.name, since=float(self.runs), offers=offers)

    def join(self) -> None:
        self.alive = True
        self.runs += 1
        self.telling = Telling(HEARTBEAT)
        self.network.changed("join", self)
        self.say()

    def say(self, *, leaves: bool = False) -> None:
        facts = self.facts()
        self.network.put(Presence(facts, str(self.runs), 0, self.world.now, None, leaves), self.key)
        self.telling.told(facts, self.world.now)
        self.wait(self.telling.due)

    def wait(self, due: float) -> None:
        run, self._wake = self.runs, due
        self.world.at(due, lambda: self.wake(run, due))

    def wake(self, run: int, due: float) -> None:
        if self.alive and run == self.runs and due == self._wake:
            self.network.beats += due - self.telling._at >= HEARTBEAT - 1e-6
            self.say()

    def change(self, kind: str) -> None:
        """Its models or its load are others now."""
        due = self.telling.changed(self.facts(), self.world.now)
        self.network.changed(kind, self)
        if due < self._wake:
            self.wait(due)

    def leave(self) -> None:
        self.network.changed("leave", self)
        self.say(leaves=True)
        self.alive, self.died = False, self.world.now

    def die(self) -> None:
        self.network.changed("die", self)
        self.alive, self.died = False, self.world.now


class Observer:
    """One that listens, and could route at any time."""

    def __init__(self, network: Network, name: str) -> None:
        self.network, self.world = network, network.world
        self.roster = Roster(name, "run", "key", TTL)
        self.directory = Directory(name, "parley", Registry())
        self.world.at(self.world.rand.uniform(0, SWEEP), self.sweep)

    def hear(self, presence: Presence, key: str) -> None:
        self.believe(self.roster.heard(presence, key, self.world.now))

    def sweep(self) -> None:
        self.world.at(self.world.now + SWEEP, self.sweep)
        for news in self.roster.expired(self.world.now):
            self.believe(news)

    def believe(self, news: Any) -> None:
        if isinstance(news, Heard):
            self.directory.heard(news.facts, news.latency)
            self.network.look(self, news.facts.node)
        elif isinstance(news, Lost):
            self.directory.lost(news.node)
            self.network.look(self, news.node)

    def agrees(self, node: Node) -> bool:
        known = self.directory.nodes.get(node.name)
        return (known is not None) == node.alive and (known is None or known == _signed(node))

    def routes(self, node: Node) -> bool:
        """Whether a call for one of its models could go to it."""
        spots = self.directory.spots(0, Named("p", node.models[0], node.name)) if node.models else []
        return bool(spots)


def _signed(node: Node) -> Facts:
    return node.facts()


class Life:
    """What happens to nodes, and what is looked at once a second meanwhile."""

    def __init__(self, network: Network, nodes: list[Node]) -> None:
        self.network, self.world, self.nodes = network, network.world, nodes
        self.stale, self.wrong = 0.0, 0

    def begin(self) -> None:
        """Everybody joins within one heartbeat; only what comes after counts."""
        for node in self.nodes:
            self.world.at(self.world.rand.uniform(0, HEARTBEAT), node.join)
        self.world.run(HEARTBEAT + 1)
        network = self.network
        network.settled.clear()
        network.puts = network.beats = network.changes = 0
        self.happen()
        self.check()

    def happen(self) -> None:
        """Something, to somebody."""
        self.world.at(self.world.now + self.world.rand.expovariate(len(self.nodes) / 100), self.happen)
        node = self.world.rand.choice(self.nodes)
        kinds = ("leave", "die", "models", "load", "load", "load", "load")
        self.act(node, self.world.rand.choice(kinds) if node.alive else "join")

    def act(self, node: Node, kind: str) -> None:
        """That."""
        if kind in ("models", "load"):
            if kind == "models":
                node.models = self.world.rand.sample([f"model{number}" for number in range(400)], len(node.models))
            node.load += kind == "load"
            node.change(kind)
        else:
            {"join": node.join, "leave": node.leave, "die": node.die}[kind]()

    def check(self) -> None:
        """Does anybody still believe in one that is gone?"""
        self.world.at(self.world.now + 1.0, self.check)
        for node in self.nodes:
            if not node.alive and any(node.name in observer.directory.nodes for observer in self.network.observers):
                gone = self.world.now - node.died
                self.stale = max(self.stale, gone)
                self.wrong += gone > TTL and any(observer.routes(node) for observer in self.network.observers)


def simulate(nodes: int, models: int, seconds: float, observers: int = 10, seed: int = 1) -> Result:
    """Nodes join, leave, die, and change what they have, at random."""
    world = World(seed)
    network = Network(world, observers)
    life = Life(network, [Node(network, number, models) for number in range(nodes)])
    life.begin()
    world.run(world.now + seconds)
    return Result(
        nodes=nodes,
        models=models,
        seconds=seconds,
        observers=observers,
        settled=network.settled,
        stale=life.stale,
        wrong=life.wrong,
        puts=network.puts,
        beats=network.beats,
        changes=network.changes,
        size=network.size,
    )


def table(result: Result) -> str:
    """The measured part of the page."""
    rows = ["| change | seen | half within | 99 % within | all within |", "| --- | --- | --- | --- | --- |"]
    names = {
        "join": "a node joins",
        "leave": "a node leaves",
        "models": "its models change",
        "load": "its load changes",
    }
    names["die"] = "a node dies without a word"
    for kind, name in names.items():
        found = sorted(result.settled.get(kind, []))
        late = found[min(len(found) - 1, int(len(found) * 0.99))]
        rows.append(f"| {name} | {len(found)} | {median(found):.2f} s | {late:.2f} s | {found[-1]:.2f} s |")
    spoken = result.puts - result.beats
    said = [
        f"{result.nodes} nodes with {result.models} models each, {result.seconds:.0f} s, {result.changes} changes; "
        f"{result.observers} listeners.",
        "",
        *rows,
        "",
        f"The longest that anybody kept a route to a node that was gone: {result.stale:.1f} s "
        f"(the TTL is {TTL:.0f} s). Words for each change: {spoken / result.changes:.2f}, and",
        f"{result.beats / result.seconds:.1f} signs of life each second in all, of {result.size} bytes each.",
    ]
    return "\n".join(said)


BEGIN, END = "<!-- measured -->", "<!-- end -->"


def main() -> None:
    """Simulate, and tell; perhaps into docs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    began = time.process_time()
    text = table(simulate(asked.nodes, asked.models, asked.seconds))
    print(text, f"\n({time.process_time() - began:.0f} s of computing)")  # noqa: T201
    if asked.write:
        page = DOCS.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
