"""A gateway with a gate that counts in memory, and prices that are easy to add up."""

from typing import Any

from gateway.parts import Stage
from parley.gateway.gate import Gate
from parley.gateway.toll import Meters
from parley.ir import Usage
from parley.keys import Holder, KeyLimits, digest_of
from parley.limits import PICO, Quota, Quotas
from parley.settings import Registration


class Price:
    """Every token costs a dollar."""

    flat: tuple[int, int, int] | None = (PICO, PICO, 0)

    def cost(self, usage: Usage) -> int:
        return (usage.input + usage.output) * PICO

    def estimate(self, input_tokens: int, output_tokens: int) -> int:
        return (input_tokens + output_tokens) * PICO


class Prices:
    def __init__(self, *unknown: str) -> None:
        self.unknown = unknown

    def of(self, provider: Any, model: str) -> Price | None:
        return None if model in self.unknown else Price()


class Gated(Stage):
    """A stage with a gate, which counts in memory."""

    def __init__(self, *registrations: Registration, quotas: Quotas | None = None, **more: Any) -> None:
        self.wall = 1_700_000_000.0
        self.unknown: tuple[str, ...] = more.pop("unknown", ())
        holders = more.pop("holders", ())
        super().__init__(*registrations, quotas=quotas or Quotas(), **more)
        self.gateway.wall = lambda: self.wall
        self.gateway.tariffs = Prices(*self.unknown)
        if holders:
            self.gateway.keyring.fill({digest_of(one.id.encode()): one for one in holders}, exist=True)
        self.gate = self.gateway.gate = Gate(self.gateway, Meters("p"))

    def by(self, key: str, **more: Any) -> Any:
        return self.ask(headers=[(b"x-api-key", key.encode())], **more)

    def shed(self) -> dict[str, int]:
        return {key[1]: count for key, count in self.counts.items() if key[0] == "parley_shed_total"}


def all_of(**quota: Any) -> Quotas:
    return Quotas(all=Quota(**quota))


def holder(name: str, **limits: Any) -> Holder:
    tags = limits.pop("tags", {})
    return Holder(id=name, name=name, tags=tags, limits=KeyLimits(**limits) if limits else None)
