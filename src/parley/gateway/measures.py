"""Durations, tokens and cost of requests, by operation, provider and model.

A model has a label of its own where the configuration names it; all others that callers ask for are ``other``.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from parley.gateway import genai
from parley.gateway.ended import Ended
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
from parley.gateway.metrics import Metrics
from parley.ir import Usage
from parley.settings import EVERY, Settings

if TYPE_CHECKING:
    from parley.gateway import Gateway
    from parley.gateway.delivery import Delivery

OTHER: Final = "other"
# Names that callers make up are remembered only up to this many.
REMEMBERED: Final = 1024


class Measures:
    """An Observer. ``gateway`` tells which models the configuration names."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._settings = gateway.settings
        self._series: dict[tuple[str, str, str, str], Series] = {}
        self._named: dict[tuple[str, str, str, str], Series] = {}

    def ended(self, job: "Delivery", ended: Ended) -> None:
        """Count one. Requests for which no provider was chosen are counted elsewhere."""
        if not ended.provider:
            return
        if self._gateway.settings is not self._settings:
            self._settings = self._gateway.settings
            self._series.clear()
        key = (ended.operation, ended.provider, ended.model, ended.kind)
        series = self._series.get(key)
        if series is None:
            series = self._found(key)
        series.add(ended, job.tried_at - job.started, job.opened)

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

    __slots__ = ("_client", "_counts", "_input", "_key", "_known", "_metrics", "_output", "_server", "_stream")

    def __init__(self, metrics: Metrics, operation: str, provider: str, model: str, kind: str) -> None:
        named = (genai.operation(operation), provider, model)
        self._metrics = metrics
        self._counts = metrics.counts
        self._key = (provider, model)
        self._client = metrics.curve(CLIENT_DURATION, *named, kind)
        self._server = metrics.curve(SERVER_DURATION, *named, kind)
        self._input = metrics.curve(TOKEN_USAGE, *named, "input")
        self._output = metrics.curve(TOKEN_USAGE, *named, "output")
        self._stream = (metrics.curve(FIRST_TOKEN, *named), metrics.curve(PER_TOKEN, *named))
        self._known: dict[str, tuple[str, ...]] = {}

    def add(self, ended: Ended, before: float, opened: float) -> None:
        """Count one request; ``before`` are the seconds before its last try, ``opened`` those to the first content of
        a stream, 0 where there was none."""
        took = ended.ms / 1000
        _put(self._server, genai.SECOND_BOUNDS, took)
        if ended.cached:
            return
        _put(self._client, genai.SECOND_BOUNDS, took - before)
        usage = ended.usage
        if opened and not ended.kind:
            _put(self._stream[0], genai.FIRST_BOUNDS, opened)
            if usage.output > 1 and not usage.estimated:
                _put(self._stream[1], genai.PACE_BOUNDS, (took - opened) / (usage.output - 1))
        if usage.input or usage.output:
            self._count_tokens(usage)
        self._count_cost(ended.cost)

    def _count_tokens(self, usage: Usage) -> None:
        sure = "estimated"
        if not usage.estimated:
            sure = "exact"
            _put(self._input, genai.TOKEN_BOUNDS, usage.input)
            _put(self._output, genai.TOKEN_BOUNDS, usage.output)
        self._plus(TOKENS, "input", sure, usage.input)
        self._plus(TOKENS, "output", sure, usage.output)
        if usage.cached:
            self._plus(TOKENS, "cached", sure, usage.cached)
        if usage.cache_write:
            self._plus(TOKENS, "cache_write", sure, usage.cache_write)
        if usage.reasoning:
            self._plus(TOKENS, "reasoning", sure, usage.reasoning)

    def _plus(self, name: str, kind: str, sure: str, more: int) -> None:
        key = self._known.get(kind + sure)
        if key is None:
            key = self._known[kind + sure] = (name, *self._key, kind, sure)
        self._counts[key] = self._counts.get(key, 0) + more

    def _count_cost(self, cost: int | None) -> None:
        """Picodollars; they are shown as USD."""
        if cost is None:
            self._metrics.count(UNPRICED, *self._key)
        elif cost:
            key = (COST, *self._key)
            self._counts[key] = self._counts.get(key, 0) + cost


def label(settings: Settings, operation: str, model: str) -> str:
    """The model as a label: its name where the configuration, or a model server of this machine, names it."""
    registrations = settings.registrations
    known = (operation, model) in registrations or (EVERY, model) in registrations or model in settings.offered
    return model if known else OTHER


def _put(curve: list[float], bounds: tuple[float, ...], value: float) -> None:
    curve[bisect_left(bounds, value)] += 1
    curve[-1] += value
