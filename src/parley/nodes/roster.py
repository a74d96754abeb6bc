"""Who is there: what nodes say of themselves, merged by rules that hold whatever the order of their words. Pure;
``now`` is monotonic seconds.

A node is known by its id and by the key that it was first heard with: as long as it is alive, no other key speaks for
that id. Newer words of a node replace older ones, never the other way round, so old words mean nothing when they are
said again. The processes of one node are added up.
"""

from collections.abc import Iterable, Mapping
from math import inf
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from parley.nodes.facts import Facts, Offer
from parley.nodes.presence import Presence

# Before the time is over for the server, and before anybody can say that we kept a node for longer.
EARLY: Final = 1.0
MOST_NODES: Final = 100_000
Refusal: TypeAlias = Literal["", "key", "trust", "full", "old"]


class Heard(Struct, frozen=True):
    """A node is there or has changed. ``latency``: seconds there and back, None where it is not known."""

    facts: Facts
    latency: float | None


class Lost(Struct, frozen=True):
    """It is gone."""

    node: str


class Clash(Struct, frozen=True):
    """Somebody else has our id. ``yields``: it has to go, not we."""

    yields: bool


News: TypeAlias = Heard | Lost | Clash | None


class _Node:
    __slots__ = ("facts", "key", "latency", "run", "sealed", "slots")

    def __init__(self, key: str, run: str) -> None:
        self.key = key
        self.run = run
        self.slots: dict[int, tuple[Presence, float]] = {}
        self.facts: Facts | None = None
        self.latency: float | None = None
        self.sealed = False


class Roster:
    """``id``, ``run`` and ``key`` are our own. ``rtt``: our own seconds to the network and back. ``refused`` counts
    words that were not believed, by why."""

    def __init__(
        self,
        id: str,
        run: str,
        key: str,
        ttl: float,
        trust: Iterable[str] = (),
        allow: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.id = id
        self.run = run
        self.key = key
        self.since = 0.0
        self.rtt: float | None = None
        self.refused: dict[str, int] = {}
        self._ttl = max(ttl - EARLY, ttl / 2)
        self._trust = frozenset(trust)
        self._allow = {project: frozenset(names) for project, names in (allow or {}).items()}
        self._nodes: dict[str, _Node] = {}
        # When the last words of those that are gone were said.
        self._past: dict[str, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def key_of(self, node: str) -> str | None:
        """The key that speaks for a node, None for one that is not there."""
        known = self._nodes.get(node)
        return None if known is None else known.key

    def sealed(self, node: str) -> bool:
        """Whether a node takes no calls in the clear."""
        known = self._nodes.get(node)
        return known is not None and known.sealed

    def trusts(self, key: str) -> bool:
        """Whether nodes of that key are heard and served."""
        return not self._trust or key in self._trust

    def heard(self, said: Presence, key: str, now: float) -> News:
        """A node says this; the signature has been verified."""
        if not self.trusts(key):
            self._refuse("trust")
            return None
        node = said.facts.node
        if node == self.id:
            return self._of_ours(said, key)
        refusal = self._refusal(said, key)
        if refusal:
            self._refuse(refusal)
            return None
        known = self._nodes.get(node)
        if said.leaves:
            return self._left(said)
        if known is None or known.run != said.run:
            known = self._nodes[node] = _Node(key, said.run)
        known.slots[said.slot] = (said, now)
        return self._news(known)

    def expired(self, now: float) -> list[News]:
        """What is news because it was not heard for too long."""
        limit = now - self._ttl
        news: list[News] = []
        for node, known in tuple(self._nodes.items()):
            over = [slot for slot, (_, heard) in known.slots.items() if heard <= limit]
            for slot in over:
                self._past[node] = (known.key, max(self._last(node), known.slots.pop(slot)[0].at))
            if not known.slots:
                del self._nodes[node]
                news.append(Lost(node))
            elif over:
                news.append(self._news(known))
        while len(self._past) > MOST_NODES:
            del self._past[next(iter(self._past))]
        return news

    def next_end(self) -> float:
        """When something may expire: until then ``expired`` need not be asked."""
        times = (heard for known in self._nodes.values() for _, heard in known.slots.values())
        return min(times, default=inf) + self._ttl

    def _left(self, said: Presence) -> News:
        node = said.facts.node
        known = self._nodes.get(node)
        if known is None or known.run != said.run:
            return None
        known.slots.pop(said.slot, None)
        self._past[node] = (known.key, max(self._last(node), said.at))
        if known.slots:
            return self._news(known)
        del self._nodes[node]
        return Lost(node)

    def _refusal(self, said: Presence, key: str) -> Refusal:
        node = said.facts.node
        known = self._nodes.get(node)
        if known is None:
            past = self._past.get(node)
            if past is not None and past[0] == key and said.at <= past[1]:
                return "old"
            return "full" if len(self._nodes) >= MOST_NODES else ""
        if known.key != key:
            return "key"
        mine = known.slots.get(said.slot) if known.run == said.run else None
        last = mine[0].at if mine is not None else self._last(node) if known.run == said.run else self._newest(known)
        return "old" if said.at <= last else ""

    def _newest(self, known: _Node) -> float:
        return max((said.at for said, _ in known.slots.values()), default=0.0)

    def _last(self, node: str) -> float:
        return self._past.get(node, ("", 0.0))[1]

    def _refuse(self, why: Refusal) -> None:
        self.refused[why] = self.refused.get(why, 0) + 1

    def _of_ours(self, said: Presence, key: str) -> News:
        """Of two with one id and key, the one that has been there for longer stays; nobody yields to another key."""
        if key != self.key:
            self._refuse("key")
            return Clash(yields=True)
        if said.run == self.run or said.leaves:
            return None
        return Clash(yields=(said.facts.since, said.run) > (self.since, self.run))

    def _news(self, known: _Node) -> News:
        """What all its processes say together, where that is not what was known."""
        parts = [known.slots[slot][0] for slot in sorted(known.slots)]
        known.sealed = any(part.sealed for part in parts)
        rtts = [part.rtt for part in parts if part.rtt is not None]
        latency = None if self.rtt is None or not rtts else self.rtt + min(rtts)
        facts = self._allowed(merged([part.facts for part in parts]))
        if facts == known.facts and not _moved(known.latency, latency):
            return None
        known.facts, known.latency = facts, latency
        return Heard(facts, latency)

    def _allowed(self, facts: Facts) -> Facts:
        """Without what is not for this node to offer."""
        if not self._allow:
            return facts
        who = {facts.node, facts.key}
        kept = [offer for offer in facts.offers if offer.project not in self._allow or who & self._allow[offer.project]]
        return facts if len(kept) == len(facts.offers) else replace(facts, offers=tuple(kept))


def merged(parts: list[Facts]) -> Facts:
    """The facts of one node whose processes say these: requests in flight are added up."""
    if len(parts) == 1:
        return parts[0]
    offers: dict[tuple[str, str, int, str], Offer] = {}
    for part in parts:
        for offer in part.offers:
            key = (offer.project, offer.model, offer.kind, offer.cid)
            other = offers.get(key)
            offers[key] = offer if other is None else _both(other, offer)
    return replace(parts[0], since=min(part.since for part in parts), offers=tuple(offers.values()))


def _both(one: Offer, two: Offer) -> Offer:
    known = [offer.latency for offer in (one, two) if offer.latency is not None]
    latency = sum(known) / len(known) if known else None
    return replace(one, in_flight=one.in_flight + two.in_flight, ok=one.ok or two.ok, latency=latency)


def _moved(before: float | None, now: float | None) -> bool:
    """Whether a latency has changed by more than such measures do."""
    if before is None or now is None:
        return before is not now
    return abs(now - before) > 0.001 + before / 4
