"""When a node has to speak: at once where its models change, soon where only their load does, and now and then in any
case. Pure; times are monotonic seconds."""

from typing import Final

from parley.nodes.facts import Facts

# Changes that come together are told together.
SETTLE: Final = 0.05
# Loads that change with every request are told so often at most.
LOADS: Final = 1.0


class Telling:
    """``heartbeat``: so many seconds at most between two words."""

    def __init__(self, heartbeat: float) -> None:
        self._heartbeat = heartbeat
        self._told: Facts | None = None
        self._at = 0.0
        self._due = 0.0

    @property
    def due(self) -> float:
        """When to speak."""
        return self._due

    def changed(self, facts: Facts, now: float) -> float:
        """This is how things are; when to speak."""
        told = self._told
        if told is None or facts == told:
            return self._due
        soon = now + SETTLE if _shape(facts) != _shape(told) else max(now + SETTLE, self._at + LOADS)
        self._due = min(self._due, soon)
        return self._due

    def told(self, facts: Facts, now: float) -> None:
        """It has been said."""
        self._told, self._at = facts, now
        self._due = now + self._heartbeat

    def again(self, now: float) -> None:
        """Somebody may not have heard it."""
        self._due = min(self._due, max(now, self._at + LOADS))


def _shape(facts: Facts) -> object:
    """What is worth being told at once."""
    return facts.node, facts.key, facts.addresses, {(o.project, o.model, o.kind, o.cid, o.ok) for o in facts.offers}
