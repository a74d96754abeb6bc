"""A gateway with a response cache; the provider is played by hand, so that what was really asked is counted."""

from collections.abc import Callable
from typing import Any

from tests.gateway.parts import WALL, Ear, Stage

from parley.cache import MemoryShelf, Patient, Plan, ResponseCache, Shelf
from parley.settings import Registration

TTL = 100.0


class Cached(Stage):
    """With a cache in memory, unless another ``shelf`` is given; seconds since 1970 pass with the clock."""

    def __init__(self, *registrations: Registration, shelf: Shelf | None = None, **more: Any) -> None:
        super().__init__(*registrations, **more)
        self.gateway.wall = lambda: WALL + self.clock.time - 1000
        self.memory = MemoryShelf(1 << 20, self.clock.now)
        self.shelf = shelf or self.memory
        self.adopt()

    def adopt(self, ttl: float = TTL) -> None:
        plan = Plan(self.shelf, ttl)
        self.gateway.cache = ResponseCache(self.gateway, lambda found: plan, (self.shelf,))

    def hit(self, *asked: Any, **members: Any) -> bool:
        """Ask; whether the answer was there. A provider that is asked answers."""
        before = len(self.sent)
        _, ear = self.ask(*asked, **members)
        if len(self.sent) > before:
            assert ear.heard == []
            self.sent[-1].whole()
        return self.told(ear)

    def raw_hit(self, body: bytes, *more: Any) -> bool:
        before = len(self.sent)
        _, ear = self.ask_raw(body, *more)
        if len(self.sent) > before:
            self.sent[-1].whole()
        return self.told(ear)

    def told(self, ear: Ear) -> bool:
        return ear.lines[b"x-parley-cache"] == b"hit"


class Slow:
    """A shelf that answers when told to."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.asked: list[tuple[bytes, Callable[[Any], None]]] = []

    def get(self, key: bytes, then: Callable[[Any], None]) -> None:
        self.asked.append((key, then))

    def put(self, key: bytes, value: bytes, ttl: float, then: Callable[[Any], None]) -> None:
        self.kept[key] = value
        then(None)

    def problem(self) -> str | None:
        return None

    def tell(self, found: Any = None) -> None:
        key, then = self.asked.pop(0)
        then(self.kept.get(key, found))


def slow() -> tuple[Cached, Slow]:
    shelf = Slow()
    stage = Cached()
    stage.shelf = Patient(shelf, stage.clock, "the shelf")
    stage.adopt()
    return stage, shelf
