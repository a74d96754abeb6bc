"""Durations, tokens and cost of requests, by operation, provider and model.

A model has a label of its own where the configuration names it; all others that callers ask for are ``other``.
"""

from typing import TYPE_CHECKING, Final

from parley.gateway import genai
from parley.gateway.families import (
    CLIENT_DURATION,
    COST,
    FIRST_TOKEN,
    PER_TOKEN,
    SERVER_DURATION,
    TOKEN_USAGE,
    TOKENS,
    UNPRICED,
)
from parley.gateway.metrics import Counter, Metrics
from parley.ir import Usage
from parley.settings import EVERY, Settings

if TYPE_CHECKING:
    from parley.gateway import Gateway

OTHER: Final = "other"
# Names that callers make up are remembered only up to this many.
REMEMBERED: Final = 1024


class Measures:
    """``gateway`` tells which models the configuration names."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._settings = gateway.settings
        self._series: dict[tuple[str, str, str, str], Series] = {}
        self._named: dict[tuple[str, str, str, str], Series] = {}

    def series(self, operation: str, provider: str, model: str, kind: str) -> "Series":
        """Where requests of that operation for that model, as it was asked for, are counted at a provider; ``kind`` is
        that of their failure."""
        if self._gateway.settings is not self._settings:
            self._settings = self._gateway.settings
            self._series.clear()
        key = (operation, provider, model, kind)
        return self._series.get(key) or self._found(key)

    def _found(self, asked: tuple[str, str, str, str]) -> "Series":
        operation, provider, model, kind = asked
        key = (operation, provider, label(self._settings, operation, model), kind)
        series = self._named.get(key)
        if series is None:
            series = self._named[key] = Series(self._gateway.metrics, *key)
        if len(self._series) >= REMEMBERED:
            self._series.clear()
        self._series[asked] = series
        return series


class Series:
    """What is counted for one operation, provider, model and kind of failure ("" for none)."""

    __slots__ = (
        "_client", "_cost", "_exact", "_failed", "_guessed", "_input", "_output", "_server", "_stream", "_unpriced",
    )  # fmt: skip

    def __init__(self, metrics: Metrics, operation: str, provider: str, model: str, kind: str) -> None:
        named = (genai.operation(operation), provider, model)
        self._failed = kind != ""
        self._client = metrics.curve(CLIENT_DURATION, *named, kind)
        self._server = metrics.curve(SERVER_DURATION, *named, kind)
        self._input = metrics.curve(TOKEN_USAGE, *named, "input")
        self._output = metrics.curve(TOKEN_USAGE, *named, "output")
        self._stream = (metrics.curve(FIRST_TOKEN, *named), metrics.curve(PER_TOKEN, *named))
        self._exact = Tokens(metrics, provider, model, "exact")
        self._guessed = Tokens(metrics, provider, model, "estimated")
        self._cost = metrics.counter(COST, provider, model)
        self._unpriced = metrics.counter(UNPRICED, provider, model)

    def replayed(self, took: float) -> None:
        """Count one that no provider was asked for, by seconds."""
        self._server.put(took)

    def add(self, took: float, before: float, opened: float, usage: Usage, cost: int | None) -> None:
        """Count one request by seconds; ``before`` are those before its last try, ``opened`` those to the first content
        of a stream, 0 where there was none. ``cost`` is in picodollars, None where it is not known."""
        self._server.put(took)
        self._client.put(took - before)
        if opened and not self._failed:
            self._pace(took, opened, usage)
        read, made = usage.input, usage.output
        if usage.estimated:
            self._guessed.add(usage, read, made)
        elif read or made:
            self._input.put(float(read))
            self._output.put(float(made))
            self._exact.add(usage, read, made)
        if cost is None:
            self._unpriced.value += 1
        elif cost:
            self._cost.value += cost

    def _pace(self, took: float, opened: float, usage: Usage) -> None:
        first, each = self._stream
        first.put(opened)
        if usage.output > 1 and not usage.estimated:
            each.put((took - opened) / (usage.output - 1))


class Tokens:
    """Those of one provider and model, counted by it (``exact``) or by us."""

    __slots__ = ("_cached", "_input", "_output", "_reasoning", "_written")

    def __init__(self, metrics: Metrics, provider: str, model: str, sure: str) -> None:
        def of(kind: str) -> Counter:
            return metrics.counter(TOKENS, provider, model, kind, sure)

        self._input, self._output = of("input"), of("output")
        self._cached, self._written, self._reasoning = of("cached"), of("cache_write"), of("reasoning")

    def add(self, usage: Usage, read: int, made: int) -> None:
        """Count those of one answer; ``read`` and ``made`` are its input and output."""
        self._input.value += read
        self._output.value += made
        if usage.cached:
            self._cached.value += usage.cached
        if usage.cache_write:
            self._written.value += usage.cache_write
        if usage.reasoning:
            self._reasoning.value += usage.reasoning


def label(settings: Settings, operation: str, model: str) -> str:
    """The model as a label: its name where the configuration, or a model server of this machine, names it."""
    registrations = settings.registrations
    known = (operation, model) in registrations or (EVERY, model) in registrations or model in settings.offered
    return model if known else OTHER
